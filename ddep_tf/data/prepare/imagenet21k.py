"""ImageNet-21k: from a folder a synset to TFRecord files and their index."""

import os
import pathlib

from ddep_tf import errors
from ddep_tf.data.prepare import shards
from ddep_tf.data.sources import record_index

SPLIT = 'train'
_HEADS = (b'\xff\xd8\xff', b'\x89PNG')  # Of JPEG and PNG.


def list_images(data_dir):
    """Lists DATA_DIR/imagenet21k/images/SYNSET/*.

    Returns:
      (synsets, images): sorted names; (label, file name) of each image.

    Raises:
      UserError: there are none, or a folder is empty.
    """
    root = _images(data_dir)
    if not root.is_dir():
        raise errors.UserError(f'there is no folder {root}: unpack the '
                               "synsets' archives there, a folder each")
    synsets = sorted(entry.name for entry in os.scandir(root)
                     if entry.is_dir())
    images = []
    for label, synset in enumerate(synsets):
        names = sorted(entry.name for entry in os.scandir(root / synset))
        if not names:
            raise errors.UserError(f'the folder {root / synset} is empty: '
                                   'unpack its archive again')
        images += [(label, name) for name in names]
    if not images:
        raise errors.UserError(f'the folder {root} holds no synset folder')
    return synsets, images


def build(data_dir, synsets, images, shard_examples, progress):
    """Writes DATA_DIR/imagenet21k/train-*.tfrecord, or what is missing of it.

    Features: image (the file's bytes), label (int64, the synset's rank),
    file_name. Which file an image goes to, and where in it, depends on its
    name's hash: the classes are mixed.

    Args:
      data_dir: root folder of the data.
      synsets, images: as of `list_images`.
      shard_examples: about how many go into a file.
      progress: class of the bar, tqdm.tqdm.

    Returns:
      The folder.

    Raises:
      UserError: a file is no JPEG or PNG.
    """
    folder = pathlib.Path(data_dir, 'imagenet21k')
    ids = [name for _, name in images]
    parts = shards.assign(ids, shard_examples)
    names = [f'{SPLIT}-{i:05d}-of-{len(parts):05d}.tfrecord'
             for i in range(len(parts))]
    present = [str(folder / name) for name in names
               if (folder / name).is_file()]
    if record_index.read(folder, SPLIT, present) is not None:
        return folder
    shards.drop_others(folder, names)
    root = _images(data_dir)
    with progress(total=len(ids), desc='imagenet21k', unit='image') as bar:
        shards.write(folder, names, parts, ids,
                     lambda i: _record(root, synsets, *images[i]), bar)
    record_index.write(folder, SPLIT, names, [len(part) for part in parts])
    shards.finish(folder)
    return folder


def _images(data_dir):
    return pathlib.Path(data_dir, 'imagenet21k', 'images')


def _record(root, synsets, label, name):
    import tensorflow as tf
    path = root / synsets[label] / name
    contents = path.read_bytes()
    if not contents.startswith(_HEADS):
        raise errors.UserError(f'{path} is no JPEG or PNG: replace or remove '
                               'it; the build goes on from there')
    texts = {'image': contents, 'file_name': name.encode()}
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(
        value=[value])) for key, value in texts.items()}
    features['label'] = tf.train.Feature(
        int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(
        feature=features)).SerializeToString(deterministic=True)
