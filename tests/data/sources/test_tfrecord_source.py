"""TFRecord files of tf.Example."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors

from source_cases import encode, examples, open_source, png, rows, write


def test_tfrecord_masks(tmp_path):
    data = rows(lambda i: png(np.full((4, 5), min(i, 2), np.uint8)))
    write(tmp_path / 'train-0.tfrecord', data[:4])
    write(tmp_path / 'train-1.tfrecord', data[4:])
    values = dict(name='own', source='tfrecord', num_classes=3)
    source = open_source(values, 'train', tmp_path, 'mask')
    assert source.ids == [f'x{i}' for i in range(6)]
    source.check()
    part = source.subset(['x4', 'x1'])
    found = examples(part)
    assert [e['image'][0, 0, 0] for e in found] == [1, 4]
    assert [e['label'][0, 0] for e in found] == [1, 2]
    few = open_source(values, 'train', tmp_path, 'mask', num_classes=2)
    with pytest.raises(errors.UserError, match='x2'):
        few.check()


def test_tfrecord_classes(tmp_path):
    write(tmp_path / 'train.tfrecord', rows(lambda i: i))
    values = dict(name='own', source='tfrecord', num_classes=6)
    source = open_source(values, 'train', tmp_path, limit=5)
    assert [int(e['label']) for e in examples(source)] == list(range(5))


def test_tfrecord_refusals(tmp_path):
    values = dict(name='own', source='tfrecord', num_classes=6)
    with pytest.raises(errors.UserError, match='train'):
        open_source(values, 'train', tmp_path)
    path = tmp_path / 'train.tfrecord'
    write(path, rows(lambda i: i))
    with pytest.raises(errors.UserError, match="'picture'"):
        open_source(values, 'train', tmp_path, image_key='picture')
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(errors.UserError, match='truncated'):
        open_source(values, 'train', tmp_path)


def _palette(ids):
    picture = Image.fromarray(ids).convert('P')
    picture.putpalette([200, 10, 30] * 256)
    return encode(picture)


@pytest.mark.parametrize('mask, named', [
    (_palette(np.zeros((4, 5), np.uint8)), 'not an 8-bit gray PNG'),
    (png(np.zeros((4, 5), np.uint16)), 'not an 8-bit gray PNG'),
    (png(np.zeros((4, 5, 3), np.uint8)), 'not an 8-bit gray PNG'),
    (png(np.zeros((5, 4), np.uint8)), 'different sizes'),
    (b'', 'not an 8-bit gray PNG')],
    ids=['palette', '16 bit', 'color', 'other size', 'empty'])
def test_a_mask_of_another_format_is_named(tmp_path, mask, named):
    good = png(np.zeros((4, 5), np.uint8))
    write(tmp_path / 'train.tfrecord',
          rows(lambda i: mask if i == 3 else good))
    values = dict(name='own', source='tfrecord', num_classes=3)
    source = open_source(values, 'train', tmp_path, 'mask')
    with pytest.raises(errors.UserError, match=f"(?s)'x3'.*{named}"):
        source.check()


def test_a_split_does_not_take_files_of_a_longer_name(tmp_path):
    data = rows(lambda i: i)
    for index, name in enumerate([
            'train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord',
            'trainval-0.tfrecord', 'train_extra-0.tfrecord']):
        write(tmp_path / name, [data[index]])
    values = dict(name='own', source='tfrecord', num_classes=6)
    assert open_source(values, 'train', tmp_path).ids == ['x0', 'x1']
    assert open_source(values, 'trainval', tmp_path).ids == ['x2']


def test_a_split_of_several_counted_sets_is_whole(tmp_path):
    data = rows(lambda i: i)
    for index, name in enumerate(['train-a-0-of-1', 'train-b-0-of-2',
                                  'train-b-1-of-2']):
        write(tmp_path / f'{name}.tfrecord', [data[index]])
    values = dict(name='own', source='tfrecord', num_classes=6)
    assert open_source(values, 'train', tmp_path).ids == ['x0', 'x1', 'x2']


@pytest.mark.parametrize('names, said', [
    (['train-00000-of-00003', 'train-00002-of-00003'], '2 of 3 files'),
    (['train-a-00000-of-00002', 'train-b-00001-of-00002'], '1 of 2 files'),
    (['train-00000-of-00001', 'train-00000-of-00002', 'train-00001-of-00002'],
     'of 1 and of 2')])
def test_parts_of_a_set_are_refused(tmp_path, names, said):
    for index, name in enumerate(names):
        write(tmp_path / f'{name}.tfrecord', rows(lambda i: i)[index:index + 1])
    values = dict(name='own', source='tfrecord', num_classes=6)
    with pytest.raises(errors.UserError, match=said):
        open_source(values, 'train', tmp_path)


def test_ids_that_are_no_utf8_are_escaped(tmp_path):
    data = rows(lambda i: i)
    data[0]['id'] = b'\xe9.jpg'
    write(tmp_path / 'train.tfrecord', data)
    values = dict(name='own', source='tfrecord', num_classes=6)
    assert open_source(values, 'train', tmp_path).ids[0] == '\\xe9'
