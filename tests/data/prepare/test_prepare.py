"""Building and checking data sets, official ones and one's own."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors, specs
from ddep_tf.data.prepare import guide, masks, official_sets
from ddep_tf.data.sources import factory

import layouts
from prepare_cases import MAKERS, build, check, decoded


@pytest.mark.parametrize('name, named', [
    ('cityscapes', 'leftImg8bit_trainvaltest.zip'),
    ('imagenet2012', 'ILSVRC2012_img_train.tar'), ('ade20k', 'training'),
    ('pascal_context', 'train.txt'), ('imagenet21k', 'images'),
    ('ade20k_folder', 'nothing to build'), ('nonsense', 'imagenet21k')])
def test_what_is_missing_is_named(tmp_path, name, named):
    with pytest.raises(errors.UserError, match=named) as caught:
        build(name, tmp_path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', MAKERS)
def test_a_small_set_is_not_the_official_one(tmp_path, name):
    MAKERS[name](tmp_path)
    with pytest.raises(errors.UserError, match='nocount_check'):
        build(name, tmp_path, count_check=True)


def test_a_check_names_every_problem(tmp_path):
    layouts.ade20k_folder(tmp_path)
    good = check('ade20k_folder', tmp_path, count_check=False)
    assert good == [
        (False, 'ade20k_folder training: 3 images and masks ok'),
        (False, 'ade20k_folder validation: 3 images and masks ok')]
    base = tmp_path / 'ADEChallengeData2016'
    (base / 'annotations/training/ADE_train_00000001.png').unlink()
    Image.fromarray(np.full((96, 128), 151, np.uint8)).save(
        base / 'annotations/training/ADE_train_00000003.png')
    contents = (base / 'images/training/ADE_train_00000002.jpg').read_bytes()
    (base / 'images/training/ADE_train_00000002.jpg').write_bytes(
        contents[:len(contents) // 2])
    found = check('ade20k_folder', tmp_path)
    bad = [line for wrong, line in found if wrong]
    for number in (1, 2, 3):
        assert sum(f'ADE_train_0000000{number}' in line for line in bad) == 1
    assert sum('not 2,000' in line for line in bad) == 1
    assert all('\n' not in line for line in bad)


def _register(monkeypatch, builder):
    monkeypatch.setitem(official_sets.GUIDES, 'own', guide.Guide(
        page='https://own.example', license='own', steps=('draw them',),
        counts={'train': (3,)}, builder=builder))


def test_a_set_of_ones_own_is_built_by_its_own_builder(tmp_path, monkeypatch):
    layouts.ade20k_folder(tmp_path)
    base = tmp_path / 'ADEChallengeData2016'
    some = [masks.Example(path.stem, path, path)
            for path in sorted((base / 'images/training').iterdir())]
    requests = []

    def builder(request):
        requests.append(request)
        return masks.build(request, {'train': some}, lambda example: np.full(
            (96, 128), some.index(example), np.uint8))

    _register(monkeypatch, builder)
    folder = build('own', tmp_path, count_check=True)
    assert requests == [guide.BuildRequest(
        'own', tmp_path, tmp_path / 'manual', {'train': (3,)}, 2)]
    assert folder == tmp_path / 'tfds/own' / masks.VERSION
    spec = specs.DatasetSpec(name='own', source='tfds', path='own',
                             num_classes=3)
    found = decoded(
        factory.open_source(spec, 'train', tmp_path, 'mask'))
    assert {name: int(example['label'][0, 0]) for name, example
            in found.items()} == {e.id: i for i, e in enumerate(some)}
    some.pop()
    with pytest.raises(errors.UserError, match='own: has 2 images in train'):
        build('own', tmp_path, count_check=True)


def test_a_set_of_ones_own_without_a_builder_is_refused(tmp_path,
                                                        monkeypatch):
    layouts.ade20k_folder(tmp_path)  # Even where a builder would find files.
    _register(monkeypatch, None)
    with pytest.raises(errors.UserError, match='own is used as it unpacks'):
        build('own', tmp_path)
    assert not (tmp_path / 'tfds').exists()
