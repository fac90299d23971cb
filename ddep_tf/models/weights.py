"""Weights by name: published files, hand-over between stages, checks first.

Whatever can be wrong with a file is found before any variable is changed.
"""

import dataclasses
import json
import math
import pathlib

import keras

from ddep_tf import errors
from ddep_tf.models import published_names
from ddep_tf.models.npz import read_keys, read_npz, save_npz
from ddep_tf.models.published_names import named_variables

__all__ = ['LoadReport', 'export_arrays', 'format_table', 'graft',
           'load_arrays', 'load_vit_npz', 'named_variables',
           'position_grid', 'position_grid_of', 'read_npz', 'save_npz']

POSITIONS = 'Transformer/posembed_input/pos_embedding'
_HEADS = ('head', 'pre_logits')
_LITE_HEAD = ('_fc.',)
_LITE_TOP = ('_blocks.', '_conv_head.', '_bn1.', '_fc.')


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of the keys of a file and of a model, sorted lists.

    Attributes:
      loaded: keys copied into the model.
      unused: keys of the file that the model has no place for, or keeps from.
      missing: keys of the model that stay as they are.
    """
    loaded: list
    unused: list
    missing: list


def export_arrays(model):
    """Returns dict key -> float32 array in its published layout."""
    return {key: published_names.to_published(
                key, keras.ops.convert_to_numpy(variable).astype('float32'))
            for key, variable in named_variables(model).items()}


def load_arrays(model, arrays, path='arrays'):
    """Copies arrays into a model, one for one.

    Args:
      model: keras.Model, or dict key -> variable of one.
      arrays: dict key -> array in its published layout.
      path: their file, for messages.

    Raises:
      UserError: a key is missing, unknown or misshapen.
    """
    named = model if isinstance(model, dict) else named_variables(model)
    _refuse(path, 'has unknown arrays', sorted(set(arrays) - set(named)))
    _assign(_checked(named, arrays, path), named)


def load_vit_npz(model, path, head='strict'):
    """Loads a published file into an encoder or a classifier.

    Takes the ViT layout, and for efficientnet_lite0 its own. A position
    embedding of another grid is resized to the model's.

    Args:
      model: encoder or Classifier.
      path: .npz file.
      head: 'strict' loads a classifier's head too; 'skip' leaves its head and
        pre_logits as they are, listed as missing.

    Returns:
      LoadReport.

    Raises:
      UserError: a key is missing, unknown, misshapen or non-finite, and
        nothing has been changed.
    """
    if head not in ('strict', 'skip'):
        raise errors.UserError(f"head must be 'strict' or 'skip', got {head!r}")
    named = named_variables(model)
    arrays = read_npz(path)
    skipped = {key for key in named if head == 'skip' and _is_head(key)}
    wanted = {key: v for key, v in named.items() if key not in skipped}
    unused = set(arrays) - set(wanted)
    # A classifier is loaded whole: without its pre_logits the head's numbers
    # would mean something else.
    whole = head == 'strict' and any(map(_is_head, named))
    _refuse(path, 'has unknown arrays', sorted(
        key for key in unused if whole or not _may_go_unused(key, named)))
    _assign(_checked(wanted, _fit_positions(model, arrays, path), path), named)
    return LoadReport(sorted(wanted), sorted(unused), sorted(skipped))


def _is_head(key):
    return key.split('/')[0] in _HEADS or key.startswith(_LITE_HEAD)


def _may_go_unused(key, named):
    if any(name.startswith('_conv_stem') for name in named):
        return key.startswith(_LITE_TOP)
    return key == 'cls' or _is_head(key)


def _fit_positions(model, arrays, path):
    """Resizes the position embedding of `arrays` to the model's grid."""
    layer = published_names.position_layer(model)
    array = arrays.get(POSITIONS)
    if layer is None or array is None or array.ndim != 3:
        return arrays
    old = _grid(array.shape, path)
    if old is None or array.shape[0] != 1:
        return arrays
    return {**arrays,
            POSITIONS: published_names.resize_positions(array, old, layer.grid)}


def _checked(named, arrays, path):
    """Returns dict key -> array for each variable of `named`, shapes right."""
    _refuse(path, 'lacks', sorted(set(named) - set(arrays)))
    values = {key: published_names.from_published(key, arrays[key]) for key in named}
    wrong = [f'{key} {arrays[key].shape} (a variable of {tuple(v.shape)})'
             for key, v in named.items()
             if values[key].shape != tuple(v.shape)]
    _refuse(path, 'has misshapen arrays', wrong)
    return values


def _assign(values, named):
    for key, value in values.items():
        named[key].assign(value)


def _refuse(path, what, keys, most=4):
    if keys:
        more = f' and {len(keys) - most} more' if len(keys) > most else ''
        raise errors.UserError(f'{path} {what}: '
                               + ', '.join(keys[:most]) + more)


def _npz_of(path):
    path = pathlib.Path(path)
    return path / 'weights.npz' if path.is_dir() else path


def position_grid(model):
    """Returns (rows, columns) of a network's position embedding, or None."""
    layer = published_names.position_layer(model)
    return layer and layer.grid


def position_grid_of(path):
    """Returns (rows, columns) of a file's position embedding.

    Args:
      path: run folder or .npz. The `position_grid` of the .json beside it
        holds, else the grid is taken to be square.

    Returns:
      (rows, columns), or None where the file has no position embedding.

    Raises:
      UserError: the file cannot be read, or its grid is neither stated nor
        square.
    """
    path = _npz_of(path)
    if POSITIONS not in read_keys(path):
        return None
    shape = read_npz(path, [POSITIONS])[POSITIONS].shape
    grid = _grid(shape, path)
    if grid is None:
        raise errors.UserError(f'{path}: {POSITIONS} {shape} is of no square '
                               'grid, and no .json beside it names another')
    return grid


def _grid(shape, path):
    slots = shape[1] - 1 if len(shape) == 3 else 0
    stated = _stated_grid(_npz_of(path).with_suffix('.json'))
    if stated and math.prod(stated) == slots:
        return stated
    side = math.isqrt(max(slots, 0))
    return (side, side) if side and side * side == slots else None


def _stated_grid(path):
    try:
        rows, columns = json.loads(path.read_text())['position_grid']
        return int(rows), int(columns)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # No file, or another kind: the grid is the file's own.


def graft(net, path, part):
    """Copies the encoder or the decoder of an earlier stage into a network.

    Args:
      net: Network or Classifier.
      path: run folder, or .npz file.
      part: 'encoder' or 'decoder'. A head is never copied.

    Returns:
      rows (key, shape, state) of every variable of `net`, 'loaded' or 'new',
      then of every array of the file that was not used, 'left'.

    Raises:
      UserError: an array of that part is missing or misshapen; nothing has
        been changed.
    """
    if part not in ('encoder', 'decoder'):
        raise errors.UserError("part must be 'encoder' or 'decoder', got "
                               f'{part!r}')
    path = _npz_of(path)
    named = named_variables(net)
    if part == 'encoder':
        keys = published_names.encoder_keys(net)
    else:
        keys = {key for key in named if key.startswith('decoder/')}
    if not keys:
        raise errors.UserError(f'part: the network has no {part}')
    arrays = read_npz(path)
    fitted = arrays
    if part == 'encoder':
        fitted = _fit_positions(net, arrays, path)
    wanted = {key: v for key, v in named.items() if key in keys}
    _assign(_checked(wanted, fitted, path), named)
    rows = [(key, tuple(v.shape), 'loaded' if key in keys else 'new')
            for key, v in named.items()]
    return rows + [(key, a.shape, 'left') for key, a in arrays.items()
                   if key not in keys]


def format_table(rows):
    """Returns rows (key, shape, state) as text, a line each, with a sum."""
    rows = [(state, key, ' x '.join(map(str, shape)) or 'scalar')
            for key, shape, state in rows]
    width = max((len(key) for _, key, _ in rows), default=0)
    lines = [f'{state:<6}  {key:<{width}}  {shape}'
             for state, key, shape in rows]
    counts = ', '.join(f'{sum(row[0] == state for row in rows)} {state}'
                       for state in ('loaded', 'new', 'left'))
    return '\n'.join([*lines, counts])
