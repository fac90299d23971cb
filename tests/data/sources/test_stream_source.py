"""Subsets of sources that stream records: held, streamed, damaged."""

import pathlib
import sys

import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf.data.sources import stream_source

from source_cases import examples, open_source, rows, write

VALUES = dict(name='own', source='tfrecord', num_classes=6)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'train.tfrecord'
    write(path, rows(lambda i: i))
    return path


def _part(path):
    source = open_source(VALUES, 'train', path.parent)
    return source.subset(['x4', 'x1'])


def _assert_part(found):
    assert [int(e['label']) for e in found] == [1, 4]
    assert [int(e['image'][0, 0, 0]) for e in found] == [1, 4]


def test_a_small_subset_is_read_once(path):
    part = _part(path)
    _assert_part(examples(part))
    path.unlink()
    _assert_part(examples(part))
    # But a subset of it is not taken for all of it.
    with pytest.raises(Exception, match='train.tfrecord'):
        examples(part.subset(['x4']))


def test_a_large_subset_is_streamed(path, monkeypatch):
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', 0)
    part = _part(path)
    _assert_part(examples(part))
    assert [int(r['position']) for r in part.records()] == [0, 1]
    assert [int(r['class_or_index']) for r in part.records()] == [1, 4]
    path.unlink()
    with pytest.raises(Exception, match='train.tfrecord'):
        examples(part)


@pytest.mark.parametrize('hold_bytes', [0, 2 ** 30])
def test_damage_in_a_subset_is_named_in_its_place(path, monkeypatch,
                                                  hold_bytes):
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', hold_bytes)
    part = _part(path)
    contents = bytearray(path.read_bytes())
    contents[len(contents) * 9 // 12] ^= 1  # In the record of x4.
    path.write_bytes(contents)
    with pytest.raises(errors.UserError, match="example 1 'x4'") as caught:
        part.check()
    assert '\n' not in str(caught.value)


def _bytes_read(count):
    """What this process reads while it calls `count`."""
    def so_far():
        text = pathlib.Path('/proc/self/io').read_text()
        return int(text.split('rchar: ')[1].split()[0])
    before = so_far()
    count()
    return so_far() - before


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='Linux counts')
def test_a_large_subset_reads_its_own_bytes(tmp_path, monkeypatch):
    """Of two files; TensorFlow reads a quarter of a megabyte at once."""
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', 0)
    size = 2 ** 19
    rng = np.random.default_rng(0)
    for start in (0, 20):
        write(tmp_path / f'train-{start:02d}.tfrecord', [
            {'image': rng.bytes(size), 'label': i % 6, 'id': f'x{i}'.encode()}
            for i in range(start, start + 20)])
    source = open_source(VALUES, 'train', tmp_path)
    part = source.subset([f'x{i}' for i in (3, 4, 17, 31)])

    def read():
        assert [int(r['class_or_index']) for r in part.records()] == [
            3, 4, 5, 1]
    assert 4 * size <= _bytes_read(read) < 6 * size
    assert _bytes_read(lambda: list(source.records())) > 40 * size


@pytest.mark.parametrize('ids', [
    ['x0'], ['x5'], ['x0', 'x1', 'x2', 'x4'], [f'x{i}' for i in range(6)]])
@pytest.mark.parametrize('hold_bytes', [0, 2 ** 30])
def test_any_subset_of_several_files(tmp_path, monkeypatch, hold_bytes, ids):
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', hold_bytes)
    data = rows(lambda i: i)
    for number, some in enumerate((data[:1], data[1:4], data[4:])):
        write(tmp_path / f'train-{number}.tfrecord', some)
    part = open_source(VALUES, 'train', tmp_path).subset(ids)
    assert [f'x{int(e["label"])}' for e in examples(part)] == ids == part.ids


def test_first_ids_are_those_of_the_subset(path):
    assert open_source(VALUES, 'train', path.parent).first_ids(2) == [
        'x0', 'x1']
    assert _part(path).first_ids(1) == ['x1']
