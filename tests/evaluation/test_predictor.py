import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import predictor as predictor_lib

import networks

pytestmark = pytest.mark.quick


# A network whose answer depends on the pixel alone: tiling is exact.
_local = networks.Plain(
    4, lambda images: tf.concat([images, -images[..., :1]], -1))


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return tf.constant(rng.uniform(-1, 1, (2, 40, 56, 3)), tf.float32)


@pytest.mark.parametrize('kwargs', [
    {}, {'flip': True}, {'tile': (16, 32)},
    {'tile': (32, 16), 'overlap': 0.5, 'flip': True}, {'tile': (64, 64)}])
def test_views_agree_where_the_network_is_local(images, kwargs):
    predictor = predictor_lib.Predictor(_local, specs.EvalSpec(**kwargs))
    expected = tf.nn.softmax(_local(images))
    found = networks.probabilities(predictor, images, (40, 56))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_scales_average_probabilities(images):
    predictor = predictor_lib.Predictor(
        _local, specs.EvalSpec(scales=(1.0, 0.5)))
    half = tf.image.resize(images, (20, 28), antialias=True)
    expected = (tf.nn.softmax(_local(images)) + tf.image.resize(
        tf.nn.softmax(_local(half)), (40, 56))) / 2
    found = networks.probabilities(predictor, images, (40, 56))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _examples(sizes):
    rng = np.random.default_rng(2)
    for size in sizes:
        yield {'image': tf.constant(rng.uniform(-1, 1, (*size, 3)),
                                    tf.float32),
               'label': tf.constant(rng.integers(0, 4, size), tf.int32)}


def test_the_last_smaller_batch_and_other_sizes_are_counted():
    sizes = [(16, 16)] * 5 + [(16, 32)] * 2
    predictor = predictor_lib.Predictor(_local, specs.EvalSpec(batch_size=2))
    matrix = predictor_lib.evaluate(predictor, _examples(sizes), 4, 7)
    assert matrix.shape == (1, 4, 4)
    assert matrix.sum() == 5 * 256 + 2 * 512


def test_a_missing_image_is_noticed():
    predictor = predictor_lib.Predictor(_local, specs.EvalSpec())
    with pytest.raises(RuntimeError, match='1 images'):
        predictor_lib.evaluate(predictor, _examples([(16, 16)]), 4, 2)
