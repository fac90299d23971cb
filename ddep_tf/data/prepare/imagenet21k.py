"""ImageNet-21k: from one folder per synset to TFRecord files. No TF."""

from collections.abc import Sequence
import os
import pathlib

import tqdm

from ddep_tf import errors, files
from ddep_tf.data.prepare import guide, imagenet2012, shards
from ddep_tf.data.sources import record_index

SYNSETS = 21841
SPLIT = 'train'
_SHARD_EXAMPLES = 1024  # About 100 MB.
_HEADS = (b'\xff\xd8\xff', b'\x89PNG')  # First bytes of JPEG and PNG.


def build(request: guide.BuildRequest) -> pathlib.Path:
    """Writes DATA_DIR/imagenet21k/train-*.tfrecord, or what is missing of it.

    Features: image (the file's bytes), label (int64, the synset's rank) and
    file_name. The hash of an image's name decides which file it goes to, and
    its place there, so that the classes are mixed.

    Args:
      request: what to build, and where.

    Returns:
      The folder, with an index of the files.

    Raises:
      UserError: images are missing, or one is no JPEG or PNG.
    """
    synsets, images = _list_images(request.data_dir)
    if request.counts:
        guide.require_count(request.name, 'synset folders', len(synsets),
                            (SYNSETS,))
    folder = files.path(request.data_dir, 'imagenet21k')
    ids = [name for _, name in images]
    parts = shards.assign(ids, request.shard_examples or _SHARD_EXAMPLES)
    names = [f'{SPLIT}-{i:05d}-of-{len(parts):05d}.tfrecord'
             for i in range(len(parts))]
    shards.drop_others(folder, names)
    present = [name for name in names if (folder / name).is_file()]
    sizes = files.sizes([folder / name for name in present])
    counts = [len(part) for part in parts]
    if record_index.read(folder, SPLIT, dict(zip(present, sizes))) == counts:
        return folder
    root = _image_dir(request.data_dir)
    with tqdm.tqdm(total=len(ids), desc='imagenet21k', unit='image') as bar:
        shards.write(folder, names, parts, ids,
                     lambda i: _record(root, synsets, *images[i]), bar)
    record_index.write(folder, SPLIT, names, counts)
    shards.finish(folder)
    return folder


def _list_images(data_dir: str | os.PathLike
                 ) -> tuple[list[str], list[tuple[int, str]]]:
    """Lists DATA_DIR/imagenet21k/images/SYNSET/*.

    Returns:
      (synsets, images): sorted names; (label, file name) of each image.

    Raises:
      UserError: there are none, or a folder is empty.
    """
    root = _image_dir(data_dir)
    if not root.is_dir():
        raise errors.UserError(f'there is no folder {root}: unpack the '
                               "synsets' archives there, each into a folder "
                               'of its own')
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


def _image_dir(data_dir):
    return files.path(data_dir, 'imagenet21k', 'images')


def _record(root: pathlib.Path, synsets: Sequence[str], label: int,
            name: str) -> bytes:
    """Returns a serialized tf.Example."""
    import tensorflow as tf
    path = root / synsets[label] / name
    contents = path.read_bytes()
    if not contents.startswith(_HEADS):
        raise errors.UserError(f'{path} is not a JPEG or PNG: replace or '
                               'remove it, then build again')
    texts = {'image': contents, 'file_name': name.encode()}
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(
        value=[value])) for key, value in texts.items()}
    features['label'] = tf.train.Feature(
        int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(
        feature=features)).SerializeToString(deterministic=True)


GUIDES = {
    'imagenet21k': guide.Guide(
        page=imagenet2012.PAGE, license=imagenet2012.LICENSE, decodes='class',
        steps=(
            'the fall 2011 release, fall11_whole.tar, and every archive in '
            'it, each unpacked in a folder named after it: {data_dir}/'
            'imagenet21k/images/n00004475/*.JPEG ...',
            'then --build writes {data_dir}/imagenet21k/train-*.tfrecord'),
        counts={'train': (14197122,)}, builder=build),
}
