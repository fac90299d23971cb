"""Run-length encodings of masks, as annotation tools write them. NumPy only.

pycocotools reads COCO's too, but makes a mask of whatever lies in memory when
a text is cut short.
"""

from collections.abc import Sequence

import numpy as np

from ddep_tf import errors
from ddep_tf.data import image_files


def from_runs(runs: Sequence[int], height: int, width: int,
              by_columns: bool) -> np.ndarray:
    """Returns a mask of runs of pixels that are off and on in turn.

    Args:
      runs: their lengths; the first pixels are off.
      height, width: of the mask.
      by_columns: whether the pixels go down the columns, as in COCO.

    Returns:
      [height, width] bool.

    Raises:
      UserError: the runs do not fill the mask.
    """
    _check_size(height, width)
    try:
        lengths = [int(run) for run in runs]
    except (TypeError, ValueError, OverflowError):
        lengths = [-1]
    if min(lengths, default=0) < 0:
        raise errors.UserError('has an RLE whose counts are no whole numbers')
    if sum(lengths) != height * width:
        raise errors.UserError(f'has an RLE that does not fill its {width} x '
                               f'{height} pixels')
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape((height, width), order='F' if by_columns else 'C')


def coco_runs(text: str) -> list[int]:
    """Returns the runs of COCO's compressed text.

    Six bits a character: five of a number, lowest first, and whether more
    follow. From the fourth on, a number is the difference to the one two
    before.

    Raises:
      UserError: the text is cut off, or has other characters.
    """
    runs: list[int] = []
    value = shift = 0
    more = False
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise errors.UserError('has an RLE with the character '
                                   f'{character!r}')
        value |= (bits & 31) << shift
        shift += 5
        if shift > 60:  # No image has so many pixels.
            raise errors.UserError('has an RLE of a number without end')
        more = bool(bits & 32)
        if not more:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if more:
        raise errors.UserError('has an RLE that is cut off')
    return runs


def label_studio(data: Sequence[int], height: int, width: int) -> np.ndarray:
    """Returns the mask of a brush of Label Studio.

    The bytes hold the length, the bits of a value, four widths of run
    lengths, then runs of RGBA values; what is painted is not transparent.

    Args:
      data: bytes as integers.
      height, width: of the mask.

    Returns:
      [height, width] bool.

    Raises:
      UserError: the bytes are cut off, or of another size.
    """
    _check_size(height, width)
    try:
        bits = _Bits(bytes(list(data)))  # Of a number it would be zeros.
        count, word = bits.read(32), bits.read(5) + 1
        lengths = [bits.read(4) + 1 for _ in range(4)]
        if count != 4 * height * width:
            raise errors.UserError(
                f'has a brush of {count} values, not 4 x {width} x {height}')
        values = np.zeros(count, np.uint32)
        position = 0
        while position < count:
            is_run = bits.read(1)
            end = position + 1 + bits.read(lengths[bits.read(2)])
            values[position:end] = (bits.read(word) if is_run else [
                bits.read(word) for _ in range(end - position)])
            position = end
    except (TypeError, ValueError) as error:
        if isinstance(error, errors.UserError):
            raise
        raise errors.UserError('has a brush that is cut off or no list of '
                               'bytes') from None
    return values.reshape(height, width, 4)[..., 3] > 0


def _check_size(height, width):
    """A text of some bytes may claim a mask that no memory holds."""
    if min(height, width) < 1 or height * width > image_files.max_pixels():
        raise errors.UserError(f'is a mask of {width} x {height} pixels')


class _Bits:
    """Reads numbers of any number of bits, highest first."""

    def __init__(self, data: bytes):
        self._text = ''.join(f'{byte:08b}' for byte in data)
        self._position = 0

    def read(self, count: int) -> int:
        """Returns the next number. ValueError at the end."""
        start, self._position = self._position, self._position + count
        if self._position > len(self._text):
            raise ValueError('the end')
        return int(self._text[start:self._position], 2)
