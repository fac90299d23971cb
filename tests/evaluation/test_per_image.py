"""The scores of single images, and the pictures of the worst and the best."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import files
from ddep_tf.evaluation import metrics, per_image, predictor

pytestmark = pytest.mark.quick

# The share of the pixels, of 0 and 1, that are predicted right; '-' is an
# image in which nothing counts.
SHARES = {'half': 0.5, 'all': 1.0, '../none': 0.0, 'void': None, 'most': 0.75,
          'again half': 0.5}


def _segmented(position, share, size=(4, 8)):
    """An image of one brightness, whose truth is class 0 everywhere."""
    label = np.zeros(size, np.int32)
    predicted = np.ones(size, np.uint8)
    if share is None:
        label[:] = 255
    else:
        predicted[:, :int(share * size[1])] = 0
    return predictor.Segmented(
        position, tf.fill((*size, 3), position / 10), label, predicted,
        metrics.confusion_matrix(label, predicted, 2))


def _seen(extremes, shares=SHARES):
    found = per_image.PerImage(extremes)
    for position, (name, share) in enumerate(shares.items()):
        found.see(name, _segmented(position, share))
    return found


def _pixel(folder, name):
    with Image.open(folder / f'samples/extremes/{name}_image.png') as image:
        return round(np.asarray(image)[0, 0, 0] / 127.5 * 10 - 10)


def test_the_table_has_every_image_the_worst_first(tmp_path):
    _seen(2).write(tmp_path)
    rows = files.read_csv(tmp_path / 'per_image.csv')
    # Class 0: hits over all pixels. Class 1, where predicted: 0.
    assert [(row['id'], row['mean_iou']) for row in rows] == [
        ('../none', '0.000000'), ('half', '0.250000'),
        ('again half', '0.250000'), ('most', '0.375000'),
        ('all', '1.000000'), ('void', 'nan')]


def test_the_worst_and_the_best_have_pictures(tmp_path):
    _seen(2).write(tmp_path)
    found = {path.relative_to(tmp_path).as_posix()
             for path in tmp_path.rglob('*.png')}
    assert found == {f'samples/extremes/{word}_{rank}_{kind}.png'
                     for word in ('worst', 'best') for rank in (1, 2)
                     for kind in ('image', 'truth', 'prediction')}
    # By position; of equals, the first.
    assert [_pixel(tmp_path, name) for name in (
        'worst_1', 'worst_2', 'best_1', 'best_2')] == [2, 0, 1, 4]
    with Image.open(tmp_path / 'samples/extremes/worst_2_prediction.png') as p:
        np.testing.assert_array_equal(np.asarray(p)[0], [0] * 4 + [1] * 4)


def test_of_few_images_none_is_shown_twice(tmp_path):
    _seen(2, {'a': 0.5, 'b': 0.75, 'c': 1.0}).write(tmp_path)
    assert [_pixel(tmp_path, name) for name in (
        'worst_1', 'worst_2', 'best_1')] == [0, 1, 2]
    assert not list(tmp_path.glob('samples/extremes/best_2*'))


def test_of_equal_images_pictures_have_the_ranks_of_the_table(tmp_path):
    _seen(2, {'a': 0.5, 'b': 1.0, 'c': 1.0, 'd': 1.0}).write(tmp_path)
    assert [row['id'] for row in files.read_csv(
        tmp_path / 'per_image.csv')] == ['a', 'b', 'c', 'd']
    # The best ones are b and c; b is among the worst already.
    assert [_pixel(tmp_path, name) for name in (
        'worst_1', 'worst_2', 'best_2')] == [0, 1, 2]
    assert not list(tmp_path.glob('samples/extremes/best_1*'))


def test_without_pictures_the_table_stays(tmp_path):
    _seen(0).write(tmp_path)
    assert [path.name for path in tmp_path.rglob('*')] == ['per_image.csv']


def test_nothing_seen_writes_nothing(tmp_path):
    per_image.PerImage(2).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_large_images_are_shown_smaller(tmp_path):
    found = per_image.PerImage(1)
    found.see('large', _segmented(1, 0.5, (1024, 2050)))
    found.write(tmp_path)
    for kind in ('image', 'truth', 'prediction'):
        path = tmp_path / f'samples/extremes/worst_1_{kind}.png'
        with Image.open(path) as image:
            assert image.size == (684, 342)


def test_only_pictures_that_are_shown_are_made(monkeypatch):
    made = []
    monkeypatch.setattr(per_image.samples, 'segmented',
                        lambda *arrays: made.append(arrays) or {})
    _seen(1, {f'{i}': 0.25 for i in range(30)})
    assert len(made) == 2
