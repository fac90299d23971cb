"""Reads and writes .npz files of weights. Never unpickles. No TensorFlow."""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import os
import pathlib
import zipfile

import numpy as np

from ddep_tf import errors, files


def locate(path: str | os.PathLike) -> pathlib.Path:
    """Returns the file of weights of a run folder; a file is its own."""
    path = files.path(path)
    return path / 'weights.npz' if path.is_dir() else path


def read_npz(path: str | os.PathLike,
             keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Reads arrays.

    Args:
      path: .npz file.
      keys: the keys to read; None reads all.

    Returns:
      dict key -> float32 array.

    Raises:
      UserError: the file is missing, truncated, corrupt or not an .npz file,
        or lacks one of `keys`, or an array holds anything but finite numbers.
    """
    with _opened(path) as archive:
        members = _members(archive)
        wanted = members if keys is None else list(keys)
        missing = sorted(set(wanted) - set(members))
        if missing:
            raise errors.UserError(f'{path} lacks {", ".join(missing)}')
        arrays = {key: _read_member(archive, members[key]) for key in wanted}
    return {key: _as_float32(array, key, path)
            for key, array in arrays.items()}


def read_keys(path: str | os.PathLike) -> list[str]:
    """Returns the keys of an .npz file. Raises as `read_npz` does."""
    with _opened(path) as archive:
        return list(_members(archive))


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """Opens an .npz file; of a bucket, what is not read is not downloaded.

    np.load would read the start of the file first.
    """
    path = files.path(path)
    if not path.exists():
        raise errors.UserError(f'{path}: there is no such file of weights')
    if not path.is_file():
        raise _not_npz(path)
    try:
        with path.open('rb') as stream:
            if not zipfile.is_zipfile(stream):
                raise _not_npz(path)
            with zipfile.ZipFile(stream) as archive:
                yield archive
    except errors.UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            raise  # The path cannot be read, whatever its bytes are.
        # Damaged bytes raise almost any exception of zip, zlib or numpy.
        raise errors.UserError(f'{path} cannot be read ({error}): it is '
                               'corrupt or truncated, copy it again'
                               ) from error


def _members(archive):
    """Returns {key: name in the archive}, in the file's order."""
    return {name.removesuffix('.npy'): name for name in archive.namelist()}


def _read_member(archive, name):
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _not_npz(path):
    return errors.UserError(f'{path} is not an .npz file, or is truncated: '
                            'copy it again')


def _as_float32(array, key, path):
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        raise errors.UserError(f'{path}: {key} does not hold real numbers')
    with np.errstate(over='ignore'):
        array = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    if not np.isfinite(array).all():
        raise errors.UserError(f'{path}: {key} holds a non-finite number')
    return array


def save_npz(path: str | os.PathLike,
             arrays: Mapping[str, np.ndarray]) -> str:
    """Writes arrays, whole or not at all; equal arrays give equal files.

    Args:
      path: .npz file to write. An existing file is replaced at the very end.
      arrays: dict key -> float32 array.

    Returns:
      The file's sha256, as hex digits.

    Raises:
      UserError: the file cannot be written.
    """
    try:
        # np.savez would take a key 'file' for its own argument.
        with files.replacing(path) as temporary:
            with zipfile.ZipFile(temporary, 'w', allowZip64=True) as archive:
                for key, array in arrays.items():
                    _write_member(archive, key, array)
            return files.sha256(temporary)
    except OSError as error:
        raise errors.UserError(f'{path} cannot be written: '
                               f'{error.strerror or error}') from error


def _write_member(archive, key, array):
    # ZipInfo's fixed date makes equal arrays equal files.
    member = zipfile.ZipInfo(f'{key}.npy')
    with archive.open(member, 'w', force_zip64=True) as stream:
        np.lib.format.write_array(stream, np.asarray(array),
                                  allow_pickle=False)
