"""Small files of exactly the layouts of the real data sets, made by tests."""

import contextlib
import os

import numpy as np
from PIL import Image

from ddep_tf.models import encoder, weights


def camvid(root, count=3):
    """CamVid as SegNet lays it out: 480 x 360, ids 0..10, 11 is void."""
    _folder(root / 'camvid', ('train', 'val', 'test'), '{}', '{}annot', 12,
            count)


def folder(root, count=3):
    """A folder of one's own, three classes."""
    _folder(root, ('train', 'val'), 'images/{}', 'masks/{}', 3, count)


def _folder(root, splits, image_dir, label_dir, ids, count):
    rng = np.random.default_rng(0)
    for split in splits:
        images = root / image_dir.format(split)
        masks = root / label_dir.format(split)
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            name = f'0001TP_{split}_{index:03d}'
            coarse = rng.integers(0, ids, (18, 24), np.uint8)
            mask = coarse.repeat(20, 0).repeat(20, 1)
            image = np.stack([mask * 20] * 3, -1)
            Image.fromarray(image).save(images / f'{name}.jpg', quality=95)
            Image.fromarray(mask).save(masks / f'{name}.png')


def cifar10(root, count=3):
    """CIFAR-10 as TFDS prepares it."""
    _tfds(root, 'cifar10', '3.0.2', ('train', 'test'), 10, count, 'id',
          (32, 32, 3), 'png')


def imagenet2012(root, count=3):
    """ImageNet-1k as TFDS prepares it."""
    _tfds(root, 'imagenet2012', '5.1.0', ('train', 'validation'), 1000, count,
          'file_name', (None, None, 3), 'jpeg')


def lite_weights(root):
    """EfficientNet-Lite0's file, under its published keys, random numbers."""
    path = root / 'weights' / 'efficientnet_lite0_imagenet.npz'
    path.parent.mkdir(parents=True)
    weights.save_npz(path, weights.export_arrays(encoder.build_classifier(
        'efficientnet_lite0', 1000, image_size=(32, 32))))


def _tfds(root, name, version, splits, num_classes, count, id_key, shape,
          encoding):
    import tensorflow_datasets as tfds
    rng = np.random.default_rng(0)
    size = tuple(side or 40 for side in shape)
    features = tfds.features.FeaturesDict({
        'image': tfds.features.Image(shape=shape, encoding_format=encoding),
        'label': tfds.features.ClassLabel(num_classes=num_classes),
        id_key: tfds.features.Text()})
    examples = {split: [
        (index, {'image': rng.integers(0, 256, size, np.uint8),
                 'label': index, id_key: f'{split}_{index}.JPEG'})
        for index in range(count)] for split in splits}
    # TFDS shows a bar for every file.
    with open(os.devnull, 'w', encoding='utf-8') as nowhere, (
            contextlib.redirect_stderr(nowhere)):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name, version=version, features=features,
            split_datasets=examples, data_dir=root / 'tfds')


MAKERS = {'camvid': (camvid,), 'cifar10': (cifar10,), 'folder': (folder,),
          'imagenet2012': (imagenet2012,), 'shapes': (),
          'camvid_small': (camvid, imagenet2012, lite_weights),
          'chain_small': (camvid, cifar10), 'demo_shapes': ()}


def make(root, name):
    """Makes what the gin file of that name needs. Returns the data_dir."""
    for maker in MAKERS[name]:
        maker(root)
    return root
