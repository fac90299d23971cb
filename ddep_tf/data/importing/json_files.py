"""JSON of other programs: read with the file and the place in each message."""

from collections.abc import Iterator
import json
import math
import pathlib
from typing import Any

from ddep_tf import errors
from ddep_tf.data.importing import images


def read(path: pathlib.Path) -> Any:
    """Returns what a JSON file holds. UserError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding='utf-8-sig'))
    except (OSError, ValueError, RecursionError) as error:
        raise errors.UserError(f'{path} cannot be read as JSON ({error}): '
                               'export it again') from None


def below(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a JSON file, or those below a folder.

    Raises:
      UserError: there is none.
    """
    if path.is_file():
        yield path
        return
    found = list(images.walk(path, '.json'))
    if not found:
        raise errors.UserError(f'--input {path} holds no .json: name the '
                               'folder of the export, unpacked')
    yield from found


def field(entry: Any, name: str, kind: type | tuple[type, ...], where: str
          ) -> Any:
    """Returns a field of an object.

    Args:
      entry: what should be an object.
      name: of the field.
      kind: of its value; a bool is no number.
      where: place of the object, for the message.

    Raises:
      UserError: it is no object, or has no such field of that kind.
    """
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise errors.UserError(f'{where} has no {name!r}, or one of another '
                               f'kind ({value!r:.40}): export it again')
    return value


def size(entry: Any, width: str, height: str) -> tuple[int, int] | None:
    """Returns (width, height) of two fields, None if they do not say."""
    found = entry.get(width), entry.get(height)
    if all(isinstance(side, int | float) and math.isfinite(side) and side > 0
           for side in found):
        return int(found[0]), int(found[1])
    return None
