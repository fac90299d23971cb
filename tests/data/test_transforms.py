"""Transforms: image and mask move together, and by the seed alone."""

import colorsys

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


def test_upside_down():
    base = example()
    expected = base['label'].numpy()
    found = [transforms.random_flip(base, seed(i), vertical=True)
             for i in range(200)]
    for result in found[:20]:
        assert_together(result)
    turned = [(r['label'].numpy() == expected[::-1]).all() for r in found]
    assert 70 < sum(turned) < 130
    assert all(turn or (r['label'].numpy() == expected).all()
               for turn, r in zip(turned, found))


def test_turns_are_all_as_likely():
    base = example(16, 16)
    expected = {np.rot90(base['label'].numpy(), k).tobytes(): 0
                for k in range(4)}
    for number in range(200):
        result = transforms.random_turn(base, seed(number))
        assert_together(result)
        expected[result['label'].numpy().tobytes()] += 1
    assert len(expected) == 4 and min(expected.values()) > 25


def _varied(**changes):
    """Returns 50 variations of a gray and a colored pixel, [50, 1, 2, 3]."""
    base = {'image': tf.constant([[[100, 100, 100], [51, 102, 153]]],
                                 tf.uint8), 'label': tf.constant([[1, 2]])}
    spec = specs.AugmentSpec(**changes)
    found = [transforms.random_light(base, spec, seed(i)) for i in range(50)]
    assert all(result['label'] is base['label'] for result in found)
    return np.stack([result['image'].numpy() for result in found])


def test_brightness_moves_all_channels_alike():
    moved = _varied(brightness=0.1) - [[100] * 3, [51, 102, 153]]
    np.testing.assert_allclose(moved, np.broadcast_to(
        moved[..., :1, :1], moved.shape), atol=1e-3)
    assert -25.5 <= moved.min() < -20 and 20 < moved.max() <= 25.5


def test_contrast_scales_distances_from_the_mean():
    found = _varied(contrast=0.5)
    np.testing.assert_allclose(found.mean(2), np.broadcast_to(
        [[75.5, 101, 126.5]], found.mean(2).shape), atol=1e-3)
    factors = (found[:, 0, 0, 0] - found[:, 0, 1, 0]) / 49
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5


@pytest.mark.parametrize('name, place, value, low, high', [
    ('saturation', 1, 2 / 3, 1 / 3, 1.0), ('hue', 0, 7 / 12, 1 / 3, 5 / 6)])
def test_saturation_and_hue_change_only_these(name, place, value, low, high):
    most = {'saturation': 0.5, 'hue': 0.25}[name]
    found = _varied(**{name: most})
    np.testing.assert_allclose(found[:, 0, 0], 100, atol=1e-3)  # It is gray.
    hsv = np.array([colorsys.rgb_to_hsv(*pixel / 255)
                    for pixel in found[:, 0, 1]])
    assert low - 1e-4 <= hsv[:, place].min() < low + 0.1
    assert high - 0.1 < hsv[:, place].max() <= high + 1e-4
    expected = colorsys.rgb_to_hsv(0.2, 0.4, 0.6)
    assert expected[place] == pytest.approx(value)
    for other in {0, 1, 2} - {place}:
        np.testing.assert_allclose(hsv[:, other], expected[other], atol=1e-4)


def test_light_stays_in_range_and_is_off_unless_asked_for():
    found = _varied(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5)
    assert found.min() >= 0 and found.max() <= 255
    assert len({image.tobytes() for image in found}) > 30  # White is white.
    base = example()
    assert transforms.random_light(base, specs.AugmentSpec(), seed(0)) is base


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


@pytest.mark.parametrize('shape', [(), (2,)])
def test_draws_are_those_of_tensorflow(shape):
    for seed in ([0, 0], [3, -7], [2 ** 31 - 1, 1]):
        np.testing.assert_array_equal(
            transforms.uniform(shape, tf.constant(seed)),
            tf.random.stateless_uniform(shape, seed))
