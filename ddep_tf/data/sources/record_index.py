"""What is known of TFRecord files without reading them. No TensorFlow."""

import json
import os
import pathlib


def write(folder, split, files, counts):
    """Writes SPLIT.index.json beside the files of a split.

    Args:
      folder: where the files lie.
      split: its name.
      files: names of the files, sorted.
      counts: the number of examples in each.
    """
    folder = pathlib.Path(folder)
    rows = [{'file': name, 'bytes': os.path.getsize(folder / name),
             'examples': count} for name, count in zip(files, counts)]
    path = _path(folder, split)
    temporary = path.with_suffix('.incomplete')
    temporary.write_text(json.dumps({'files': rows}, indent=1))
    os.replace(temporary, path)


def read(folder, split, files):
    """Returns the number of examples in each file, or None.

    None where there is no index, or one of other files: their names and sizes
    must be the ones that it holds.

    Args:
      folder, split: as for `write`.
      files: paths of the files found, sorted.
    """
    try:
        rows = json.loads(_path(folder, split).read_text())['files']
        known = {row['file']: (row['bytes'], int(row['examples']))
                 for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = {os.path.basename(path): os.path.getsize(path) for path in files}
    if found != {name: size for name, (size, _) in known.items()}:
        return None
    return [known[os.path.basename(path)][1] for path in files]


def _path(folder, split):
    return pathlib.Path(folder, f'{split}.index.json')
