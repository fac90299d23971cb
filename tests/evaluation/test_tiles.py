"""Where tiles lie."""

import numpy as np
import pytest

from ddep_tf.evaluation import tiles

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('length, tile, overlap', [
    (16, 16, 0), (17, 16, 0), (100, 16, 0.5), (2048, 1024, 0), (5, 16, 0)])
def test_tiles_cover_everything(length, tile, overlap):
    starts = tiles.tile_starts(length, tile, overlap)
    covered = np.zeros(max(length, tile), int)
    for start in starts:
        covered[start:start + tile] += 1
    assert covered.min() >= 1 and starts[-1] + tile == max(length, tile)
    gaps = np.diff(starts)
    assert (gaps <= max(int(tile * (1 - overlap)), 1)).all()


def test_two_halves_of_a_street_scene():
    assert tiles.tile_starts(2048, 1024, 0.0) == [0, 1024]
