"""TFRecord files of tf.Example."""

import itertools
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.data.sources import base, record_index


class TfrecordSource(base.Source):
    """Files `data_dir/path/SPLIT*.tfrecord*`, sorted by name.

    SPLIT is followed by `-`, `.` or `_` and a digit: `train` takes neither
    `trainval-0.tfrecord` nor `train_extra-0.tfrecord`.

    Features, by the keys of the spec: the image, bytes of a JPEG or PNG; the
    label, bytes of a PNG of one channel, or one int64; the id, bytes, under
    `id_key` or 'id' (SPLIT_INDEX where there is neither).

    TFRecord files do not say how many examples they hold. Where
    `record_index` has written it beside them, and the files are still those,
    nothing is read but the first example; else all of them are, once.
    """

    def __init__(self, spec, split, decodes, data_dir):
        super().__init__(spec, split, decodes)
        folder = pathlib.Path(data_dir, spec.path)
        own = re.compile(rf'{re.escape(split)}([-.]|_\d)')
        self._files = sorted(
            str(path) for path in folder.glob(f'{split}*.tfrecord*')
            if own.match(path.name))
        if not split or not self._files:
            raise errors.UserError(
                f'{self.title}: there is no file '
                f'{folder / (split + "*.tfrecord*")}: set --data_dir')
        self._id_key = self._check_first()
        counts = record_index.read(folder, split, self._files)
        if counts is None:
            self._ids = list(self._iterate_ids())
        self._whole = sum(counts) if counts else len(self._ids)
        self._length = min(spec.limit or self._whole, self._whole)
        size = sum(os.path.getsize(path) for path in self._files)
        self.record_bytes = max(1, size // self._whole)

    def records(self):
        stream = self._examples().enumerate()
        if self._kept is None:
            return stream.map(self._parse)
        new = np.full(self._length, -1, np.int64)
        new[self._kept] = np.arange(len(self._kept))
        new = tf.constant(new)
        return stream.filter(lambda index, _: new[index] >= 0).map(
            lambda index, example: self._parse(new[index], example))

    def decode(self, record):
        return self._decode_bytes(record)

    def first_ids(self, count):
        if self._kept is not None or self._ids is not None:
            return super().first_ids(count)
        return list(itertools.islice(self._iterate_ids(), count))

    def _count(self):
        return self._length

    def _list_ids(self):
        return list(self._iterate_ids())

    def _examples(self):
        examples = tf.data.TFRecordDataset(self._files)
        return examples.take(self.spec.limit) if self.spec.limit else examples

    def _check_first(self):
        """Returns the key of the ids, '' for none."""
        first = next(self._guarded(), None)
        if first is None:
            raise errors.UserError(f'{self.title}: {self._files[0]} is empty')
        try:
            features = tf.train.Example.FromString(first).features.feature
        except Exception:  # protobuf's DecodeError, wherever it lives.
            raise errors.UserError(f'{self.title}: {self._files[0]} holds no '
                                   'tf.Example') from None
        keys = [self.spec.image_key]
        if self.decodes != base.NOTHING:
            keys.append(self.spec.label_key)
        for key in keys:
            if key not in features:
                raise errors.UserError(
                    f'{self.title}: {self._files[0]} has no feature {key!r}: '
                    f'choose one of {", ".join(sorted(features))}')
        return next((k for k in (self.spec.id_key, 'id') if k in features), '')

    def _guarded(self):
        try:
            yield from self._examples().as_numpy_iterator()
        except tf.errors.DataLossError as error:
            raise errors.UserError(
                f'{self.title}: a file of {self._files[0]} ... is truncated '
                f'or no TFRecord ({error.message})') from None

    def _iterate_ids(self):
        for index, example in enumerate(self._guarded()):
            name = f'{self.split}_{index:07d}'
            if self._id_key:
                feature = tf.train.Example.FromString(example).features
                values = feature.feature[self._id_key].bytes_list.value
                name = base.stem(values[0].decode()) if values else name
            yield name

    def _parse(self, position, example):
        wanted = {self.spec.image_key: tf.io.FixedLenFeature((), tf.string)}
        if self.decodes != base.NOTHING:
            wanted[self.spec.label_key] = tf.io.FixedLenFeature(
                (), tf.int64 if self.decodes == base.CLASS else tf.string)
        parsed = tf.io.parse_single_example(example, wanted)
        label = parsed.get(self.spec.label_key)
        return {
            'position': position,
            'class_or_index': (label if self.decodes == base.CLASS
                               else tf.constant(0, tf.int64)),
            'image': parsed[self.spec.image_key],
            'label': label if self.decodes == base.MASK else tf.constant('')}
