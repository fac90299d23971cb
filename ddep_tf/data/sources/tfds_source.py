"""Data sets that TensorFlow Datasets has prepared on disk."""

from collections.abc import Iterator
import os
import re

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files
from ddep_tf.data.sources import base, stream_source


class TfdsSource(stream_source.StreamSource):
    """A prepared builder `NAME[/CONFIG][:VERSION]`, never downloaded.

    Looked for below `data_dir/tfds`, or `data_dir` if that does not exist. A
    split may be a slice, as in 'train[:10%]'. The id is the stem of the
    feature `spec.id_key`, or SPLIT_INDEX without such a feature.
    """

    def __init__(self, spec: specs.DatasetSpec, split: str, decodes: str,
                 data_dir: str | os.PathLike):
        super().__init__(spec, split, decodes)
        if decodes == base.MASK and re.match(r'scene_parse150\b', spec.path):
            raise errors.UserError(
                f'{self.title}: TFDS scene_parse150 holds masks of 100 '
                "instance classes, not ADE20K's 150 semantic classes: use "
                'gin/data/ade20k.gin or ade20k_folder.gin')
        import tensorflow_datasets as tfds  # Slow, and seldom needed.
        self._tfds = tfds
        folder = files.path(data_dir, 'tfds')
        folder = folder if folder.is_dir() else files.path(data_dir)
        self._folder = _find_builder(folder, spec.path)
        self._builder = _open_builder(tfds, self._folder)
        self._features = self._builder.info.features
        self._instruction = self._parse_split()
        splits = self._builder.info.splits
        self._length = splits[self._instruction].num_examples
        whole = splits[split.partition('[')[0]]
        self.record_bytes = max(
            1, whole.num_bytes // max(whole.num_examples, 1))
        self._check_features()

    @property
    def files(self) -> list[str]:
        return [str(part.filename) for part in
                self._builder.info.splits[self._instruction].file_instructions]

    def _examples(self):
        return self._read(self._keys)

    def _list_shards(self):
        if self._builder.info.file_format.value != 'tfrecord':
            return []
        split = self._builder.info.splits[self._instruction]
        return [base.Shard(
            str(part.filename), part.skip,
            part.take if part.take > 0 else part.examples_in_shard - part.skip)
            for part in split.file_instructions]

    def _parse(self, serialized):
        wanted = self._tfds.decode.PartialDecoding(
            dict.fromkeys(self._keys, True)).extract_features(self._features)
        return wanted.deserialize_example(
            serialized, decoders=self._decoders(self._keys))

    def _image_and_label(self, example):
        return (example[self.spec.image_key],
                example.get(self.spec.label_key))

    def _iterate_ids(self) -> Iterator[str]:
        key = self.spec.id_key
        if key in self._features:
            for example in self._read([key]).as_numpy_iterator():
                yield image_files.stem(base.id_text(example[key]))
            return
        splits = self._builder.info.splits
        parts = self._tfds.core.ReadInstruction.from_spec(
            self._instruction).to_absolute(splits)
        for part in parts:
            whole = range(splits[part.splitname].num_examples)
            for i in whole[part.from_:part.to]:
                yield f'{part.splitname}_{i:07d}'

    def _parse_split(self):
        """Returns the split with `spec.limit`, as TFDS writes slices."""
        splits = self._builder.info.splits
        try:
            length = splits[self.split].num_examples
        except (KeyError, ValueError, AssertionError):
            raise errors.UserError(
                f'{self.title}: there is no such split: choose one of '
                f'{", ".join(splits)}') from None
        if not length:
            raise errors.UserError(f'{self.title}: holds no example: choose '
                                   'another split, or a longer slice')
        limit = self.spec.limit
        if not limit or limit >= length:
            return self.split
        if '[' in self.split or '+' in self.split:
            raise errors.UserError(f'{self.title}: a slice and '
                                   'DatasetSpec.limit exclude each other')
        return f'{self.split}[:{limit}]'

    def _check_features(self):
        self._check_keys(self._features, f'{self.title}:')
        label = self._features[self._keys[-1]]
        classes = getattr(label, 'num_classes', None)
        if self.decodes == base.CLASS and classes != self.spec.num_classes:
            raise errors.UserError(
                f'{self.title}: has {classes} classes, '
                f'DatasetSpec.num_classes is {self.spec.num_classes}')
        if self.decodes == base.MASK and not isinstance(
                label, self._tfds.features.Image):
            raise errors.UserError(f'{self.title}: the feature '
                                   f'{self._keys[-1]!r} is not a mask')

    def _read(self, keys):
        """Returns these features of all examples, in the files' order."""
        return base.untuned(self._builder.as_dataset(
            split=self._instruction, shuffle_files=False,
            read_config=self._tfds.ReadConfig(
                interleave_cycle_length=1, try_autocache=False,
                add_tfds_id=False),
            decoders=self._tfds.decode.PartialDecoding(
                dict.fromkeys(keys, True), decoders=self._decoders(keys))))

    def _decoders(self, keys):
        return {
            key: self._tfds.decode.SkipDecoding() for key in keys
            if isinstance(self._features[key], self._tfds.features.Image)}


def _open_builder(tfds, folder):
    try:
        return tfds.builder_from_directory(str(folder))
    except Exception as error:  # JSON, protobuf or TFDS: whatever is damaged.
        raise errors.UserError(
            f'{folder} is not a whole TFDS data set ({type(error).__name__}): '
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
