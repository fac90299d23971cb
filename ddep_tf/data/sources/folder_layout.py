"""Which images, masks and classes a folder holds. No TensorFlow."""

from collections.abc import Sequence
import os
import pathlib

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files

# Files that some take for masks, and that are not looked for.
_NO_MASKS = ('.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.npy')


class FolderLayout:
    """The files of one split of a folder.

    The mask of `image_dir/SUB/ID<image_suffix>` is
    `label_dir/SUB/ID<label_suffix>`; masks without an image are ignored.

    Attributes:
      image_dir, label_dir: folders of the split's images and masks.

    Args:
      spec: DatasetSpec; its `image_dir`, `label_dir` and `split_file` lie
        below `data_dir/path`.
      split: name of the split.
      data_dir: root folder of the data.
      title: the data set and split, for messages.
      with_masks: whether the masks are read. Their folder must exist then.

    Raises:
      UserError: a folder is missing.
    """

    def __init__(self, spec: specs.DatasetSpec, split: str,
                 data_dir: str | os.PathLike, title: str, with_masks: bool):
        self._spec, self._split, self._title = spec, split, title
        self._suffixes = ((spec.image_suffix,) if spec.image_suffix
                          else image_files.SUFFIXES)
        self._endings = tuple(suffix.lower() for suffix in self._suffixes)
        self._root = files.path(data_dir, spec.path)
        if files.is_bucket(self._root):
            raise errors.UserError(
                f'{title}: {self._root} is in a bucket, where each small file '
                'costs a request: copy the folder to a local disk, or build '
                'TFRecord files of it')
        self.image_dir = self._folder(spec.image_dir)
        if with_masks and not spec.label_dir:
            raise errors.UserError(f'{title}: has no masks to segment by: set '
                                   'DatasetSpec.label_dir')
        locate = self._folder if with_masks else self._path
        self.label_dir = locate(spec.label_dir)

    def images(self) -> list[pathlib.Path]:
        """Returns the images of the split, at any depth, sorted by path.

        Raises:
          UserError: there are none, `split_file` lists another one, or the
            name of one is not UTF-8.
        """
        images = [path for path in sorted(self.image_dir.rglob('*'))
                  if self._is_image(path)]
        if not images:
            raise errors.UserError(
                f'{self._title}: the folder {self.image_dir} holds no image '
                f'({", ".join(self._suffixes)})')
        for path in images:
            # TensorFlow takes no other names.
            if files.printable(str(path)) != str(path):
                raise errors.UserError(
                    f'{self._title}: the name of {files.printable(str(path))} '
                    'is not UTF-8: rename it')
        return self._listed(images) if self._spec.split_file else images

    def ids(self, images: Sequence[pathlib.Path]) -> list[str]:
        """Returns the images' ids. UserError if two of them are the same."""
        ids: dict[str, pathlib.Path] = {}
        for path in images:
            other = ids.setdefault(self._id(path), path)
            if other is not path:
                raise errors.UserError(
                    f'{self._title}: {other} and {path} have the same id: '
                    'rename one of them')
        return list(ids)

    def mask(self, image: pathlib.Path) -> pathlib.Path:
        """Returns the path of an image's mask. UserError if it is missing."""
        mask = self.mask_path(image)
        if mask.is_file():
            return mask
        other = next(filter(pathlib.Path.is_file, map(
            mask.with_suffix, _NO_MASKS)), None)
        beside = f' ({other} is not read: save it as PNG)' if other else ''
        raise errors.UserError(
            f'{self._title}: the image {image} has no mask {mask}{beside}: add '
            'it, or move the image elsewhere, such as to images/unlabelled')

    def mask_path(self, image: pathlib.Path) -> pathlib.Path:
        """Returns where an image's mask belongs."""
        folder = self.label_dir / image.relative_to(self.image_dir).parent
        return folder / f'{self._id(image)}{self._spec.label_suffix}'

    def classes(self, images: Sequence[pathlib.Path]) -> list[int]:
        """Returns the images' classes: the rank of their first subfolder
        among those of the training split.

        Raises:
          UserError: an image lies in no subfolder, or in one that the training
            split has not, or there are more of them than the spec has classes.
        """
        parts = [path.relative_to(self.image_dir).parts for path in images]
        loose = [path for path, p in zip(images, parts) if len(p) < 2]
        if loose:
            raise errors.UserError(
                f'{self._title}: {loose[0]} lies in no subfolder: to classify, '
                'each class needs its own')
        # A split may lack a class: the ranks of its own would shift.
        train_dir = self._folder(self._spec.image_dir, self._spec.train_split)
        names = [path.name for path in sorted(train_dir.iterdir())
                 if path.is_dir() and any(map(self._is_image,
                                              path.rglob('*')))]
        if len(names) > self._spec.num_classes:
            raise errors.UserError(
                f'{self._title}: {train_dir} has {len(names)} subfolders for '
                f'DatasetSpec.num_classes = {self._spec.num_classes}')
        ranks = {name: rank for rank, name in enumerate(names)}
        for path, p in zip(images, parts):
            if p[0] not in ranks:
                raise errors.UserError(
                    f'{self._title}: {path} is of the class {p[0]!r}, of '
                    f'which {train_dir} has no image: its subfolders are the '
                    'classes')
        return [ranks[p[0]] for p in parts]

    def _is_image(self, path):
        return (path.name.lower().endswith(self._endings)
                and not path.name.startswith('.') and path.is_file()
                and not self._is_mask(path))

    def _folder(self, template, split=None):
        folder = self._path(template, split)
        if not folder.is_dir():
            advice = 'set --data_dir'
            if folder.parent.is_dir() and folder.parent != self._root:
                advice = 'make it, or name another split'
            raise errors.UserError(f'{self._title}: there is no folder '
                                   f'{folder}: {advice}')
        return folder

    def _path(self, template, split=None):
        try:
            return self._root / template.format(split=split or self._split)
        except (KeyError, IndexError, ValueError):
            raise errors.UserError(
                f'{self._title}: {template!r} may hold {{split}} and no other '
                'braces') from None

    def _listed(self, images):
        """Returns the images whose ids the split's file lists."""
        path = self._path(self._spec.split_file)
        try:
            lines = path.read_text(encoding='utf-8-sig').splitlines()
        except (OSError, ValueError) as error:
            raise errors.UserError(
                f'{self._title}: cannot read the list of its ids, {path} '
                f'({error}): set --data_dir or DatasetSpec.split_file'
            ) from None
        wanted = set(filter(None, map(str.strip, lines)))
        missing = sorted(wanted.difference(map(self._id, images)))
        if missing or not wanted:
            what = (f'{missing[0]!r}, of which there is no image in '
                    f'{self.image_dir}' if missing else 'no id')
            raise errors.UserError(f'{self._title}: {path} lists {what}: '
                                   'complete the folder, or correct the list')
        return [image for image in images if self._id(image) in wanted]

    def _is_mask(self, path):
        """Masks lie below the images, or beside them with a suffix.

        Even if they are not read they must not be taken for images.
        """
        if not self._spec.label_dir:
            return False
        if self.label_dir == self.image_dir:
            return (not self._spec.image_suffix
                    and path.name.endswith(self._spec.label_suffix))
        return (self.label_dir in path.parents
                and self.image_dir in self.label_dir.parents)

    def _id(self, path):
        suffix = self._spec.image_suffix
        return path.name[:-len(suffix)] if suffix else path.stem
