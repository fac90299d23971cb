"""Builds TFDS data sets of images and masks from official downloads.

TFDS' own GeneratorBasedBuilder starts over after every interruption. Here the
shards are written one by one, and TFDS' metadata last.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import pathlib

import numpy as np
import tqdm

from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.data.prepare import guide, shards

VERSION = '1.0.0'
_SHARD_EXAMPLES = 512  # About 100 MB.


@dataclasses.dataclass(frozen=True)
class Example:
    """An image and its mask.

    Attributes:
      id: the stem of the image's file.
      image: path of a JPEG.
      mask: path of the mask.
    """
    id: str
    image: pathlib.Path
    mask: pathlib.Path


def build(request: guide.BuildRequest,
          examples: Mapping[str, Sequence[Example]],
          read_mask: Callable[[Example], np.ndarray]) -> pathlib.Path:
    """Writes DATA_DIR/tfds/NAME/VERSION, or what is missing of it.

    Features: image (the JPEG's bytes), label (PNG, [H, W, 1] uint8 ids) and
    file_name (the id).

    Args:
      request: what to build, and where.
      examples: those of each split.
      read_mask: function of an Example that returns its ids, [H, W] uint8.

    Returns:
      The folder.

    Raises:
      UserError: images are missing, one or its mask cannot be read, or their
        sizes differ.
    """
    name = request.name
    for split, counts in (request.counts or {}).items():
        guide.require_count(name, f'images in {split}', len(examples[split]),
                            counts)
    folder = files.path(request.data_dir, 'tfds', name, VERSION)
    if (folder / 'dataset_info.json').is_file():
        return folder
    features = _features()
    plans = {split: shards.assign([e.id for e in some],
                                  request.shard_examples or _SHARD_EXAMPLES)
             for split, some in examples.items()}
    names = {split: [f'{name}-{split}.tfrecord-{i:05d}-of-{len(parts):05d}'
                     for i in range(len(parts))]
             for split, parts in plans.items()}
    shards.drop_others(folder, sum(names.values(), []))
    for split, some in examples.items():
        with tqdm.tqdm(total=len(some), desc=f'{name} {split}',
                       unit='image') as bar:
            shards.write(
                folder, names[split], plans[split], [e.id for e in some],
                functools.partial(_record, features, read_mask, some),
                bar)
    _write_metadata(name, folder, features, plans, names)
    shards.finish(folder)
    return folder


def _features():
    import tensorflow_datasets as tfds
    return tfds.features.FeaturesDict({
        'image': tfds.features.Image(encoding_format='jpeg'),
        'label': tfds.features.Image(shape=(None, None, 1),
                                     encoding_format='png'),
        'file_name': tfds.features.Text()})


def _write_metadata(name, folder, features, plans, names):
    import tensorflow_datasets as tfds
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=name, filetype_suffix='tfrecord')
    infos = [tfds.core.SplitInfo(
        name=split, shard_lengths=[len(part) for part in parts],
        num_bytes=sum((folder / file).stat().st_size
                      for file in names[split]),
        filename_template=template.replace(split=split))
             for split, parts in plans.items()]
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=infos,
        version=VERSION, check_data=False)


def _record(features, read_mask, examples, index):
    """Returns an example as a serialized tf.Example."""
    example = examples[index]
    mask = read_mask(example)
    width, height = image_files.check_stored(example.image, has_mask=True)
    if mask.shape != (height, width):
        raise errors.UserError(
            f'the mask {example.mask} has {mask.shape[1]} x {mask.shape[0]} '
            f'pixels, its image {width} x {height}: unpack the archives again')
    record = features.serialize_example(features.encode_example({
        'image': str(example.image), 'label': mask[..., np.newaxis],
        'file_name': example.id}))
    # TFDS orders the features differently from process to process.
    import tensorflow as tf
    return tf.train.Example.FromString(record).SerializeToString(
        deterministic=True)
