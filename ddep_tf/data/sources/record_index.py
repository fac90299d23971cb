"""How many examples TFRecord files hold, noted beside them. No TensorFlow."""

from collections.abc import Sequence
import os
import pathlib

from ddep_tf import errors
from ddep_tf import files as files_lib


def write(folder: str | os.PathLike, split: str, files: Sequence[str],
          counts: Sequence[int]) -> None:
    """Writes SPLIT.index.json beside the files of a split.

    Args:
      folder: where the files lie.
      split: name of the split.
      files: names of the files, sorted.
      counts: the number of examples in each.
    """
    folder = pathlib.Path(folder)
    rows = [{'file': name, 'bytes': os.path.getsize(folder / name),
             'examples': count} for name, count in zip(files, counts)]
    files_lib.write_json(_path(folder, split), {'files': rows}, indent=1)


def read(folder: str | os.PathLike, split: str,
         files: Sequence[str]) -> list[int] | None:
    """Returns the number of examples in each file.

    Args:
      folder: as for `write`.
      split: as for `write`.
      files: paths of the files found, sorted.

    Returns:
      None without an index, or with one that was written for other files:
      names and sizes must be those that it holds.
    """
    try:
        rows = files_lib.read_json(_path(folder, split))['files']
        known = {row['file']: (row['bytes'], int(row['examples']))
                 for row in rows}
    except (errors.UserError, ValueError, KeyError, TypeError):
        return None
    found = {os.path.basename(path): os.path.getsize(path) for path in files}
    if found != {name: size for name, (size, _) in known.items()}:
        return None
    return [known[os.path.basename(path)][1] for path in files]


def _path(folder, split):
    return pathlib.Path(folder, f'{split}.index.json')
