"""Transforms: image and mask move together, and by the seed alone."""

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.data import transforms

pytestmark = pytest.mark.quick


def example(height=20, width=30):
    """The mask is written into the image's red channel."""
    mask = np.arange(height * width).reshape(height, width) % 250
    image = np.stack([mask, mask // 2, mask * 0], -1)
    return {'image': tf.constant(image, tf.uint8),
            'label': tf.constant(mask, tf.uint8)}


def seed(number):
    return tf.constant([7, number], tf.int32)


def assert_together(result, padded=False):
    image, label = result['image'].numpy(), result['label'].numpy()
    inside = label != 255
    assert inside.all() or padded
    np.testing.assert_array_equal(image[..., 0][inside], label[inside])
    assert (image[~inside] == transforms.FILL).all()


def test_crop_and_flip_move_image_and_mask():
    seen = set()
    for number in range(40):
        result = transforms.random_crop(example(), (8, 16), seed(number))
        assert result['image'].shape == (8, 16, 3)
        assert result['label'].shape == (8, 16)
        result = transforms.random_flip(result, seed(number + 100))
        assert_together(result)
        seen.add(result['image'].numpy().tobytes())
    assert len(seen) > 30


def test_the_crop_reaches_every_corner():
    rows = {int(transforms.random_crop(
        {'image': example(6, 4)['image']}, (4, 4), seed(i))['image'][0, 0, 0])
        for i in range(60)}
    assert rows == {0, 4, 8}


@pytest.mark.parametrize('dtype', [tf.uint8, tf.float32])
def test_the_pad_is_the_mean_colour_and_ignored(dtype):
    base = example(6, 40)
    base['image'] = tf.cast(base['image'], dtype)
    result = transforms.random_crop(base, (16, 16), seed(3))
    assert result['image'].dtype == dtype
    # ImageNet's mean, (0.485, 0.456, 0.406) of 255.
    assert (result['image'][6:] == tf.constant([124, 116, 104], dtype)
            ).numpy().all()
    assert (result['label'][6:] == 255).numpy().all()
    assert (result['label'][:6] != 255).numpy().all()


def test_half_are_flipped():
    base = example()
    flips = [bool(transforms.random_flip(base, seed(i))['label'][0, 0]
                  != base['label'][0, 0]) for i in range(200)]
    assert 70 < sum(flips) < 130


def test_small_images_are_padded_below_and_right():
    result = transforms.random_crop(example(), (32, 48), seed(0))
    assert_together(result, padded=True)
    assert (result['label'][20:] == 255).numpy().all()
    assert (result['label'][:, 30:] == 255).numpy().all()
    assert (result['label'][:20, :30] == example()['label']).numpy().all()
    # One side shorter, the other longer.
    assert_together(transforms.random_crop(example(), (32, 16), seed(1)),
                    padded=True)


@pytest.mark.parametrize('scale, short_side, size', [
    (0.5, 0, (10, 15)), (1.0, 10, (10, 15)), (0.1, 40, (40, 60)),
    (1.0, 0, (20, 30)), (0.01, 0, (1, 1))])
def test_resize(scale, short_side, size):
    base = example()
    result = transforms.resize(base, scale, short_side)
    assert result['image'].shape[:2] == size == result['label'].shape
    # The mask's ids are picked, never mixed.
    assert set(result['label'].numpy().ravel()) <= set(
        base['label'].numpy().ravel())


def test_shrinking_does_not_alias():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 200
    result = transforms.resize({'image': tf.constant(image)}, 0.5)
    assert result['image'].dtype == tf.float32
    # A triangle over 4 pixels, cut off at the border: (0, 0, 0, 1) of
    # weights (3, 3, 1) becomes 1/7.
    np.testing.assert_allclose(result['image'][0, :, 0],
                               [200 / 7, 1200 / 7], atol=1e-3)


def test_masks_of_far_apart_ids_are_never_mixed():
    label = tf.constant(np.kron([[0, 254], [254, 0]], np.ones((9, 11))),
                        tf.uint8)
    base = {'image': tf.zeros((18, 22, 3), tf.uint8), 'label': label}
    for result in (transforms.resize(base, 0.37), transforms.resize(base, 2.3),
                   transforms.resize(base, 1.0, 31),
                   transforms.random_scale(base, 0.5, 2.0, seed(5))):
        assert set(result['label'].numpy().ravel()) == {0, 254}


def test_random_scale_is_off_unless_asked_for():
    assert specs.DatasetSpec().random_scale == (1.0, 1.0)


def test_random_scale_stays_in_its_range():
    heights = [transforms.random_scale(example(), 0.5, 2.0, seed(i))[
        'label'].shape[0] for i in range(30)]
    assert 10 <= min(heights) < 15 and 30 < max(heights) <= 40
    base = example()
    assert transforms.random_scale(base, 1.0, 1.0, seed(0)) is base


def test_to_float():
    image = tf.constant([[[0, 255, 51]]], tf.uint8)
    result = transforms.to_float({'image': image,
                                  'label': tf.constant([[255]], tf.uint8)})
    np.testing.assert_allclose(result['image'][0, 0], [-1, 1, -0.6],
                               atol=1e-6)
    assert result['label'].dtype == tf.int32
    assert int(result['label'][0, 0]) == 255


def test_classes_pass_through():
    base = {'image': example()['image'], 'label': tf.constant(3)}
    result = transforms.random_flip(transforms.random_crop(
        transforms.resize(base, 0.9), (8, 8), seed(0)), seed(1))
    assert int(result['label']) == 3
