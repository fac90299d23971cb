"""A folder of images, with masks beside them or classes as subfolders."""

from collections.abc import Callable, Iterator
import os

import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import decoding, image_files
from ddep_tf.data.sources import base, folder_layout


class FolderSource(base.Source):
    """Images below `image_dir`, at any depth, sorted by path.

    See `folder_layout` for where masks and classes are found.

    Args:
      spec: DatasetSpec.
      split: name of the split.
      decodes: one of base.DECODES.
      data_dir: root folder of the data.
      strict: raise for the first image that cannot be used. Otherwise such
        images are left out, and `problems` names them.
    """

    def __init__(self, spec: specs.DatasetSpec, split: str, decodes: str,
                 data_dir: str | os.PathLike, strict: bool = True):
        super().__init__(spec, split, decodes)
        layout = folder_layout.FolderLayout(
            spec, split, data_dir, self.title, decodes == base.MASK)
        images = layout.images()
        stems = layout.ids(images)
        classes = (layout.classes(images) if decodes == base.CLASS
                   else [0] * len(images))
        limit = spec.limit or len(images)
        self._strict = strict
        self._faults: list[str] = []
        self._gray_masks = True  # 8-bit gray, which TensorFlow can decode.
        self._images: list[str] = []
        self._stems: list[str] = []
        self._classes: list[int] = []
        self._masks: list[str] = []
        for image, stem, label in zip(images[:limit], stems, classes):
            try:
                mask = self._check_files(layout, image)
            except errors.UserError as error:
                self._fault(error)
                continue
            self._images.append(str(image))
            self._stems.append(stem)
            self._classes.append(label)
            self._masks.append(str(mask))

    @property
    def needs_python(self) -> bool:
        return not self._gray_masks

    @property
    def files(self) -> list[str]:
        return [path for i in self._indices()
                for path in (self._images[i], self._masks[i]) if path]

    def records(self) -> tf.data.Dataset:
        kept = self._indices()
        return base.make_records([self._images[i] for i in kept],
                                 [self._masks[i] for i in kept],
                                 [self._classes[i] for i in kept])

    def decode(self, record: base.Tensors) -> base.Tensors:
        image = record['image']
        example = {'image': decoding.decode_image(tf.io.read_file(image),
                                                  image)}
        if self.decodes == base.CLASS:
            example['label'] = self._check_class(
                record['class_or_index'], image)
        elif self.decodes == base.MASK:
            example['label'] = self._map_mask(
                self._decode_mask(record['label']), record['label'])
        return example

    def problems(self, progress: base.Progress = iter,
                 inspect: Callable[[base.Tensors], str] | None = None
                 ) -> Iterator[str]:
        yield from self._faults
        yield from super().problems(progress, inspect)

    def _count(self) -> int:
        return len(self._images)

    def _list_ids(self) -> list[str]:
        return self._stems

    def _check_files(self, layout, image):
        """Returns the path of the image's mask, '' if none is read."""
        if self.decodes != base.MASK:
            image_files.check_stored(image)
            return ''
        mask = layout.mask(image)
        gray = image_files.check_pair(image, mask)
        self._gray_masks = self._gray_masks and gray
        return mask

    def _fault(self, error):
        if self._strict:
            raise error
        self._faults.append(str(error))

    def _decode_mask(self, path):
        """Scalar string -> [H, W] uint8 ids of the file."""
        if self._gray_masks:
            return tf.io.decode_png(tf.io.read_file(path), channels=1)[..., 0]
        # TensorFlow would turn palette indices into colors.
        mask = tf.numpy_function(
            lambda p: image_files.read_mask(np.asarray(p).item().decode()),
            [path], tf.uint8, stateful=False)
        return tf.ensure_shape(mask, (None, None))

    def _decode_checked(self, record, position):
        if self.decodes == base.MASK:
            self._check_ids(record['label'].numpy().decode())
        return self.decode(record)

    def _check_ids(self, mask):
        """UserError if the mask file `mask` holds an id outside the classes."""
        ids = np.unique(image_files.read_mask(mask))
        wrong = ids[self._table[ids] < 0]
        if wrong.size:
            raise errors.UserError(
                f'the mask {mask} holds the id {wrong[0]}, outside the '
                f'{self.spec.num_classes} classes: correct the mask, or '
                f'DatasetSpec.num_classes or label_set; '
                f'{specs.IGNORE_LABEL} is ignored')

    def _example_title(self, record, position):
        return f'{record["image"].numpy().decode()}: '

    def _unusable(self, record, position, error):
        mask = record['label'].numpy().decode()
        if mask:
            try:
                image_files.read_mask(mask)
            except errors.UserError as of_mask:
                return str(of_mask)
        return str(image_files.unreadable(
            record['image'].numpy().decode(), errors.first_line(error)))
