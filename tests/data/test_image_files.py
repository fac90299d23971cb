"""Unusual image files through the sources: read as PIL does, or refused."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import decoding, image_files, pipelines
from ddep_tf.data.sources import factory

from source_cases import claiming

pytestmark = pytest.mark.quick


def photo(height=24, width=32):
    coarse = np.random.default_rng(0).integers(
        0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(coarse.repeat(8, 0).repeat(8, 1))


def deep():
    return Image.fromarray(np.full((24, 32), 3000, np.uint16))


def palette(*colors):
    """A palette image of these RGB colors."""
    picture = Image.new('P', (32, 24))
    picture.putpalette(sum(colors, ()))
    picture.putdata([i % len(colors) for i in range(32 * 24)])
    return picture


def rgba():
    picture = photo()
    picture.putalpha(Image.linear_gradient('L').resize(picture.size))
    return picture


GOOD = {
    'gray.jpg': lambda: photo().convert('L'),
    'gray.png': lambda: photo().convert('L'),
    'cmyk.jpg': lambda: photo().convert('CMYK'),
    'palette.png': lambda: palette((200, 10, 30), (0, 250, 120)),
    'rgba.png': rgba,
    'gray_alpha.png': lambda: photo().convert('LA'),
    'bits.png': lambda: photo().convert('1')}


def folder(root, name, picture, mask=None, **options):
    for kind in ('images', 'masks'):
        (root / kind).mkdir()
    picture.save(root / 'images' / name, **options)
    mask = np.zeros(picture.size[::-1], np.uint8) if mask is None else mask
    Image.fromarray(mask).save(root / 'masks' / f'{name[:-4]}.png')
    spec = specs.DatasetSpec(name='own', image_dir='images',
                             label_dir='masks', num_classes=3)
    return lambda: factory.open_source(spec, 'train', root, 'mask')


def tfds(root, name, picture, **options):
    """The same bytes in a TFDS set, which stores what it is given."""
    import tensorflow_datasets as tfds_lib
    buffer = io.BytesIO()
    Image.fromarray(np.zeros(picture.size[::-1], np.uint8)).save(
        buffer, 'PNG')
    picture.save(root / name, **options)
    tfds_lib.dataset_builders.store_as_tfds_dataset(
        name='own', version='1.0.0', data_dir=root / 'tfds',
        features=tfds_lib.features.FeaturesDict({
            'image': tfds_lib.features.Image(),
            'label': tfds_lib.features.Image(shape=(None, None, 1)),
            'file_name': tfds_lib.features.Text()}),
        split_datasets={'train': [(0, {
            'image': str(root / name), 'file_name': name,
            'label': io.BytesIO(buffer.getvalue())})]})
    spec = specs.DatasetSpec(name='own', source='tfds', path='own',
                             num_classes=3)
    return lambda: factory.open_source(spec, 'train', root, 'mask')


@pytest.mark.parametrize('make', [folder, tfds])
@pytest.mark.parametrize('name', GOOD)
def test_colors_are_those_of_pil(tmp_path, make, name):
    picture = GOOD[name]()
    source = make(tmp_path, name, picture)()
    source.check()
    decoded = source.decode(next(iter(source.records())))['image']
    path = tmp_path / ('images' if make is folder else '') / name
    with Image.open(path) as stored:
        np.testing.assert_array_equal(decoded, stored.convert('RGB'))


@pytest.mark.parametrize('name', GOOD)
def test_an_image_alone_is_read_as_for_training(tmp_path, name):
    GOOD[name]().save(tmp_path / name)
    np.testing.assert_array_equal(
        image_files.read_image(tmp_path / name),
        decoding.decode_image((tmp_path / name).read_bytes(), name))


@pytest.mark.parametrize('orientation', range(10))
def test_a_photo_is_turned_as_pil_turns_it(tmp_path, orientation):
    photo().save(tmp_path / 'a.png', **_oriented(orientation))
    with Image.open(tmp_path / 'a.png') as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(
        image_files.read_image(tmp_path / 'a.png'), expected)


def test_a_photo_is_turned_whatever_else_its_exif_holds(tmp_path):
    """The width as a text, which PIL cannot write anew."""
    exif = b'II*\0' + struct.pack('<IH', 8, 2) + b''.join([
        struct.pack('<HHI4s', 0x0100, 2, 3, b'ab'),
        struct.pack('<HHIHH', 0x0112, 3, 1, 6, 0)]) + bytes(4)
    photo().save(tmp_path / 'a.jpg', quality=100, exif=b'Exif\0\0' + exif)
    with Image.open(tmp_path / 'a.jpg') as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)
    assert image_files.read_image(tmp_path / 'a.jpg').shape == (32, 24, 3)


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_phone_photo_alone_is_read_upright(tmp_path, orientation):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 255
    # How a camera stores it: the tag says how to turn it back.
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270}[orientation]
    Image.fromarray(upright).transpose(turn).save(
        tmp_path / 'photo.jpg', quality=100, **_oriented(orientation))
    read = image_files.read_image(tmp_path / 'photo.jpg')
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).max() < 10


@pytest.mark.parametrize('name, pixels', [
    ('deep.png', np.uint16), ('deep.tif', np.uint16), ('whole.tif', np.int32),
    ('real.tif', np.float32)])
def test_an_image_alone_of_more_bits_is_refused(tmp_path, name, pixels):
    Image.fromarray(np.full((4, 4), 3000, pixels)).save(tmp_path / name)
    with pytest.raises(image_files.Unusable, match=f'{name} has 16 bits'):
        image_files.read_image(tmp_path / name)


def test_a_broken_image_alone_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / 'a.png'
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(image_files.Unusable, match='a.png.*truncated'):
        image_files.read_image(path)


def test_a_bucket_that_does_not_answer_is_no_broken_image(monkeypatch):
    def opened(*_):
        raise TimeoutError('503')
    monkeypatch.setattr(image_files.files, 'path', opened)
    with pytest.raises(TimeoutError):
        image_files.read_image('gs://b/a.png')


@pytest.mark.parametrize('make', [folder, tfds])
def test_sixteen_bits_are_refused_by_name(tmp_path, make):
    opened = make(tmp_path, 'deep.png', deep())
    with pytest.raises(errors.UserError, match='16 bits') as caught:
        opened().check()
    assert 'deep' in str(caught.value) and '\n' not in str(caught.value)


def _oriented(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return {'exif': exif}


@pytest.mark.parametrize('value', [2, 3, 6, 8])
def test_a_turned_photo_with_a_mask_is_refused(tmp_path, value):
    opened = folder(tmp_path, 'phone.jpg', photo(), **_oriented(value))
    with pytest.raises(errors.UserError, match='phone.jpg') as caught:
        opened()
    assert f'orientation {value}' in str(caught.value)
    assert 'exif_transpose' in str(caught.value)
    # Without a mask there is nothing to disagree with.
    spec = specs.DatasetSpec(name='own', image_dir='images')
    factory.open_source(spec, 'train', tmp_path, 'nothing').check()


def test_a_turned_photo_in_records_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match='orientation 6') as caught:
        tfds(tmp_path, 'phone.jpg', photo(), **_oriented(6))().check()
    assert "'phone'" in str(caught.value)


@pytest.mark.parametrize('make', [folder, tfds])
def test_an_upright_tag_is_accepted(tmp_path, make):
    make(tmp_path, 'phone.jpg', photo(), **_oriented(1))().check()


def test_an_image_without_a_valid_pixel(tmp_path):
    source = folder(tmp_path, 'void.png', photo(),
                    mask=np.full((24, 32), 255, np.uint8))()
    source.check()
    label = source.decode(next(iter(source.records())))['label']
    assert (label == 255).numpy().all()


@pytest.mark.parametrize('size', [(1, 40), (40, 1), (1, 1)])
def test_an_image_one_pixel_wide(tmp_path, size):
    width, height = size
    mask = np.ones((height, width), np.uint8)
    source = folder(tmp_path, 'thin.png', Image.new('RGB', size, (9, 8, 7)),
                    mask=mask)()
    source.check()
    batch = next(iter(pipelines.train_dataset(
        [source], crop_size=(16, 32), global_batch_size=1, seed=0)))
    assert batch['image'].shape == (1, 16, 32, 3)
    inside = batch['label'].numpy() != 255
    assert inside.sum() == min(height, 16) * min(width, 32)
    np.testing.assert_allclose(
        batch['image'].numpy()[inside],
        np.tile(np.array([9, 8, 7]) / 127.5 - 1, (inside.sum(), 1)),
        atol=1e-6)


def test_every_problem_is_named_not_only_the_first(tmp_path):
    folder(tmp_path, 'a.png', photo())
    deep().save(tmp_path / 'images/b.png')  # 16 bits.
    photo().save(tmp_path / 'images/c.png')  # No mask.
    photo().save(tmp_path / 'images/d.png')  # An id outside the classes.
    for name in 'bd':
        Image.fromarray(np.full((24, 32), 7, np.uint8)).save(
            tmp_path / f'masks/{name}.png')
    spec = specs.DatasetSpec(name='own', image_dir='images',
                             label_dir='masks', num_classes=3)
    source = factory.open_source(spec, 'train', tmp_path, 'mask',
                                 strict=False)
    problems = list(source.problems())
    assert len(problems) == 3
    for name in 'bcd':
        assert sum(f'{name}.png' in line for line in problems) == 1


@pytest.mark.parametrize('kind, name', [
    ('images', 'a.png'), ('images', 'a.jpg'), ('masks', 'a.png')])
def test_a_file_that_claims_too_many_pixels_is_refused(tmp_path, kind, name):
    opened = folder(tmp_path, name, photo())
    opened().check()
    claiming(tmp_path / kind / name, 60_000)
    with pytest.raises(errors.UserError, match='--max_image_pixels') as caught:
        opened()
    assert str(tmp_path / kind / name) in str(caught.value)
    assert '178,956,970' in str(caught.value)


@pytest.mark.parametrize('name', ['a.png', 'a.jpg'])
def test_a_record_that_claims_too_many_pixels_is_refused(tmp_path, name):
    photo().save(tmp_path / name)
    claiming(tmp_path / name, 60_000)
    data = (tmp_path / name).read_bytes()
    with pytest.raises(tf.errors.InvalidArgumentError,
                       match='(?s)178,956,970 pixels.*here'):
        decoding.decode_image(data, 'here')
    if name == 'a.png':
        with pytest.raises(tf.errors.InvalidArgumentError, match='178,956'):
            decoding.decode_gray(data, 'here')


@pytest.mark.parametrize('tag', [0, 1, 9])
def test_a_tag_that_says_no_turn_is_upright(tmp_path, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    photo().save(tmp_path / 'a.jpg', exif=exif)
    image_files.check_stored(tmp_path / 'a.jpg', has_mask=True)


def test_the_limit_of_pixels_can_be_set(tmp_path):
    path = tmp_path / 'a.png'
    photo().save(path)
    before = image_files.max_pixels()
    try:
        image_files.set_max_pixels(32 * 24)
        image_files.check_image(path)
        decoding.decode_image(path.read_bytes(), 'here')
        image_files.set_max_pixels(32 * 24 - 2)
        with pytest.raises(errors.UserError, match='more than 766 pixels'):
            image_files.check_image(path)
        with pytest.raises(tf.errors.InvalidArgumentError, match='766'):
            decoding.decode_image(path.read_bytes(), 'here')
    finally:
        image_files.set_max_pixels(before)
