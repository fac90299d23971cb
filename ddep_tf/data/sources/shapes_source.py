"""The embedded procedural set as a source."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import shapes
from ddep_tf.data.sources import base


class ShapesSource(base.Source):
    """See `shapes.py`. Unlabeled images are scenes."""

    def __init__(self, spec: specs.DatasetSpec, split: str, decodes: str):
        super().__init__(spec, split, decodes)
        length = shapes.length(split)
        self._length = min(spec.limit or length, length)
        self._view = (shapes.OBJECT if decodes == base.CLASS
                      else shapes.SCENE)
        # One spec serves both views, and masks have one class more.
        if decodes == base.CLASS and spec.num_classes < len(shapes.SHAPES):
            raise errors.UserError(
                f'{self.title}: the classification view has '
                f'{len(shapes.SHAPES)} classes, DatasetSpec.num_classes is '
                f'{spec.num_classes}')

    @property
    def needs_python(self) -> bool:
        return True

    def records(self) -> tf.data.Dataset:
        return base.make_index_records(self._indices())

    def decode(self, record: base.Tensors) -> base.Tensors:
        index = record['class_or_index']
        image, label = tf.numpy_function(
            self._render, [index], (tf.uint8, tf.uint8), stateful=False)
        size = (shapes.SIZE, shapes.SIZE)
        example = {'image': tf.ensure_shape(image, (*size, 3))}
        if self.decodes == base.CLASS:
            example['label'] = tf.cast(tf.ensure_shape(label, ()), tf.int32)
        elif self.decodes == base.MASK:
            example['label'] = self._map_mask(
                tf.ensure_shape(label, size), tf.as_string(index))
        return example

    def problems(self, progress: base.Progress = iter,
                 inspect: Callable[[base.Tensors], str] | None = None
                 ) -> Iterator[str]:
        """Yields nothing: drawn images cannot be damaged."""
        return iter(())

    def _render(self, index):
        image, label = shapes.render(self._view, self.split, int(index))
        return image, np.asarray(label, np.uint8)

    def _count(self) -> int:
        return self._length

    def _list_ids(self) -> list[str]:
        # The two views hold different images, and so have different ids.
        return [f'{self._view}_{self.split}_{i:07d}'
                for i in range(self._length)]
