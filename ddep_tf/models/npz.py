"""Reads and writes .npz files of weights. Never unpickles."""

import contextlib
import os
import pathlib
import zipfile

import numpy as np

from ddep_tf import errors


def read_npz(path, keys=None):
    """Reads arrays.

    Args:
      path: .npz file.
      keys: which; None reads all.

    Returns:
      dict key -> float32 array.

    Raises:
      UserError: the file is missing, truncated, corrupt or no .npz, or holds
        no such key, or an array that is no finite number throughout.
    """
    with _opened(path) as file:
        wanted = file.files if keys is None else keys
        missing = sorted(set(wanted) - set(file.files))
        if missing:
            raise errors.UserError(f'{path} lacks {", ".join(missing)}')
        arrays = {key: file[key] for key in wanted}
    return {key: _as_float32(array, key, path)
            for key, array in arrays.items()}


def read_keys(path):
    """Returns the keys of an .npz file, a list. Raises as `read_npz` does."""
    with _opened(path) as file:
        return list(file.files)


@contextlib.contextmanager
def _opened(path):
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.UserError(f'{path}: no such file of weights')
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise errors.UserError(f'{path} is no .npz file, or it is truncated: '
                               'copy it again')
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except errors.UserError:
        raise
    except Exception as error:  # pylint: disable=broad-exception-caught
        # Damaged bytes come up as almost any exception of zip, zlib or numpy.
        raise errors.UserError(f'{path} cannot be read ({error}): it is '
                               'corrupt or truncated, copy it again'
                               ) from error


def _as_float32(array, key, path):
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        raise errors.UserError(f'{path}: {key} holds no real numbers')
    with np.errstate(over='ignore'):
        array = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    if not np.isfinite(array).all():
        raise errors.UserError(f'{path}: {key} holds a non-finite number')
    return array


def save_npz(path, arrays):
    """Writes arrays, whole or not at all.

    Args:
      path: .npz file to write; what is there stays until the end.
      arrays: dict key -> float32 array.

    Raises:
      UserError: the file cannot be written.
    """
    path = pathlib.Path(path)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        with open(part, 'wb') as file:
            # np.savez would take a key 'file' for its own argument.
            with zipfile.ZipFile(file, 'w', allowZip64=True) as archive:
                for key, array in arrays.items():
                    _write_member(archive, key, array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise errors.UserError(f'{path} cannot be written: '
                               f'{error.strerror or error}') from error
    finally:
        part.unlink(missing_ok=True)


def _write_member(archive, key, array):
    # ZipInfo's fixed date makes equal arrays equal files.
    member = zipfile.ZipInfo(f'{key}.npy')
    with archive.open(member, 'w', force_zip64=True) as stream:
        np.lib.format.write_array(stream, np.asarray(array),
                                  allow_pickle=False)

