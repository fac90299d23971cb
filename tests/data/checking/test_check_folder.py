"""What a check says of folders with one thing wrong each."""

import json
import re
import shutil

import numpy as np
from PIL import Image
import pytest

from ddep_tf import configure, errors
from ddep_tf.data import class_files
from ddep_tf.data.checking import check_folder, summary

import exports

pytestmark = pytest.mark.quick


@pytest.fixture
def data(tmp_path):
    """A folder without a fault: 4 + 2 + 2 images, and 2 without masks."""
    names = exports.photos(tmp_path / 'in', 10)
    exports.coco(tmp_path / 'in', names[:8])
    exports.run(tmp_path / 'in', tmp_path / 'all')
    folder = tmp_path / 'data'
    for split, stems in (('train', 'abcd'), ('val', 'ef'), ('test', 'gh'),
                         ('unlabelled', 'ij')):
        for stem in stems:
            old = 'unlabelled' if stem in 'ij' else 'train'
            for kind, suffix in (('images', 'jpg'), ('masks', 'png')):
                source = tmp_path / 'all' / kind / old / f'{stem}.{suffix}'
                target = folder / kind / split / source.name
                if source.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
    shutil.copyfile(tmp_path / 'all/classes.json', folder / 'classes.json')
    return folder


def check(data, *params):
    run, _ = configure.load_run('segment', ['data/folder.gin'], params, data)
    return check_folder.check(run.data[0], data)


def problem(data, *params):
    found = check(data, *params)
    line, = found.problems
    assert '\n' not in line
    return line


def edit_mask(data, change, name='train/a'):
    path = data / f'masks/{name}.png'
    mask = np.array(Image.open(path))
    change(mask)
    Image.fromarray(mask).save(path)


def test_a_folder_without_a_fault(data):
    found = check(data)
    assert not found.problems and not found.warnings and not found.twins
    assert found.splits == ['train', 'val', 'test', 'unlabelled']
    assert summary.split_rows(found) == [
        ['split', 'images', 'masks', 'smallest', 'largest', 'ignored'],
        ['train', '4', '4', '60 x 44', '60 x 44', '0.00 %'],
        ['val', '2', '2', '60 x 44', '60 x 44', '0.00 %'],
        ['test', '2', '2', '60 x 44', '60 x 44', '0.00 %'],
        ['unlabelled', '2', '0', '60 x 44', '60 x 44', '']]
    shares = np.bincount(exports.truth().ravel()) / exports.truth().size
    rows = summary.class_rows(found)
    assert rows[0] == ['id', 'class', 'train images', 'pixels', 'val images',
                       'pixels', 'test images', 'pixels']
    assert rows[2] == ['1', 'lake', '4', f'{100 * shares[1]:.2f} %', '2',
                       f'{100 * shares[1]:.2f} %', '2',
                       f'{100 * shares[1]:.2f} %']


def test_ignored_pixels_do_not_count(data):
    for split, stems in (('train', 'abcd'), ('val', 'ef'), ('test', 'gh')):
        for stem in stems:
            edit_mask(data, lambda m: m.__setitem__(slice(0, 22), 255),
                      f'{split}/{stem}')
    found = check(data)
    assert summary.split_rows(found)[1][-1] == '50.00 %'
    lake = 100 * (exports.truth()[22:] == 1).mean()
    assert summary.class_rows(found)[2][3] == f'{lake:.2f} %'


@pytest.mark.parametrize('change, said', [
    (lambda d: (d / 'masks/train/a.png').unlink(),
     'a.jpg has no mask .*a.png: .*images/unlabelled'),
    (lambda d: Image.open(d / 'masks/train/a.png').convert('L').save(
        (d / 'masks/train/a.png').rename(d / 'masks/train/a.jpg')),
     'no mask .*a.png .*a.jpg is not read: save it as PNG'),
    (lambda d: (d / 'images/train/a.jpg').write_bytes(b'x'),
     'cannot read the image .*a.jpg'),
    (lambda d: (d / 'images/train/a.jpg').write_bytes(
        (d / 'images/train/a.jpg').read_bytes()[:-99]), 'a.jpg: it is trunc'),
    (lambda d: (d / 'masks/train/a.png').write_bytes(
        (d / 'masks/train/a.png').read_bytes()[:-40]), 'a.png: it is trunc'),
    (lambda d: exports.photo(d / 'images/train/a.jpg', 9, (64, 44)),
     'they must agree'),
    (lambda d: exports.photo(d / 'masks/train/a.png', 9), 'in RGB colors'),
    (lambda d: edit_mask(d, lambda m: m.__setitem__((0, slice(0, 7)), 9)),
     r'a.png holds the id 9 \(7 pixels\), outside the 4 classes'),
    (lambda d: Image.fromarray(np.zeros((44, 60), np.uint16)).save(
        d / 'images/unlabelled/x.png'), '16 bits'),
    (lambda d: exports.photo(d / 'images/train/a.png', 8), 'have the same id'),
    (lambda d: shutil.rmtree(d / 'images/val'), 'no folder .*images/val'),
    (lambda d: shutil.copyfile(d / 'images/train/a.jpg',
                               d / 'images/val/e.jpg'),
     'train/a.jpg and .*val/e.jpg are the same file, in two splits')])
def test_problems(data, change, said):
    change(data)
    with pytest.raises(AssertionError, match=said):
        assert problem(data) == ''


def _all_masks(data, split, change):
    for path in sorted((data / 'masks' / split).iterdir()):
        edit_mask(data, change, f'{split}/{path.stem}')


@pytest.mark.parametrize('split, change, said', [
    ('train', lambda m: np.copyto(m, 255, where=m > 0),
     "of 'train' hold one class, 'background', beside 255, .*--map"),
    ('train', lambda m: m.fill(1), "hold one class, 'lake': label others"),
    ('train', lambda m: m.fill(255), "of 'train' hold no labelled pixel"),
    ('val', lambda m: m.fill(255), "of 'val' hold no labelled pixel")])
def test_masks_that_teach_or_measure_nothing(data, split, change, said):
    _all_masks(data, split, change)
    assert re.search(said, problem(data))


def test_one_class_alone(data):
    for split in ('train', 'val', 'test'):
        _all_masks(data, split, lambda m: m.fill(0))
    (data / 'classes.json').write_text(json.dumps({'classes': [
        {'id': 0, 'name': 'ground', 'color': '#000000'}]}))
    assert "'ground' is the only class" in problem(data)


def test_a_turned_photo_with_a_mask_is_a_problem_without_one_a_warning(data):
    exif = Image.Exif()
    exif[0x0112] = 6
    exports.photo(data / 'images/train/a.jpg', exif=exif)
    exports.photo(data / 'images/unlabelled/i.jpg', 8, exif=exif)
    found = check(data)
    assert 'EXIF orientation 6' in found.problems[0]
    assert any(line.startswith('images with an EXIF turn') and 'i.jpg' in line
               for line in found.warnings)


def test_classes_that_nobody_named(data):
    (data / 'classes.json').unlink()
    found = check(data)
    problem, = found.problems
    assert re.search('classes.json is missing.* masks: 0, 1, 2, 3;', problem)
    assert not check(data, 'folder/DatasetSpec.num_classes=4').problems


def test_ids_with_gaps_that_classes_json_names(data):
    classes = [{'id': number, 'name': str(number), 'color': '#000000'}
               for number in (0, 7, 2, 3)]
    (data / 'classes.json').write_text(json.dumps({'classes': classes}))
    assert len(check(data).problems) == 8  # Id 1 is in each mask.


@pytest.mark.parametrize('change, said', [
    (lambda d: exports.photo(d / 'images/train/x.webp'),
     'are not read: 1, such as .*x.webp'),
    (lambda d: exports.voc_mask(d / 'masks/train/x.png', exports.truth()),
     'without an image, .*: 1, such as .*x.png'),
    (lambda d: Image.open(d / 'images/train/a.jpg').convert('L').save(
        d / 'images/train/a.jpg'), 'gray images, .*: 1, such as .*a.jpg'),
    (lambda d: shutil.copyfile(d / 'images/test/g.jpg',
                               d / 'images/unlabelled/x.jpg'),
     'g.jpg and .*x.jpg are the same file: what denoises'),
    (lambda d: shutil.copyfile(d / 'images/unlabelled/i.jpg',
                               d / 'images/unlabelled/x.jpg'),
     'x.jpg are the same file: remove one')])
def test_warnings(data, change, said):
    change(data)
    found = check(data)
    assert not found.problems
    with pytest.raises(AssertionError, match=said):
        assert found.warnings == []


def test_what_trains_may_also_denoise(data):
    shutil.copyfile(data / 'images/train/a.jpg',
                    data / 'images/unlabelled/x.jpg')
    assert not check(data).warnings


def test_rare_classes(data):
    boat = exports.IDS['boat']
    for stem in 'abc':
        edit_mask(data, lambda m: m.__setitem__(m == boat, 0), f'train/{stem}')
    for stem in 'ef':
        edit_mask(data, lambda m: m.__setitem__(m == 1, 0), f'val/{stem}')
    found = check(data)

    def rare(subset=None):
        return check_folder.rare_classes(found, subset, 'train', 'val', 3)
    assert [line[:30] for line in rare()] == [
        "the class 'lake' is in no imag", "the class 'boat' is in 1 of th"]
    lines = rare(['a', 'b', 'c'])
    assert "'boat' is in none of the 3 labelled images of 'train'" in lines[1]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(errors.UserError, match='--data_dir'):
        check(tmp_path / 'nowhere')


def test_another_layout_can_be_named(data):
    (data / 'images/train').rename(data / 'images/training')
    (data / 'masks/train').rename(data / 'masks/training')
    assert not check(data, "folder/DatasetSpec.train_split='training'").problems
    assert class_files.read(data / 'classes.json')
