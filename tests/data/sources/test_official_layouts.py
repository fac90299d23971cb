"""The paper's sets in their official layouts, opened by their gin files."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf import configure, errors
from ddep_tf.data import labels
from ddep_tf.data.sources import factory

import layouts


def spec(name, **bindings):
    run, _ = configure.load_run('segment', [f'data/{name}.gin'], [
        f'{name}/DatasetSpec.{key}={value!r}'
        for key, value in bindings.items()])
    return run.data[0]


def opened(root, name, split='test_split', decodes='mask', **bindings):
    found = spec(name, **bindings)
    return factory.open_source(found, getattr(found, split), root, decodes)


def examples(source):
    """{id: example}, sorted by id: TFDS shuffles what it prepares."""
    source.check()
    decoded = zip(source.ids, map(source.decode, source.records()))
    return dict(sorted(decoded, key=lambda pair: pair[0]))


def assert_same(one, other, key='label'):
    assert sorted(one.ids) == sorted(other.ids)
    for a, b in zip(examples(one).values(), examples(other).values()):
        np.testing.assert_array_equal(a[key], b[key])


@pytest.mark.parametrize('split', ['train_split', 'test_split'])
def test_cityscapes_is_the_same_through_tfds_and_folder(tmp_path, split):
    layouts.cityscapes(tmp_path)
    layouts.cityscapes_folder(tmp_path)
    tfds = opened(tmp_path, 'cityscapes', split)
    folder = opened(tmp_path, 'cityscapes_folder', split)
    assert_same(tfds, folder)
    if split == 'test_split':
        assert min(tfds.ids) == 'frankfurt_000000_000294'
    assert_same(tfds, folder, 'image')
    for example in examples(tfds).values():
        assert set(np.unique(example['label'])) <= {*range(19), 255}
    # What the head of the folder's gin file says for masks of train ids.
    trained = opened(tmp_path, 'cityscapes_folder', split,
                     label_suffix='_gtFine_labelTrainIds.png',
                     label_set='cityscapes_train_ids')
    assert_same(folder, trained)


def test_ade20k_is_the_same_through_tfds_and_folder(tmp_path):
    layouts.ade20k(tmp_path)
    layouts.ade20k_folder(tmp_path)
    tfds = opened(tmp_path, 'ade20k')
    assert 'ADE_val_00000001' in tfds.ids
    assert_same(tfds, opened(tmp_path, 'ade20k_folder'))
    path = tmp_path / 'ADEChallengeData2016/annotations/validation' / (
        'ADE_val_00000001.png')
    ids = np.asarray(Image.open(path)).astype(int)
    np.testing.assert_array_equal(examples(tfds)[path.stem]['label'],
                                  np.where(ids == 0, 255, ids - 1))


def test_pascal_context_counts_or_ignores_the_background(tmp_path):
    layouts.pascal_context(tmp_path)
    some = examples(opened(tmp_path, 'pascal_context'))
    full = examples(opened(tmp_path, 'pascal_context',
                           label_set='pascal_context_60', num_classes=60))
    assert len(some) == 3
    for a, b in zip(some.values(), full.values()):
        np.testing.assert_array_equal(
            a['label'], np.asarray(b['label']).astype(int) - 1 & 255)


def test_pascal_context_masks_in_both_orders(tmp_path):
    layouts.pascal_context_folder(tmp_path)
    mask = tmp_path / ('VOCdevkit/VOC2010/SegmentationClassContext/'
                       '2009_000001.png')
    Image.fromarray(np.full((96, 128), 2, np.uint8)).save(mask)
    for order, name in (('_mmseg', 'bag'), ('', 'bicycle')):
        label_set = f'pascal_context_59{order}'
        source = opened(tmp_path, 'pascal_context_folder',
                        label_set=label_set)
        train_id = int(examples(source)[mask.stem]['label'][0, 0])
        assert labels.label_set(label_set).class_names[train_id] == name


def test_a_split_holds_what_its_list_names(tmp_path):
    layouts.pascal_context_folder(tmp_path)
    ids = opened(tmp_path, 'pascal_context_folder').ids
    assert ids == ['2009_000001', '2009_000002', '2009_000003']
    listed = tmp_path / ('VOCdevkit/VOC2010/ImageSets/SegmentationContext/'
                         'val.txt')
    for text, named in (('2009_000001\n2011_000009\n', '2011_000009'),
                        ('\n', 'lists no id'), (None, 'cannot read')):
        listed.unlink()
        if text is not None:
            listed.write_text(text)
        with pytest.raises(errors.UserError, match=named) as caught:
            opened(tmp_path, 'pascal_context_folder')
        assert 'val.txt' in str(caught.value)


def test_scene_parse150_is_refused_with_the_reason(tmp_path):
    with pytest.raises(errors.UserError, match='instance') as caught:
        opened(tmp_path, 'tfds', 'train_split', num_classes=150,
               path='scene_parse150', label_key='annotation')
    assert '\n' not in str(caught.value) and 'ade20k' in str(caught.value)


def test_any_tfds_set_of_masks_by_gin_alone(tmp_path):
    layouts.oxford_iiit_pet(tmp_path)
    bound = {'path': 'oxford_iiit_pet', 'label_key': 'segmentation_mask',
             'num_classes': 4, 'test_split': 'test'}
    source = opened(tmp_path, 'tfds', **bound)
    assert examples(source)['Abyssinian_100']['label'].shape == (96, 128)
