"""Which tiles cover which views of an image, and which pixels they serve.

A view is the image at one scale, or its mirror image. Its tiles are computed
one by one, and what a tile says is added to the result at the label's size: a
grid of blocks, of which a tile reaches a rectangle. NumPy only.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from ddep_tf import specs

BLOCK = 16, 64  # (height, width) of a block of the result, pixels.

# Of the rows of `Tiles.table`: size of the view, whether it is mirrored; where
# the tile starts in the view that is not mirrored, maybe left of it; its size;
# the blocks that it reaches.
FIELDS = ('view_height', 'view_width', 'mirrored', 'top', 'left', 'height',
          'width', 'first_row', 'end_row', 'first_column', 'end_column')


@dataclasses.dataclass(frozen=True)
class Tiles:
    """The tiles of all views of an image.

    Attributes:
      table: [n, len(FIELDS)] int32.
      row_shares, column_shares: [n, height], [n, width] float32: what each
        row and column of a tile counts, so that tiles that overlap weigh as
        much as one.
      ends: how many tiles have been taken after each pass: those of the plain
        view, if it is measured alone, and all.
    """
    table: np.ndarray
    row_shares: np.ndarray
    column_shares: np.ndarray
    ends: tuple[int, ...]


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Returns where tiles start that cover `length`, evenly spaced.

    They are the fewest whose neighbors share at least the fraction `overlap`
    of a tile; the last one ends at `length`.
    """
    if length <= tile:
        return [0]
    step = max(int(tile * (1 - overlap)), 1)
    gaps = -(-(length - tile) // step)
    return [round(i * (length - tile) / gaps) for i in range(gaps + 1)]


def views(spec: specs.EvalSpec) -> list[tuple[float, bool]]:
    """Returns (scale, mirrored) of all views."""
    return [(scale, mirrored) for scale in spec.scales
            for mirrored in ((False, True) if spec.flip else (False,))]


def passes(spec: specs.EvalSpec, single_scale: bool
           ) -> list[list[tuple[float, bool]]]:
    """Returns the views in the order of their computation.

    Args:
      spec: EvalSpec.
      single_scale: whether the plain view is to be measured alone.

    Returns:
      The views of each pass: all; or first the plain view, then the others.
    """
    wanted, plain = views(spec), (1.0, False)
    if not single_scale or wanted == [plain]:
        return [wanted]
    if plain in wanted:
        wanted.remove(plain)
    return [[plain], wanted]


def of_image(spec: specs.EvalSpec, size: Sequence[int],
             label_size: Sequence[int], single_scale: bool) -> Tiles:
    """Returns the tiles of an image.

    Args:
      spec: EvalSpec.
      size: (height, width) of the image.
      label_size: (height, width) of the result.
      single_scale: as of `passes`.
    """
    rows, ends = [], []
    for pass_views in passes(spec, single_scale):
        for scale, mirrored in pass_views:
            rows += _of_view(spec, [_scaled(side, scale) for side in size],
                             mirrored, label_size)
        ends.append(len(rows))
    table, row_shares, column_shares = zip(*rows)
    return Tiles(np.array(table, np.int32), _stack(row_shares),
                 _stack(column_shares), tuple(ends))


def most(spec: specs.EvalSpec, size: Sequence[int],
         single_scale: bool) -> int:
    """Returns how many tiles an image has that fits into a size."""
    return sum(
        math.prod(map(len, _starts(
            spec, [_scaled(side, scale) for side in size], spec.tile)))
        for pass_views in passes(spec, single_scale)
        for scale, _ in pass_views)


def _scaled(side, scale):
    return max(round(side * scale), 1)


def padded(side):
    """Returns the least multiple of STRIDE that holds a side, maybe a
    tensor."""
    return -(-side // specs.STRIDE) * specs.STRIDE


def _starts(spec, size, tile):
    """Returns where tiles start along both axes, which cover the view and what
    makes its sides multiples of STRIDE."""
    return [tile_starts(padded(side), length, spec.overlap)
            for side, length in zip(size, tile)]


def _stack(arrays):
    """Returns arrays [k] of some k as rows of one array, filled up by 0."""
    stacked = np.zeros((len(arrays), max(map(len, arrays))), np.float32)
    for row, array in zip(stacked, arrays):
        row[:len(array)] = array
    return stacked


def _of_view(spec, size, mirrored, label_size):
    """Yields (row of the table, shares of rows, shares of columns)."""
    tile = spec.tile or [padded(side) for side in size]
    starts = _starts(spec, size, tile)
    counts = [_counts(some, length) for some, length in zip(starts, tile)]
    for top in starts[0]:
        for left in starts[1]:
            place = size[1] - left - tile[1] if mirrored else left
            reached = [_blocks(*each) for each in zip(
                (top, place), tile, size, label_size, BLOCK)]
            yield ((*size, mirrored, top, place, *tile,
                    *reached[0], *reached[1]),
                   1 / counts[0][top:top + tile[0]],
                   1 / counts[1][left:left + tile[1]])


def _counts(starts, tile):
    """Returns how many tiles hold each place, [the last one's end]."""
    counts = np.zeros(starts[-1] + tile, np.float32)
    for start in starts:
        counts[start:start + tile] += 1
    return counts


def _blocks(start, tile, size, label_size, block):
    """Returns (first, end) of the blocks that take something from a tile."""
    ratio = size / label_size
    # Of the pixels of the label between whose neighbors in the view the tile
    # begins and ends, and one more on either side.
    first = max(int((start - 0.5) / ratio) - 1, 0)
    last = min(int((start + tile + 0.5) / ratio) + 1, label_size - 1)
    return first // block, last // block + 1
