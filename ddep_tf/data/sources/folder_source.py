"""A folder of images, with masks beside them or classes as subfolders."""

import pathlib

import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import decoding, image_files
from ddep_tf.data.sources import base

SUFFIXES = ('.jpg', '.jpeg', '.png')


class FolderSource(base.Source):
    """Images below `image_dir`, at any depth, sorted by path.

    The mask of `image_dir/SUB/ID<image_suffix>` is
    `label_dir/SUB/ID<label_suffix>`. To classify, the class of an image is
    the rank of the first subfolder of its path. Masks without an image are
    ignored.

    Attributes:
      strict: an image that cannot be used is an error; else it is left out,
        and named by `problems`.
    """

    def __init__(self, spec, split, decodes, data_dir, strict=True):
        super().__init__(spec, split, decodes)
        self._strict, self._faults = strict, []
        self._root = pathlib.Path(data_dir, spec.path)
        self._image_dir = self._folder(spec.image_dir)
        # Masks must not be taken for images where none are decoded either.
        self._label_dir = None
        if decodes == base.MASK:
            self._label_dir = self._folder(spec.label_dir)
        elif spec.label_dir:
            self._label_dir = self._path(spec.label_dir)
        images = self._list_images()
        if spec.split_file:
            images = self._only_listed(images)
        self._stems = self._unique_ids(images)
        self._classes = (self._read_classes(images) if decodes == base.CLASS
                         else np.zeros(len(images), np.int64))
        limit = spec.limit or len(images)
        self._images, self._stems = images[:limit], self._stems[:limit]
        self._classes = self._classes[:limit]
        self._masks = [''] * len(self._images)
        if decodes == base.MASK:
            self._masks, kept = self._find_masks()
            self._keep_only(kept)
        self._plain = True  # Every mask is 8 bit grey, which TF can read.
        self._check_headers()

    def records(self):
        kept = range(len(self._images)) if self._kept is None else self._kept
        return base.make_records(
            [str(self._images[i]) for i in kept],
            [str(self._masks[i]) for i in kept],
            [self._classes[i] for i in kept])

    def decode(self, record):
        example = {'image': decoding.decode_image(
            tf.io.read_file(record['image']), record['image'])}
        if self.decodes == base.CLASS:
            example['label'] = self._check_class(record['class_or_index'],
                                                 record['image'])
        elif self.decodes == base.MASK:
            example['label'] = self._map_mask(
                self._decode_mask(record['label']), record['label'])
        return example

    def problems(self, progress=iter, inspect=None):
        """See the base class."""
        yield from self._faults
        yield from super().problems(progress, inspect)

    def _count(self):
        return len(self._images)

    def _list_ids(self):
        return self._stems

    def _folder(self, template):
        if not template:
            raise errors.UserError(
                f'{self.title}: has no masks to segment by: set '
                'DatasetSpec.label_dir')
        folder = self._path(template)
        if not folder.is_dir():
            raise errors.UserError(f'{self.title}: there is no folder '
                                   f'{folder}: set --data_dir')
        return folder

    def _path(self, template):
        try:
            return self._root / template.format(split=self.split)
        except (KeyError, IndexError, ValueError):
            raise errors.UserError(
                f'{self.title}: {template!r} may hold {{split}} and no other '
                'braces') from None

    def _list_images(self):
        spec = self.spec
        endings = (spec.image_suffix,) if spec.image_suffix else SUFFIXES
        images = [
            path for path in sorted(self._image_dir.rglob('*'))
            if path.name.lower().endswith(tuple(e.lower() for e in endings))
            and not path.name.startswith('.') and path.is_file()
            and not self._is_mask(path)]
        if not images:
            raise errors.UserError(
                f'{self.title}: the folder {self._image_dir} holds no image '
                f'({", ".join(endings)})')
        return images

    def _only_listed(self, images):
        """The images whose ids the split's file lists."""
        path = self._path(self.spec.split_file)
        try:
            wanted = set(path.read_text(encoding='utf-8').split())
        except (OSError, ValueError) as error:
            raise errors.UserError(
                f'{self.title}: cannot read the list of its ids, {path} '
                f'({error}): set --data_dir or DatasetSpec.split_file'
            ) from None
        missing = sorted(wanted.difference(map(self._id, images)))
        if missing or not wanted:
            what = f'{missing[0]!r}, of which there is no image in ' \
                   f'{self._image_dir}' if missing else 'no id'
            raise errors.UserError(f'{self.title}: {path} lists {what}: '
                                   'complete the folder, or mend the list')
        return [image for image in images if self._id(image) in wanted]

    def _is_mask(self, path):
        """Masks may lie below the images, or beside them, with an ending."""
        if self._label_dir is None:
            return False
        if self._label_dir == self._image_dir:
            return (not self.spec.image_suffix
                    and path.name.endswith(self.spec.label_suffix))
        return (self._label_dir in path.parents
                and self._image_dir in self._label_dir.parents)

    def _unique_ids(self, images):
        ids = {}
        for path in images:
            other = ids.setdefault(self._id(path), path)
            if other is not path:
                raise errors.UserError(
                    f'{self.title}: {other} and {path} have the same id: '
                    'rename one of them')
        return list(ids)

    def _id(self, path):
        suffix = self.spec.image_suffix
        return path.name[:-len(suffix)] if suffix else path.stem

    def _find_masks(self):
        masks, kept = [], []
        for index, (path, stem) in enumerate(zip(self._images, self._stems)):
            mask = (self._label_dir / path.relative_to(self._image_dir).parent
                    / f'{stem}{self.spec.label_suffix}')
            masks.append(mask)
            if mask.is_file():
                kept.append(index)
            else:
                self._fault(f'{self.title}: the image {path} has no mask '
                            f'{mask}: add it, or take the image away')
        return masks, kept

    def _read_classes(self, images):
        parts = [path.relative_to(self._image_dir).parts for path in images]
        loose = [path for path, p in zip(images, parts) if len(p) < 2]
        if loose:
            raise errors.UserError(
                f'{self.title}: {loose[0]} lies in no subfolder: to classify, '
                'each class has its own')
        names = sorted({p[0] for p in parts})
        if len(names) > self.spec.num_classes:
            raise errors.UserError(
                f'{self.title}: {self._image_dir} has {len(names)} subfolders '
                f'for DatasetSpec.num_classes = {self.spec.num_classes}')
        ranks = {name: rank for rank, name in enumerate(names)}
        return np.array([ranks[p[0]] for p in parts], np.int64)

    def _check_headers(self):
        """Drops from the lists what cannot be used; see `strict`."""
        kept = []
        for index, (image, mask) in enumerate(zip(self._images, self._masks)):
            try:
                if mask:
                    plain = image_files.check_pair(image, mask)
                    self._plain = self._plain and plain
                else:
                    image_files.check_image(image)
                kept.append(index)
            except errors.UserError as error:
                self._fault(str(error))
        self._keep_only(kept)

    def _keep_only(self, indices):
        self._images, self._masks, self._stems = (
            [values[i] for i in indices]
            for values in (self._images, self._masks, self._stems))
        self._classes = self._classes[indices]

    def _fault(self, message):
        if self._strict:
            raise errors.UserError(message)
        self._faults.append(message)

    def _decode_mask(self, path):
        """Scalar string -> [H, W] uint8 ids of the file."""
        if self._plain:
            return tf.io.decode_png(tf.io.read_file(path), channels=1)[..., 0]
        # TensorFlow would turn a palette's ids into its colours.
        mask = tf.numpy_function(
            lambda p: image_files.read_mask(np.asarray(p).item().decode()),
            [path], tf.uint8, stateful=False)
        return tf.ensure_shape(mask, (None, None))

    def _example_title(self, record, position):
        return f'{record["image"].numpy().decode()}: '

    def _unusable(self, record, position, error):
        return str(image_files.unreadable(
            record['image'].numpy().decode(), error.message.splitlines()[0]))

    def _check_upright(self, record, position):
        """Done as the folder was listed."""

    def _check_record(self, record):
        if self.decodes != base.MASK:
            return
        path = record['label'].numpy().decode()
        ids = np.unique(image_files.read_mask(path))
        wrong = ids[self._table[ids] < 0]
        if wrong.size:
            raise errors.UserError(
                f'the mask {path} holds the id {wrong[0]}, outside the '
                f'{self.spec.num_classes} classes: mend the mask, or '
                f'DatasetSpec.num_classes or label_set; '
                f'{specs.IGNORE_LABEL} is ignored')
