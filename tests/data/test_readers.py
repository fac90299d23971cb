"""Virtual readers: one order for any hosts, restarts that skip whole files."""

import itertools

import numpy as np
import pytest

from ddep_tf.data import pipelines, readers
from ddep_tf.data.sources import record_index, stream_source

from source_cases import open_source, png, write

VALUES = dict(name='own', source='tfrecord', num_classes=99)
COUNTS = (6, 5, 6, 5, 5, 6, 5, 6)  # Of the files; reader v of 4 has v and v+4.
STARTS = np.cumsum([0, *COUNTS])


@pytest.fixture(name='folder')
def _folder(tmp_path):
    names = [f'train-{i}.tfrecord' for i in range(len(COUNTS))]
    for name, start, count in zip(names, STARTS, COUNTS):
        write(tmp_path / name, [
            {'image': png(np.full((16, 16, 3), i, np.uint8)), 'label': i,
             'id': f'x{i}'.encode()} for i in range(start, start + count)])
    record_index.write(tmp_path, 'train', names, COUNTS)
    return tmp_path


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of 4 records: some files, and parts of files."""
    monkeypatch.setattr(readers, 'BLOCK_BYTES', 4)


def _source(folder, **changes):
    source = open_source(VALUES | changes, 'train', folder)
    source.record_bytes = 1
    return source


def _batches(count, source, **changes):
    values = dict(crop_size=(16, 16), global_batch_size=8, seed=1,
                  max_readers=4)
    dataset = pipelines.train_dataset([source], **(values | changes))
    found = list(itertools.islice(dataset.as_numpy_iterator(), count))
    for batch in found:  # Records are those of their positions.
        np.testing.assert_array_equal(batch['position'], batch['label'])
    return found


def _positions(found):
    return np.array([batch['position'] for batch in found])


def _reader_of(positions):
    return (np.searchsorted(STARTS, positions, side='right') - 1) % 4


def test_a_batch_takes_as_much_of_each_reader_and_epochs_are_whole(folder):
    found = _positions(_batches(60, _source(folder)))
    np.testing.assert_array_equal(_reader_of(found),
                                  np.tile([0, 1, 2, 3] * 2, (60, 1)))
    for reader in range(4):
        order = found[:, reader::4].reshape(-1)
        own = sorted(np.flatnonzero(_reader_of(np.arange(44)) == reader))
        epochs = [tuple(order[i:i + len(own)]) for i in range(
            0, len(order) - len(own), len(own))]
        assert len(epochs) > 5 and len(set(epochs)) == len(epochs)
        assert all(sorted(epoch) == own for epoch in epochs)
        # Files come in either order.
        files = {int(epoch[0]) >= STARTS[4] for epoch in epochs}
        assert files == {False, True}
    assert (found != _positions(_batches(60, _source(folder), seed=2))).any()


@pytest.mark.parametrize('start', [1, 2, 5, 13])
def test_a_later_start_gives_the_same(folder, start):
    source = _source(folder)
    whole, rest = _batches(16, source), _batches(16 - start, source,
                                                 start_step=start)
    for one, other in zip(whole[start:], rest, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize('hosts', [2, 4, 8])  # 8 share the readers.
@pytest.mark.parametrize('most', [1, 4])
def test_hosts_make_the_parts_of_one(folder, hosts, most):
    source = _source(folder)
    whole = _batches(7, source, max_readers=most)
    for host in range(hosts):
        part = _batches(4, source, max_readers=most, host=host, hosts=hosts,
                        start_step=3)
        for one, other in zip(whole[3:], part, strict=True):
            for key in one:
                np.testing.assert_array_equal(one[key][host::hosts],
                                              other[key])


def test_a_host_opens_its_own_files_alone(folder):
    source = _source(folder)
    expected = _positions(_batches(12, source))[:, 1::4]
    for i in range(len(COUNTS)):
        if i % 4 != 1:
            (folder / f'train-{i}.tfrecord').unlink()
    found = _positions(_batches(12, source, host=1, hosts=4))
    np.testing.assert_array_equal(found, expected)


def test_a_restart_opens_no_file_that_is_behind_it(folder):
    """Reader 0 has 7 and 8 examples: after 9 one file is left, but for a
    block that crosses into it."""
    source = _source(folder)
    order = _positions(_batches(8, source))[:, 0::4].reshape(-1)[:15]
    first = 0 if order[0] < STARTS[1] else 4
    (folder / f'train-{first}.tfrecord').unlink()
    found = _positions(_batches(1, source, host=0, hosts=4, start_step=6))
    np.testing.assert_array_equal(found[0], order[12:14])


def test_a_streamed_subset(folder, monkeypatch):
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', 0)
    ids = [f'x{i}' for i in range(44) if i % 3]
    source = _source(folder).subset(ids)
    dataset = pipelines.train_dataset(
        [source], crop_size=(16, 16), global_batch_size=8, seed=1,
        max_readers=4)
    seen = {}
    for batch in itertools.islice(dataset.as_numpy_iterator(), 12):
        seen |= dict(zip(batch['position'], batch['label']))
    assert {int(p): f'x{label}' for p, label in seen.items()} == dict(
        enumerate(ids))


def test_readers_divide_the_batch_and_leave_each_a_file(folder):
    source = _source(folder)
    assert [readers.count([source], most, batch) for most, batch in (
        (1, 8), (64, 8), (64, 11), (3, 8))] == [1, 8, 1, 2]
    (folder / 'train.index.json').unlink()
    assert readers.count([_source(folder)], 64, 8) == 8


@pytest.mark.parametrize('changes, most', [
    ({}, {8: 8, 12: 4, 7: 1}),  # Of 6 and of 7 readers, some have two files.
    ({'limit': 13}, {8: 1}),  # Files of 6, 5 and 2.
    ({'limit': 22}, {8: 4, 12: 4}),
])
def test_no_example_is_seen_far_more_often_than_another(folder, changes, most):
    source = _source(folder, **changes)
    assert {batch: readers.count([source], 64, batch) for batch in most} == most
    for batch, count in most.items():
        seen = np.bincount(_positions(_batches(
            300 // batch * 4, source, max_readers=64,
            global_batch_size=batch)).ravel())
        assert len(seen) == source.num_examples
        assert seen.max() <= 1.25 * seen.min() + 2, count


def test_a_set_of_few_files_is_read_beside_one_of_many(folder):
    opened = [_source(folder), _source(folder, limit=2)]
    assert [len(source.shards) for source in opened] == [8, 1]
    # Of 8 readers one would have 8 records, some 5; of 4 they have 13 and 11.
    assert readers.count(opened, 64, 8) == 4
    dataset = pipelines.train_dataset(opened, crop_size=(16, 16), seed=1,
                                      global_batch_size=8, max_readers=64)
    found = list(itertools.islice(dataset.as_numpy_iterator(), 300))
    seen = np.bincount(_positions(found).ravel())
    assert len(seen) == 44 + 2 and seen.max() <= 1.25 * seen.min() + 2
    for batch in found:
        np.testing.assert_array_equal(batch['position'] % 44, batch['label'])


def test_readers_share_the_examples_of_a_subset(folder, monkeypatch):
    monkeypatch.setattr(stream_source, '_HOLD_BYTES', 0)
    # All of the first files, one of each other: 4 readers would have 7, 2, 2
    # and 2.
    ids = [f'x{i}' for i in (*range(6), *STARTS[1:-1])]
    assert readers.count([_source(folder).subset(ids)], 64, 8) == 1
    # Two of each file; one file has none, which no reader may have alone.
    ids = [f'x{i + k}' for i in STARTS[:-1] for k in range(2)]
    assert readers.count([_source(folder).subset(ids)], 64, 8) == 8
    assert readers.count([_source(folder).subset(ids[2:])], 64, 8) == 1
