"""The images of an export: found by name, and copied. No TF.

A name that stands in an export is only looked up among the files that were
found, so that none leads out of their folder.
"""

from collections.abc import Callable, Iterator
import dataclasses
import os
import pathlib
import posixpath
import unicodedata

from ddep_tf import errors, files
from ddep_tf.data import image_files

# Those that are no JPEG or PNG are converted.
SUFFIXES = (*image_files.SUFFIXES, '.bmp', '.tif', '.tiff', '.webp')


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that is there.

    Attributes:
      path: of the file.
      name: its path below the root of the images, with slashes.
    """
    path: pathlib.Path
    name: str


class ImageIndex:
    """The images below a folder, at any depth.

    Args:
      root: the folder.
      is_image: function of a path below the root that refuses masks.

    Raises:
      UserError: there is no such folder.
    """

    def __init__(self, root: pathlib.Path,
                 is_image: Callable[[pathlib.PurePath], bool] = (
                     lambda path: True)):
        if not root.is_dir():
            raise errors.UserError(f'there is no folder {root}: correct '
                                   '--input or --images')
        self.root = root
        self._files: dict[str, ImageFile] = {}
        self._names = _Endings()
        self._stems = _Endings()
        for path in _walk(root):
            name = path.relative_to(root)
            if path.suffix.lower() in SUFFIXES and is_image(name):
                self._add(path)

    def __iter__(self) -> Iterator[ImageFile]:
        return iter(self._files.values())

    def __len__(self) -> int:
        return len(self._files)

    def find(self, where: str, name: str,
             folder: pathlib.Path | None = None) -> ImageFile:
        """Returns the image of a name in an export.

        The name may begin with folders of another machine: the image is the
        only one that agrees with the end of it.

        Args:
          where: place of the name, for the message.
          name: as the export has it, with slashes or backslashes.
          folder: to which the name is relative; None is the root.

        Raises:
          UserError: there is none, or several.
        """
        name = name.replace('\\', '/')
        if folder is not None and folder.is_relative_to(self.root):
            near = posixpath.normpath('/'.join(
                [*folder.relative_to(self.root).parts, *_parts(name)]))
            if _key(near) in self._files:
                return self._files[_key(near)]
        return self._found(self._names, where, name)

    def find_stem(self, where: str, stem: str) -> ImageFile:
        """As `find`, of a name without its ending."""
        return self._found(self._stems, where, stem)

    def _found(self, endings, where, name):
        found = endings.longest(_key(name))
        if len(found) > 1:
            raise errors.UserError(
                f'{where} names the image {name!r}, which may be '
                f'{found[0].path} or {found[1].path}: give --images=FOLDER, '
                'or rename one of them')
        if not found:
            raise errors.UserError(
                f'{where} names the image {name!r}, which is not below '
                f'{self.root}: put it there, or correct --images')
        return found[0]

    def _add(self, path):
        # Names that are no UTF-8 must not break the lists that we write.
        name = os.fsencode(path.relative_to(self.root).as_posix()).decode(
            'utf-8', 'replace')
        image = ImageFile(path, name)
        key = _key(name)
        other = self._files.setdefault(key, image)
        if other is not image:
            raise errors.UserError(files.printable(
                f'{other.path} and {path} have one name as UTF-8: rename one'))
        self._names.add(key, image)
        self._stems.add(key[:-len(path.suffix)], image)


class _Endings:
    """Images by the endings of their paths."""

    def __init__(self):
        self._images: dict[str, list[ImageFile]] = {}
        self._whole: dict[str, list[ImageFile]] = {}

    def add(self, name: str, image: ImageFile) -> None:
        """Adds an image under its path below the root."""
        self._whole.setdefault(name, []).append(image)
        parts = name.split('/')
        for start in range(len(parts)):
            self._images.setdefault('/'.join(parts[start:]), []).append(image)

    def longest(self, name: str) -> list[ImageFile]:
        """Returns the images that agree with the longest end of a path; of
        them the one whose whole path that is, if there is one."""
        parts = [part for part in _parts(name) if part != '..']
        for start in range(len(parts)):
            ending = '/'.join(parts[start:])
            if ending in self._images:
                return self._whole.get(ending, self._images[ending])
        return []


def walk(root: pathlib.Path, suffix: str) -> Iterator[pathlib.Path]:
    """Yields the files below a folder with an ending, sorted by path."""
    return (path for path in _walk(root) if path.name.lower().endswith(suffix))


def _walk(root):
    for path in sorted(root.rglob('*')):
        # macOS' zip files hold a twin of each file in __MACOSX.
        if path.is_file() and not any(
                part.startswith(('.', '__MACOSX'))
                for part in path.relative_to(root).parts):
            yield path


def _parts(name):
    return [part for part in name.split('/') if part not in ('', '.')]


def _key(name):
    """macOS keeps names decomposed, tools write them composed."""
    return unicodedata.normalize('NFC', name)
