"""Virtual readers: many files read side by side, in an order of their own.

Reader v of V owns the files v, v + V, ... of each source and reads them
endlessly: its order is a function of (seed, epoch, v). A batch takes as much
from each. So the order is the same for any number of hosts that divides V, and
a host reads its own files alone.
"""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from ddep_tf.data.sources import base, record_runs

# A reader shuffles this many bytes of undecoded records as a block, and reads
# the next block ahead.
BLOCK_BYTES = 2 ** 26
# Most by which a record may be seen more often than another.
_UNEVEN = 1.25
_FILES = -1  # Stands for the number of a block where files are ordered.


def count(sources: Sequence[base.Source], most: int, batch_size: int) -> int:
    """Returns V: the greatest divisor of the batch that is at most `most` and
    the files of a source, and leaves all readers about as many records: those
    of a reader that has few would be seen more often. 1 if a source has no
    files that can be read side by side."""
    files = [len(source.shards) for source in sources]
    most = min(most, max(files))
    if most < 2 or not min(files):
        return 1
    kept = [_kept_of_files(source) for source in sources]

    def is_even(readers):
        sizes = sum(np.bincount(np.arange(len(of_files)) % readers, of_files,
                                readers) for of_files in kept)
        return sizes.max() <= _UNEVEN * sizes.min()
    return next((v for v in range(most, 1, -1)
                 if not batch_size % v and is_even(v)), 1)


@dataclasses.dataclass(frozen=True)
class _Files:
    """The files of all sources: arrays with an entry per file.

    Attributes:
      runs: what is read of them, the runs of a file together.
      before: number of runs before each file, then of all.
      kept: its records.
      sources: index of the source.
    """
    runs: record_runs.Runs
    before: np.ndarray
    kept: np.ndarray
    sources: np.ndarray


def records(sources: Sequence[base.Source], readers: int, seed: int,
            start: int, host: int = 0, hosts: int = 1) -> tf.data.Dataset:
    """Returns the endless records of a host, taking turns among its readers.

    Args:
      sources: with shards, one of them at least `readers`.
      readers: V, a multiple of `hosts`.
      seed: of the order.
      start: records over all readers that come before, a multiple of V.
      host: index of this host, which has the readers v = host mod hosts.
      hosts: their number.

    Returns:
      Endless pairs of the record's number in the order, int64, and a pair of
      its position among the records of all sources, int64, and itself, as
      `Source.parse` takes it.
    """
    files, read, block = _opened(sources)
    own = np.arange(host, readers, hosts, dtype=np.int64)

    def reader(index):
        stream = _reader(files, tf.gather(own, index), readers, seed,
                         start // readers, block, read)
        return stream.enumerate(start // readers).map(
            lambda turn, record: (turn * readers + tf.gather(own, index),
                                  record))

    return tf.data.Dataset.range(len(own)).interleave(
        reader, cycle_length=len(own), block_length=1,
        num_parallel_calls=len(own), deterministic=True)


def epoch_records(sources: Sequence[base.Source], readers: int, seed: int
                  ) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Returns a function of an epoch, int64, that gives its records once.

    Args:
      sources, readers, seed: as of `records`.
    """
    files, read, block = _opened(sources)

    def records_of(epoch):
        def reader(index):
            return _blocks(files, _own_files(files, index, readers), index,
                           seed, epoch, 0, block, read).unbatch()
        return tf.data.Dataset.range(readers).interleave(
            reader, cycle_length=readers, block_length=1,
            num_parallel_calls=readers)
    return records_of


def _opened(sources):
    """Returns _Files, the records of a file as a function of its index, and
    the number of records that are shuffled as a block."""
    files, positions = _files(sources)

    def read(file):
        examples = tf.data.Dataset.range(
            tf.gather(files.before, file),
            tf.gather(files.before, file + 1)).flat_map(files.runs.read)
        if positions is None:
            return examples
        return examples.map(lambda index, serialized: (
            tf.gather(positions, index), serialized)).filter(
                lambda position, _: position >= 0)

    return files, read, max(1, BLOCK_BYTES // max(
        s.record_bytes for s in sources))


def _reader(files, reader, readers, seed, start, block, read):
    """The endless records of one reader, from its record `start` on."""
    own = _own_files(files, reader, readers)
    first_epoch, done = _divided(
        start, tf.reduce_sum(tf.gather(files.kept, own)))
    epochs = tf.data.Dataset.range(2 ** 31 - 2).skip(first_epoch)
    return epochs.flat_map(lambda epoch: _blocks(
        files, own, reader, seed, epoch, tf.where(
            epoch == first_epoch, done, 0), block, read)).prefetch(1).unbatch()


def _own_files(files, reader, readers):
    """Indices of a reader's files, as if those of each source were dealt
    out."""
    turns = np.concatenate([np.arange(n) for n in np.bincount(files.sources)])
    return tf.where(tf.equal(turns % readers, reader))[:, 0]


def _blocks(files, own, reader, seed, epoch, passed, block, read):
    """An epoch of one reader behind so many records: batches, shuffled."""
    key = _fold(seed, epoch)
    order = tf.gather(own, _permutation(tf.size(own), key, reader, _FILES))
    sizes = tf.gather(files.kept, order)
    ends = tf.cumsum(sizes)
    first_block, inside = _divided(passed, block)
    # Files that end before the block are not opened.
    before = passed - inside
    file = tf.searchsorted(ends, [before], side='right')[0]
    within = before - ends[file] + sizes[file]

    def shuffled(number, examples):
        place = _permutation(tf.size(examples[0]), key, reader, number)
        place = place[tf.where(number == first_block, inside, 0):]
        return [tf.gather(values, place) for values in examples]

    return tf.data.Dataset.from_tensor_slices(order[file:]).flat_map(
        read).skip(within).batch(block).enumerate(first_block).map(shuffled)


def _files(sources):
    """Returns _Files, and where an example stands among the records, [n]
    int64 with -1 for none; None if each is one."""
    paths, runs, before, rows = [], [], [0], []
    positions, first, offset = [], 0, 0
    whole = all(source.kept is None for source in sources)
    for index, source in enumerate(sources):
        total = sum(shard.take for shard in source.shards)
        place = np.arange(total) if source.kept is None else np.full(total, -1)
        if source.kept is not None:
            place[source.kept] = np.arange(len(source.kept))
        for own in record_runs.of_shards(source.shards, source.kept, first,
                                         len(paths)):
            runs += own
            before.append(len(runs))
        rows += [(kept, index) for kept in _kept_of_files(source)]
        paths += [shard.path for shard in source.shards]
        positions.append(np.where(place < 0, -1, place + offset))
        first, offset = first + total, offset + source.num_examples
    files = _Files(record_runs.Runs(paths, runs), np.array(before),
                   *np.array(rows, np.int64).T)
    return files, None if whole else np.concatenate(positions)


def _kept_of_files(source):
    """Returns how many records of each file are examples."""
    ends = np.cumsum([0, *(shard.take for shard in source.shards)])
    if source.kept is None:
        return np.diff(ends)
    return np.diff(np.searchsorted(source.kept, ends))


def _divided(value, by):
    value = tf.cast(value, tf.int64)
    return value // by, value % by


def _fold(seed, epoch):
    return tf.random.stateless_uniform(
        (2,), tf.stack([tf.constant(int(seed) % 2 ** 63, tf.int64), epoch]),
        minval=None, maxval=None, dtype=tf.int64)


def _permutation(length, key, reader, number):
    """A random order of `length` things, [length] int32."""
    seed = key + tf.stack([reader, tf.cast(number, tf.int64)])
    return tf.argsort(tf.random.stateless_uniform(
        [length], seed, minval=None, maxval=None, dtype=tf.int64),
        stable=True)
