"""Picture files on the host: what TensorFlow would read wrong is refused."""

import numpy as np
import PIL.Image

from ddep_tf import errors

# How PIL calls pictures of one channel: bits, bytes, palettes, wider ints.
_MASK_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
_ORIENTATION = 0x0112  # The EXIF tag; 1 is upright.
_PNG_DEPTH = 24  # The byte of a PNG that holds the bits a channel.
# What PIL raises for a file that is truncated or no picture.
BROKEN = (OSError, SyntaxError, ValueError)


def check_image(path, has_mask=False):
    """Refuses an image of 16 bits a channel, or that cannot be opened.

    Grey, palette, transparent and CMYK ones are read as their RGB colours.

    Args:
      path: of the image.
      has_mask: whether one that is to be turned when shown is refused too.

    Returns:
      (width, height).

    Raises:
      UserError: naming the file.
    """
    size, _, turn = _header(path)
    if has_mask and turn != 1:
        raise turned(path, turn)
    return size


def check_pair(image, mask):
    """Refuses an image and a mask that do not fit each other.

    Args:
      image, mask: paths.

    Returns:
      Whether the mask is 8-bit grey, which TensorFlow reads as it is.

    Raises:
      UserError: naming the file.
    """
    size = check_image(image, has_mask=True)
    mask_size, mode, _ = _header(mask, image=False)
    if mode not in _MASK_MODES:
        raise errors.UserError(
            f'the mask {mask} is in {mode} colours: it must hold class '
            'ids, as grey values or by a palette')
    if mask_size != size:
        raise errors.UserError(
            f'the mask {mask} has {mask_size[0]} x {mask_size[1]} pixels, '
            f'its image {image} {size[0]} x {size[1]}: they must agree')
    return mode == 'L'


def read_mask(path):
    """Returns the ids of a mask, [H, W] uint8; of a palette its indices.

    Raises:
      UserError: it cannot be read, or an id lies outside 0..255.
    """
    try:
        with PIL.Image.open(path) as picture:
            ids = np.asarray(picture)
    except BROKEN as error:
        raise unreadable(path, error) from None
    if ids.max(initial=0) > 255 or ids.min(initial=0) < 0:
        raise errors.UserError(f'the mask {path} holds ids outside 0 to 255')
    return ids.astype(np.uint8)


def unreadable(path, error):
    """Returns the UserError of a picture that cannot be read."""
    return errors.UserError(f'cannot read the picture {path}: it is truncated '
                            f'or no picture ({error}): replace it')


def turned(name, turn):
    """Returns the UserError of an image whose EXIF orientation is not 1."""
    return errors.UserError(
        f'the image {name} is to be turned when shown (EXIF orientation '
        f'{turn}), so its mask may fit the turned or the stored '
        'pixels: save it upright (PIL.ImageOps.exif_transpose) where the '
        'mask was drawn on the upright view, else take the tag away')


def orientation(picture):
    """Returns the EXIF orientation of an open PIL image; 1 is upright."""
    return picture.getexif().get(_ORIENTATION, 1)


def _header(path, image=True):
    """Returns (width, height), PIL's mode, EXIF orientation."""
    try:
        with open(path, 'rb') as file, PIL.Image.open(file) as picture:
            found = picture.size, picture.mode, orientation(picture)
            file.seek(_PNG_DEPTH)
            wide = picture.format == 'PNG' and file.read(1) == b'\x10'
    except BROKEN as error:
        raise unreadable(path, error) from None
    if image and wide:
        raise errors.UserError(f'the image {path} has 16 bits a channel: save '
                               'it with 8, in the range that is meant')
    return found
