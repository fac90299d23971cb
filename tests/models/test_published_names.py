"""Keys of Keras models that no registry entry has built, and key maps."""

import keras
import numpy as np
import pytest

from ddep_tf import errors, specs
from ddep_tf.models import decoder, encoder, registry, segmenter, vit, weights

pytestmark = pytest.mark.quick


def _plain_model():
    """An encoder as Keras builds them: plain layers, one with layers inside."""
    image = keras.Input((32, 32, 3), name='image')
    maps, x = {}, image
    for stride in (2, 4, 8, 16):
        x = keras.layers.Conv2D(16, 3, 2, 'same',
                                name=f'stage.conv{stride}')(x)
        maps[f'stride{stride}'] = x
    tokens = keras.layers.Reshape((4, 16), name='tokens')(x)
    tokens = keras.layers.MultiHeadAttention(2, 8, name='attention')(tokens,
                                                                     tokens)
    maps['stride16'] = keras.layers.Reshape((2, 2, 16), name='grid')(tokens)
    return keras.Model(image, maps, name='encoder')


def test_a_plain_keras_model_takes_the_place_of_an_encoder(tmp_path):
    body = _plain_model()
    spec = specs.DecoderSpec(entry_channels=16,
                             block_channels=(16, 16, 16, 16))
    net = segmenter.Network(body, decoder.build_decoder(spec, body), 2)
    arrays = weights.export_arrays(net)
    assert len(arrays) == len(net.weights)
    assert list(arrays)[:8] == [
        *(f'stage/conv{s}/{leaf}' for s in (2, 4, 8, 16)
          for leaf in ('kernel', 'bias'))]
    assert {f'attention/{part}/kernel' for part in (
        'query', 'key', 'value', 'attention_output')} <= set(arrays)
    path = tmp_path / 'weights.npz'
    weights.save_npz(path, arrays)
    for variable in net.weights:
        variable.assign(np.zeros(variable.shape))
    weights.load_arrays(net, weights.read_npz(path), path)
    for key, value in weights.export_arrays(net).items():
        np.testing.assert_array_equal(value, arrays[key])


def _conv_model(name, layer_name):
    image = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(2, 1, name=layer_name)(image)
    return keras.Model(image, y, name=name)


def test_models_inside_a_model_keep_their_order_and_keys():
    image = keras.Input((8, 8, 3))
    first, second = _conv_model('a', 'one'), _conv_model('b', 'two')
    y = keras.layers.Add(name='add')([first(image), second(image)])
    model = keras.Model(image, keras.layers.Conv2D(1, 1, name='three')(y))
    assert list(weights.named_variables(model)) == [
        f'{layer}/{leaf}' for layer in ('one', 'two', 'three')
        for leaf in ('kernel', 'bias')]


def test_two_variables_with_one_key_are_refused():
    image = keras.Input((8, 8, 3))
    parts = [_conv_model(name, 'conv')(image) for name in 'ab']
    model = keras.Model(image, keras.layers.Add(name='add')(parts))
    with pytest.raises(errors.UserError, match='key, conv/kernel'):
        weights.named_variables(model)


@pytest.mark.parametrize('key, head, unused', [
    ('head/kernel', True, True), ('pre_logits/bias', True, True),
    ('cls', False, True), ('cls_token', False, False),
    ('header/kernel', False, False), ('embedding/kernel', False, False)])
def test_vit_key_map(key, head, unused):
    assert vit.KEYS.is_head(key) == head
    assert vit.KEYS.may_go_unused(key) == unused


@pytest.mark.parametrize('name', registry.NAMES)
def test_key_maps_are_inverses(name):
    model = encoder.build_classifier(name, 3, image_size=(32, 32))
    keys = registry.find(name).keys
    for key, variable in weights.named_variables(model).items():
        value = np.arange(np.prod(variable.shape)).reshape(variable.shape)
        again = keys.from_published(key, keys.to_published(key, value))
        np.testing.assert_array_equal(again, value)
