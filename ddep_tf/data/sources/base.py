"""The contract that every source of examples fulfils."""

import abc
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
import contextlib
import copy
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import decoding, labels, parallel

# What a source decodes beside the image.
NOTHING, CLASS, MASK = DECODES = ('nothing', 'class', 'mask')

Tensors = dict[str, tf.Tensor]  # A record or an example.
Progress = Callable[[Iterable[int]], Iterable[int]]


def is_unreadable(error: tf.errors.OpError) -> bool:
    """Returns whether an example could not be read while a batch was made: ops
    of that name read iterators. What XLA refuses is of the same types."""
    return 'IteratorGetNext' in str(error) and isinstance(error, (
        tf.errors.InvalidArgumentError, tf.errors.DataLossError,
        tf.errors.NotFoundError))


class Shard(NamedTuple):
    """A part of a TFRecord file that belongs to a split.

    Attributes:
      path: of the file.
      skip: examples before it in the file.
      take: its examples.
    """
    path: str
    skip: int
    take: int


class Source(abc.ABC):
    """Examples of one split, as records that are cheap to shuffle and skip.

    A record holds nothing decoded and has the same fields in every source:
    `position` int64 (index in `ids`), `class_or_index` int64 (the image's
    class, or an index), `image` and `label` string (paths or encoded bytes,
    possibly '').

    Attributes:
      spec: the DatasetSpec.
      split: name of the split.
      decodes: one of DECODES: the labels that are read beside the image.
      record_bytes: approximate size of one record in memory.
    """

    record_bytes = 200

    def __init__(self, spec: specs.DatasetSpec, split: str, decodes: str):
        if decodes not in DECODES:
            raise errors.UserError(f'decodes must be one of '
                                   f'{", ".join(DECODES)}, got {decodes!r}')
        self.spec = spec
        self.split = split
        self.decodes = decodes
        # Of the whole split, once they have been listed.
        self._ids: list[str] | None = None
        # [n] int64 indices into these; None keeps all.
        self._kept: np.ndarray | None = None
        self._table = (labels.for_spec(spec).table if decodes == MASK
                       else None)
        if decodes == CLASS and spec.num_classes < 1:
            raise errors.UserError(f'{self.title}: DatasetSpec.num_classes is '
                                   'not set: set it to the number of classes')

    @property
    def title(self) -> str:
        """The data set and split, for messages."""
        return f'data set {self.spec.name or self.spec.path!r}, ' \
               f'split {self.split!r}'

    @property
    def is_portable(self) -> bool:
        """Whether any host could make the records and decode them: they are
        read from a bucket, by operations of TensorFlow."""
        return False

    @property
    def needs_python(self) -> bool:
        """Whether `decode` calls Python, which other processes do not have."""
        return False

    @property
    def files(self) -> Sequence[str]:
        """The files that the examples are read from; () where none are."""
        return ()

    @property
    def shards(self) -> Sequence[Shard]:
        """Files that `parse` reads alone, all examples of the split in order;
        () where records are best read as a whole."""
        return ()

    @property
    def kept(self) -> np.ndarray | None:
        """[n] indices of the records among the examples; None keeps all."""
        return self._kept

    def parse(self, serialized: tf.Tensor, position: tf.Tensor) -> Tensors:
        """Returns the record of an example of `shards`."""
        raise NotImplementedError

    @property
    def ids(self) -> list[str]:
        """The examples' ids, in the order of the records."""
        if self._ids is None:
            self._ids = self._list_ids()
        if self._kept is None:
            return list(self._ids)
        return [self._ids[i] for i in self._kept]

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return self._count() if self._kept is None else len(self._kept)

    @property
    def identity(self) -> Hashable:
        """Equal for sources of the same examples below one data_dir."""
        kept = None if self._kept is None else self._kept.tobytes()
        return self.spec, self.split, self.decodes, kept

    def subset(self, ids: Iterable[str]) -> Self:
        """Returns a Source of these examples only, in this source's order.

        Args:
          ids: distinct ids, all of them in `self.ids`.

        Raises:
          UserError: there are none, or one is not in this source.
        """
        wanted = set(ids)
        own = self.ids
        unknown = sorted(wanted.difference(own))
        if unknown or not wanted:
            what = f'no example {unknown[0]!r}' if unknown else 'no id given'
            raise errors.UserError(f'{self.title}: subset: {what}')
        result = copy.copy(self)
        result._kept = np.array(
            [k for k, i in zip(self._indices(), own) if i in wanted], np.int64)
        return result

    def first_ids(self, count: int) -> list[str]:
        """Returns the first `count` of `ids`, without listing the rest."""
        return self.ids[:count]

    @abc.abstractmethod
    def records(self) -> tf.data.Dataset:
        """Returns the records, in order, once."""

    @abc.abstractmethod
    def decode(self, record: Tensors) -> Tensors:
        """Decodes one record by TensorFlow ops, for use in a map.

        Returns:
          {'image': [H, W, 3] uint8} and, unless `decodes` is 'nothing',
          'label': [H, W] uint8 train ids with 255 ignored, or a scalar int32
          class.
        """

    def check(self, progress: Progress = iter) -> None:
        """Reads and decodes every example once.

        Args:
          progress: wraps the iterable over the examples, to show a bar.

        Raises:
          UserError: naming the first one that cannot be used.
        """
        for problem in self.problems(progress):
            raise errors.UserError(problem)

    def problems(self, progress: Progress = iter,
                 inspect: Callable[[Tensors], str] | None = None
                 ) -> Iterator[str]:
        """Reads and decodes every example once, in parallel.

        Args:
          progress: as in `check`.
          inspect: None, or a function of a decoded example that returns what
            is wrong with it, '' for nothing. Threads call it.

        Yields:
          A line for each example that cannot be used, in their order.
        """
        def problem(item):
            position, record, unread = item
            if unread:
                return self._unusable(None, position, unread)
            try:
                example = self._decode_checked(record, position)
                found = inspect(example) if inspect else ''
            except tf.errors.OpError as error:
                return self._unusable(record, position, error)
            except errors.UserError as error:
                return str(error)
            return found and f'{self._example_title(record, position)}{found}'

        with contextlib.closing(parallel.in_order(
                problem, self._numbered_records())) as found:
            for _, line in zip(progress(range(self.num_examples)), found):
                if line:
                    yield line

    def _numbered_records(self):
        """Yields (position, record, None), or the error that ends them."""
        records = iter(self.records())
        for position in range(self.num_examples):
            try:
                record = next(records)
            except (tf.errors.OpError, StopIteration) as error:
                yield position, None, error
                return  # The records that follow cannot be reached.
            yield position, record, None

    def _decode_checked(self, record: Tensors, position: int) -> Tensors:
        """As `decode`, eagerly; also UserError for what no op can check."""
        del position
        return self.decode(record)

    def _example_title(self, record: Tensors, position: int) -> str:
        """The beginning of a message about an example."""
        del record
        return f'{self.title}: example {position} {self._quoted_id(position)}'

    def _unusable(self, record: Tensors | None, position: int,
                  error: Exception) -> str:
        """The message for a record that cannot be decoded, or (None) read."""
        del record
        reason = ('the records end before it'
                  if isinstance(error, StopIteration)
                  else errors.first_line(error))
        return (f'{self.title}: cannot use example {position} '
                f'{self._quoted_id(position)}({reason}): replace or remove it')

    def _quoted_id(self, position: int) -> str:
        """The id for a message, '' if the damage hides the ids too."""
        try:
            return f'{self.ids[position]!r} '
        except (tf.errors.OpError, IndexError):
            return ''

    @abc.abstractmethod
    def _count(self) -> int:
        """Number of examples of the split, after `spec.limit`."""

    def _indices(self) -> np.ndarray:
        """[n] int64: the examples among those of the split."""
        return np.arange(self._count()) if self._kept is None else self._kept

    @abc.abstractmethod
    def _list_ids(self) -> list[str]:
        """Ids of the split's examples, after `spec.limit`."""

    def _map_mask(self, mask: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        """Maps source ids to train ids.

        Args:
          mask: [H, W] uint8.
          name: scalar string, for the error message.

        Returns:
          [H, W] uint8, 255 ignored. An id without a class fails the op.
        """
        mapped = tf.gather(tf.constant(self._table), tf.cast(mask, tf.int32))
        mapped = decoding.checked(tf.reduce_all(mapped >= 0), mapped,
                                  'mask with an id outside the classes:', name)
        return tf.cast(mapped, tf.uint8)

    def _check_class(self, label: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        """Returns `label` as int32; fails the op unless it is a class."""
        label = tf.cast(label, tf.int32)
        within = (label >= 0) & (label < self.spec.num_classes)
        return decoding.checked(within, label, 'label outside the classes:',
                                name, label)


def make_records(image: Sequence[str | bytes], label: Sequence[str | bytes],
                 class_or_index: Sequence[int] | np.ndarray
                 ) -> tf.data.Dataset:
    """Returns n records held in memory, from n values of each field."""
    count = len(class_or_index)
    return untuned(tf.data.Dataset.from_tensor_slices({
        'position': np.arange(count, dtype=np.int64),
        'class_or_index': np.asarray(class_or_index, np.int64),
        'image': tf.constant(list(image), tf.string, (count,)),
        'label': tf.constant(list(label), tf.string, (count,)),
    }))


def make_index_records(indices: np.ndarray) -> tf.data.Dataset:
    """Returns n records that hold nothing but their `class_or_index`."""
    empty = [''] * len(indices)
    return make_records(empty, empty, indices)


def id_text(value: bytes | int) -> str:
    """Returns an id as a set of records holds it as text; bytes that are not
    UTF-8 are escaped."""
    if isinstance(value, bytes):
        return value.decode(errors='backslashreplace')
    return str(value)


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set without tf.data's autotuning.

    The tuner sleeps for longer and longer, up to a minute, and whoever drops
    an iterator waits until it wakes.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
