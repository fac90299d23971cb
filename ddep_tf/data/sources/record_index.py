"""How many examples TFRecord files hold, noted beside them. No TensorFlow."""

from collections.abc import Mapping, Sequence
import os

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
    sizes = files_lib.sizes([files_lib.path(folder, name) for name in files])
    rows = [{'file': name, 'bytes': size, 'examples': count}
            for name, size, count in zip(files, sizes, counts)]
    files_lib.write_json(_path(folder, split), {'files': rows}, indent=1)


def read(folder: str | os.PathLike, split: str,
         sizes: Mapping[str, int]) -> list[int] | None:
    """Returns the number of examples in each file.

    Args:
      folder: as for `write`.
      split: as for `write`.
      sizes: {name: bytes} of the files found, sorted by name.

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
    if sizes != {name: size for name, (size, _) in known.items()}:
        return None
    return [known[name][1] for name in sizes]


def _path(folder, split):
    return files_lib.path(folder, f'{split}.index.json')
