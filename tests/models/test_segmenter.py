"""Decoder and segmenter: shapes, widths, modes, and what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.models import (
    decoder,
    encoder,
    precision,
    segmenter,
    weights,
)

SMALL = {'entry_channels': 32, 'block_channels': (32, 16, 16, 16)}


def _images(height, width):
    rng = np.random.default_rng(5)
    return rng.uniform(-1, 1, (2, height, width, 3)).astype('f4')


def _network(size=(None, None), outputs=3, **kwargs):
    return segmenter.build_network(
        specs.EncoderSpec('tiny'), specs.DecoderSpec(**{**SMALL, **kwargs}),
        outputs, size)


@pytest.mark.parametrize('width', [1, 2, 3])
def test_width_multiplies_every_channel_count(width):
    net = segmenter.build_segmenter('tiny', 5, width, (32, 48))
    shapes = {key: tuple(v.shape)
              for key, v in weights.named_variables(net).items()}
    assert shapes['decoder/entry/conv/kernel'] == (3, 3, 48, 64 * width)
    entries = (64 * width + 256, 64 * width + 128, 48 * width + 32, 32 * width)
    for i, channels in enumerate((64, 48, 32, 16)):
        block = f'decoder/block{i + 1}'
        channels *= width
        assert shapes[f'{block}/conv1/kernel'] == (3, 3, entries[i], channels)
        assert shapes[f'{block}/conv2/kernel'] == (3, 3, channels, channels)
        assert shapes[f'{block}/norm2/scale'] == (channels,)
    assert shapes['head/kernel'] == (3, 3, 16 * width, 5)
    logits = net(_images(32, 48))
    assert logits.shape == (2, 32, 48, 5) and logits.dtype == 'float32'


def test_open_size_takes_any_multiple_of_16():
    net = _network()
    for size in ((16, 16), (48, 32), (64, 80)):
        assert net(_images(*size)).shape == (2, *size, 3)
    with pytest.raises(ValueError, match='multiples of 16'):
        net(_images(40, 32))


def test_default_decoder_is_that_of_the_spec():
    net = segmenter.build_segmenter('efficientnet_lite0', 4,
                                    image_size=(None, None))
    kernel = weights.named_variables(net)['decoder/entry/conv/kernel']
    assert tuple(kernel.shape) == (3, 3, 112, 512)
    given = segmenter.build_segmenter('efficientnet_lite0', 4,
                                      decoder=specs.DecoderSpec(**SMALL))
    kernel = weights.named_variables(given)['decoder/entry/conv/kernel']
    assert tuple(kernel.shape) == (3, 3, 112, 32)


def test_decode_completes_the_network():
    net = _network()
    images = _images(32, 32)
    features = net.encoder(images, training=False)
    np.testing.assert_array_equal(net.decode(features, training=False),
                                  net(images, training=False))


def test_an_image_skip_leads_past_the_encoder():
    net = _network(image_skip=True)
    kernels = {key: tuple(v.shape)
               for key, v in weights.named_variables(net).items()}
    plain = {key: tuple(v.shape)
             for key, v in weights.named_variables(_network()).items()}
    assert {key for key in kernels if kernels[key] != plain[key]} == {
        'decoder/block4/conv1/kernel'}
    assert kernels['decoder/block4/conv1/kernel'] == (3, 3, 16 + 3, 16)
    images = _images(32, 32)
    features = net.encode(images, training=False)
    other = {**features, 'stride1': -features['stride1']}
    np.testing.assert_array_equal(net.decode(features), net(images))
    assert np.abs(net.decode(other) - net(images)).max() > 1e-4
    copy = segmenter.Network.from_config(net.get_config())
    copy.set_weights(net.get_weights())
    np.testing.assert_array_equal(copy(images), net(images))


def test_decoder_ignores_a_class_token():
    body = encoder.build_encoder('tiny', (32, 32), class_token=True)
    spec = specs.DecoderSpec(**SMALL)
    net = segmenter.Network(body, decoder.build_decoder(spec, body), 2)
    assert net(_images(32, 32)).shape == (2, 32, 32, 2)


def test_first_prediction_is_small():
    prediction = _network()(_images(32, 32)).numpy()
    assert 0 < prediction.std() < 0.5


def test_batch_norm_statistics_change_in_training_only():
    net = _network(norm='batch')
    mean = weights.named_variables(net)['decoder/entry/norm/moving_mean']
    images = _images(32, 32)
    net(images, training=False)
    assert not mean.numpy().any()
    net(images, training=True)
    assert mean.numpy().any()


def test_training_mode_changes_nothing_in_efficientnet():
    body = encoder.build_encoder('efficientnet_lite0', (32, 32))
    images = _images(32, 32)
    before = weights.export_arrays(body)
    calm, trained = (body(images, training=mode) for mode in (False, True))
    for key, value in calm.items():
        np.testing.assert_array_equal(value, trained[key])
    for key, value in weights.export_arrays(body).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize('kwargs', [{}, {'align_corners': True},
                                    {'norm': 'batch'}])
def test_every_weight_learns(kwargs):
    net = _network(**kwargs)

    with tf.GradientTape() as tape:
        outputs = net(_images(32, 32), training=True)
        loss = tf.reduce_mean(tf.square(outputs - 1))
    gradients = tape.gradient(loss,
                              [v.value for v in net.trainable_variables])
    named = {v.path: g for v, g in zip(net.trainable_variables, gradients)}
    assert all(np.isfinite(g).all() for g in named.values())
    assert np.any(named['conv_root/kernel'])


def test_equal_seeds_give_equal_networks():
    exports = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        exports.append(weights.export_arrays(_network()))
    for key, value in exports[0].items():
        np.testing.assert_array_equal(value, exports[1][key])
    kernels = [exports[0][f'decoder/block{i}/conv2/kernel'] for i in (3, 4)]
    assert not np.array_equal(*kernels)


def test_every_kernel_is_named_kernel():
    # The optimizer decays the weights whose variable is named 'kernel'.
    net = _network()
    body = encoder.build_encoder('efficientnet_lite0', (32, 32))
    for model in (net, body):
        for key, variable in weights.named_variables(model).items():
            large = len(variable.shape) > 1 and 'bias' not in key
            kernel = large and 'pos_embedding' not in key
            assert variable.name.endswith('kernel') == kernel, key


def test_network_survives_saving(tmp_path):
    net = _network()
    net.save(tmp_path / 'net.keras')
    again = keras.models.load_model(tmp_path / 'net.keras')
    images = _images(32, 32)
    np.testing.assert_allclose(again(images), net(images), atol=1e-6)


def test_keras_exports_a_network_as_it_is(tmp_path):
    for model in (_network(), encoder.build_classifier(
            'tiny', 3, image_size=(32, 32))):
        images = _images(32, 32)
        model(images)  # As Keras asks for.
        model.export(tmp_path / model.name, verbose=False)
        loaded = tf.saved_model.load(str(tmp_path / model.name))
        np.testing.assert_allclose(loaded.serve(images), model(images),
                                   atol=1e-5)


@pytest.mark.parametrize('policy, scaled', [
    ('mixed_float16', True), ('mixed_bfloat16', False), ('float32', False)])
def test_keras_scales_the_loss_in_float16(tmp_path, policy, scaled):
    with precision.policy(policy):
        models = _network(), encoder.build_classifier(
            'tiny', 3, image_size=(32, 32))
    for model in models:
        model.save(tmp_path / 'model.keras')
        for one in (model, keras.models.load_model(tmp_path / 'model.keras')):
            one.compile('adam', 'mse')
            assert isinstance(
                one.optimizer, keras.optimizers.LossScaleOptimizer) == scaled
            assert one.input_dtype == 'float32'


@pytest.mark.parametrize('name, classes, kwargs, message', [
    ('vit', 3, {}, 'name'), ('tiny', 0, {}, 'num_classes'),
    ('tiny', 3, {'width_multiplier': 0}, 'width_multiplier'),
    ('tiny', 3, {'width_multiplier': 1.5}, 'width_multiplier'),
    ('tiny', 3, {'image_size': (31, 32)}, 'image_size'),
    ('tiny', 3, {'width_multiplier': 2, 'decoder': specs.DecoderSpec()},
     'width_multiplier')])
def test_segmenter_refuses(name, classes, kwargs, message):
    with pytest.raises(ValueError, match=message):
        segmenter.build_segmenter(name, classes, **kwargs)
