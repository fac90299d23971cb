"""Data sets that TFDS has prepared, offline."""

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors

import layouts
from source_cases import examples, open_source

IMAGENET = dict(name='imagenet2012', source='tfds', path='imagenet2012',
                num_classes=1000)
CIFAR = dict(name='cifar10', source='tfds', path='cifar10:3.0.2',
             num_classes=10, id_key='id')


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


@pytest.mark.parametrize('split', ['train[3:12]', 'train[2:5]+train[8:9]'])
def test_records_of_shards_are_those_in_order(real_data, split):
    source = open_source(IMAGENET, split, real_data)
    found = [source.parse(serialized, tf.constant(0, tf.int64))
             for path, skip, take in source.shards
             for serialized in tf.data.TFRecordDataset(path).skip(skip).take(
                 take)]
    for one, other in zip(found, source.records(), strict=True):
        assert one.keys() == other.keys()
        assert one['image'] == other['image']
        assert one['class_or_index'] == other['class_or_index']


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


def test_unlabeled_images_of_a_labeled_set(real_data):
    source = open_source(IMAGENET, 'validation[:2]', real_data, 'nothing')
    assert [set(e) for e in examples(source)] == [{'image'}] * 2


@pytest.mark.parametrize('changes, split, named', [
    ({'path': 'imagenet2013'}, 'train', 'imagenet2013'),
    ({'path': 'imagenet2012:1.0.0'}, 'train', '1.0.0'),
    ({}, 'val', 'validation'), ({'num_classes': 10}, 'train', '1000'),
    ({'label_key': 'classes'}, 'train', 'classes'),
    ({}, 'train[:0]', 'no example')])
def test_tfds_refusals(real_data, changes, split, named):
    with pytest.raises(errors.UserError, match=named):
        open_source(IMAGENET, split, real_data, **changes)


def test_tfds_classes_are_not_masks(real_data):
    with pytest.raises(errors.UserError, match='not a mask'):
        open_source(IMAGENET, 'train', real_data, 'mask', num_classes=100)


def test_a_damaged_tfds_set_is_named(tmp_path):
    layouts.cifar10(tmp_path)
    path, = tmp_path.rglob('features.json')
    path.write_text(path.read_text()[:40])
    with pytest.raises(errors.UserError, match='prepare it again'):
        open_source(CIFAR, 'train', tmp_path)
