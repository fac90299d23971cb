"""What is exported computes what a run predicts, by Keras' own layers."""

import json

import keras
import numpy as np
import pytest

from ddep_tf import errors, specs
from ddep_tf.models import encoder, segmenter
from ddep_tf.serving import loading, plain_layers, serving_model

import segment_runs

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (2, 45, 70, 3)).astype('u1')


def _assert_same(model, original, images):
    ids, probabilities = original.predict(images, probabilities=True)
    result = model(images)
    assert len(np.unique(ids)) > 1
    np.testing.assert_allclose(result['probabilities'], probabilities, 0,
                               1e-4)
    assert (np.asarray(result['ids']) == ids).mean() > 0.999
    assert result['ids'].dtype == 'uint8'


@pytest.mark.parametrize('size', [None, (45, 70)])
def test_pads_and_crops_as_the_predictor_does(tmp_path, size):
    run, network = segment_runs.write(tmp_path, 'tiny')
    original = loading.of_network(run, network, specs.EvalSpec())
    model = serving_model.build(network, size)
    _assert_same(model, original, IMAGES)
    if size is None:
        _assert_same(model, original, IMAGES[:1, :32, :33])
        _assert_same(model, original, IMAGES[:1, :1, :16])


@pytest.mark.parametrize('data', [{'scale': 0.5}, {'short_side': 60}])
def test_resizes_as_the_run_does(tmp_path, data):
    run, network = segment_runs.write(tmp_path, 'tiny', **data)
    original = loading.of_network(run, network, specs.EvalSpec())
    _assert_same(serving_model.build(network, (45, 70), run.data[0]),
                 original, IMAGES)
    with pytest.raises(errors.UserError, match='--image_size is missing'):
        serving_model.build(network, None, run.data[0])


def test_the_image_is_a_skip_of_keras_own_layers_too():
    network = segmenter.build_segmenter(
        'tiny', 3, image_size=(48, 80), decoder=specs.DecoderSpec(
            entry_channels=16, block_channels=(16,) * 4, image_skip=True))
    plain = plain_layers.rebuild(network, (48, 80))
    image = RNG.uniform(-1, 1, (1, 48, 80, 3)).astype('f4')
    expected = np.asarray(network(image))
    np.testing.assert_allclose(plain(image), expected, 0,
                               1e-4 * np.abs(expected).max())


@pytest.mark.parametrize('name, size', [
    ('tiny', (48, 80)), ('efficientnet_lite0', None),
    ('keras/ConvNeXtTiny', None),
    pytest.param('keras/EfficientNetV2B0', None, marks=pytest.mark.full),
    pytest.param('keras/ResNet50', None, marks=pytest.mark.full)])
def test_a_network_of_keras_own_layers_computes_the_same(tmp_path, name,
                                                         size):
    _, network = segment_runs.write(tmp_path, name)
    plain = plain_layers.rebuild(network, size or (None, None))
    assert 'ddep_tf' not in json.dumps(plain.get_config())
    image = RNG.uniform(-1, 1, (1, 48, 80, 3)).astype('f4')
    expected = np.asarray(network(image))
    np.testing.assert_allclose(plain(image), expected,
                               0, 1e-4 * np.abs(expected).max())
    if size is None:  # Traced with open sizes, as files are.
        traced = keras.saving.load_model(_saved(plain, tmp_path))
        for cut in (16, 32):
            np.testing.assert_allclose(
                traced.predict_on_batch(image[:, :, cut:]),
                plain(image[:, :, cut:]), 0, 1e-4 * np.abs(expected).max())


def _saved(model, folder):
    model.save(folder / 'plain.keras')
    return folder / 'plain.keras'


def test_what_keras_lacks_is_refused():
    def refused(network, message, size=(None, None)):
        with pytest.raises(errors.UserError, match=message):
            plain_layers.rebuild(network, size)

    refused(segmenter.build_segmenter('tiny', 3, image_size=(None, None)),
            '--image_size is missing')
    refused(segmenter.build_segmenter(
        'efficientnet_lite0', 3, image_size=(32, 32),
        decoder=specs.DecoderSpec(align_corners=True)), 'align_corners')

    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    network = segmenter.build_segmenter('efficientnet_lite0', 3,
                                        image_size=(32, 32))
    maps = {key: Own()(value) for key, value in network.encoder.output.items()}
    network.encoder = encoder.Encoder(network.encoder.input, maps)
    refused(network, 'the layer Own')
