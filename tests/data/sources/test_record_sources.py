"""TFDS and TFRecord sources, offline."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data.sources import factory

import layouts

IMAGENET = dict(name='imagenet2012', source='tfds', path='imagenet2012',
                num_classes=1000)
CIFAR = dict(name='cifar10', source='tfds', path='cifar10:3.0.2',
             num_classes=10, id_key='id')


def open_source(values, split, folder, decodes='class', **changes):
    spec = specs.DatasetSpec(**(values | changes))
    return factory.open_source(spec, split, folder, decodes)


def examples(source):
    decoded = source.records().map(source.decode)
    return list(decoded.as_numpy_iterator())


def test_imagenet(real_data):
    source = open_source(IMAGENET, 'train[:12]', real_data)
    assert source.num_examples == 12 == len(set(source.ids))
    assert not any(i.lower().endswith('.jpeg') for i in source.ids)
    found = examples(source)
    assert len(found) == 12
    assert all(e['image'].shape[2] == 3 for e in found)
    part = source.subset(source.ids[5:8:2])
    for again, index in zip(examples(part), (5, 7)):
        np.testing.assert_array_equal(again['image'], found[index]['image'])
        assert again['label'] == found[index]['label']
    assert [int(r['position']) for r in part.records()] == [0, 1]
    part.check()


def test_cifar10(real_data):
    source = open_source(CIFAR, 'test', real_data, limit=40)
    found = examples(source)
    assert source.num_examples == len(found) == 40
    assert {e['image'].shape for e in found} == {(32, 32, 3)}
    assert {int(e['label']) for e in found} <= set(range(10))
    assert len({int(e['label']) for e in found}) > 5


def test_ids_are_numbers_where_no_feature_holds_them(real_data):
    source = open_source(CIFAR, 'test[3:5]', real_data, id_key='nothing')
    assert source.ids == ['test_0000003', 'test_0000004']


def test_unlabelled_images_of_a_labelled_set(real_data):
    source = open_source(IMAGENET, 'validation[:2]', real_data, 'nothing')
    assert [set(e) for e in examples(source)] == [{'image'}] * 2


@pytest.mark.parametrize('changes, split, named', [
    ({'path': 'imagenet2013'}, 'train', 'imagenet2013'),
    ({'path': 'imagenet2012:1.0.0'}, 'train', '1.0.0'),
    ({}, 'val', 'validation'), ({'num_classes': 10}, 'train', '1000'),
    ({'label_key': 'classes'}, 'train', 'classes')])
def test_tfds_refusals(real_data, changes, split, named):
    with pytest.raises(errors.UserError, match=named):
        open_source(IMAGENET, split, real_data, **changes)


def test_tfds_labels_are_no_masks(real_data):
    with pytest.raises(errors.UserError, match='no mask'):
        open_source(IMAGENET, 'train', real_data, 'mask',
                    num_classes=100)


def encode(picture):
    buffer = io.BytesIO()
    picture.save(buffer, 'PNG')
    return buffer.getvalue()


def png(array):
    return encode(Image.fromarray(array))


def feature(value):
    if isinstance(value, int):
        return tf.train.Feature(
            int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def write(path, rows):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            example = tf.train.Example(features=tf.train.Features(
                feature={k: feature(v) for k, v in row.items()}))
            writer.write(example.SerializeToString())


def rows(label):
    return [{'image': png(np.full((4, 5, 3), i, np.uint8)),
             'label': label(i), 'id': f'x{i}.jpg'.encode()}
            for i in range(6)]


def test_tfrecord_masks(tmp_path):
    data = rows(lambda i: png(np.full((4, 5), min(i, 2), np.uint8)))
    write(tmp_path / 'train-0.tfrecord', data[:4])
    write(tmp_path / 'train-1.tfrecord', data[4:])
    values = dict(name='own', source='tfrecord', num_classes=3)
    source = open_source(values, 'train', tmp_path, 'mask')
    assert source.ids == [f'x{i}' for i in range(6)]
    source.check()
    part = source.subset(['x4', 'x1'])
    found = examples(part)
    assert [e['image'][0, 0, 0] for e in found] == [1, 4]
    assert [e['label'][0, 0] for e in found] == [1, 2]
    few = open_source(values, 'train', tmp_path, 'mask', num_classes=2)
    with pytest.raises(errors.UserError, match='x2'):
        few.check()


def test_tfrecord_classes(tmp_path):
    write(tmp_path / 'train.tfrecord', rows(lambda i: i))
    values = dict(name='own', source='tfrecord', num_classes=6)
    source = open_source(values, 'train', tmp_path, limit=5)
    assert [int(e['label']) for e in examples(source)] == list(range(5))


def test_tfrecord_refusals(tmp_path):
    values = dict(name='own', source='tfrecord', num_classes=6)
    with pytest.raises(errors.UserError, match='train'):
        open_source(values, 'train', tmp_path)
    path = tmp_path / 'train.tfrecord'
    write(path, rows(lambda i: i))
    with pytest.raises(errors.UserError, match="'picture'"):
        open_source(values, 'train', tmp_path, image_key='picture')
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(errors.UserError, match='truncated'):
        open_source(values, 'train', tmp_path)


def _palette(ids):
    picture = Image.fromarray(ids).convert('P')
    picture.putpalette([200, 10, 30] * 256)
    return encode(picture)


@pytest.mark.parametrize('mask, named', [
    (_palette(np.zeros((4, 5), np.uint8)), 'not an 8-bit gray PNG'),
    (png(np.zeros((4, 5), np.uint16)), 'not an 8-bit gray PNG'),
    (png(np.zeros((4, 5, 3), np.uint8)), 'not an 8-bit gray PNG'),
    (png(np.zeros((5, 4), np.uint8)), 'different sizes'),
    (b'', 'not an 8-bit gray PNG')],
    ids=['palette', '16 bit', 'colour', 'other size', 'empty'])
def test_a_mask_of_another_form_is_named(tmp_path, mask, named):
    good = png(np.zeros((4, 5), np.uint8))
    write(tmp_path / 'train.tfrecord',
          rows(lambda i: mask if i == 3 else good))
    values = dict(name='own', source='tfrecord', num_classes=3)
    source = open_source(values, 'train', tmp_path, 'mask')
    with pytest.raises(errors.UserError, match=f"(?s)'x3'.*{named}"):
        source.check()


def test_a_split_takes_no_file_of_a_longer_name(tmp_path):
    data = rows(lambda i: i)
    for index, name in enumerate([
            'train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord',
            'trainval-0.tfrecord', 'train_extra-0.tfrecord']):
        write(tmp_path / name, [data[index]])
    values = dict(name='own', source='tfrecord', num_classes=6)
    assert open_source(values, 'train', tmp_path).ids == ['x0', 'x1']
    assert open_source(values, 'trainval', tmp_path).ids == ['x2']


def test_a_damaged_tfds_set_is_named(tmp_path):
    layouts.cifar10(tmp_path)
    path, = tmp_path.rglob('features.json')
    path.write_text(path.read_text()[:40])
    with pytest.raises(errors.UserError, match='prepare it again'):
        open_source(CIFAR, 'train', tmp_path)
