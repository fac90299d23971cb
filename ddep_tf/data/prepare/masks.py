"""Builds TFDS data sets of images and masks from official downloads.

TFDS' own GeneratorBasedBuilder starts over after every interruption; here
the shards are written one by one, and TFDS' metadata last.
"""

import dataclasses
import pathlib

import numpy as np

from ddep_tf import errors
from ddep_tf.data import image_files
from ddep_tf.data.prepare import shards

VERSION = '1.0.0'


@dataclasses.dataclass(frozen=True)
class Example:
    """An image and where its mask is.

    Attributes:
      id: the stem of the image's file.
      image: path of a JPEG.
      mask: path of the mask.
    """
    id: str
    image: pathlib.Path
    mask: pathlib.Path


def build(name, examples, read_mask, data_dir, shard_examples, progress):
    """Writes DATA_DIR/tfds/NAME/VERSION, or what is missing of it.

    Features: image (the JPEG's bytes), label (PNG, [H, W, 1] uint8 ids) and
    file_name (the id).

    Args:
      name: of the TFDS data set.
      examples: {split: list of Example}.
      read_mask: function of an Example, returns [H, W] uint8.
      data_dir: root folder of the data.
      shard_examples: about how many go into a file.
      progress: class of the bar, tqdm.tqdm.

    Returns:
      The folder.

    Raises:
      UserError: an image or a mask cannot be read, or they do not fit.
    """
    folder = pathlib.Path(data_dir, 'tfds', name, VERSION)
    if (folder / 'dataset_info.json').is_file():
        return folder
    features = _features()
    plans = {split: shards.assign([e.id for e in some], shard_examples)
             for split, some in examples.items()}
    names = {split: [f'{name}-{split}.tfrecord-{i:05d}-of-{len(parts):05d}'
                     for i in range(len(parts))]
             for split, parts in plans.items()}
    shards.drop_others(folder, sum(names.values(), []))
    for split, some in examples.items():
        with progress(total=len(some), desc=f'{name} {split}',
                      unit='image') as bar:
            shards.write(folder, names[split], plans[split],
                         [e.id for e in some], lambda i, some=some: _record(
                             features, some[i], read_mask), bar)
    _write_metadata(name, folder, features, plans, names)
    shards.finish(folder)
    return folder


def ade20k(data_dir):
    """Returns the examples of ADEChallengeData2016 below `data_dir`."""
    root = pathlib.Path(data_dir, 'ADEChallengeData2016')
    return {split: _pairs(root / f'images/{own}', root / f'annotations/{own}')
            for split, own in (('train', 'training'),
                               ('validation', 'validation'))}


def read_ade20k_mask(example):
    """Returns an Example's ids, [H, W] uint8: 0 other, 1..150."""
    _check(example)
    return image_files.read_mask(example.mask)


def _pairs(image_dir, mask_dir):
    images = sorted(image_dir.glob('*.jpg'))
    if not images:
        raise errors.UserError(f'the folder {image_dir} is missing or holds '
                               'no .jpg: unpack ADEChallengeData2016.zip in '
                               '--data_dir')
    return [Example(path.stem, path, mask_dir / f'{path.stem}.png')
            for path in images]


def _check(example):
    for path in (example.image, example.mask):
        if not path.is_file():
            raise errors.UserError(f'there is no file {path}: unpack the '
                                   'archives again')


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


def _record(features, example, read_mask):
    mask = read_mask(example)
    width, height = image_files.check_image(example.image, has_mask=True)
    if mask.shape != (height, width):
        raise errors.UserError(
            f'the mask {example.mask} has {mask.shape[1]} x {mask.shape[0]} '
            f'pixels, its image {width} x {height}: unpack the archives again')
    record = features.serialize_example(features.encode_example({
        'image': str(example.image), 'label': mask[..., np.newaxis],
        'file_name': example.id}))
    # TFDS leaves the order of the features to chance, process by process.
    import tensorflow as tf
    return tf.train.Example.FromString(record).SerializeToString(
        deterministic=True)
