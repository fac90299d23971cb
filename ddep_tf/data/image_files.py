"""Image and mask files on the host: names, headers, and what is refused."""

from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
from typing import NamedTuple

import numpy as np
import PIL.Image

from ddep_tf import errors, files

SUFFIXES = ('.jpg', '.jpeg', '.png')  # Of the images that folders are read for.
# Record files may name images of formats that no folder is read for.
_STEM_SUFFIXES = (*SUFFIXES, '.bmp', '.gif')
# PIL's modes of single-channel images: bits, gray, palette, wider integers.
_MASK_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
# PIL's names of what TensorFlow decodes; MPO is a JPEG of a phone.
_DECODED = ('JPEG', 'MPO', 'PNG', 'GIF')
_ORIENTATION = 0x0112  # The EXIF tag; 1 is upright.
# What turns the other orientations upright.
_TURNS = {2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
          3: PIL.Image.Transpose.ROTATE_180,
          4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
          5: PIL.Image.Transpose.TRANSPOSE,
          6: PIL.Image.Transpose.ROTATE_270,
          7: PIL.Image.Transpose.TRANSVERSE,
          8: PIL.Image.Transpose.ROTATE_90}
_PNG_DEPTH = 24  # Offset of the byte with a PNG's bits per channel.
# What PIL raises for a file that is truncated, no image, or far too large.
BROKEN = (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError)


class Unusable(errors.UserError):
    """An image that cannot be used, among others that can."""


def max_pixels() -> int:
    """Returns the number of pixels of the largest image that is decoded.

    It is PIL's limit, which refuses images of twice the number it warns of: a
    file of some kilobytes may claim to be one that no memory holds.
    """
    return 2 * (PIL.Image.MAX_IMAGE_PIXELS or 2 ** 61)


def set_max_pixels(count: int) -> None:
    """Sets, for this process, the most pixels of an image that is decoded."""
    PIL.Image.MAX_IMAGE_PIXELS = (count + 1) // 2


def stem(file_name: str) -> str:
    """Returns the id of an image file: its name without folder and suffix."""
    name = pathlib.PurePosixPath(file_name)
    return name.stem if name.suffix.lower() in _STEM_SUFFIXES else name.name


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[PIL.Image.Image]:
    """Opens an image file, local or gs://. Raises one of BROKEN."""
    with files.path(path).open('rb') as file, PIL.Image.open(file) as image:
        yield image


def opened_bytes(data: bytes) -> PIL.Image.Image:
    """Opens an image in memory. Raises one of BROKEN."""
    return PIL.Image.open(io.BytesIO(data))


def write_png(path: str | os.PathLike, pixels: np.ndarray,
              palette: np.ndarray | None = None) -> None:
    """Writes [H, W] or [H, W, 3] uint8 as a PNG file, whole or not at all.

    Args:
      path: the file.
      pixels: gray values, colors, or indices of `palette`.
      palette: [C, 3] uint8 RGB; None writes no palette.

    Raises:
      OSError: as `files.replacing`.
    """
    image = PIL.Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    with files.replacing(path) as temporary:
        image.save(temporary, format='PNG')


def check_image(path: str | os.PathLike) -> None:
    """Checks an image's header.

    Gray, palette, transparent and CMYK images pass: they are read as RGB.

    Raises:
      Unusable: the file cannot be opened, or has more than 8 bits per channel.
    """
    _checked_header(path)


def check_stored(path: str | os.PathLike,
                 has_mask: bool = False) -> tuple[int, int]:
    """As `check_image`, of an image that TensorFlow decodes.

    Args:
      path: the image file.
      has_mask: also refuse an EXIF orientation other than upright.

    Returns:
      (width, height).

    Raises:
      Unusable: as `check_image`, or the file is of another format.
      UserError: it is turned, and has a mask.
    """
    found = _checked_header(path)
    if found.format not in _DECODED:
        raise Unusable(f'the image {path} is a {found.format} file, whatever '
                       'its name says: save it as JPEG or PNG')
    if has_mask and found.turn != 1:
        raise turned(path, found.turn)
    return found.size


def check_pair(image: str | os.PathLike, mask: str | os.PathLike) -> bool:
    """Checks the headers of an image and its mask.

    Args:
      image: the image file.
      mask: the mask file.

    Returns:
      Whether the mask is an 8-bit gray PNG, which TensorFlow decodes
      unchanged.

    Raises:
      UserError: one of them cannot be used, or their sizes differ.
    """
    size = check_stored(image, has_mask=True)
    found = _header(mask)
    if found.mode not in _MASK_MODES:
        raise errors.UserError(
            f'the mask {mask} is in {found.mode} colors: it must hold class '
            'ids, as gray values or palette indices')
    if found.size != size:
        raise errors.UserError(
            f'the mask {mask} has {found.size[0]} x {found.size[1]} pixels, '
            f'its image {image} {size[0]} x {size[1]}: they must agree')
    return found.mode == 'L' and found.format == 'PNG'


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Returns [H, W, 3] uint8, upright as its EXIF orientation says.

    Raises:
      Unusable: the file is broken, has more than 8 bits per channel, or claims
        more pixels than `max_pixels`.
      TimeoutError: its bucket does not answer.
    """
    check_image(path)
    try:
        with opened(path) as image:
            return np.asarray(upright(image).convert('RGB'))
    except BROKEN as error:
        raise unreadable(path, error) from None


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Returns the ids of a mask, [H, W] uint8; of a palette its indices.

    Raises:
      UserError: it cannot be read, or an id lies outside 0..255.
    """
    try:
        with opened(path) as image:
            ids = np.asarray(image)
    except BROKEN as error:
        raise unreadable(path, error) from None
    if ids.max(initial=0) > 255 or ids.min(initial=0) < 0:
        raise errors.UserError(f'the mask {path} holds ids outside 0 to 255')
    return ids.astype(np.uint8)


def unreadable(name: str | os.PathLike,
               reason: Exception | str) -> Unusable:
    """Returns the error for an image or mask that cannot be decoded.

    Raises:
      TimeoutError: that was the reason: nothing is known of the file.
    """
    if isinstance(reason, TimeoutError):
        raise reason
    if isinstance(reason, PIL.Image.DecompressionBombError):
        return Unusable(
            f'the image {name} has more than {max_pixels():,} pixels, or is '
            'damaged: replace it, or raise --max_image_pixels')
    return Unusable(f'cannot read the image {name}: it is truncated or not an '
                    f'image ({reason}): replace it')


def turned(name: str | os.PathLike, turn: int) -> errors.UserError:
    """Returns the error for a labelled image with an EXIF orientation."""
    return errors.UserError(
        f'the image {name} has EXIF orientation {turn}, so that its mask may '
        'fit either the stored or the upright pixels: save it upright '
        '(PIL.ImageOps.exif_transpose) if the mask was drawn on the upright '
        'view, otherwise remove the tag')


def upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an open image, turned as its EXIF orientation says.

    PIL's exif_transpose also writes all EXIF entries anew, and fails where
    another of them is damaged.
    """
    turn = orientation(image)
    return image if turn == 1 else image.transpose(_TURNS[turn])


def orientation(image: PIL.Image.Image) -> int:
    """Returns the EXIF orientation of an open image, 1 to 8; 1 is upright, and
    so is an image whose tag says none of them."""
    turn = image.getexif().get(_ORIENTATION, 1)
    return turn if turn in range(1, 9) else 1


class _Header(NamedTuple):
    """What PIL says of a file before it is decoded.

    Attributes:
      size: (width, height).
      mode, format: as PIL names them.
      turn: EXIF orientation.
      is_wide: whether it has more than 8 bits per channel.
    """
    size: tuple[int, int]
    mode: str
    format: str
    turn: int
    is_wide: bool


def _header(path: str | os.PathLike) -> _Header:
    try:
        with (files.path(path).open('rb') as file,
              PIL.Image.open(file) as header):
            turn = orientation(header)
            file.seek(_PNG_DEPTH)
            is_wide = (header.mode[0] in 'IF' or  # Of TIFF files.
                       header.format == 'PNG' and file.read(1) == b'\x10')
            return _Header(header.size, header.mode, header.format or '', turn,
                           is_wide)
    except BROKEN as error:
        raise unreadable(path, error) from None


def _checked_header(path):
    found = _header(path)
    if found.is_wide:
        raise Unusable(f'the image {path} has 16 bits per channel, or more: '
                       'save it with 8, scaled to the intended range')
    return found
