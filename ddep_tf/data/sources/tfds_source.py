"""Data sets that TensorFlow Datasets has prepared on disk."""

import itertools
import pathlib
import re

import numpy as np
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.data.sources import base as base_lib

# A subset of up to so many bytes is read once and held in memory, or each
# epoch over one image in a hundred would read all of them.
_HOLD_BYTES = 2 ** 30


class TfdsSource(base_lib.Source):
    """A prepared builder `NAME[/CONFIG][:VERSION]`, never downloaded.

    Looked for below `data_dir/tfds`, or `data_dir` where that is missing. A
    split may be sliced, as in 'train[:10%]'. The id is the stem of
    `spec.id_key`; where there is no such feature, SPLIT_INDEX.
    """

    def __init__(self, spec, split, decodes, data_dir):
        super().__init__(spec, split, decodes)
        if decodes == base_lib.MASK and re.match(
                r'scene_parse150\b', spec.path):
            raise errors.UserError(
                f'{self.title}: TFDS scene_parse150 holds masks of 100 '
                "instance classes, none of ADE20K's 150 semantic ones: use "
                'gin/data/ade20k.gin or ade20k_folder.gin')
        import tensorflow_datasets as tfds  # Slow, and seldom needed.
        self._tfds = tfds
        folder = pathlib.Path(data_dir, 'tfds')
        folder = folder if folder.is_dir() else pathlib.Path(data_dir)
        self._builder = _open_builder(tfds, _find_builder(folder, spec.path))
        self._features = self._builder.info.features
        self._instruction = self._parse_split()
        info = self._builder.info.splits[self._instruction]
        self._length = info.num_examples
        base = self._builder.info.splits[split.partition('[')[0]]
        self.record_bytes = max(
            1, base.num_bytes // max(base.num_examples, 1))
        self._held = None
        self._check_features()

    def records(self):
        if self._kept is None:
            return self._stream()
        small = len(self._kept) * self.record_bytes <= _HOLD_BYTES
        if not small:
            return self._stream_kept()
        if self._held is None:
            parts = list(self._stream_kept().as_numpy_iterator())
            self._held = base_lib.make_records(
                [p['image'] for p in parts], [p['label'] for p in parts],
                [p['class_or_index'] for p in parts])
        return self._held

    def decode(self, record):
        return self._decode_bytes(record)

    def first_ids(self, count):
        if self._kept is not None or self._ids is not None:
            return super().first_ids(count)
        return list(itertools.islice(self._iterate_ids(), count))

    def _count(self):
        return self._length

    def _forget(self):
        self._held = None

    def _list_ids(self):
        return list(self._iterate_ids())

    def _iterate_ids(self):
        key = self.spec.id_key
        if key in self._features:
            for example in self._read({key: True}).as_numpy_iterator():
                yield base_lib.stem(example[key].decode())
            return
        splits = self._builder.info.splits
        parts = self._tfds.core.ReadInstruction.from_spec(
            self._instruction).to_absolute(splits)
        for part in parts:
            whole = range(splits[part.splitname].num_examples)
            for i in whole[part.from_:part.to]:
                yield f'{part.splitname}_{i:07d}'

    def _parse_split(self):
        splits = self._builder.info.splits
        try:
            length = splits[self.split].num_examples
        except (KeyError, ValueError, AssertionError):
            raise errors.UserError(
                f'{self.title}: there is no such split: choose one of '
                f'{", ".join(splits)}') from None
        limit = self.spec.limit
        if not limit or limit >= length:
            return self.split
        if '[' in self.split or '+' in self.split:
            raise errors.UserError(f'{self.title}: a slice and '
                                   'DatasetSpec.limit exclude each other')
        return f'{self.split}[:{limit}]'

    def _check_features(self):
        keys = [self.spec.image_key]
        if self.decodes != base_lib.NOTHING:
            keys.append(self.spec.label_key)
        for key in keys:
            if key not in self._features:
                raise errors.UserError(
                    f'{self.title}: has no feature {key!r}: choose one of '
                    f'{", ".join(self._features)}')
        classes = getattr(self._features[keys[-1]], 'num_classes', None)
        if self.decodes == base_lib.CLASS and classes != self.spec.num_classes:
            raise errors.UserError(
                f'{self.title}: has {classes} classes, '
                f'DatasetSpec.num_classes is {self.spec.num_classes}')
        if self.decodes == base_lib.MASK and not isinstance(
                self._features[keys[-1]], self._tfds.features.Image):
            raise errors.UserError(f'{self.title}: the feature {keys[-1]!r} '
                                   'is no mask to segment by')

    def _read(self, keys):
        """Examples of these features, in the order of the files."""
        decoders = {
            key: self._tfds.decode.SkipDecoding() for key in keys
            if isinstance(self._features[key], self._tfds.features.Image)}
        return self._builder.as_dataset(
            split=self._instruction, shuffle_files=False,
            read_config=self._tfds.ReadConfig(
                interleave_cycle_length=1, try_autocache=False,
                add_tfds_id=False),
            decoders=self._tfds.decode.PartialDecoding(keys,
                                                       decoders=decoders))

    def _stream(self):
        image_key, label_key = self.spec.image_key, self.spec.label_key
        keys = {image_key: True}
        if self.decodes != base_lib.NOTHING:
            keys[label_key] = True
        return self._read(keys).enumerate().map(
            lambda position, example: {
                'position': position,
                'class_or_index': tf.cast(example[label_key], tf.int64)
                       if self.decodes == base_lib.CLASS else tf.constant(
                           0, tf.int64),
                'image': example[image_key],
                'label': example[label_key] if self.decodes == base_lib.MASK
                         else tf.constant('')})

    def _stream_kept(self):
        new = np.full(self._length, -1, np.int64)
        new[self._kept] = np.arange(len(self._kept))
        new = tf.constant(new)
        return self._stream().filter(
            lambda record: new[record['position']] >= 0).map(
                lambda record: record | {'position': new[record['position']]})


def _open_builder(tfds, folder):
    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # JSON, protobuf or TFDS: whatever is damaged.
        raise errors.UserError(
            f'{folder} is no whole TFDS data set ({type(error).__name__}): '
            'prepare it again with tfds') from error


def _find_builder(folder, name):
    """Returns the folder of a prepared version of a builder."""
    name, _, version = name.partition(':')
    home = folder / name
    found = sorted((path.parent for path in home.glob('*/features.json')),
                   key=lambda path: [
                       int(n) if n.isdigit() else -1
                       for n in path.name.split('.')])
    if version:
        found = [path for path in found if path.name == version]
    if not name or not found:
        raise errors.UserError(
            f'there is no prepared TFDS data set in {home / version}: set '
            '--data_dir, or prepare it with tfds')
    return found[-1]
