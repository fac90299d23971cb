"""Models of keras.applications as encoders, compared with Keras' own."""

import inspect

import keras
import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf.models import (
    encoder,
    keras_applications,
    keras_weights,
    registry,
    segmenter,
    weights,
)

# Channels of the maps of strides 2, 4, 8 and 16: one model of every family.
PADDED = {
    'ConvNeXtTiny': (12, 96, 192, 384),
    'DenseNet121': (64, 128, 256, 512),
    'EfficientNetB0': (16, 24, 40, 112),
    'EfficientNetV2B0': (16, 32, 48, 112),
    'EfficientNetV2S': (24, 48, 64, 160),
    'MobileNet': (64, 128, 256, 512),
    'MobileNetV2': (16, 24, 32, 96),
    'MobileNetV3Small': (16, 16, 24, 48),
    'NASNetMobile': (32, 44, 264, 528),
    'ResNet50': (64, 256, 512, 1024),
    'ResNet50V2': (64, 256, 512, 1024),
    'VGG16': (128, 256, 512, 512),
}
CROPPED = {  # What Keras builds is smaller than H / s there.
    'InceptionResNetV2': (64, 192, 320, 1088),
    'InceptionV3': (64, 192, 288, 768),
    'Xception': (64, 128, 256, 728),
}
NORMAL = ('ConvNeXtTiny', 'MobileNetV2', 'ResNet50')
ALL = [pytest.param(name, marks=() if name in NORMAL else pytest.mark.full)
       for name in (*PADDED, *CROPPED)]
RNG = np.random.default_rng(0)


def _application(name, side):
    """Keras' own model, with statistics as of one that was trained."""
    model = keras_applications.constructor(f'keras/{name}')(
        include_top=False, weights=None, input_shape=(side, side, 3))
    for variable in model.variables:
        if 'moving_variance' in variable.path:
            variable.assign(RNG.uniform(0.5, 2, variable.shape))
        elif 'moving_mean' in variable.path:
            variable.assign(RNG.normal(0, 0.1, variable.shape))
    for layer in model.layers:
        if name == 'EfficientNetB0' and isinstance(
                layer, keras.layers.Normalization):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign(np.square([0.229, 0.224, 0.225]))
            layer.finalize_state()
    return model


def _outputs(name, application, image):
    """The maps that Keras' model computes of an image in [-1, 1]."""
    pixels = (127.5 * image + 127.5).astype('f4')
    module = inspect.getmodule(getattr(keras.applications, name))
    model = keras.Model(application.input,
                        keras_applications.find_taps(application))
    return model(module.preprocess_input(pixels))


@pytest.mark.parametrize('name', ALL)
def test_maps_are_those_of_keras(name):
    channels = (PADDED | CROPPED)[name]
    network = encoder.build_encoder(f'keras/{name}', (None, None))
    assert [network.output[key].shape for key in registry.MAPS] == [
        (None, None, None, number) for number in channels]
    image = RNG.uniform(-1, 1, (1, 96, 96, 3)).astype('f4')
    crops = name == 'NASNetMobile' or name in CROPPED
    # What crops gets a line more, and has even maps from there on.
    application = _application(name, 97 if crops else None)
    theirs = _outputs(name, application, np.pad(
        image, [(0, 0), (0, crops), (0, crops), (0, 0)]))
    keras_weights.copy(application, network)
    ours = network(image, training=True)  # Nothing depends on it.
    if name in CROPPED:
        _assert_same_inside(network, image, theirs['stride4'])
    else:
        for key in theirs:
            np.testing.assert_allclose(ours[key], theirs[key], 1e-4, 1e-4)
    sizes = [ours[key].shape[1:3] for key in registry.MAPS]
    assert sizes == [(48, 48), (24, 24), (12, 12), (6, 6)]
    for key, values in network(image).items():
        np.testing.assert_array_equal(ours[key], values)


def _assert_same_inside(network, image, theirs):
    """Cropping moves a map by less than a pixel of it: of an image that is
    moved back, what lies far from the borders is the same."""
    theirs = np.asarray(theirs)[:, 6:-6, 6:-6]
    least = np.inf
    for shift in range(4):
        ours = np.asarray(network(np.roll(image, (-shift, -shift), (1, 2)))
                          ['stride4'])
        for start in range(4, 9):
            part = ours[:, start:start + theirs.shape[1],
                        start:start + theirs.shape[2]]
            if part.shape == theirs.shape:
                least = min(least, np.abs(part - theirs).max())
    assert least < 1e-4 * max(1, np.abs(theirs).max())


def test_random_weights_keep_activations_in_range():
    network = encoder.build_encoder('keras/MobileNetV2', (64, 64))
    images = RNG.uniform(-1, 1, (2, 64, 64, 3)).astype('f4')
    for value in network(images).values():
        assert 0.005 < value.numpy().std() < 5


def test_keys_do_not_depend_on_what_was_built_before():
    """Keras counts the layers of a process, and names them by that."""
    shapes = []
    for _ in range(2):
        network = encoder.build_encoder('keras/ConvNeXtTiny', (32, 32))
        shapes.append({key: value.shape for key, value in
                       weights.export_arrays(network).items()})
        application = _FakeApplication()
        assert keras_applications.stable_names(application) == {
            'conv2d_7': 'conv2d', 'conv2d_10': 'conv2d_1'}
    assert shapes[0] == shapes[1]
    assert 'convnext_tiny_stage_0_block_0_layer_scale/variable' in shapes[0]


class _FakeApplication:
    operations = (keras.layers.Conv2D(1, 1, name='conv2d_10'),
                  keras.layers.Conv2D(1, 1, name='block1_conv_1'),
                  keras.layers.Conv2D(1, 1, name='conv2d_7'))


@pytest.mark.parametrize('name', [
    'ConvNeXtTiny', pytest.param('ResNet50', marks=pytest.mark.full)])
def test_a_network_is_saved_and_loaded(name, tmp_path):
    network = segmenter.build_segmenter(f'keras/{name}', 3,
                                        image_size=(32, 48))
    image = RNG.uniform(-1, 1, (1, 32, 48, 3)).astype('f4')
    expected = network(image)
    network.save(tmp_path / 'network.keras')
    loaded = keras.models.load_model(tmp_path / 'network.keras')
    assert loaded.encoder.entry_name == f'keras/{name}'
    np.testing.assert_array_equal(loaded(image), expected)
    weights.save_npz(tmp_path / 'all.npz', weights.export_arrays(network))
    other = segmenter.build_segmenter(f'keras/{name}', 5,
                                      image_size=(32, 48))
    rows = weights.graft(other, tmp_path / 'all.npz', 'encoder')
    assert {state for key, _, state in rows
            if not key.startswith(('decoder/', 'head/'))} == {'loaded'}
    np.testing.assert_array_equal(
        other.encoder(image)['stride8'], network.encoder(image)['stride8'])


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """Keras' download, answered by a file of random weights."""
    application = _application('EfficientNetB0', None)
    for layer in application.layers:  # As in the file that Keras publishes.
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt_variance.assign([0.229, 0.224, 0.225])
    path = tmp_path / 'downloaded.weights.h5'
    application.save_weights(path)
    module = inspect.getmodule(keras.applications.EfficientNetB0)
    monkeypatch.setattr(module.file_utils, 'get_file',
                        lambda *args, **kwargs: str(path))


def test_downloaded_weights_give_the_maps_of_keras(downloads, tmp_path):
    path = keras_weights.fetch('keras/EfficientNetB0', tmp_path)
    assert path == tmp_path / 'weights' / 'EfficientNetB0.npz'
    network = encoder.build_encoder('keras/EfficientNetB0', (None, None),
                                    weights=path)
    image = RNG.uniform(-1, 1, (1, 64, 64, 3)).astype('f4')
    theirs = _outputs('EfficientNetB0',
                      keras.applications.EfficientNetB0(include_top=False),
                      image)
    for key, values in network(image).items():
        np.testing.assert_allclose(values, theirs[key], 1e-3, 1e-4)
    path.write_bytes(b'damaged')
    for bring in (keras_weights.fetch, keras_weights.check):
        with pytest.raises(errors.UserError, match='not an .npz file'):
            bring('keras/EfficientNetB0', tmp_path)


def test_unknown_names_are_refused():
    for name, message in (('keras/Nothing', 'has no Nothing, but ConvNeXt'),
                          ('keras/', 'keras/NAME'),
                          ('keras/a/b', 'keras/NAME')):
        with pytest.raises(errors.UserError, match=message):
            registry.find(name)
