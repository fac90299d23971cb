"""Encoders and classifiers: against numpy, their shapes, what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf.models import encoder, layers, weights

import numpy_encoder
import published


def _images(height, width, batch=2):
    rng = np.random.default_rng(7)
    return rng.uniform(-1, 1, (batch, height, width, 3)).astype('f4')


def _save(path, **kwargs):
    arrays = numpy_encoder.random_arrays(**kwargs)
    np.savez(path, **arrays)
    return arrays


def _assert_near(ours, truth, tolerance=1e-4):
    difference = np.abs(np.asarray(ours) - truth).max()
    assert difference < tolerance * truth.std()


@pytest.mark.parametrize('class_token', [False, True])
@pytest.mark.parametrize('size, grid', [
    ((64, 64), (4, 4)), ((48, 80), (4, 4)), ((16, 32), (3, 3)),
    ((80, 48), (1, 1))])
def test_tiny_equals_numpy(tmp_path, class_token, size, grid):
    path = tmp_path / 'tiny.npz'
    arrays = _save(path, grid=grid)
    images = _images(*size)
    model = encoder.build_encoder('tiny', size, class_token, weights=path)
    truth = numpy_encoder.encode(arrays, images, grid, class_token)
    outputs = model(images)
    assert set(outputs) == set(truth)
    for key, value in truth.items():
        _assert_near(outputs[key], value)


def test_open_size_equals_fixed_size(tmp_path):
    path = tmp_path / 'tiny.npz'
    arrays = _save(path, grid=(2, 2))
    model = encoder.build_encoder('tiny', (None, None), weights=path)
    step = tf.function(
        model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in ((32, 32), (64, 48)):
        truth = numpy_encoder.encode(arrays, _images(*size), (2, 2), False)
        for call in (model, step):
            _assert_near(call(_images(*size))['stride16'],
                         truth['stride16'])


def test_one_open_side_equals_fixed_size(tmp_path):
    path = tmp_path / 'tiny.npz'
    arrays = _save(path, grid=(2, 2))
    for size in ((32, None), (None, 32)):  # Of the grid itself.
        model = encoder.build_encoder('tiny', size, weights=path)
        truth = numpy_encoder.encode(arrays, _images(32, 32), (2, 2), False)
        _assert_near(model(_images(32, 32))['stride16'], truth['stride16'])


def test_open_size_compiles_with_xla():
    model = encoder.build_encoder('tiny', (None, None))
    images = _images(32, 48, batch=1)
    compiled = tf.function(model, jit_compile=True)(images)
    _assert_near(compiled['stride16'], model(images)['stride16'].numpy())


def test_classifier_equals_numpy(tmp_path):
    path = tmp_path / 'tiny.npz'
    arrays = _save(path, grid=(2, 3), num_classes=5, representation_size=6)
    model = encoder.build_classifier('tiny', 5, 6, (32, 48))
    weights.load_vit_npz(model, path)
    images = _images(32, 48)
    x = numpy_encoder.encode(arrays, images, (2, 3), True)['class_token']
    x = np.tanh(x @ arrays['pre_logits/kernel'] + arrays['pre_logits/bias'])
    _assert_near(model(images), x @ arrays['head/kernel']
                 + arrays['head/bias'])
    assert model.encoder.name == 'encoder'


def test_position_grid_comes_from_argument_file_or_image(tmp_path):
    path = tmp_path / 'tiny.npz'
    arrays = _save(path, grid=(3, 3))
    key = 'Transformer/posembed_input/pos_embedding'

    def stored(**kwargs):
        model = encoder.build_encoder('tiny', **kwargs)
        return weights.export_arrays(model)[key]

    np.testing.assert_array_equal(stored(image_size=(32, 32), weights=path),
                                  arrays[key])
    assert stored(image_size=(32, 48)).shape == (1, 7, 48)
    assert stored(image_size=(None, None)).shape == (1, 197, 48)
    given = stored(image_size=(32, 32), weights=path, position_grid=(2, 5))
    slot, grid = numpy_encoder._positions(arrays, (3, 3), (2, 5))
    np.testing.assert_allclose(given, np.concatenate([slot, grid], 1),
                               atol=1e-6)


def test_dropout_is_active_in_training_only():
    model = encoder.build_encoder('tiny', (32, 32), dropout=0.5)
    images = _images(32, 32)
    calm = model(images, training=False)
    np.testing.assert_array_equal(model(images)['stride16'],
                                  calm['stride16'])
    moved = model(images, training=True)
    assert np.abs(moved['stride16'] - calm['stride16']).max() > 1e-3
    np.testing.assert_array_equal(moved['stride8'], calm['stride8'])


def test_each_replica_drops_places_of_its_own():
    """The first one those of Keras' own layer."""
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
        ours = layers.Dropout(0.5, seed=3)
    keras_own = keras.layers.Dropout(0.5, seed=3)

    @tf.function
    def step():
        return strategy.run(lambda: ours(tf.ones((4, 50)), training=True))
    for _ in range(2):
        one, two = (part.numpy() for part in
                    strategy.experimental_local_results(step()))
        np.testing.assert_array_equal(
            one, keras_own(tf.ones((4, 50)), training=True))
        assert set(np.unique(two)) == {0, 2}
        assert 0.3 < (one == two).mean() < 0.7


def test_every_output_has_a_gradient_to_every_variable():
    model = encoder.build_classifier('tiny', 3, image_size=(32, 32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(_images(32, 32), training=True) ** 2)
    gradients = tape.gradient(
        loss, [v.value for v in model.trainable_variables])
    assert all(g is not None for g in gradients)


def test_classifier_survives_saving(tmp_path):
    model = encoder.build_classifier('tiny', 3, image_size=(32, 32))
    model.save(tmp_path / 'model.keras')
    again = keras.models.load_model(tmp_path / 'model.keras')
    images = _images(32, 32)
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)


@pytest.mark.parametrize('name, kwargs, message', [
    ('r50', {}, 'name'),
    ('tiny', {'image_size': (30, 32)}, 'image_size'),
    ('tiny', {'image_size': (0, 32)}, 'image_size'),
    ('tiny', {'image_size': (-16, 32)}, 'image_size'),
    ('tiny', {'image_size': 32}, 'image_size'),
    ('tiny', {'dropout': 1.0}, 'dropout'),
    ('tiny', {'position_grid': (0, 3)}, 'position_grid'),
    ('tiny', {'position_grid': 4}, 'position_grid'),
    ('tiny', {'weights': 'no/such.npz'}, 'no/such.npz'),
    ('efficientnet_lite0', {'class_token': True}, 'class_token'),
    ('efficientnet_lite0', {'dropout': 0.1}, 'dropout')])
def test_encoder_refuses(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        encoder.build_encoder(name, **kwargs)


@pytest.mark.parametrize('name, num_classes, size, message', [
    ('tiny', 0, None, 'num_classes'), ('tiny', 2.5, None, 'num_classes'),
    ('tiny', None, None, 'num_classes'),
    ('tiny', 3, 0, 'representation_size'), ('other', 3, None, 'name'),
    ('efficientnet_lite0', 3, 8, 'representation_size')])
def test_classifier_refuses(name, num_classes, size, message):
    with pytest.raises(ValueError, match=message):
        encoder.build_classifier(name, num_classes, size)


def test_r50_vit_b16_has_the_published_keys():
    model = encoder.build_classifier('r50_vit_b16', 3)
    named = {key: tuple(v.shape)
             for key, v in weights.named_variables(model).items()}
    assert named == published.shapes(3)
    in_encoder = sum(np.prod(shape) for key, shape in named.items()
                     if not key.startswith('head'))
    assert round(in_encoder / 1e6, 1) == 97.9
