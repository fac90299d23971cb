"""The position embedding of a network or a file, and the grid it covers."""

from collections.abc import Mapping
import json
import math
import os

import keras
import numpy as np

from ddep_tf import errors, files
from ddep_tf.models import layers, npz, published_names, vit

KEY = 'Transformer/posembed_input/pos_embedding'


def position_grid(model: keras.Model) -> tuple[int, int] | None:
    """Returns (rows, columns) of a network's position embedding, or None."""
    encoder = published_names.encoder_of(model)
    for layer in published_names.layers_of(encoder):
        if isinstance(layer, vit.PositionEmbedding):
            return layer.grid
    return None


def position_grid_of(path: str | os.PathLike) -> tuple[int, int] | None:
    """Returns the grid of a file's position embedding.

    Args:
      path: run folder or .npz file. If the .json beside it has a
        `position_grid`, that is the grid; otherwise it is taken to be square.

    Returns:
      (rows, columns), or None if the file has no position embedding.

    Raises:
      UserError: the file cannot be read, or its grid is neither stated nor
        square.
    """
    path = npz.locate(path)
    if KEY not in npz.read_keys(path):
        return None
    shape = npz.read_npz(path, [KEY])[KEY].shape
    grid = _grid(shape, path)
    if grid is None:
        raise errors.UserError(f'{path}: {KEY} {shape} does not cover a square '
                               'grid, and no .json beside it states another')
    return grid


def fit(model: keras.Model, arrays: Mapping[str, np.ndarray],
        path: str | os.PathLike) -> Mapping[str, np.ndarray]:
    """Resizes the position embedding of a file's arrays to a model's grid.

    Args:
      model: encoder, Classifier or Network.
      arrays: dict key -> array of the file.
      path: the .npz file; the .json beside it may state the grid.

    Returns:
      `arrays`, with the embedding resized if there is one and its grid is
      known.
    """
    new, array = position_grid(model), arrays.get(KEY)
    if new is None or array is None or array.ndim != 3 or len(array) != 1:
        return arrays
    old = _grid(array.shape, path)
    return {**arrays, KEY: _resize(array, old, new)} if old else arrays


def _resize(array, old, new):
    """Resizes a stored embedding as the forward pass would.

    Args:
      array: [1, 1 + old rows * old columns, C] float32, class token first.
      old, new: (rows, columns).

    Returns:
      [1, 1 + new rows * new columns, C] float32.
    """
    if old == new:
        return array
    grid = array[0, 1:].reshape(*old, -1)
    down, across = (layers.interpolation_matrix(n, o)
                    for n, o in zip(new, old))
    grid = np.einsum('ph,qw,hwc->pqc', down, across, grid, optimize=True)
    return np.concatenate([array[:, :1],
                           grid.reshape(1, -1, array.shape[-1])], 1)


def _grid(shape, path):
    """Returns (rows, columns) of an embedding of this shape, or None."""
    slots = shape[1] - 1 if len(shape) == 3 else 0
    stated = _stated_grid(files.path(path).with_suffix('.json'))
    if stated and math.prod(stated) == slots:
        return stated
    side = math.isqrt(max(slots, 0))
    return (side, side) if side and side * side == slots else None


def _stated_grid(path):
    try:
        rows, columns = json.loads(path.read_text())['position_grid']
        return int(rows), int(columns)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # No file, or another kind: the shape must tell.
