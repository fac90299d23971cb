"""Weights by name: published files, and the hand-over between stages.

A file is checked completely before any variable is changed.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import os

import keras
import numpy as np

from ddep_tf import errors
from ddep_tf.models import npz, positions, published_names
from ddep_tf.models.npz import read_npz, save_npz
from ddep_tf.models.positions import position_grid, position_grid_of
from ddep_tf.models.published_names import named_variables

__all__ = ['LoadReport', 'export_arrays', 'format_table', 'graft',
           'load_arrays', 'load_vit_npz', 'named_variables',
           'position_grid', 'position_grid_of', 'read_npz', 'save_npz']

Row = tuple[str, tuple[int, ...], str]  # Key, shape, state.


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of the keys of a file and of a model, sorted lists.

    Attributes:
      loaded: keys copied into the model.
      unused: keys of the file that were not loaded.
      missing: keys of the model that were left as they are.
    """
    loaded: list[str]
    unused: list[str]
    missing: list[str]


def export_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns dict key -> float32 array in its published layout."""
    named = published_names.published_variables(model)
    # In C order, so that equal arrays are equal bytes of a file.
    return {key: np.asarray(
                keys.to_published(key, _to_numpy(variable)), order='C')
            for key, (variable, keys) in named.items()}


def _to_numpy(variable):
    return keras.ops.convert_to_numpy(variable).astype('float32')


def load_arrays(model: keras.Model, arrays: Mapping[str, np.ndarray],
                path: str | os.PathLike = 'arrays') -> None:
    """Copies arrays into a model, one for each variable.

    Args:
      model: encoder, Classifier or Network.
      arrays: dict key -> array in its published layout.
      path: their file, for messages.

    Raises:
      UserError: a key is missing, unknown or misshapen.
    """
    named = published_names.published_variables(model)
    _refuse(path, 'has unknown arrays', sorted(set(arrays) - set(named)))
    _assign(_checked(named, arrays, path), named)


def load_vit_npz(model: keras.Model, path: str | os.PathLike,
                 head: str = 'strict') -> LoadReport:
    """Loads a published file into an encoder or a classifier.

    The file has the layout of the model's encoder: that of the ViT, or its
    own. A position embedding of another grid is resized to the model's.

    Args:
      model: encoder or Classifier.
      path: .npz file.
      head: 'strict' loads a classifier's head too; 'skip' leaves its head and
        representation layer as they are and reports them as missing.

    Returns:
      LoadReport.

    Raises:
      UserError: a key is missing, unknown, misshapen or non-finite; nothing
        has been changed.
    """
    if head not in ('strict', 'skip'):
        raise errors.UserError(f"head must be 'strict' or 'skip', got {head!r}")
    keys = published_names.key_map(model)
    named = published_names.published_variables(model)
    arrays = read_npz(path)
    skipped = {key for key in named if head == 'skip' and keys.is_head(key)}
    wanted = {key: v for key, v in named.items() if key not in skipped}
    unused = set(arrays) - set(wanted)
    # A classifier is loaded whole: without the file's representation layer
    # the weights of its head would mean something else.
    whole = head == 'strict' and any(map(keys.is_head, named))
    _refuse(path, 'has unknown arrays', sorted(
        key for key in unused if whole or not keys.may_go_unused(key)))
    fitted = positions.fit(model, arrays, path)
    _assign(_checked(wanted, fitted, path), named)
    return LoadReport(sorted(wanted), sorted(unused), sorted(skipped))


def _checked(named, arrays, path):
    """Returns dict key -> value of each variable; refuses wrong shapes."""
    _refuse(path, 'lacks', sorted(set(named) - set(arrays)))
    values = {key: keys.from_published(key, arrays[key])
              for key, (_, keys) in named.items()}
    wrong = [f'{key} {arrays[key].shape} (the variable is '
             f'{tuple(variable.shape)})'
             for key, (variable, _) in named.items()
             if values[key].shape != tuple(variable.shape)]
    _refuse(path, 'has misshapen arrays', wrong)
    return values


def _assign(values, named):
    for key, value in values.items():
        named[key].variable.assign(value)


def _refuse(path, what, keys, most=4):
    if keys:
        more = f' and {len(keys) - most} more' if len(keys) > most else ''
        raise errors.UserError(f'{path} {what}: '
                               + ', '.join(keys[:most]) + more)


def graft(net: keras.Model, path: str | os.PathLike, part: str) -> list[Row]:
    """Copies the encoder or the decoder of an earlier stage into a network.

    Args:
      net: Network or Classifier.
      path: run folder, or .npz file.
      part: 'encoder' or 'decoder'. A head is never copied.

    Returns:
      rows (key, shape, state): every variable of `net`, 'loaded' or 'new',
      then every array of the file that was not used, 'left'.

    Raises:
      UserError: an array of that part is missing or misshapen; nothing has
        been changed.
    """
    if part not in ('encoder', 'decoder'):
        raise errors.UserError("part must be 'encoder' or 'decoder', got "
                               f'{part!r}')
    path = npz.locate(path)
    named = published_names.published_variables(net)
    if part == 'encoder':
        keys = published_names.encoder_keys(net)
    else:
        keys = {key for key in named if key.startswith('decoder/')}
    if not keys:
        raise errors.UserError(f'part: the network has no {part}')
    arrays = read_npz(path)
    fitted = positions.fit(net, arrays, path) if part == 'encoder' else arrays
    wanted = {key: v for key, v in named.items() if key in keys}
    _assign(_checked(wanted, fitted, path), named)
    rows: list[Row] = [
        (key, tuple(variable.shape), 'loaded' if key in keys else 'new')
        for key, (variable, _) in named.items()]
    return rows + [(key, array.shape, 'left')
                   for key, array in arrays.items() if key not in keys]


def format_table(rows: Iterable[Row]) -> str:
    """Returns rows as text, one line each, and a last line of counts."""
    cells = [(state, key, ' x '.join(map(str, shape)) or 'scalar')
            for key, shape, state in rows]
    width = max((len(key) for _, key, _ in cells), default=0)
    lines = [f'{state:<6}  {key:<{width}}  {shape}'
             for state, key, shape in cells]
    counts = ', '.join(f'{sum(cell[0] == state for cell in cells)} {state}'
                       for state in ('loaded', 'new', 'left'))
    return '\n'.join([*lines, counts])
