"""Prediction on files: at their own size, by a run that segments."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.evaluation import predict, predictor

pytestmark = pytest.mark.quick


class _Halves:
    """Class 1 where an image is bright; keeps the sizes that it is given."""

    num_outputs = 2

    def __init__(self):
        self.sizes = []

    def __call__(self, images, training=False):
        del training
        self.sizes.append(images.shape[1:3])
        return tf.concat([-images[..., :1], images[..., :1]], -1)


@pytest.mark.parametrize('changes, inner', [
    ({}, (64, 96)), ({'scale': 0.5}, (32, 48)), ({'short_side': 32}, (32, 48)),
    ({'short_side': 128}, (128, 192))])
def test_images_are_resized_as_in_training(changes, inner):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 255
    network = _Halves()
    tf.config.run_functions_eagerly(True)
    try:
        ids = predict.predict_image(
            predictor.Predictor(network, specs.EvalSpec()), image,
            specs.DatasetSpec(**changes))
    finally:
        tf.config.run_functions_eagerly(False)
    assert network.sizes == [inner]
    assert ids.shape == (64, 96) and ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, image[..., 0] // 255)


def test_a_run_of_another_stage_is_refused():
    run = specs.RunSpec(stage='denoise', data=(specs.DatasetSpec(
        name='own'),))
    with pytest.raises(errors.UserError, match='denoise'):
        predict.predict_files('here', run, [], 'out', None)


class _Full:
    """Stands in for a Predictor on a device whose memory is full."""

    def __init__(self, *args):
        pass

    def label_ids(self, images, size):
        raise tf.errors.ResourceExhaustedError(None, None, 'OOM')


def test_an_image_beyond_the_memory_is_named_with_a_way_out(
        tmp_path, monkeypatch):
    Image.new('RGB', (6, 4)).save(tmp_path / 'large.png')
    monkeypatch.setattr(predict.build, 'load_network', lambda *_: None)
    monkeypatch.setattr(predict.predictor_lib, 'Predictor', _Full)
    run = specs.RunSpec(stage='segment', data=(specs.DatasetSpec(
        name='own', num_classes=2),))
    with pytest.raises(errors.UserError, match='large, 6 x 4 .*EvalSpec.tile'):
        predict.predict_files('run', run, [tmp_path / 'large.png'],
                              tmp_path / 'out', tf.distribute.get_strategy())
    assert not (tmp_path / 'out').exists()
