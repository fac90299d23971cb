"""Published .npz files <-> variables, one to one."""

import dataclasses
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np

from ddep_tf import errors

_SUFFIXES = {'kernel': 'weight', 'gamma': 'weight', 'beta': 'bias',
             'bias': 'bias', 'moving_mean': 'running_mean',
             'moving_variance': 'running_var'}
POSITIONS = 'Transformer/posembed_input/pos_embedding'
_TOP = ('head/', 'pre_logits/')
_LITE_TOP = ('_conv_head.', '_bn1.', '_fc.',
             *(f'_blocks.{i}.' for i in range(11, 16)))


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """Sorted npz keys: filled, in the file alone, in the model alone."""
    loaded: list
    unused: list
    missing: list


def named_variables(model):
    """Returns {published key: Keras variable} of a model, in its order."""
    if hasattr(model, 'decoder'):
        parts = [('', model.encoder), ('decoder/', model.decoder),
                 ('head/', model.head)]
    else:
        parts = [('', model)]
    return {_key(prefix, variable): variable
            for prefix, part in parts for variable in part.variables
            if 'seed_generator' not in variable.path}


def export_arrays(model):
    """Returns {published key: float32 array in the published layout}."""
    return {key: _to_published(key, np.asarray(variable.numpy()))
            for key, variable in named_variables(model).items()}


def read_npz(path):
    """Returns the arrays of an .npz. It never unpickles.

    Raises:
      UserError: no file, truncated, or an array that is not numeric.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, 'files'):
                raise ValueError('a single array')
            return {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise errors.UserError(f'{path}: no such file') from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile,
            zipfile.zlib.error, NotImplementedError) as error:
        raise errors.UserError(
            f'{path} is no whole .npz of plain arrays ({error}): fetch it '
            'again') from error


def save_npz(path, arrays):
    """Writes an .npz whole or not at all."""
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix='.npz')
    try:
        with os.fdopen(handle, 'wb') as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def load_vit_npz(model, path, head='strict'):
    """Fills an encoder or a classifier from a published .npz.

    Args:
      model: from build_encoder or build_classifier.
      path: .npz under the published names.
      head: 'strict', or 'skip' to leave `head` and `pre_logits` as they are.

    Returns:
      LoadReport with sorted lists of npz keys.

    Raises:
      ValueError: an array is missing, misshapen or not finite, or nothing of
        the model knows it; no variable was changed. A position embedding of
        another grid is resized.
    """
    if head not in ('strict', 'skip'):
        raise errors.UserError(f"head must be 'strict' or 'skip', got "
                               f'{head!r}')
    wanted = named_variables(model)
    kept = [k for k in wanted if head == 'skip' and _is_top(k)]
    arrays = read_npz(path)
    used = {k: v for k, v in wanted.items() if k not in kept}
    unused = sorted(set(arrays) - set(used))
    strange = [k for k in unused if not (k == 'cls' or _is_top(k))]
    if strange:
        raise errors.UserError(f'{path} holds {_some(strange)}, which this '
                               'model does not know: is it of another one?')
    load_arrays(used, arrays, path)
    return LoadReport(sorted(used), unused, sorted(kept))


def load_arrays(target, arrays, path):
    """Assigns arrays, all or none.

    Args:
      target: a model, or {key: variable}.
      arrays: {key: array}; others than the target's are left.
      path: for messages.

    Raises:
      UserError: an array is missing, misshapen or not finite.
    """
    wanted = target if isinstance(target, dict) else named_variables(target)
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise errors.UserError(f'{path} lacks {_some(missing)}')
    values, wrong = {}, []
    grid = _recorded_grid(path)
    for key, variable in wanted.items():
        value = _fit(key, arrays[key], variable, grid)
        if value is None:
            wrong.append(f'{key} {arrays[key].shape}, not '
                         f'{_published_shape(key, tuple(variable.shape))}')
        values[key] = value
    if wrong:
        raise errors.UserError(f'{path} has misshapen arrays: {_some(wrong)}')
    bad = [key for key, value in values.items()
           if value.dtype.kind not in 'fiu' or not np.isfinite(value).all()]
    if bad:
        raise errors.UserError(f'{path}: {_some(bad)} not finite')
    for key, variable in wanted.items():
        variable.assign(values[key])


def graft(network, path, part):
    """Takes the encoder or the decoder of a file over into a network.

    Args:
      network: segmenter.Network or classifier.
      path: a run folder or an .npz.
      part: 'encoder' or 'decoder'. A head never comes along.

    Returns:
      Rows (key, shape, 'loaded' | 'new' | 'left'): every variable of the
      network, then what of the file was left.

    Raises:
      UserError: as `load_arrays`.
    """
    file = _npz_of(path)
    arrays = read_npz(file)
    wanted = named_variables(network)
    source = {id(v) for v in getattr(network, part).variables}
    used = {k: v for k, v in wanted.items() if id(v) in source}
    if 'cls' in used and 'cls' not in arrays:
        del used['cls']
    if part == 'decoder' and not any(k in arrays for k in used):
        raise errors.UserError(f'{file} holds no decoder: --init_decoder '
                               'takes a denoising or segmentation run')
    load_arrays(used, arrays, file)
    rows = [(k, tuple(v.shape), 'loaded' if k in used else 'new')
            for k, v in wanted.items()]
    left = sorted(set(arrays) - set(used))
    return rows + [(f'{file}:{k}', arrays[k].shape, 'left') for k in left]


def format_table(rows):
    """Returns rows of `graft` as text, a line a variable."""
    return '\n'.join(f'{state:7s} {str(tuple(shape)):22s} {key}'
                     for key, shape, state in rows)


def position_grid_of(path):
    """Returns the grid of a file's position embedding; None has none."""
    file = _npz_of(path)
    grid = _recorded_grid(file)
    if grid:
        return grid
    arrays = read_npz(file)
    if POSITIONS not in arrays:
        return None
    return _square(arrays[POSITIONS].shape)


def _npz_of(path):
    path = pathlib.Path(path)
    if not path.is_dir():
        return path
    if not (path / 'weights.npz').exists():
        raise errors.UserError(f'{path} holds no weights.npz: is that run '
                               'finished?')
    return path / 'weights.npz'


def _recorded_grid(path):
    facts = pathlib.Path(path).with_suffix('.json')
    if facts.name != 'weights.json' or not facts.exists():
        return None
    return tuple(json.loads(facts.read_text())['position_grid'])


def _square(shape):
    if len(shape) != 3 or shape[1] < 2:
        return None
    side = round((shape[1] - 1) ** 0.5)
    return (side, side) if side * side == shape[1] - 1 else None


def _key(prefix, variable):
    path = variable.path
    layer, _, name = path.rpartition('/')
    if prefix == 'head/':
        return f'head/{name}'
    if prefix:
        return prefix + path
    if path == 'Transformer/cls':
        return 'cls'
    if _is_lite_layer(layer):
        layer = '.'.join(part if part.isdigit() else f'_{part}'
                         for part in layer.split('.'))
        return f'{layer}.{_SUFFIXES[name]}'
    return path


def _is_lite_layer(layer):
    return layer.startswith('blocks.') or layer in (
        'conv_stem', 'bn0', 'conv_head', 'bn1', 'fc')


def _is_top(key):
    return key.startswith(_TOP) or key.startswith(_LITE_TOP)


def _axes(key, ndim):
    """How the published layout lies in ours; None where they agree."""
    if not key.startswith('_') or ndim not in (2, 4):
        return None
    if ndim == 2:
        return (1, 0)
    # [C, 1, k, k] -> [k, k, C, 1], and OIHW -> HWIO.
    return (2, 3, 0, 1) if 'depthwise' in key else (2, 3, 1, 0)


def _to_published(key, value):
    axes = _axes(key, value.ndim)
    return value if axes is None else np.ascontiguousarray(
        value.transpose(np.argsort(axes)))


def _published_shape(key, shape):
    axes = _axes(key, len(shape))
    return shape if axes is None else tuple(
        shape[i] for i in np.argsort(axes))


def _fit(key, array, variable, grid):
    """Returns the array in the variable's shape, None if it does not fit."""
    shape = tuple(variable.shape)
    if key == POSITIONS:
        return _fit_positions(array, variable, grid or _square(array.shape))
    if len(shape) == 1 and array.shape == (1, 1, 1, *shape):
        return array.reshape(shape)
    axes = _axes(key, array.ndim)
    if axes is not None:
        array = array.transpose(axes)
    return array if array.shape == shape else None


def _fit_positions(array, variable, grid):
    """Resizes the position embedding from its grid to the variable's."""
    shape = tuple(variable.shape)
    if grid in (None, variable.grid) and array.shape == shape:
        return array
    if (grid is None or array.ndim != 3 or array.shape[0] != 1 or
            array.shape[1] != 1 + grid[0] * grid[1] or
            array.shape[2] != shape[2]):
        return None
    from ddep_tf.models import transformer
    return transformer.resize_positions(
        array.astype(np.float32), grid, variable.grid).numpy()


def _some(items, most=4):
    more = f' and {len(items) - most} more' if len(items) > most else ''
    return ', '.join(map(str, items[:most])) + more
