"""Splits: kept, or drawn by a hash, groups together."""

import pytest

from ddep_tf import errors
from ddep_tf.data.importing import splits

import exports

pytestmark = pytest.mark.quick


def group_splits(groups, **options):
    return dict(zip(groups, splits.by_hash(groups, **{
        'val': 0.2, 'test': 0.1, 'seed': 0, **options})))


def test_an_image_keeps_its_split_when_others_are_added():
    few = group_splits([f'image {i}' for i in range(50)])
    many = group_splits([f'image {i}' for i in range(1000)])
    assert many.items() >= few.items()
    counts = {s: list(many.values()).count(s) for s in splits.SPLITS}
    assert abs(counts['val'] - 200) < 40 and abs(counts['test'] - 100) < 30
    assert group_splits(list(many), seed=1) != many


def test_a_split_that_stays_empty_names_a_seed_that_helps():
    with pytest.raises(errors.UserError, match=r'--seed=(\d+)') as caught:
        splits.by_hash(['a', 'b', 'c'], 0.3, 0.3, 0)
    seed = int(str(caught.value).split('--seed=')[1].split()[0])
    assert len(set(splits.by_hash(['a', 'b', 'c'], 0.3, 0.3, seed))) == 3
    with pytest.raises(errors.UserError, match='label more'):
        splits.by_hash(['a', 'a'], 0.3, 0.3, 0)


@pytest.mark.parametrize('val, test', [(-0.1, 0), (0.5, 0.5), (1, 0),
                                       (float('nan'), 0)])
def test_fractions_leave_images_to_train_on(val, test):
    with pytest.raises(errors.UserError, match='fractions'):
        splits.by_hash(['a'], val, test, 0)


def test_groups_stay_together(root, output):
    videos = [f'v{i}/{name}' for i in range(8)
              for name in exports.photos(root, 3, f'images/v{i}')]
    exports.coco(root, videos)
    exports.run(root, output, val=0.4, group_by='(v[0-9]+)/')
    found = {}
    for path in (output / 'images').rglob('*.jpg'):
        found.setdefault(path.name[:2], set()).add(path.parent.name)
    assert len(found) == 8 and all(len(s) == 1 for s in found.values())
    assert {'train', 'val'} == set().union(*found.values())


def test_unlabelled_images_of_a_group_that_is_measured_are_left_out(
        root, output):
    videos = [f'v{i}/{name}' for i in range(8)
              for name in exports.photos(root, 3, f'images/v{i}')]
    exports.coco(root, [name for name in videos if 'a.jpg' in name])
    exports.photos(root, 1, 'images/others')  # Of no group, and no labels.
    lines = exports.run(root, output, val=0.4, group_by='(v[0-9]+)/')
    of_split = {split: {path.name[:2] for path in (
        output / 'images' / split).iterdir()}
        for split in ('train', 'val', 'unlabelled')}
    assert of_split['val'] and of_split['unlabelled'] == {
        *of_split['train'], 'ot'}
    assert any(line.endswith(f'of val or test: {2 * len(of_split["val"])}')
               for line in lines)


@pytest.mark.parametrize('pattern, said', [('[', 'no regular'),
                                           ('nothing', 'matches nothing')])
def test_patterns_of_groups_are_checked(root, output, pattern, said):
    exports.coco(root, exports.photos(root))
    exports.refused(root, output, said, group_by=pattern)


def test_splits_of_some_images_alone_are_no_splits(root, output):
    for split in ('train', 'val', 'other'):
        names_ = [f'{split}/{n}' for n in exports.photos(root, 2, split)]
        exports.write_json(root / f'{split}.json',
                           exports.coco_content(names_))
    exports.refused(root, output, 'other/a.jpg has no split.*--resplit')
    assert 'train: 6 images' in exports.run(root, output, resplit=True)


def test_a_single_split_is_split(root, output):
    names_ = exports.photos(root, 6, 'train')
    exports.write_json(root / 'train/x.json', exports.coco_content(names_))
    exports.run(root, output, val=0.4)
    assert {p.name for p in (output / 'images').iterdir()} == {'train', 'val'}
