"""Finds pictures that look alike: copies, other encodings, frames. NumPy."""

from collections.abc import Iterator, Sequence
import dataclasses

import numpy as np
from PIL import Image

# Bits of 64 in which the hashes of pictures that look alike may differ [O].
_MOST_BITS = 12
# Least correlation of their thumbnails: a hash alone takes pictures of even
# texture for each other [O].
_LEAST_CORRELATION = 0.9
_THUMBNAIL = 32
_ROWS = 256  # Compared with all others at a time.
_BITS = np.array([value.bit_count() for value in range(2 ** 16)], np.uint8)


@dataclasses.dataclass(frozen=True)
class Look:
    """What a picture looks like.

    Attributes:
      bits: [4] uint16, its difference hash: whether the brightness falls from
        each of 9 x 8 cells to the next one.
      thumbnail: [1024] float32, of mean 0 and length 1; 0 if it is even.
    """
    bits: np.ndarray
    thumbnail: np.ndarray


def look_of(image: Image.Image) -> Look:
    """Returns the Look of an open image."""
    gray = image.convert('L')
    cells = np.asarray(gray.resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(cells[:, 1:] < cells[:, :-1]).view(np.uint16)
    small = np.asarray(gray.resize((_THUMBNAIL, _THUMBNAIL),
                                   Image.Resampling.BOX), np.float32).ravel()
    small -= small.mean()
    length = np.linalg.norm(small)
    return Look(bits, small / length if length else small)


def pairs(some: Sequence[Look], others: Sequence[Look]
          ) -> Iterator[tuple[int, int]]:
    """Yields (index in `some`, index in `others`) of those that look alike."""
    if not some or not others:
        return
    bits = np.stack([look.bits for look in others])
    for start in range(0, len(some), _ROWS):
        rows = np.stack([look.bits for look in some[start:start + _ROWS]])
        differ = _BITS[rows[:, np.newaxis] ^ bits].sum(-1, dtype=np.uint8)
        for row, column in np.argwhere(differ <= _MOST_BITS).tolist():
            alike = float(some[start + row].thumbnail
                          @ others[column].thumbnail)
            if alike >= _LEAST_CORRELATION:
                yield start + row, column
