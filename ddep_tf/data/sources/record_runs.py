"""Records of TFRecord files that lie side by side, read from where they begin.

A file of 100 MB of which a subset keeps three records is not read through: a
run of records begins at a byte, which the headers of the records before tell.
"""

from collections.abc import Iterator, Sequence
from concurrent import futures
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ddep_tf import files
from ddep_tf.data.sources import base

_HEADER, _AROUND = 8, 16  # Bytes of the length; of all that is no content.
_BUFFER_BYTES = 2 ** 18  # What TensorFlow reads at once.
_AT_A_TIME = 32  # Files whose headers are read, which mostly means to wait.


class Run(NamedTuple):
    """Records of a file, one behind the other.

    Attributes:
      file: index of the file's path.
      offset: byte at which reading begins.
      buffer: bytes that are read at once.
      skip, take: records that are left out first, then read.
      first: index of the first one that is read, among all examples.
    """
    file: int
    offset: int
    buffer: int
    skip: int
    take: int
    first: int


class Runs:
    """Runs, in an order of their own.

    Args:
      paths: of the files.
      runs: Run of these files.
    """

    def __init__(self, paths: Sequence[str], runs: Sequence[Run]):
        self._paths = np.array(paths)
        self._columns = np.array(runs, np.int64).reshape(
            -1, len(Run._fields)).T

    def read(self, run: tf.Tensor) -> tf.data.Dataset:
        """Returns pairs of an example's index, int64, and the example,
        serialized; of the run of this index. For use in a flat_map."""
        # Not by tf.unstack: `skip` would crash on what it gives.
        values = Run(*(tf.gather(column, run) for column in self._columns))
        # TFRecordDataset has no argument for a byte to begin with. This
        # operation has one, and works in the function of a data set alone.
        records = tf.data.experimental.from_variant(
            tf.raw_ops.TFRecordDatasetV2(
                filenames=tf.gather(self._paths, [values.file]),
                compression_type='', buffer_size=values.buffer,
                byte_offsets=[values.offset]),
            tf.TensorSpec((), tf.string))
        return records.skip(values.skip).take(values.take).enumerate(
            values.first)

    def read_all(self) -> tf.data.Dataset:
        """As `read`, of all runs."""
        return base.untuned(tf.data.Dataset.range(
            len(self._columns[0])).flat_map(self.read))


def of_shards(shards: Sequence[base.Shard], kept: np.ndarray | None,
              first: int = 0, first_file: int = 0) -> Iterator[list[Run]]:
    """Yields the runs of each shard that hold the examples that are kept.

    On a local disk these hold no others. In a bucket, where each run would
    cost a request, and of a damaged file a run is all of a shard.

    Args:
      shards: of a source, with all of its examples in order.
      kept: [n] indices of examples, sorted; None keeps all.
      first: index of the first example, of the first run.
      first_file: index of the first shard's path.
    """
    starts = np.cumsum([0, *(shard.take for shard in shards)])

    def runs(number):
        shard, start = shards[number], int(starts[number])
        whole = Run(first_file + number, 0, _BUFFER_BYTES, shard.skip,
                    shard.take, first + start)
        if kept is None:
            return [whole]
        low, high = np.searchsorted(kept, [start, starts[number + 1]])
        own = kept[low:high] - start
        if files.is_bucket(shard.path) or len(own) in (0, shard.take):
            return [whole] * bool(len(own))
        try:
            bytes_at = offsets(shard.path, shard.skip + shard.take)
        except ValueError:  # Reading it says what is wrong with it.
            return [whole]
        groups = np.split(own, np.flatnonzero(np.diff(own) > 1) + 1)
        return [_run(whole, group, bytes_at[shard.skip:]) for group in groups]

    with futures.ThreadPoolExecutor(_AT_A_TIME) as threads:
        yield from threads.map(runs, range(len(shards)))


def _run(whole, group, bytes_at):
    begin, end = bytes_at[group[0]], bytes_at[group[-1] + 1]
    return whole._replace(
        offset=int(begin), buffer=int(min(end - begin, _BUFFER_BYTES)), skip=0,
        take=len(group), first=whole.first + int(group[0]))


def offsets(path: str | os.PathLike, most: int | None = None) -> list[int]:
    """Returns the bytes at which the records of a local file begin, and the
    one at which the last one ends.

    Args:
      path: a TFRecord file, not compressed.
      most: records that are looked at; None is all.

    Raises:
      ValueError: the file ends within a record, or before so many.
    """
    found = [0]
    with open(path, 'rb', buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while found[-1] < size if most is None else len(found) <= most:
            file.seek(found[-1])
            length = int.from_bytes(file.read(_HEADER), 'little')
            found.append(found[-1] + length + _AROUND)
            if found[-1] > size:
                raise ValueError(f'{path} is truncated or no TFRecord file')
    return found
