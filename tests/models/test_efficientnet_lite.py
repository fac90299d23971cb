"""EfficientNet-Lite0 with its real weights on real photographs."""

import keras
import numpy as np
from PIL import Image
import pytest
import tensorflow_datasets as tfds

from ddep_tf.models import encoder, weights

FILE = 'weights/efficientnet_lite0_imagenet.npz'


def _photo(array):
    """Short side to 256 bicubic, center 224, to [-1, 1]."""
    image = Image.fromarray(array)
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size],
                         Image.BICUBIC)
    left, top = ((side - 224) // 2 for side in image.size)
    image = image.crop((left, top, left + 224, top + 224))
    return np.asarray(image, 'f4') / 127.5 - 1


@pytest.fixture(name='path')
def weights_file(real_data):
    path = real_data / FILE
    if not path.is_file():
        pytest.skip(f'needs {path}')
    return path


def test_classifies_photographs(real_data, path):
    if not (real_data / 'tfds' / 'imagenet2012').is_dir():
        pytest.skip(f'needs {real_data}/tfds/imagenet2012')
    model = encoder.build_classifier('efficientnet_lite0', 1000)
    report = weights.load_vit_npz(model, path)
    assert (len(report.loaded), report.unused, report.missing) == (247, [], [])
    examples = list(tfds.load('imagenet2012', split='train[:30]',
                              data_dir=real_data / 'tfds').as_numpy_iterator())
    # A Keras model holds every activation of its batch: 80 MB per image.
    logits = np.concatenate([model(_photo(e['image'])[None])
                             for e in examples])
    hits = logits.argmax(-1) == [e['label'] for e in examples]
    assert hits.sum() >= 24  # 25; of the first 300 265, as in PyTorch.


def test_encoder_loads_its_part_of_the_file(path):
    model = encoder.build_encoder('efficientnet_lite0', (None, None))
    report = weights.load_vit_npz(model, path)
    assert (len(report.loaded), len(report.unused)) == (165, 82)
    assert not report.missing
    published = weights.read_npz(path)
    for key, array in weights.export_arrays(model).items():
        np.testing.assert_array_equal(array, published[key])
    channels = [model.output[f'stride{s}'].shape[-1] for s in (2, 4, 8, 16)]
    assert channels == [16, 24, 40, 112]


def test_activations_keep_their_scale_without_weights():
    model = encoder.build_encoder('efficientnet_lite0', (64, 64))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3))
    for value in model(images.astype('f4')).values():
        assert 0.05 < value.numpy().std() < 5


def test_the_stem_stands_before_the_first_block():
    plain = encoder.build_encoder('efficientnet_lite0', (32, 32))
    stem = encoder.build_encoder('efficientnet_lite0_stem', (32, 32))
    stem.set_weights(plain.get_weights())
    images = np.random.default_rng(1).uniform(-1, 1, (1, 32, 32, 3))
    expected, maps = plain(images), stem(images)
    assert maps['stride2'].shape == (1, 16, 16, 48)
    np.testing.assert_array_equal(maps['stride2'][..., 32:],
                                  expected['stride2'])
    relu6 = plain.get_layer('lite.bn0.relu6')
    probe = keras.Model(plain.input, relu6.output)
    np.testing.assert_array_equal(maps['stride2'][..., :32], probe(images))
    for stride in ('stride4', 'stride8', 'stride16'):
        np.testing.assert_array_equal(maps[stride], expected[stride])
