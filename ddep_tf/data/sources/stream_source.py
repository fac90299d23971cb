"""What sources have in common that stream records from files."""

import abc
from collections.abc import Iterable, Iterator
import io
import itertools
import os
from typing import Any, Self

import numpy as np
import PIL.Image
import tensorflow as tf

from ddep_tf import errors, files
from ddep_tf.data import decoding, image_files
from ddep_tf.data.sources import base, record_runs

# A subset of up to this size is read once and held in memory. Otherwise each
# epoch over one image in a hundred would read all of them.
_HOLD_BYTES = 2 ** 30


class StreamSource(base.Source):
    """Encoded images and labels that can only be read one after the other.

    A subclass sets `_length` (examples of the split, after `spec.limit`),
    `record_bytes` and `_folder` (of the files) when it is made.
    """

    _length: int
    _folder: str | os.PathLike
    _held = None  # The records of a small subset, once they have been read.

    @property
    def is_portable(self) -> bool:
        return files.is_bucket(self._folder) and not self._is_held

    @property
    def _is_held(self):
        return self._kept is not None and (
            len(self._kept) * self.record_bytes <= _HOLD_BYTES)

    @property
    def shards(self) -> list[base.Shard]:
        return [] if self._is_held else self._list_shards()

    def parse(self, serialized: tf.Tensor,
              position: tf.Tensor) -> base.Tensors:
        return self._record(position, self._parse(serialized))

    def records(self) -> tf.data.Dataset:
        if not self._is_held:
            return self._stream()
        if self._held is None:
            self._held = self._hold()
        return self._held

    def decode(self, record: base.Tensors) -> base.Tensors:
        name = tf.strings.join(['number ', tf.as_string(record['position'])])
        example = {'image': decoding.decode_image(record['image'], name)}
        if self.decodes == base.CLASS:
            example['label'] = self._check_class(
                record['class_or_index'], name)
        elif self.decodes == base.MASK:
            example['label'] = self._map_mask(
                decoding.decode_gray(record['label'], name), name)
            decoding.check_same_size(example, name)
        return example

    def subset(self, ids: Iterable[str]) -> Self:
        result = super().subset(ids)
        result._held = None
        return result

    def first_ids(self, count: int) -> list[str]:
        if self._kept is not None or self._ids is not None:
            return super().first_ids(count)
        return list(itertools.islice(self._iterate_ids(), count))

    @abc.abstractmethod
    def _examples(self) -> tf.data.Dataset:
        """Returns the split's undecoded examples, after `spec.limit`."""

    @abc.abstractmethod
    def _list_shards(self) -> list[base.Shard]:
        """See `shards`."""

    @abc.abstractmethod
    def _parse(self, serialized: tf.Tensor) -> Any:
        """Returns what `_examples` gives of an example of `shards`."""

    @abc.abstractmethod
    def _image_and_label(self, example: Any
                         ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the image's bytes, and the class or the mask's bytes.

        Args:
          example: element of `_examples`.
        """

    @abc.abstractmethod
    def _iterate_ids(self) -> Iterator[str]:
        """Yields the ids of the split's examples, after `spec.limit`."""

    def _count(self) -> int:
        return self._length

    def _list_ids(self) -> list[str]:
        return list(self._iterate_ids())

    @property
    def _keys(self) -> list[str]:
        """The features that are read: the image's, maybe the label's."""
        if self.decodes == base.NOTHING:
            return [self.spec.image_key]
        return [self.spec.image_key, self.spec.label_key]

    def _check_keys(self, present: Iterable[str], holder: str) -> None:
        """UserError if `present`, the features of `holder`, lack one."""
        for key in self._keys:
            if key not in present:
                raise errors.UserError(
                    f'{holder} has no feature {key!r}: choose one of '
                    f'{", ".join(sorted(present))}')

    def _stream(self):
        """Returns the kept records, read from the files."""
        if self._kept is None:
            return self._examples().enumerate().map(self._record)
        positions = np.full(self._length, -1, np.int64)
        positions[self._kept] = np.arange(len(self._kept))
        positions = tf.constant(positions)
        shards = self._list_shards()
        if shards:
            examples = record_runs.Runs(
                [shard.path for shard in shards],
                [run for runs in record_runs.of_shards(shards, self._kept)
                 for run in runs]).read_all()
        else:
            examples = self._examples().enumerate()
        kept = examples.filter(lambda index, _: positions[index] >= 0)
        return kept.map(lambda index, example: self._record(
            positions[index], self._parse(example) if shards else example))

    def _record(self, position, example):
        image, label = self._image_and_label(example)
        return {
            'position': position,
            'class_or_index': (
                tf.cast(label, tf.int64) if self.decodes == base.CLASS
                else tf.constant(0, tf.int64)),
            'image': image,
            'label': label if self.decodes == base.MASK else tf.constant('')}

    def _hold(self):
        try:
            held = list(self._stream().as_numpy_iterator())
        except tf.errors.OpError:
            return self._stream()  # Its reader meets the damage in its place.
        return base.make_records(*(
            [record[field] for record in held]
            for field in ('image', 'label', 'class_or_index')))

    def _decode_checked(self, record, position):
        example = self.decode(record)
        if self.decodes == base.MASK:
            self._check_upright(record, position)
        return example

    def _check_upright(self, record, position):
        """UserError if the mask may not fit the image's stored pixels."""
        try:
            with PIL.Image.open(io.BytesIO(record['image'].numpy())) as image:
                turn = image_files.orientation(image)
        except image_files.BROKEN as error:
            raise image_files.unreadable(
                self._in_title(position), error) from None
        if turn != 1:
            raise image_files.turned(self._in_title(position), turn)

    def _in_title(self, position):
        """The id of a refused example; listing ids may be a pass over all."""
        return f'{self._quoted_id(position)}({self.title})'
