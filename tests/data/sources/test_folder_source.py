"""Folders of images and masks: layouts, the real CamVid, every bad input."""

import os

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors, specs
from ddep_tf.data.sources import factory

# Pixels per class of CamVid's val split, counted by NumPy, ids 0..11.
CAMVID_VAL = (1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724,
              537197, 304716, 113531, 387010, 297271)


def spec(**changes):
    values = dict(name='own', path='own', image_dir='images/{split}',
                  label_dir='masks/{split}', num_classes=3)
    return specs.DatasetSpec(**(values | changes))


@pytest.fixture
def own(tmp_path):
    """Four images b, a, d, c of 12 x 8 pixels with masks."""
    rng = np.random.default_rng(0)
    for kind in ('images', 'masks'):
        (tmp_path / 'own' / kind / 'train').mkdir(parents=True)
    for name in 'badc':
        image = rng.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(image).save(image_path(tmp_path, name), quality=95)
        mask = rng.integers(0, 3, (8, 12), np.uint8)
        mask[0, 0] = 255
        Image.fromarray(mask).save(mask_path(tmp_path, name))
    return tmp_path


def image_path(root, name):
    return root / 'own/images/train' / f'{name}.jpg'


def mask_path(root, name):
    return root / 'own/masks/train' / f'{name}.png'


def decoded(source):
    return [{k: v.numpy() for k, v in source.decode(record).items()}
            for record in source.records()]


def test_reads_images_and_masks(own):
    source = factory.open_source(spec(), 'train', own, 'mask')
    source.check()
    assert source.ids == ['a', 'b', 'c', 'd'] and source.num_examples == 4
    for name, example in zip('abcd', decoded(source)):
        truth = np.asarray(Image.open(mask_path(own, name)))
        np.testing.assert_array_equal(example['label'], truth)
        near = np.asarray(Image.open(image_path(own, name))).astype(int)
        assert example['image'].dtype == np.uint8
        assert np.abs(example['image'] - near).max() <= 2


def test_palette_masks_are_read_as_indices(own):
    truth = np.asarray(Image.open(mask_path(own, 'b')))
    picture = Image.fromarray(truth)
    picture = picture.convert('P')
    picture.putpalette([200, 10, 30] * 256)
    picture.putdata(truth.ravel())
    picture.save(mask_path(own, 'b'))
    source = factory.open_source(spec(), 'train', own, 'mask')
    source.check()
    np.testing.assert_array_equal(decoded(source)[1]['label'], truth)


def test_label_set_maps_the_ids(own):
    mask = np.full((8, 12), 11, np.uint8)
    for name in 'abcd':
        Image.fromarray(mask).save(mask_path(own, name))
    camvid = spec(label_set='camvid', num_classes=11)
    source = factory.open_source(camvid, 'train', own, 'mask')
    source.check()
    assert (decoded(source)[0]['label'] == 255).all()


def test_subset_and_limit(own):
    source = factory.open_source(spec(), 'train', own, 'mask')
    part = source.subset(['d', 'b'])
    assert part.ids == ['b', 'd'] and part.num_examples == 2
    assert part.subset(['d']).ids == ['d']
    np.testing.assert_array_equal(decoded(part)[1]['image'],
                                  decoded(source)[3]['image'])
    positions = [int(r['position']) for r in part.records()]
    assert positions == [0, 1]
    few = factory.open_source(spec(limit=3), 'train', own, 'mask')
    assert few.ids == ['a', 'b', 'c']
    for wrong in (['x'], []):
        with pytest.raises(errors.UserError, match="'x'|no id"):
            source.subset(wrong)


def test_cityscapes_layout(tmp_path):
    image_dir = tmp_path / 'leftImg8bit/train/ulm'
    label_dir = tmp_path / 'gtFine/train/ulm'
    image_dir.mkdir(parents=True)
    label_dir.mkdir(parents=True)
    name = 'ulm_000000_000019'
    Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(
        image_dir / f'{name}_leftImg8bit.png')
    ids = np.array([[0, 7, 8, 33, 11, 29]] * 4, np.uint8)
    Image.fromarray(ids).save(label_dir / f'{name}_gtFine_labelIds.png')
    Image.fromarray(ids).save(label_dir / f'{name}_gtFine_instanceIds.png')
    city = specs.DatasetSpec(
        name='cityscapes', image_dir='leftImg8bit/{split}',
        label_dir='gtFine/{split}', image_suffix='_leftImg8bit.png',
        label_suffix='_gtFine_labelIds.png', label_set='cityscapes',
        num_classes=19)
    source = factory.open_source(city, 'train', tmp_path, 'mask')
    source.check()
    assert source.ids == [name]
    example = decoded(source)[0]
    assert example['label'][0].tolist() == [255, 0, 1, 18, 2, 255]
    assert (example['image'] == 9).all()


def test_classes_are_subfolders(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / 'train' / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(
            tmp_path / 'train' / name / f'{name}1.png')
    pets = specs.DatasetSpec(name='pets', num_classes=2)
    source = factory.open_source(pets, 'train', tmp_path, 'class')
    examples = decoded(source)
    assert [int(e['label']) for e in examples] == [0, 1]
    assert examples[0]['image'].shape == (4, 4, 3)  # Gray becomes RGB.


def test_classes_are_those_of_the_training_split(tmp_path):
    for path in ('train/cat/1', 'train/dog/2', 'train/fox/3', 'val/fox/4'):
        file = tmp_path / f'{path}.png'
        file.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(file)
    (tmp_path / 'train' / 'bin').mkdir()  # Without an image, no class.
    pets = specs.DatasetSpec(name='pets', num_classes=3)
    val = factory.open_source(pets, 'val', tmp_path, 'class')
    assert [int(e['label']) for e in decoded(val)] == [2]
    (tmp_path / 'val' / 'owl').mkdir()
    (tmp_path / 'val/fox/4.png').rename(tmp_path / 'val/owl/4.png')
    with pytest.raises(errors.UserError, match="class 'owl'"):
        factory.open_source(pets, 'val', tmp_path, 'class')


def test_denoising_needs_no_masks(own):
    plain = spec(label_dir='')
    source = factory.open_source(plain, 'train', own, 'nothing')
    source.check()
    assert all(set(e) == {'image'} for e in decoded(source))
    with pytest.raises(errors.UserError, match='label_dir'):
        factory.open_source(plain, 'train', own, 'mask')


def _no_mask(root):
    mask_path(root, 'c').unlink()


def _other_size(root):
    Image.fromarray(np.zeros((8, 11), np.uint8)).save(mask_path(root, 'c'))


def _color_mask(root):
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(mask_path(root, 'c'))


def _wrong_id(root):
    Image.fromarray(np.full((8, 12), 3, np.uint8)).save(mask_path(root, 'c'))


def _truncated(root):
    contents = image_path(root, 'c').read_bytes()
    image_path(root, 'c').write_bytes(contents[:len(contents) * 2 // 3])


def _truncated_mask(root):
    contents = mask_path(root, 'c').read_bytes()
    mask_path(root, 'c').write_bytes(contents[:len(contents) - 40])


def _no_image(root):
    image_path(root, 'c').write_bytes(b'')


def _same_id(root):
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(
        image_path(root, 'c').with_suffix('.png'))


def _webp_image(root):
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(
        image_path(root, 'c'), format='WEBP')


def _name_that_is_no_utf8(root):
    os.rename(image_path(root, 'c'), os.fsencode(
        root / 'own/images/train') + b'/\xe9.jpg')


@pytest.mark.parametrize('spoil, named', [
    (_webp_image, 'c.jpg is a WEBP file'),
    (_name_that_is_no_utf8, r'train/\\udce9.jpg is not UTF-8'),
    (_no_mask, 'c.jpg has no mask'), (_other_size, 'c.png has 11 x 8'),
    (_color_mask, 'c.png is in RGB'), (_wrong_id, 'c.png holds the id 3'),
    (_truncated, 'c.jpg'), (_truncated_mask, 'c.png'), (_no_image, 'c.jpg'),
    (_same_id, 'c.png have the same id')])
def test_bad_files_are_named(own, spoil, named):
    spoil(own)
    with pytest.raises(errors.UserError, match=named) as caught:
        factory.open_source(spec(), 'train', own, 'mask').check()
    assert '\n' not in str(caught.value)


def test_bad_mask_id_stops_the_pipeline_too(own):
    _wrong_id(own)
    source = factory.open_source(spec(), 'train', own, 'mask')
    with pytest.raises(Exception, match='outside the classes'):
        decoded(source)


def test_bad_folders(own, tmp_path):
    (tmp_path / 'own/images/empty').mkdir()
    (tmp_path / 'own/masks/empty').mkdir()
    for split, data_dir, named in [
            ('valid', own, 'images/valid'), ('empty', own, 'holds no image'),
            ('train', tmp_path / 'none', 'none'), ('', own, 'no split')]:
        with pytest.raises(errors.UserError, match=named):
            factory.open_source(spec(), split, data_dir, 'mask')
    with pytest.raises(errors.UserError, match='num_classes'):
        factory.open_source(spec(num_classes=0), 'train', own, 'mask')
    with pytest.raises(errors.UserError, match='no subfolder'):
        factory.open_source(spec(), 'train', own, 'class')
    with pytest.raises(errors.UserError, match='paint'):
        factory.open_source(spec(), 'train', own, 'paint')


def test_camvid_pixel_counts(real_data):
    camvid = specs.DatasetSpec(
        name='camvid', path='camvid', label_dir='{split}annot',
        label_set='camvid', num_classes=11)
    source = factory.open_source(camvid, 'val', real_data, 'mask')
    assert source.num_examples == 101
    records = source.records().map(source.decode)
    counts = np.zeros(256, np.int64)
    for example in records.as_numpy_iterator():
        assert example['image'].shape == (360, 480, 3)
        counts += np.bincount(example['label'].ravel(), minlength=256)
    assert tuple(counts[:11]) == CAMVID_VAL[:11]
    assert counts[255] == CAMVID_VAL[11] and not counts[11:255].any()


@pytest.mark.parametrize('label_dir, label_suffix', [
    ('images/{split}', '_mask.png'), ('images/{split}/masks', '.png')])
@pytest.mark.parametrize('decodes', ['nothing', 'mask'])
def test_masks_among_the_images_are_not_images(own, decodes, label_dir,
                                              label_suffix):
    for name in 'abcd':
        target = (own / 'own' / label_dir.format(split='train')
                  / f'{name}{label_suffix}')
        target.parent.mkdir(exist_ok=True)
        mask_path(own, name).rename(target)
    among = spec(label_dir=label_dir, label_suffix=label_suffix)
    source = factory.open_source(among, 'train', own, decodes)
    source.check()
    assert source.ids == ['a', 'b', 'c', 'd']


@pytest.mark.parametrize('kind', ['TIFF', 'BMP'])
def test_gray_masks_of_other_formats_are_read(own, kind):
    ids = [np.array(Image.open(mask_path(own, name))) for name in 'abcd']
    for name, mask in zip('abcd', ids, strict=True):
        Image.fromarray(mask).save(mask_path(own, name), format=kind)
    source = factory.open_source(spec(), 'train', own, 'mask')
    source.check()
    for found, mask in zip(decoded(source), ids, strict=True):
        np.testing.assert_array_equal(found['label'], mask)


def test_a_list_has_an_id_a_line(own):
    image_path(own, 'b').rename(image_path(own, 'my b'))
    mask_path(own, 'b').rename(mask_path(own, 'my b'))
    (own / 'own/train.txt').write_text('\ufeffmy b\r\n\n a \n',
                                       encoding='utf-8')
    source = factory.open_source(spec(split_file='{split}.txt'), 'train', own,
                                 'mask')
    assert source.ids == ['a', 'my b']
