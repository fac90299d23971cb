"""classes.json: names, colors and ids of the classes of a folder. No TF.

  {"classes": [{"id": 0, "name": "background", "color": "#000000"}, ...]}

Train ids follow the order of the list; `id` is what the mask files hold.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib

from ddep_tf import errors, files, spec_base, specs

NAME = 'classes.json'


def read(path: str | os.PathLike) -> tuple[specs.ClassSpec, ...]:
    """Returns the classes that a file names.

    Raises:
      UserError: it cannot be read, is no such list, or two classes of it have
        the same id or name.
    """
    entries = files.read_json(path).get('classes')
    if not isinstance(entries, list) or not entries or not all(
            isinstance(entry, dict) for entry in entries):
        raise errors.UserError(
            f'{path} holds no list "classes" of {{"id", "name", "color"}}: '
            'correct it, or give it another name')
    classes = []
    for number, entry in enumerate(entries):
        try:
            classes.append(spec_base.from_dict(specs.ClassSpec, entry))
        except (errors.UserError, TypeError) as error:
            raise errors.UserError(
                f'{path}, class {number}: {error}: correct it') from None
    for what in ('id', 'name'):
        seen: set[object] = set()
        for found in classes:
            value = getattr(found, what)
            if value in seen:
                raise errors.UserError(f'{path}: two classes have the {what} '
                                       f'{value!r}: change one of them')
            seen.add(value)
    return tuple(classes)


def write(path: str | os.PathLike,
          classes: Sequence[specs.ClassSpec]) -> None:
    """Writes a file that `read` reads. OSError as files.write_json."""
    files.write_json(path, {'classes': [dataclasses.asdict(found)
                                        for found in classes]})


def complete(spec: specs.DatasetSpec,
             data_dir: str | os.PathLike) -> specs.DatasetSpec:
    """Returns the spec with the classes that its folder's classes.json names.

    Other sources, label sets that are named, and folders without masks or
    without the file stay as they are.

    Args:
      spec: DatasetSpec.
      data_dir: root folder of the data.

    Raises:
      UserError: as `read`, or `spec.num_classes` is set to another number.
    """
    path = _path(spec, data_dir)
    if path is None:
        return spec
    classes = read(path)
    if spec.num_classes not in (0, len(classes)):
        raise errors.UserError(
            f'DatasetSpec.num_classes is {spec.num_classes}, but {path} names '
            f'{len(classes)} classes: leave num_classes out')
    return dataclasses.replace(spec, classes=classes, num_classes=len(classes))


def _path(spec, data_dir) -> pathlib.Path | None:
    if spec.source != 'folder' or spec.label_set or not spec.label_dir:
        return None
    path = files.path(data_dir, spec.path, NAME)
    if files.is_bucket(path) or not path.is_file():
        return None  # Folders in buckets are refused when they are opened.
    return path
