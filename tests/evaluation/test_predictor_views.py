"""How views and tiles are averaged, against plain numpy; what counts."""

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import predictor as predictor_lib

import networks

pytestmark = pytest.mark.quick

CLASSES = 4


def _softmax(logits):
    power = np.exp(logits - logits.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def _ramp(height, width):
    """[h, w, C] logits that know where in its input a pixel stands."""
    rng = np.random.default_rng(3)
    rows, columns = rng.normal(size=(2, CLASSES))
    return (np.arange(height)[:, None, None] * rows +
            np.arange(width)[None, :, None] * columns) / 8


def _of_place(images):
    _, height, width, _ = images.shape
    ramp = tf.constant(_ramp(height, width), tf.float32)
    return tf.concat([images, images[..., :1] ** 2], -1) + ramp


# A network whose answer depends on the place within what it is given.
_placed = networks.Plain(CLASSES, _of_place)


def _placed_numpy(image):
    logits = np.concatenate([image, image[..., :1] ** 2], -1)
    return _softmax(logits + _ramp(*image.shape[:2]))


def _image(height, width, seed=0):
    return np.random.default_rng(seed).uniform(
        -1, 1, (height, width, 3)).astype('f4')


def _answer(network, image, **kwargs):
    predictor = predictor_lib.Predictor(network, specs.EvalSpec(**kwargs))
    return networks.probabilities(predictor, image[None], image.shape[:2])[0]


@pytest.mark.parametrize('flip', [False, True])
def test_overlapping_tiles_weigh_the_same(flip):
    """48 x 80 by tiles of 32 x 32 that share half, placed by hand."""
    def tiled(image):
        total, count = np.zeros((48, 80, CLASSES)), np.zeros((48, 80, 1))
        for top in (0, 16):
            for left in (0, 16, 32, 48):
                place = np.s_[top:top + 32, left:left + 32]
                total[place] += _placed_numpy(image[place])
                count[place] += 1
        return total / count
    image = _image(48, 80)
    expected = tiled(image)
    if flip:
        expected = (expected + tiled(image[:, ::-1])[:, ::-1]) / 2
    ours = _answer(_placed, image, tile=(32, 32), overlap=0.5, flip=flip)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_street_scenes_are_two_halves_each_with_its_mirror_image():
    """The protocol of Cityscapes, 1024 x 2048 by 1024 x 1024, made small."""
    image = _image(32, 64)
    halves = [(_placed_numpy(half) + _placed_numpy(half[:, ::-1])[:, ::-1]) / 2
              for half in (image[:, :32], image[:, 32:])]
    ours = _answer(_placed, image, tile=(32, 32), flip=True)
    np.testing.assert_allclose(ours, np.concatenate(halves, 1), atol=1e-6)
    assert np.abs(ours - _placed_numpy(image)).max() > 0.01


# Two views, and the class that wins by their mean probability: it is neither
# that of the mean logit, nor one that any view votes for.
LOGITS = (((0.90, 0.10 - 1e-6, 1e-6), (1e-6, 0.30, 0.70 - 1e-6), 0, 1),
          ((0.45, 0.55 - 1e-6, 1e-6), (0.45, 1e-6, 0.55 - 1e-6), 0, 0))


@pytest.mark.parametrize('one, other, expected, by_logits', LOGITS)
@pytest.mark.parametrize('kind', ['flip', 'scales'])
def test_views_average_probabilities(kind, one, other, expected, by_logits):
    one, other = np.array(one, 'f4'), np.array(other, 'f4')
    assert (np.log(one) + np.log(other)).argmax() == by_logits
    assert by_logits != expected or expected not in (one.argmax(),
                                                     other.argmax())

    def answer(images):
        _, height, width, _ = images.shape
        if kind == 'flip':  # Mirrored, a pixel stands in the other half.
            first = np.arange(width) < width // 2
        else:
            first = np.full(width, width == 32)
        row = np.where(first[:, None], np.log(one), np.log(other))
        return tf.zeros((1, height, 1, 1)) + tf.constant(row, tf.float32)

    kwargs = {'flip': True} if kind == 'flip' else {'scales': (1.0, 0.5)}
    tf.config.run_functions_eagerly(True)  # The network reads shapes.
    try:
        ours = _answer(networks.Plain(3, answer), _image(32, 32), **kwargs)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(
        ours, np.broadcast_to((one + other) / 2, ours.shape), atol=1e-5)
    assert (ours.argmax(-1) == expected).all()


@pytest.mark.parametrize('size', [(16, 1), (1, 16), (1, 1), (33, 1)])
@pytest.mark.parametrize('kwargs', [
    {}, {'flip': True, 'scales': (0.25, 1.0, 1.75)},
    {'tile': (16, 16), 'overlap': 0.5, 'flip': True}])
def test_images_of_one_pixel_of_width(size, kwargs):
    bright = networks.Plain(2, lambda images: tf.concat(
        [images[..., :1], -images[..., :1]], -1))
    image = np.ones((*size, 3), 'f4')
    ours = _answer(bright, image, **kwargs)
    assert ours.shape == (*size, 2)
    np.testing.assert_allclose(ours[..., 0], 1 / (1 + np.exp(-2)), atol=1e-5)


# A network whose answer is the mean of all that it is given.
_mean = networks.Plain(3, lambda images: 0 * images + 4 * tf.reduce_mean(
    images, (1, 2), keepdims=True))


@pytest.mark.parametrize('size, scale', [
    ((20, 40), 1.0), ((40, 40), 1.0), ((48, 9), 1.0), ((40, 96), 0.5),
    ((17, 30), 1.5)])
@pytest.mark.parametrize('fill, mode', [('gray', 'constant'),
                                        ('mirror', 'symmetric')])
def test_what_a_tile_holds_beyond_a_smaller_image(size, scale, fill, mode):
    image = _image(*size) * np.linspace(0, 1, size[1], dtype='f4')[:, None]
    view = tf.image.resize(image[None], [round(s * scale) for s in size],
                           antialias=True)[0].numpy()

    def answer(view):
        for axis, side in enumerate((48, 64)):
            edge = side - view.shape[axis]
            pads = [(0, edge if i == axis else 0) for i in range(3)]
            # Up to 15 pixels that make a side a multiple of 16 are gray.
            view = np.pad(view, pads, mode if edge >= 16 else 'constant')
        return _softmax(4 * view.mean((0, 1)))

    for flip, expected in ((False, answer(view)),
                           (True, (answer(view) + answer(view[:, ::-1])) / 2)):
        ours = _answer(_mean, image, tile=(48, 64), scales=(scale,),
                       fill=fill, flip=flip)
        np.testing.assert_allclose(
            ours, np.broadcast_to(expected, ours.shape), atol=1e-5)


# The class is what the image's red says.
_guess = networks.Plain(CLASSES, lambda images: 100 * tf.one_hot(
    tf.cast(images[..., 0], tf.int32), CLASSES))


def _example(image_ids, label):
    image = np.repeat(np.asarray(image_ids, 'f4')[..., None], 3, -1)
    return {'image': tf.constant(image), 'label': tf.constant(label, tf.int32)}


def _counted(examples):
    predictor = predictor_lib.Predictor(_guess, specs.EvalSpec())
    matrix, = predictor_lib.evaluate(predictor, examples, CLASSES,
                                     len(examples))
    return matrix


def test_every_valid_pixel_counts_once_however_tiles_overlap():
    label = np.random.default_rng(1).integers(0, CLASSES, (48, 80))
    label[:5] = 255
    predictor = predictor_lib.Predictor(_placed, specs.EvalSpec(
        tile=(32, 32), overlap=0.5, flip=True, scales=(1.0, 1.5)))
    matrix, = predictor_lib.evaluate(predictor, [
        {'image': tf.constant(_image(48, 80)), 'label': tf.constant(label)}],
        CLASSES, 1)
    np.testing.assert_array_equal(
        matrix.sum(1), np.bincount(label[5:].ravel(), minlength=CLASSES))


def test_an_image_of_no_valid_pixel_adds_nothing():
    blank = _example(np.ones((16, 16)), np.full((16, 16), 255))
    assert _counted([blank]).sum() == 0
    assert np.isnan(predictor_lib.summary(_counted([blank]))['mean_iou'])
    rng = np.random.default_rng(0)
    full = _example(*rng.integers(0, CLASSES, (2, 16, 16)))
    np.testing.assert_array_equal(_counted([full, blank]), _counted([full]))


def test_a_class_that_stands_nowhere_is_left_out_of_the_mean():
    truth = np.array([[0, 0, 1, 1]] * 4)
    guess = np.array([[0, 1, 1, 3]] * 4)
    result = predictor_lib.summary(_counted([_example(guess, truth)]))
    # 2 stands nowhere; 3 in the prediction alone, and counts as 0.
    np.testing.assert_array_equal(result['iou'], [1 / 2, 1 / 3, np.nan, 0])
    assert result['mean_iou'] == pytest.approx((1 / 2 + 1 / 3) / 3)
