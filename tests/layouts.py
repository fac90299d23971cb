"""Small files of exactly the layouts of the real data sets, made by tests.

`count` images to train on, and as many to evaluate on, but at most four.
"""

import io
import json
import pathlib

import numpy as np
from PIL import Image

from ddep_tf.data import labels
from ddep_tf.models import encoder, weights

import source_cases


def _counts(count):
    """(training, evaluation) images."""
    return count, min(count, 4)


def camvid(root, count=3):
    """CamVid as SegNet lays it out: 480 x 360, ids 0..10, 11 is void."""
    _folder(root / 'camvid', ('train', 'val', 'test'), '{}', '{}annot', 12,
            count)


def folder(root, count=3):
    """A folder of one's own, three classes."""
    _folder(root, ('train', 'val'), 'images/{}', 'masks/{}', 3, count)


def folder_unlabelled(root, count=3):
    """The same with images that have no masks."""
    folder(root, count)
    for index in range(count):
        _save(root / f'images/unlabelled/{index}.jpg', _picture(3, index)[0])


def cityscapes_folder(root, count=3):
    """Cityscapes as its archives unpack; labelIds and labelTrainIds."""
    table = labels.label_set('cityscapes').table
    for (split, city), images in zip(
            (('train', 'aachen'), ('val', 'frankfurt')), _counts(count)):
        for index in range(images):
            name = f'{city}/{_city_id(city, index)}'
            image, mask = _picture(34, index)
            base = root / 'cityscapes'
            _save(base / f'leftImg8bit/{split}/{name}_leftImg8bit.png', image)
            start = base / f'gtFine/{split}/{name}_gtFine'
            _save(f'{start}_labelIds.png', mask)
            _save(f'{start}_labelTrainIds.png', table[mask].astype(np.uint8))
            _save(f'{start}_instanceIds.png', mask.astype(np.uint16) * 1000)
            _save(f'{start}_color.png', image)


def ade20k_folder(root, count=3):
    """ADE20K as ADEChallengeData2016.zip unpacks: ids 0..150."""
    base = root / 'ADEChallengeData2016'
    for (split, short), images in zip(
            (('training', 'train'), ('validation', 'val')), _counts(count)):
        for index in range(images):
            name = f'{split}/ADE_{short}_{index + 1:08d}'
            image, mask = _picture(151, index)
            _save(base / f'images/{name}.jpg', image)
            _save(base / f'annotations/{name}.png', mask)


def pascal_context_folder(root, count=3):
    """VOC2010 with merged masks as mmsegmentation writes them: 0..59."""
    base = root / 'VOCdevkit/VOC2010'
    lists = base / 'ImageSets/SegmentationContext'
    lists.mkdir(parents=True)
    for (split, year), images in zip((('train', 2008), ('val', 2009)),
                                     _counts(count)):
        ids = [f'{year}_{index + 1:06d}' for index in range(images)]
        for index, name in enumerate(ids):
            image, mask = _picture(60, index)
            _save(base / f'JPEGImages/{name}.jpg', image)
            _save(base / f'SegmentationClassContext/{name}.png', mask)
        (lists / f'{split}.txt').write_text('\n'.join(ids) + '\n')
    # VOC2010 holds images of neither list.
    _save(base / 'JPEGImages/2010_000001.jpg', image)


def _folder(root, splits, image_dir, label_dir, ids, count):
    for split in splits:
        for index in range(_counts(count)[split != 'train']):
            name = f'0001TP_{split}_{index:03d}'
            image, mask = _picture(ids, index, (360, 480), 20)
            _save(root / image_dir.format(split) / f'{name}.jpg', image)
            _save(root / label_dir.format(split) / f'{name}.png', mask)


def _city_id(city, index):
    """Such as frankfurt_000000_000294, which is the first of the val split."""
    return f'{city}_000000_{294 + 282 * index:06d}'


def _picture(ids, index, size=(96, 128), block=16):
    """Returns an image [H, W, 3] uint8 and its mask [H, W] of ids below."""
    rng = np.random.default_rng(index)
    coarse = rng.integers(0, ids, [side // block for side in size], np.uint8)
    mask = coarse.repeat(block, 0).repeat(block, 1)
    return np.stack([mask, mask // 2 * 3, 255 - mask], -1), mask


def _save(path, array):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **(
        {'quality': 95} if path.suffix == '.jpg' else {}))


def cityscapes(root, count=3):
    """Cityscapes as TFDS prepares it (of 1024 x 2048): labelIds."""
    _tfds_masks(root, 'cityscapes', 'semantic_segmentation', 34, {
        'train': [_city_id('aachen', i) for i in range(count)],
        'validation': [_city_id('frankfurt', i)
                       for i in range(_counts(count)[1])]},
        ('image_left', 'segmentation_label', 'image_id'), 'png')


def ade20k(root, count=3):
    """ADE20K as launch/prepare_data.py builds it: ids 0..150."""
    _tfds_masks(root, 'ade20k', None, 151, {
        split: [f'ADE_{short}_{i + 1:08d}' for i in range(images)]
        for (split, short), images in zip(
            (('train', 'train'), ('validation', 'val')), _counts(count))})


def pascal_context(root, count=3):
    """Pascal Context as launch/prepare_data.py builds it: 0..59."""
    _tfds_masks(root, 'pascal_context', None, 60, {
        split: [f'{year}_{i + 1:06d}' for i in range(images)]
        for (split, year), images in zip(
            (('train', 2008), ('validation', 2009)), _counts(count))})


def oxford_iiit_pet(root, count=3):
    """Oxford-IIIT Pet as TFDS prepares it: ids 1..3."""
    _tfds_masks(root, 'oxford_iiit_pet', None, 4, {
        split: [f'Abyssinian_{100 + i}.jpg' for i in range(count)]
        for split in ('train', 'test')},
        ('image', 'segmentation_mask', 'file_name'))


def imagenet21k(root, count=3):
    """ImageNet-21k as launch/prepare_data.py builds it, two shards."""
    folder_ = root / 'imagenet21k'
    folder_.mkdir(parents=True)
    shards = []
    for shard in range(2):
        path = folder_ / f'train-{shard:05d}-of-00002.tfrecord'
        rows = [{'image': _encoded(_picture(8, index)[0], 'JPEG'),
                 'file_name': f'n00004475_{index}.JPEG'.encode(),
                 'label': index} for index in range(shard, count, 2)]
        source_cases.write(path, rows)
        shards.append({'file': path.name, 'bytes': path.stat().st_size,
                       'examples': len(rows)})
    (folder_ / 'train.index.json').write_text(json.dumps({'files': shards}))


def records(root, count=3):
    """TFRecord files of one's own, four of training, three classes."""
    for split, shards in (('train', 4), ('val', 1)):
        for shard in range(shards):
            rows = []
            for index in range(count):
                _, mask = _picture(3, shard * count + index)
                image = np.stack([100 * mask, 255 - 100 * mask, 50 * mask], -1)
                rows.append({'image': _encoded(image, 'PNG'),
                             'label': _encoded(mask, 'PNG'),
                             'id': f'{split}_{shard}_{index}'.encode()})
            source_cases.write(root / f'{split}-{shard}.tfrecord', rows)


def _encoded(array, kind):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def cifar10(root, count=3):
    """CIFAR-10 as TFDS prepares it."""
    _tfds(root, 'cifar10', '3.0.2', ('train', 'test'), 10, count, 'id',
          (32, 32, 3), 'png')


def imagenet2012(root, count=3):
    """ImageNet-1k as TFDS prepares it."""
    _tfds(root, 'imagenet2012', '5.1.0', ('train', 'validation'), 1000, count,
          'file_name', (None, None, 3), 'jpeg')


def lite_weights(root, count):
    """EfficientNet-Lite0's file, under its published keys, random numbers."""
    del count
    path = root / 'weights' / 'efficientnet_lite0_imagenet.npz'
    path.parent.mkdir(parents=True)
    weights.save_npz(path, weights.export_arrays(encoder.build_classifier(
        'efficientnet_lite0', 1000, image_size=(32, 32))))


def _tfds_masks(root, name, config, ids, splits,
                keys=('image', 'label', 'file_name'), encoding='jpeg'):
    import tensorflow_datasets as tfds
    image_key, label_key, id_key = keys
    features = {
        image_key: tfds.features.Image(encoding_format=encoding),
        label_key: tfds.features.Image(shape=(None, None, 1),
                                       encoding_format='png'),
        id_key: tfds.features.Text()}
    examples = {}
    for split, names in splits.items():
        pictures = [_picture(ids, index) for index in range(len(names))]
        examples[split] = [
            {image_key: image, label_key: mask[..., None], id_key: example_id}
            for example_id, (image, mask) in zip(names, pictures)]
    _store(root, name, '1.0.0', features, examples, config)


def _tfds(root, name, version, splits, num_classes, count, id_key, shape,
          encoding):
    import tensorflow_datasets as tfds
    rng = np.random.default_rng(0)
    size = tuple(side or 40 for side in shape)
    features = {
        'image': tfds.features.Image(shape=shape, encoding_format=encoding),
        'label': tfds.features.ClassLabel(num_classes=num_classes),
        id_key: tfds.features.Text()}
    _store(root, name, version, features, {split: [
        {'image': rng.integers(0, 256, size, np.uint8),
         'label': index % num_classes,
         id_key: f'{split}_{index}.JPEG'}
        for index in range(_counts(count)[split != 'train'])]
        for split in splits})


def _store(root, name, version, features, examples, config=None):
    import tensorflow_datasets as tfds
    tfds.disable_progress_bar()  # One for every file.
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name, config=config, version=version,
        features=tfds.features.FeaturesDict(features),
        split_datasets={split: list(enumerate(some))
                        for split, some in examples.items()},
        data_dir=root / 'tfds')


MAKERS = {'camvid': (camvid,), 'cifar10': (cifar10,), 'folder': (folder,),
          'folder_unlabelled': (folder_unlabelled,),
          'imagenet2012': (imagenet2012,), 'shapes': (),
          'cityscapes': (cityscapes,),
          'cityscapes_folder': (cityscapes_folder,),
          'ade20k': (ade20k,), 'ade20k_folder': (ade20k_folder,),
          'pascal_context': (pascal_context,),
          'pascal_context_folder': (pascal_context_folder,),
          'imagenet21k': (imagenet21k,), 'tfds': (oxford_iiit_pet,),
          'camvid_small': (camvid, imagenet2012, lite_weights),
          'chain_small': (camvid, cifar10), 'demo_shapes': (),
          'evidence_camvid_dep': (camvid, cifar10),
          'nuclei': (), 'demo_nuclei': (),
          'imagenet21k_encoder': (imagenet21k,)}


def make(root, name, count=3):
    """Makes what the gin file of that name needs. Returns the data_dir."""
    root.mkdir(exist_ok=True)
    for maker in _makers(name):
        maker(root, count)
    return root


def _makers(name):
    """Experiments of the paper are named after their set, or are ablations
    on Pascal Context; all denoise on ImageNet."""
    if name in MAKERS:
        return MAKERS[name]
    if name.startswith('evidence_nuclei'):
        return ()
    if name.startswith('evidence_camvid'):
        return MAKERS['camvid_small']
    name = name.removeprefix('evidence_').rsplit('_', 1)[0]
    return (*MAKERS.get(name, (pascal_context,)), imagenet2012)
