"""The photos and videos that a user names: files, folders, globs. No TF."""

import collections
from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import functools
import itertools
import os
import pathlib

from ddep_tf import errors, files
from ddep_tf.data import image_files

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg',
                  '.webm')
_WILD = set('*?[')


@dataclasses.dataclass(frozen=True)
class Photo:
    """An image, or a video, that was found.

    Attributes:
      path: of the file.
      name: what is made of it is called so: the path without its ending, below
        the folder that was searched.
    """
    path: pathlib.Path
    name: pathlib.PurePath

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def find(inputs: Iterable[str | os.PathLike],
         output_dir: str | os.PathLike) -> list[Photo]:
    """Finds what --input names, each file once.

    Where two would have one name, such as 1.jpg of two folders, the names
    begin at the folder that holds all of them.

    Args:
      inputs: image and video files; folders, of which JPEG and PNG are taken;
        globs, of which every file is taken, `**` for folders at any depth.
      output_dir: what globs find below it is left out, if it lies in the
        folder that they search.

    Raises:
      UserError: nothing is found.
    """
    resolved = functools.cache(lambda folder: folder.resolve())
    found: dict[pathlib.Path, Photo] = {}  # By absolute path.
    for name in inputs:
        root, paths = _search(files.path(name), files.path(output_dir))
        for path in paths:
            # A link is not followed: its own name counts.
            absolute = resolved(path.parent) / path.name
            found.setdefault(absolute, Photo(path, _name(path, root)))
    counts = collections.Counter((photo.name, photo.is_video)
                                 for photo in found.values())
    if len(counts) < len(found):
        top = _common([absolute.parent for absolute in found])
        return [Photo(photo.path, _name(absolute, top))
                for absolute, photo in found.items()]
    return list(found.values())


def _search(path, output_dir) -> tuple[pathlib.Path, Sequence[pathlib.Path]]:
    """Returns the folder that is searched, and the files in it."""
    if path.is_dir():
        return path, _in_folder(path, output_dir.resolve())
    if path.is_file():
        return path.parent, [path]
    if not _WILD & set(str(path)):
        raise errors.UserError(f'--input {path}: no such file or folder')
    return _matching(path, output_dir.resolve())


def _in_folder(folder, output_dir):
    children = sorted(folder.iterdir())
    found = [child for child in children
             if child.suffix.lower() in image_files.SUFFIXES]
    if not found:
        raise errors.UserError(
            f'--input {folder} holds no image '
            f'({", ".join(image_files.SUFFIXES)}): name other files, or those '
            f"of its folders, by a glob such as --input='{folder}/*/*.tif'")
    others = collections.Counter(
        child.suffix.lower() for child in children if child.suffix)
    others -= {suffix: len(found) for suffix in image_files.SUFFIXES}
    if others:
        counts = ', '.join(
            f'{count} {suffix}' for suffix, count in sorted(others.items()))
        print(files.printable(f'{folder}: leaves out {counts}, which a glob or '
                              'their names would take'))
    folders = [child for child in children if not child.suffix
               and child.is_dir() and child.resolve() != output_dir]
    if folders:
        print(files.printable(
            f'{folder}: leaves out what is in its folders ({len(folders)}, '
            f'such as {folders[0].name}), which '
            f"--input='{folder}/**/*{found[0].suffix}' would take"))
    return found


def _matching(pattern, output_dir):
    wild = next(i for i, part in enumerate(pattern.parts) if _WILD & set(part))
    root = pattern.parents[len(pattern.parts) - wild - 1]
    try:
        matches = sorted(root.glob(str(pathlib.PurePosixPath(
            *pattern.parts[wild:]))))
    except (ValueError, NotImplementedError) as error:
        raise errors.UserError(f'--input {pattern}: {error}') from None
    # Masks of an earlier start are no input of this one.
    inside = root.resolve() in output_dir.parents
    found = [path for path in matches if _is_file(path) and not (
        inside and output_dir in path.resolve().parents)]
    if not found:
        raise errors.UserError(f'--input {pattern} matches no file')
    return root, found


def _is_file(path):
    # A bucket would be asked of each of thousands.
    return bool(path.suffix) if files.is_bucket(path) else path.is_file()


def _name(path, root):
    name = pathlib.PurePath(*path.parts[len(root.parts):]).with_suffix('')
    if '..' in name.parts:
        raise errors.UserError(f'--input {path}: what is made of it would lie '
                               'outside of --output_dir: give it another name')
    return name


def _common(folders: Iterable[pathlib.Path]) -> pathlib.PurePath:
    """Returns the deepest folder that all of `folders` are, or lie in."""
    steps: Iterator[Sequence[str]] = zip(*(folder.parts for folder in folders))
    same = itertools.takewhile(lambda parts: len(set(parts)) == 1, steps)
    return pathlib.PurePath(*(parts[0] for parts in same))
