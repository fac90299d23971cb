"""The program of a replica against NumPy, PIL and SciPy, and compiled."""

import os
from pathlib import Path
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest
from scipy import ndimage
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.evaluation import program, rounds, tiles

import networks

CLASSES, TILE = 4, 32
SCALES = (0.5, 1.0, 1.75)
SPEC = specs.EvalSpec(tile=(TILE, TILE), overlap=0.33, flip=True,
                      scales=SCALES, batch_size=2, single_scale=True)
SIZES = ((45, 70), (64, 30), (9, 80))
LABEL_SIZES = ((30, 50), (64, 30), (40, 90))
_RAMP = np.random.default_rng(3).normal(size=(TILE, TILE, CLASSES)) / 4


def _answer(images):
    """Depends on the pixel, on its neighbor, and on the place in the tile."""
    right = tf.pad(images[:, :, 1:, :1], [[0, 0], [0, 0], [0, 1], [0, 0]])
    return 3 * tf.concat([images, right], -1) + _RAMP.astype('f4')


NETWORK = networks.Plain(CLASSES, _answer)


def _answer_numpy(tile):
    right = np.pad(tile[:, 1:, :1], [(0, 0), (0, 1), (0, 0)])
    logits = 3 * np.concatenate([tile, right], -1) + _RAMP
    power = np.exp(logits - logits.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def _antialiased(image, size):
    if image.shape[:2] == size:
        return image
    return np.stack([np.asarray(Image.fromarray(image[..., channel]).resize(
        size[::-1], Image.Resampling.BILINEAR)) for channel in range(3)], -1)


def _bilinear(odds, size):
    places = [(np.arange(out) + 0.5) * have / out - 0.5
              for out, have in zip(size, odds.shape)]
    grid = np.meshgrid(*places, indexing='ij')
    return np.stack([ndimage.map_coordinates(
        odds[..., index], grid, order=1, mode='nearest')
        for index in range(CLASSES)], -1)


def _starts(side):
    """Tiles as far apart as they may, of a side that is padded to 16."""
    end = max(-(-side // 16) * 16 - TILE, 0)
    count = -(-end // 21) + 1  # They share 11 pixels of 32, or more.
    return [round(start) for start in np.linspace(0, end, count)]


def _view(image, size, scale, mirrored):
    image = _antialiased(image, tuple(
        round(side * scale) for side in image.shape[:2]))
    if mirrored:
        image = image[:, ::-1]
    height, width = image.shape[:2]
    rows, columns = _starts(height), _starts(width)
    padded = np.zeros((rows[-1] + TILE, columns[-1] + TILE, 3))
    padded[:height, :width] = image
    total = np.zeros((*padded.shape[:2], CLASSES))
    count = np.zeros((*padded.shape[:2], 1))
    for top in rows:
        for left in columns:
            place = np.s_[top:top + TILE, left:left + TILE]
            total[place] += _answer_numpy(padded[place])
            count[place] += 1
    odds = (total / count)[:height, :width]
    return _bilinear(odds[:, ::-1] if mirrored else odds, size)


def _expected(image, size):
    """Returns the mean probabilities of all views, and those of the plain."""
    found = {(scale, mirrored): _view(image, size, scale, mirrored)
             for scale in SCALES for mirrored in (False, True)}
    return sum(found.values()) / len(found), found[1.0, False]


def _images(size, count=1):
    rng = np.random.default_rng(sum(size))
    return rng.uniform(-1, 1, (count, *size, 3)).astype('f4')


@pytest.fixture(name='predictor', scope='module')
def of_one_device():
    return predictor_lib.Predictor(NETWORK, SPEC)


@pytest.mark.parametrize('size, label_size', zip(SIZES, LABEL_SIZES))
def test_probabilities_are_those_of_numpy(predictor, size, label_size):
    images = _images(size, 2)
    ours = networks.probabilities(predictor, images, label_size)
    for image, found in zip(images, ours, strict=True):
        expected, _ = _expected(image, label_size)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def _groups(sizes=SIZES, label_sizes=LABEL_SIZES):
    """A group of two images, and of one."""
    rng = np.random.default_rng(0)
    return [rounds.Group(_images(size, count), label_size, rng.choice(
        [*range(CLASSES), 255], (count, *label_size)))
        for size, label_size, count in zip(sizes, label_sizes, (2, 1, 1))]


def _counts(truth, odds):
    matrix = np.zeros((CLASSES, CLASSES), int)
    kept = truth != 255
    np.add.at(matrix, (truth[kept], odds.argmax(-1)[kept]), 1)
    return matrix


def test_counts_are_those_of_numpy_for_all_views_and_the_plain_one(predictor):
    for group in _groups():
        (matrices, ids), = predictor.count([group], True, single_scale=True)
        height, width = group.label_size
        for image, label, found, own in zip(
                group.images, group.labels, matrices, ids, strict=True):
            expected, plain = _expected(image, group.label_size)
            np.testing.assert_array_equal(found[1], _counts(label, expected))
            np.testing.assert_array_equal(found[0], _counts(label, plain))
            np.testing.assert_array_equal(own[:height, :width],
                                          expected.argmax(-1))
        (without, nothing), = predictor.count([group])
        np.testing.assert_array_equal(without, matrices[:, 1:])
        assert nothing is None


def test_the_plain_view_is_measured_where_it_is_none_of_the_views():
    spec = specs.EvalSpec(tile=(TILE, TILE), overlap=0.33, scales=(0.5, 1.75))
    group, = _groups()[1:2]
    both, alone, half = (
        predictor_lib.Predictor(NETWORK, each).count(
            [group], single_scale=plain)[0][0][0]
        for each, plain in (
            (spec, True), (specs.EvalSpec(tile=(TILE, TILE), overlap=0.33),
                           False), (spec, False)))
    np.testing.assert_array_equal(both, [alone[0], half[0]])


def test_replicas_count_others_images_as_one_does(predictor):
    """Of several sizes in one round, with fewer images in the last one."""
    groups = _groups()
    alone = [predictor.count([group], True, True)[0] for group in groups]
    strategy = tf.distribute.MirroredStrategy(
        [device.name for device in tf.config.list_logical_devices('CPU')])
    two = predictor_lib.Predictor(NETWORK, SPEC, strategy)
    assert two.replicas == 2
    found = two.count(groups[:2], True, True) + two.count(
        groups[2:], True, True)
    for group, (matrix, ids), (one_matrix, one_ids) in zip(
            groups, found, alone, strict=True):
        count, (height, width) = len(group.images), group.label_size
        np.testing.assert_array_equal(matrix[:count], one_matrix)
        np.testing.assert_array_equal(ids[:count, :height, :width],
                                      one_ids[:, :height, :width])
        assert not matrix[count:].any()
    np.testing.assert_allclose(*(networks.probabilities(
        one, groups[0].images, LABEL_SIZES[0]) for one in (two, predictor)),
        atol=1e-6)


# Prints the confusion matrix of images of three sizes, shared out.
_SHARED = '''
import sys
import tensorflow as tf
count = int(sys.argv[1])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * count)
from ddep_tf.evaluation import predictor
import test_program
examples = [{'image': image, 'label': label}
            for group in 2 * test_program._groups()
            for image, label in zip(group.images, group.labels)]
strategy = tf.distribute.MirroredStrategy(
    [device.name for device in tf.config.list_logical_devices('CPU')])
print(predictor.evaluate(
    predictor.Predictor(test_program.NETWORK, test_program.SPEC, strategy),
    examples, test_program.CLASSES, len(examples), single_scale=True).tolist())
'''


@pytest.mark.full
def test_one_two_and_four_replicas_count_alike():
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1]),
               *sys.path]
    found = [subprocess.run(
        [sys.executable, '-c', _SHARED, str(count)], check=True, text=True,
        capture_output=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            folders)}).stdout for count in (1, 2, 4)]
    assert found[0] == found[1] == found[2] and found[0].startswith('[[[')


def test_a_program_of_fixed_shapes_compiles_and_counts_alike(predictor):
    """As a TPU takes it: canvases, and tiles whose number alone is known."""
    group = _groups()[0]
    (matrices, _), = predictor.count([group], single_scale=True)
    inputs, = rounds.inputs(SPEC, True, [group], 1, static=True, batch=2)
    of_replica = program.Program(NETWORK, SPEC, single_scale=True)
    canvas, label_canvas = (inputs[name].shape[1:3]
                            for name in ('image', 'label'))
    signature = of_replica.inputs(2, canvas, label_canvas, tiles.most(
        SPEC, canvas, True))
    assert all(spec.shape == inputs[name].shape
               for name, spec in signature.items())
    assert all(spec.shape.is_fully_defined() for spec in signature.values())
    compiled = tf.function(of_replica.count, input_signature=[signature],
                           jit_compile=True)
    found = compiled({name: tf.constant(value)
                      for name, value in inputs.items()})
    np.testing.assert_array_equal(found['matrix'], matrices)


def test_what_is_not_finite_is_said(predictor):
    group = _groups()[0]
    group.images[1, 3, 4, 0] = np.nan
    with pytest.raises(ValueError, match='the image holds values that are'):
        predictor.count([group])
    broken = predictor_lib.Predictor(networks.Plain(
        CLASSES, lambda images: _answer(images) * np.inf), SPEC)
    with pytest.raises(ValueError, match='the network gives values that are'):
        networks.probabilities(broken, _images((40, 40)), (40, 40))
