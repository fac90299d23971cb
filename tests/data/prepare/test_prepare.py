"""Building data sets from raw downloads, and checking what is there."""

import pathlib

import numpy as np
from PIL import Image
import pytest
import scipy.io
import tensorflow as tf

from ddep_tf import configure, errors
from ddep_tf.data.prepare import masks, official_sets, prepare, shards
from ddep_tf.data.sources import factory

import layouts
import raw_sets

MAKERS = {'pascal_context': raw_sets.pascal_context,
          'ade20k': layouts.ade20k_folder,
          'imagenet21k': raw_sets.imagenet21k}
STAGES = {'class': 'classify', 'mask': 'segment'}


def spec(name):
    run, _ = configure.load_run(STAGES[official_sets.guide(name).decodes],
                                [f'data/{name}.gin'])
    return run.data[0]


def build(name, root, **options):
    return prepare.build(name, root, root / 'manual', **{
        'count_check': False, 'shard_examples': 2} | options)


def opened(name, root, split='test_split'):
    found = spec(name)
    return factory.open_source(found, getattr(found, split), root,
                               official_sets.guide(name).decodes)


def decoded(source):
    source.check()
    return {name: source.decode(record)
            for name, record in zip(source.ids, source.records())}


def files(folder):
    return {path.name: path.read_bytes()
            for path in folder.iterdir() if path.is_file()}


def lines(name, root, **options):
    return list(prepare.check(name, spec(name), root, **options))


def test_pascal_context_is_merged_by_name(tmp_path):
    ids = raw_sets.pascal_context(tmp_path)
    build('pascal_context', tmp_path)
    found = decoded(opened('pascal_context', tmp_path))
    assert sorted(found) == ['2009_000001', '2009_000002', '2009_000003']
    # By hand: the official order of a few names, everything else ignored.
    order = {'aeroplane': 0, 'bicycle': 1, 'table': 10, 'curtain': 41,
             'bedclothes': 51, 'wood': 58}
    base = tmp_path / 'VOCdevkit/VOC2010'
    for name, example in found.items():
        official = scipy.io.loadmat(base / f'trainval/{name}.mat')['LabelMap']
        label = example['label'].numpy()
        for class_name, train_id in order.items():
            np.testing.assert_array_equal(label == train_id,
                                          official == ids[class_name])
        np.testing.assert_array_equal(
            label == 255, np.isin(official, [ids[e] for e in raw_sets.EXTRA]))
        with Image.open(base / f'JPEGImages/{name}.jpg') as picture:
            np.testing.assert_array_equal(example['image'], picture)


def test_ade20k_is_that_of_the_folder(tmp_path):
    layouts.ade20k_folder(tmp_path)
    build('ade20k', tmp_path)
    for split in ('train_split', 'test_split'):
        built = decoded(opened('ade20k', tmp_path, split))
        raw = decoded(opened('ade20k_folder', tmp_path, split))
        assert sorted(built) == sorted(raw)
        for name, example in raw.items():
            for key in ('image', 'label'):
                np.testing.assert_array_equal(built[name][key], example[key])


def test_a_turned_photo_is_not_built(tmp_path):
    """180 degrees: its size would not give it away."""
    layouts.ade20k_folder(tmp_path)
    path = sorted(tmp_path.rglob('images/training/*.jpg'))[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as photo:
        photo.save(path, exif=exif)
    with pytest.raises(errors.UserError, match='orientation 3') as caught:
        build('ade20k', tmp_path)
    assert path.name in str(caught.value)


def test_imagenet21k_is_mixed_and_needs_no_scan(tmp_path, monkeypatch):
    raw_sets.imagenet21k(tmp_path, synsets=4, count=6)
    build('imagenet21k', tmp_path, shard_examples=24)
    source = opened('imagenet21k', tmp_path, 'train_split')
    monkeypatch.setattr(source, '_iterate_ids', None)  # Would be a scan.
    assert source.num_examples == 24 and source._ids is None
    classes = [int(source.decode(r)['label']) for r in source.records()]
    assert sorted(classes) == sorted([*range(4)] * 6)
    assert classes != sorted(classes)
    monkeypatch.undo()
    for name, label in zip(source.ids, classes):
        assert name.startswith(f'n{4475 + label:08d}_')


def test_an_index_of_other_files_is_not_trusted(tmp_path):
    raw_sets.imagenet21k(tmp_path, synsets=2, count=5)
    folder = build('imagenet21k', tmp_path, shard_examples=5)
    some = sorted(folder.glob('*.tfrecord'))
    assert len(some) == 2
    total = opened('imagenet21k', tmp_path, 'train_split').num_examples
    some[1].unlink()
    rest = opened('imagenet21k', tmp_path, 'train_split')
    assert total == 10 and 0 < rest.num_examples < 10
    assert rest.num_examples == len(list(rest.records()))
    # Built again, the missing file comes back.
    build('imagenet21k', tmp_path, shard_examples=5)
    assert opened('imagenet21k', tmp_path, 'train_split').num_examples == 10


@pytest.mark.parametrize('name', MAKERS)
@pytest.mark.parametrize('stop', [1, 4, 5])
def test_a_killed_build_ends_with_the_same_files(tmp_path, monkeypatch, name,
                                                 stop):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    for root in (whole, killed):
        MAKERS[name](root)
    expected = files(build(name, whole))
    folder = pathlib.Path(str(build_folder(name, whole)).replace(
        'whole', 'killed'))
    with monkeypatch.context() as patched:
        kill_at(patched, name, stop)
        with pytest.raises(KeyboardInterrupt):
            build(name, killed)
    half = files(folder)
    # What stands under its own name is whole.
    kept = {n for n in half if n in expected}
    assert all(half[n] == expected[n] for n in kept)
    assert kept or stop < 5
    assert not {'dataset_info.json', 'train.index.json'} & set(half)
    times = {n: (folder / n).stat().st_mtime_ns for n in kept}
    build(name, killed)
    assert files(folder) == expected
    assert times == {n: (folder / n).stat().st_mtime_ns for n in kept}


def build_folder(name, root):
    return (root / 'imagenet21k' if name == 'imagenet21k' else
            root / 'tfds' / name / masks.VERSION)


def kill_at(patched, name, stop):
    """Ends the process's build at the record of that number."""
    from ddep_tf.data.prepare import imagenet21k, masks
    module = imagenet21k if name == 'imagenet21k' else masks
    original, calls = module._record, []

    def record(*args):
        calls.append(args)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return original(*args)
    patched.setattr(module, '_record', record)


@pytest.mark.parametrize('name', MAKERS)
def test_bytes_do_not_hang_on_the_process(tmp_path, name):
    """Protobuf orders a map by chance, another one in each process."""
    MAKERS[name](tmp_path)
    folder = build(name, tmp_path)
    records = tf.data.TFRecordDataset(sorted(
        str(path) for path in folder.iterdir() if 'tfrecord' in path.name))
    for record in records.as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        assert example.SerializeToString(deterministic=True) == record


def test_a_plan_of_other_shards_leaves_none_behind(tmp_path, monkeypatch):
    layouts.ade20k_folder(tmp_path)
    with monkeypatch.context() as patched:
        kill_at(patched, 'ade20k', 5)
        with pytest.raises(KeyboardInterrupt):
            build('ade20k', tmp_path, shard_examples=1)
    folder = build('ade20k', tmp_path, shard_examples=3)
    names = sorted(n for n in files(folder) if 'tfrecord' in n)
    assert names == ['ade20k-train.tfrecord-00000-of-00001',
                     'ade20k-validation.tfrecord-00000-of-00001']


def test_tfds_opens_a_set_with_an_empty_shard(tmp_path):
    layouts.ade20k_folder(tmp_path, count=8)
    folder = build('ade20k', tmp_path, shard_examples=1)
    sizes = [path.stat().st_size for path in folder.glob('*-train.*')]
    assert len(sizes) == 8 and min(sizes) == 0
    source = opened('ade20k', tmp_path, 'train_split')
    assert len(decoded(source)) == 8
    assert sorted(decoded(source.subset(source.ids[3:5]))) == sorted(
        source.ids[3:5])


def test_shards_depend_on_the_ids_alone():
    ids = [f'a{i}' for i in range(1000)]
    parts = shards.assign(ids, 100)
    assert sorted(sum(parts, [])) == list(range(1000)) and len(parts) == 10
    assert all(60 < len(part) < 140 for part in parts)
    turned = shards.assign(ids[::-1], 100)
    assert [[ids[i] for i in part] for part in parts] == [
        [ids[::-1][i] for i in part] for part in turned]
    # Not sorted within a shard either.
    assert parts[0] != sorted(parts[0])


def test_cityscapes_is_built_by_tfds_from_its_archives(tmp_path):
    raw_sets.cityscapes(tmp_path)
    build('cityscapes', tmp_path)
    found = decoded(opened('cityscapes', tmp_path))
    folder = decoded(opened('cityscapes_folder', tmp_path))
    assert sorted(found) == sorted(folder)
    for name, example in folder.items():
        np.testing.assert_array_equal(found[name]['label'], example['label'])
    good = lines('cityscapes', tmp_path, count_check=False)
    assert [wrong for wrong, _ in good] == [False, False]
    small = [line for wrong, line in lines('cityscapes', tmp_path) if wrong]
    assert any('128 x 96 pixels, not 2048 x 1024' in line for line in small)


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


def _spoil_mat(base):
    (base / 'trainval/2008_000002.mat').write_bytes(b'no mat')


def _spoil_size(base):
    scipy.io.savemat(base / 'trainval/2008_000002.mat',
                     {'LabelMap': np.ones((5, 5), np.uint16)})


def _spoil_id(base):
    scipy.io.savemat(base / 'trainval/2008_000002.mat',
                     {'LabelMap': np.full((24, 32), 460, np.uint16)})


def _spoil_image(base):
    (base / 'JPEGImages/2008_000002.jpg').write_bytes(b'')


def _spoil_names(base):
    path = base / 'labels.txt'
    path.write_text(path.read_text().replace('curtain', 'drape'))


@pytest.mark.parametrize('spoil, named', [
    (_spoil_mat, '2008_000002.mat'), (_spoil_size, '5 x 5'),
    (_spoil_id, '2008_000002.mat'), (_spoil_image, '2008_000002.jpg'),
    (_spoil_names, "'curtain'")])
def test_damaged_downloads_are_named(tmp_path, spoil, named):
    raw_sets.pascal_context(tmp_path)
    spoil(tmp_path / 'VOCdevkit/VOC2010')
    with pytest.raises(errors.UserError, match=named) as caught:
        build('pascal_context', tmp_path)
    assert '\n' not in str(caught.value)


def test_a_check_names_every_problem(tmp_path):
    layouts.ade20k_folder(tmp_path)
    good = lines('ade20k_folder', tmp_path, count_check=False)
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
    found = lines('ade20k_folder', tmp_path)
    bad = [line for wrong, line in found if wrong]
    for number in (1, 2, 3):
        assert sum(f'ADE_train_0000000{number}' in line for line in bad) == 1
    assert sum('not 2,000' in line for line in bad) == 1
    assert all('\n' not in line for line in bad)


@pytest.mark.parametrize('name', official_sets.GUIDES)
def test_every_guide_fits_its_gin_file(name):
    found, guide = spec(name), official_sets.guide(name)
    assert found.name == name and found.train_split in guide.counts
    if guide.decodes == 'mask':
        assert found.test_split in guide.counts
    shown = '\n'.join(official_sets.text(name, 'DATA', 'DATA/manual'))
    assert guide.page in shown and 'licence' in shown and '{' not in shown
