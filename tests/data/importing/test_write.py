"""Images as they are saved: turned, converted, or byte for byte."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf.data import image_files

import exports

pytestmark = pytest.mark.quick


def turned(root, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exports.photo(root / 'images/a.jpg', size=size, exif=exif)
    exports.coco(root, ['a.jpg'])


def test_a_turned_photo_is_saved_as_it_was_labelled(root, output):
    turned(root, 6, (exports.HEIGHT, exports.WIDTH))
    lines = exports.run(root, output)
    assert 'images saved without their EXIF turn: 1' in lines
    image = output / 'images/train/a.jpg'
    # Neither needs a decision any more.
    image_files.check_pair(image, output / 'masks/train/a.png')
    np.testing.assert_array_equal(
        exports.read_masks(output)['a'], exports.truth())
    with (Image.open(image) as saved,
          Image.open(root / 'images/a.jpg') as before):
        assert np.abs(np.asarray(saved, int) - np.rot90(
            np.asarray(before, int), -1)).mean() < 4


def test_a_photo_labelled_as_it_is_stored_stays_so(root, output):
    turned(root, 6, (exports.WIDTH, exports.HEIGHT))
    exports.run(root, output)
    with (Image.open(output / 'images/train/a.jpg') as saved,
          Image.open(root / 'images/a.jpg') as before):
        assert image_files.orientation(saved) == 1
        assert np.abs(np.asarray(saved, int)
                      - np.asarray(before, int)).mean() < 4


def test_a_view_that_cannot_be_told_is_asked_for(root, output):
    turned(root, 3, (exports.WIDTH, exports.HEIGHT))
    exports.refused(root, output, '--exif=upright or --exif=stored')
    exports.run(root, output, exif='upright')
    with (Image.open(output / 'images/train/a.jpg') as saved,
          Image.open(root / 'images/a.jpg') as before):
        assert np.abs(np.asarray(saved, int) - np.asarray(
            before, int)[::-1, ::-1]).mean() < 4


def test_other_formats_become_png(root, output):
    for suffix in ('bmp', 'tif', 'webp'):
        exports.photo(root / f'images/{suffix}.{suffix}', **(
            {'lossless': True} if suffix == 'webp' else {}))
    exports.photo(root / 'images/really.jpg', format='PNG')
    exports.coco(root, ['bmp.bmp', 'tif.tif', 'webp.webp', 'really.jpg'])
    assert 'images saved as PNG: 3' in exports.run(root, output)
    for name in ('bmp', 'tif', 'webp', 'really'):
        with (Image.open(output / f'images/train/{name}.png') as saved,
              Image.open(root / 'images/bmp.bmp') as before):
            np.testing.assert_array_equal(saved, before)


def test_jpeg_and_png_are_copied_byte_for_byte(root, output):
    exports.photos(root, 1)
    exports.photo(root / 'images/gray.png').write_bytes(
        exports.photo(root / 'g.png').read_bytes())
    exports.coco(root, ['a.jpg', 'gray.png'])
    exports.run(root, output)
    for name in ('a.jpg', 'gray.png'):
        assert (output / f'images/train/{name}').read_bytes() == (
            root / f'images/{name}').read_bytes()
