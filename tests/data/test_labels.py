"""Id maps against facts written down by hand, names and palettes."""

import numpy as np
import pytest

from ddep_tf import errors, specs
from ddep_tf.data import labels

pytestmark = pytest.mark.quick

# From the label table of cityscapesScripts: labelId -> (trainId, name).
CITYSCAPES = {
    7: (0, 'road'), 8: (1, 'sidewalk'), 11: (2, 'building'), 12: (3, 'wall'),
    13: (4, 'fence'), 17: (5, 'pole'), 19: (6, 'traffic light'),
    20: (7, 'traffic sign'), 21: (8, 'vegetation'), 22: (9, 'terrain'),
    23: (10, 'sky'), 24: (11, 'person'), 25: (12, 'rider'), 26: (13, 'car'),
    27: (14, 'truck'), 28: (15, 'bus'), 31: (16, 'train'),
    32: (17, 'motorcycle'), 33: (18, 'bicycle')}
# Colors of the same table.
CITYSCAPES_COLORS = {
    'road': (128, 64, 128), 'sidewalk': (244, 35, 232), 'pole': (153,) * 3,
    'traffic light': (250, 170, 30), 'vegetation': (107, 142, 35),
    'person': (220, 20, 60), 'rider': (255, 0, 0), 'car': (0, 0, 142),
    'bus': (0, 60, 100), 'train': (0, 80, 100), 'bicycle': (119, 11, 32)}
# Lines of objectInfo150.txt of the benchmark: id -> first of the names.
ADE20K = {
    1: 'wall', 2: 'building', 3: 'sky', 4: 'floor', 9: 'windowpane',
    13: 'person', 21: 'car', 33: 'fence', 44: 'signboard', 50: 'fireplace',
    59: 'screen door', 60: 'stairway', 76: 'swivel chair', 80: 'hovel',
    90: 'television', 91: 'airplane', 99: 'bottle', 101: 'poster',
    117: 'minibike', 125: 'microwave', 127: 'animal', 128: 'bicycle',
    137: 'traffic light', 142: 'crt screen', 149: 'clock', 150: 'flag'}
# Colors of color150.mat of the benchmark, by the same ids.
ADE20K_COLORS = {
    1: (120, 120, 120), 2: (180, 120, 120), 3: (6, 230, 230),
    4: (80, 50, 50), 5: (4, 200, 3), 7: (140, 140, 140), 13: (150, 5, 61),
    21: (0, 102, 200), 22: (61, 230, 250), 150: (92, 0, 255)}
# Lines of 59_labels.txt, three of them by their names in labels.txt.
PASCAL_CONTEXT = {
    1: 'aeroplane', 2: 'bicycle', 3: 'bird', 11: 'table', 15: 'person',
    20: 'tvmonitor', 21: 'bag', 22: 'bed', 23: 'bench', 28: 'cloth',
    30: 'cup', 31: 'door', 41: 'mouse', 42: 'curtain', 43: 'platform',
    45: 'plate', 50: 'sky', 52: 'bedclothes', 53: 'track', 58: 'window',
    59: 'wood'}
# Classes of mmsegmentation's PascalContextDataset59, by the masks' ids.
MMSEG = {1: 'aeroplane', 2: 'bag', 3: 'bed', 4: 'bedclothes', 5: 'bench',
         6: 'bicycle', 20: 'cow', 37: 'person', 46: 'sign', 59: 'wood'}
# Classes, and ids from 0 that the masks may hold.
SETS = {'camvid': (11, 12), 'cityscapes': (19, 34),
        'cityscapes_train_ids': (19, 19), 'ade20k': (150, 151),
        'pascal_context_59': (59, 60), 'pascal_context_60': (60, 60),
        'pascal_context_59_mmseg': (59, 60),
        'pascal_context_60_mmseg': (60, 60), 'shapes': (6, 6)}


def mapped(ids, name):
    return labels.map_labels(np.array(ids, np.uint8), name).tolist()


def test_cityscapes_ids():
    ids = list(range(34))
    assert mapped(ids, 'cityscapes') == [
        CITYSCAPES.get(i, (255, ''))[0] for i in ids]
    names = labels.label_set('cityscapes').class_names
    for train_id, name in CITYSCAPES.values():
        assert names[train_id] == name
    # -1, the license plate, is 255 in a mask of bytes.
    assert mapped([255], 'cityscapes') == [255]


def test_cityscapes_colors_and_train_ids():
    found = labels.label_set('cityscapes')
    assert {name: tuple(found.palette[found.class_names.index(name)].tolist())
            for name in CITYSCAPES_COLORS} == CITYSCAPES_COLORS
    same = labels.label_set('cityscapes_train_ids')
    assert same.class_names == found.class_names
    np.testing.assert_array_equal(same.palette, found.palette)
    assert mapped([0, 18, 255], 'cityscapes_train_ids') == [0, 18, 255]


def test_camvid_ids():
    assert mapped(range(12), 'camvid') == [*range(11), 255]
    assert labels.label_set('camvid').class_names[8] == 'car'


def test_ade20k_ids():
    assert mapped([0, 1, 2, 150, 255], 'ade20k') == [255, 0, 1, 149, 255]
    found = labels.label_set('ade20k')
    assert {i: found.class_names[i - 1] for i in ADE20K} == ADE20K
    assert {i: tuple(found.palette[i - 1].tolist())
            for i in ADE20K_COLORS} == ADE20K_COLORS


@pytest.mark.parametrize('order, facts', [('', PASCAL_CONTEXT),
                                          ('_mmseg', MMSEG)])
def test_pascal_context_ids(order, facts):
    ids = list(range(60))
    assert mapped([*ids, 255], f'pascal_context_59{order}') == [
        255, *range(59), 255]
    assert mapped([*ids, 255], f'pascal_context_60{order}') == [*ids, 255]
    some = labels.label_set(f'pascal_context_59{order}')
    full = labels.label_set(f'pascal_context_60{order}')
    assert {i: some.class_names[i - 1] for i in facts} == facts
    assert full.class_names == ('background', *some.class_names)
    np.testing.assert_array_equal(full.palette[1:], some.palette)


def test_pascal_context_orders_hold_the_same_classes():
    official, other = (labels.label_set(f'pascal_context_59{order}')
                       .class_names for order in ('', '_mmseg'))
    assert list(other) == sorted(official) and other != official
    # Pascal VOC's 20 classes come first, in their own order.
    assert list(official[:20]) == sorted(official[:10]) + sorted(
        official[10:20], key=lambda n: 'diningtable' if n == 'table' else n)


@pytest.mark.parametrize('name', SETS)
def test_source_ids_map_back(name):
    found = labels.label_set(name)
    assert found.source_ids.dtype == np.uint8
    np.testing.assert_array_equal(
        labels.map_labels(found.source_ids, name), range(found.num_classes))


def test_source_ids_of_cityscapes():
    assert labels.label_set('cityscapes').source_ids.tolist() == list(
        CITYSCAPES)
    assert labels.label_set('ade20k').source_ids[[0, 149]].tolist() == [1, 150]


@pytest.mark.parametrize('name', SETS)
def test_every_set_is_complete(name):
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
    # The VOC color map's first entries.
    assert found.palette[:4].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert found.table[254] == 254 and found.table[255] == 255
    with pytest.raises(errors.UserError, match='256'):
        labels.generic(256)
    own = specs.DatasetSpec(name='mine', num_classes=3)
    assert labels.for_spec(own).table[:4].tolist() == [0, 1, 2, -1]
    with pytest.raises(errors.UserError, match='num_classes'):
        labels.for_spec(specs.DatasetSpec(label_set='camvid', num_classes=12))
