"""TFRecord files of tf.Example."""

import collections
from collections.abc import Iterator
import os
import re

import numpy as np
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files
from ddep_tf.data.sources import (
    base,
    record_index,
    record_runs,
    stream_source,
)

_NUMBER = re.compile(r'-(\d+)-of-(\d+)')


class TfrecordSource(stream_source.StreamSource):
    """Files `data_dir/path/SPLIT*.tfrecord*`, sorted by name.

    SPLIT is followed by `-`, `.` or `_` and a digit: `train` takes neither
    `trainval-0.tfrecord` nor `train_extra-0.tfrecord`. Of names that say how
    many files there are, `-00000-of-00008`, all must be there.

    Features, by the keys of the spec: the image, bytes of a JPEG or PNG; the
    label, bytes of a PNG of one channel, or one int64; the id, bytes, under
    `id_key` or 'id' (SPLIT_INDEX without either).

    TFRecord files do not tell how many examples they hold. If `record_index`
    has written that beside them, and they have not changed since, only the
    first example is read here; otherwise the lengths of all of them are, once,
    and in a bucket all of them.
    """

    def __init__(self, spec: specs.DatasetSpec, split: str, decodes: str,
                 data_dir: str | os.PathLike):
        super().__init__(spec, split, decodes)
        self._folder = folder = files.path(data_dir, spec.path)
        own = re.compile(rf'{re.escape(split)}([-.]|_\d)')
        paths = sorted(path for path in folder.glob(f'{split}*.tfrecord*')
                       if own.match(path.name))
        self._files = list(map(str, paths))
        if not split or not self._files:
            raise errors.UserError(
                f'{self.title}: there is no file '
                f'{folder / (split + "*.tfrecord*")}: set --data_dir')
        self._check_whole([path.name for path in paths])
        self._id_key = self._check_first()
        sizes = files.sizes(paths)
        counts = record_index.read(
            folder, split, {p.name: n for p, n in zip(paths, sizes)})
        self._counts = counts = counts or self._count_examples()
        whole = sum(counts)
        self._length = min(spec.limit or whole, whole)
        self.record_bytes = max(1, sum(sizes) // whole)

    @property
    def files(self) -> list[str]:
        return self._files

    def _examples(self):
        examples = base.untuned(tf.data.TFRecordDataset(self._files))
        return examples.take(self.spec.limit) if self.spec.limit else examples

    def _list_shards(self):
        if len(self._counts) != len(self._files):
            return []  # Several files in a bucket, without an index.
        left = np.maximum(self._length - np.cumsum([0, *self._counts]), 0)
        return [base.Shard(path, 0, min(count, int(rest)))
                for path, count, rest in zip(self._files, self._counts, left)
                if min(count, rest)]

    def _parse(self, serialized):
        return serialized

    def _image_and_label(self, example):
        label_type = tf.int64 if self.decodes == base.CLASS else tf.string
        types = dict(zip(self._keys, (tf.string, label_type)))
        parsed = tf.io.parse_single_example(example, {
            key: tf.io.FixedLenFeature((), dtype)
            for key, dtype in types.items()})
        return parsed[self.spec.image_key], parsed.get(self.spec.label_key)

    def _count_examples(self):
        """Returns how many examples each file holds; in a bucket, where each
        length would cost a request, only how many all of them do."""
        if files.is_bucket(self._folder):
            self._ids = list(self._iterate_ids())
            return [len(self._ids)]
        try:
            return [len(record_runs.offsets(path)) - 1 for path in self._files]
        except ValueError as error:
            raise errors.UserError(f'{self.title}: {error}') from None

    def _check_whole(self, names):
        """UserError if names count files that are not there: a build or a copy
        that was cut off, or two builds."""
        found = collections.defaultdict(set)  # {name: {(index, total)}}.
        for name in names:
            match = _NUMBER.search(name)
            if match:
                found[_NUMBER.sub('-*', name)].add(
                    tuple(map(int, match.groups())))
        for name, numbers in found.items():
            totals = sorted({total for _, total in numbers})
            if len(totals) > 1:
                raise errors.UserError(
                    f'{self.title}: of {self._folder / name} there are files '
                    f'of {totals[0]} and of {totals[1]}: remove those of one '
                    'of them')
            if len(numbers) != totals[0]:
                raise errors.UserError(
                    f'{self.title}: of {self._folder / name} there are '
                    f'{len(numbers)} of {totals[0]} files: finish the build, '
                    'or the copy')

    def _check_first(self):
        """Returns the ids' feature key, '' without one."""
        first = next(self._guarded(), None)
        if first is None:
            raise errors.UserError(f'{self.title}: {self._files[0]} is empty')
        try:
            features = tf.train.Example.FromString(first).features.feature
        except Exception:  # protobuf's DecodeError, wherever it lives.
            raise errors.UserError(f'{self.title}: {self._files[0]} does not '
                                   'hold tf.Example records') from None
        self._check_keys(features, f'{self.title}: {self._files[0]}')
        return next((k for k in (self.spec.id_key, 'id') if k in features), '')

    def _guarded(self):
        """Yields the examples, serialized; UserError for damaged files."""
        try:
            yield from self._examples().as_numpy_iterator()
        except tf.errors.DataLossError as error:
            raise errors.UserError(
                f'{self.title}: a file of {self._files[0]} ... is truncated '
                f'or not a TFRecord file ({error.message})') from None

    def _iterate_ids(self) -> Iterator[str]:
        for index, example in enumerate(self._guarded()):
            name = f'{self.split}_{index:07d}'
            if self._id_key:
                feature = tf.train.Example.FromString(example).features
                values = feature.feature[self._id_key].bytes_list.value
                name = (image_files.stem(base.id_text(values[0])) if values
                        else name)
            yield name
