"""Run-length encodings against pycocotools and what an encoder wrote."""

import numpy as np
from pycocotools import mask as coco_mask
import pytest

from ddep_tf import errors
from ddep_tf.data.importing import rle

import exports

pytestmark = pytest.mark.quick


def random_mask(seed, height=37, width=23):
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 4 + 1, width // 4 + 1)) > rng.random()
    return np.kron(coarse, np.ones((4, 4), bool))[:height, :width].astype(bool)


def runs_of(mask, order):
    flat = mask.ravel(order)
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize('seed', range(12))
def test_cocos_text_is_read_as_pycocotools_wrote_it(seed):
    mask = random_mask(seed)
    text = coco_mask.encode(np.asfortranarray(mask, np.uint8))['counts']
    runs = rle.coco_runs(text.decode())
    np.testing.assert_array_equal(rle.from_runs(runs, 37, 23, True), mask)


@pytest.mark.parametrize('order', 'FC')
@pytest.mark.parametrize('seed', range(4))
def test_runs_go_down_columns_or_along_rows(seed, order):
    mask = random_mask(seed)
    np.testing.assert_array_equal(
        rle.from_runs(runs_of(mask, order), 37, 23, order == 'F'), mask)


def test_runs_may_be_text():
    assert rle.from_runs(['1', ' 2', '3'], 2, 3, False).tolist() == [
        [False, True, True], [False] * 3]


@pytest.mark.parametrize('runs, said', [
    ([5], 'fill'), ([], 'fill'), ([7, -1], 'whole'), (['x', 6], 'whole'),
    ([None], 'whole'), ([float('inf')], 'whole'), ([2 ** 63, 2 ** 63], 'fill')])
def test_other_runs_are_refused(runs, said):
    with pytest.raises(errors.UserError, match=said):
        rle.from_runs(runs, 2, 3, False)


@pytest.mark.parametrize('text', [
    'z', 'zzz', '1z', 'é', ' ', '\x7f', 'o' * 10 ** 6])
def test_broken_texts_are_refused(text):
    # pycocotools returns what lies in memory for some of them.
    with pytest.raises(errors.UserError):
        rle.from_runs(rle.coco_runs(text), 10, 10, True)


def test_a_cut_text_is_refused():
    mask = np.asfortranarray(random_mask(3), np.uint8)
    text = coco_mask.encode(mask)['counts'].decode()
    for end in range(len(text)):
        with pytest.raises(errors.UserError):
            rle.from_runs(rle.coco_runs(text[:end]), 37, 23, True)


@pytest.mark.parametrize('seed', range(6))
def test_brushes_are_read_as_they_were_written(seed):
    mask = random_mask(seed)
    np.testing.assert_array_equal(
        rle.label_studio(exports.brush_bytes(mask), 37, 23), mask)


def test_brushes_of_long_runs():
    mask = np.zeros((300, 400), bool)
    mask[100:250, 50:399] = True
    mask[:, 0] = True
    np.testing.assert_array_equal(
        rle.label_studio(exports.brush_bytes(mask), 300, 400), mask)


# Of label-studio-converter's own test of decode_rle(encode_rle(x)) on
# [0, 1, 1, 0] in four channels, written down bit by bit.
def test_a_brush_written_by_hand():
    bits = (f'{16:032b}' '00111' '0010' '0011' '0111' '1111'
            '1' '00' '011' '00000000'   # Four values 0.
            '1' '00' '111' '11111111'   # Eight values 255.
            '0' '00' '011' + '00000000' * 4)
    bits += '0' * (-len(bits) % 8)
    data = [int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)]
    assert rle.label_studio(data, 2, 2).tolist() == [[False, True],
                                                     [True, False]]


@pytest.mark.parametrize('change', [
    lambda data: data[:-3], lambda data: [], lambda data: None,
    lambda data: [300, *data], lambda data: 'abc', lambda data: data[4:]])
def test_broken_brushes_are_refused(change):
    data = exports.brush_bytes(random_mask(1))
    with pytest.raises(errors.UserError, match='brush'):
        rle.label_studio(change(data), 37, 23)


@pytest.mark.parametrize('height, width', [
    (0, 5), (-2, -3), (10 ** 6, 10 ** 6)])
def test_sizes_that_no_memory_holds_are_refused(height, width):
    for decode in (lambda: rle.from_runs([height * width], height, width, True),
                   lambda: rle.label_studio([0] * 20, height, width)):
        with pytest.raises(errors.UserError, match='pixels'):
            decode()
