"""Id maps against facts written down by hand, names and palettes."""

import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf import specs
from ddep_tf.data import labels

# From the label table of cityscapesScripts: labelId -> (trainId, name).
CITYSCAPES = {
    7: (0, 'road'), 8: (1, 'sidewalk'), 11: (2, 'building'), 12: (3, 'wall'),
    13: (4, 'fence'), 17: (5, 'pole'), 19: (6, 'traffic light'),
    20: (7, 'traffic sign'), 21: (8, 'vegetation'), 22: (9, 'terrain'),
    23: (10, 'sky'), 24: (11, 'person'), 25: (12, 'rider'), 26: (13, 'car'),
    27: (14, 'truck'), 28: (15, 'bus'), 31: (16, 'train'),
    32: (17, 'motorcycle'), 33: (18, 'bicycle')}
SETS = {'camvid': (11, 12), 'cityscapes': (19, 34), 'ade20k': (150, 151),
        'pascal_context_59': (59, 60), 'pascal_context_60': (60, 60),
        'shapes': (6, 6)}


def mapped(ids, name):
    return labels.map_labels(np.array(ids, np.uint8), name).tolist()


def test_cityscapes_ids():
    ids = list(range(34))
    assert mapped(ids, 'cityscapes') == [
        CITYSCAPES.get(i, (255, ''))[0] for i in ids]
    names = labels.label_set('cityscapes').class_names
    for train_id, name in CITYSCAPES.values():
        assert names[train_id] == name


def test_camvid_ids():
    assert mapped(range(12), 'camvid') == [*range(11), 255]
    assert labels.label_set('camvid').class_names[8] == 'car'


def test_ade20k_ids():
    assert mapped([0, 1, 2, 150, 255], 'ade20k') == [255, 0, 1, 149, 255]
    found = labels.label_set('ade20k')
    names = {0: 'wall', 2: 'sky', 12: 'person', 20: 'car', 76: 'boat',
             100: 'poster', 126: 'animal', 127: 'bicycle', 149: 'flag'}
    assert {i: found.class_names[i] for i in names} == names
    assert found.palette[[0, 1, 2, 149]].tolist() == [
        [120, 120, 120], [180, 120, 120], [6, 230, 230], [92, 0, 255]]


def test_pascal_context_ids():
    assert mapped([0, 1, 59, 255], 'pascal_context_59') == [255, 0, 58, 255]
    assert mapped([0, 1, 59, 255], 'pascal_context_60') == [0, 1, 59, 255]
    names = labels.label_set('pascal_context_59').class_names
    assert list(names) == sorted(names)
    assert (names[0], names[-1]) == ('aeroplane', 'wood')
    assert labels.label_set('pascal_context_60').class_names == (
        'background', *names)


@pytest.mark.parametrize('name', SETS)
def test_every_set_is_whole(name):
    found = labels.label_set(name)
    classes, source_ids = SETS[name]
    assert found.num_classes == classes == len(set(found.class_names))
    assert found.palette.shape == (classes, 3)
    assert found.palette.dtype == np.uint8
    assert len(found.train_ids) == source_ids
    assert set(found.train_ids) - {255} == set(range(classes))
    with pytest.raises(ValueError, match=str(source_ids)):
        mapped([0, source_ids], name)


def test_map_keeps_shape_and_dtype():
    ids = np.full((2, 3, 4), 7, np.uint8)
    result = labels.map_labels(ids, 'cityscapes')
    assert result.dtype == np.uint8 and result.shape == ids.shape
    assert labels.map_labels(np.zeros((0, 4), np.uint8), 'camvid').size == 0
    with pytest.raises(ValueError, match='-1'):
        labels.map_labels(np.array([-1]), 'cityscapes')
    with pytest.raises(ValueError, match='float'):
        labels.map_labels(np.array([1.0]), 'cityscapes')


def test_unknown_set_is_named():
    with pytest.raises(errors.UserError, match='citscapes'):
        labels.label_set('citscapes')
    with pytest.raises(errors.UserError, match='citscapes'):
        labels.map_labels(np.zeros(1, np.uint8), 'citscapes')


def test_generic_and_spec():
    found = labels.generic(255)
    assert found.class_names[:2] == ('class 0', 'class 1')
    assert len(np.unique(found.palette, axis=0)) == 255
    # The VOC colour map's first entries.
    assert found.palette[:4].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert found.table[254] == 254 and found.table[255] == 255
    with pytest.raises(errors.UserError, match='256'):
        labels.generic(256)
    own = specs.DatasetSpec(name='mine', num_classes=3)
    assert labels.for_spec(own).table[:4].tolist() == [0, 1, 2, -1]
    with pytest.raises(errors.UserError, match='num_classes'):
        labels.for_spec(specs.DatasetSpec(label_set='camvid', num_classes=12))
