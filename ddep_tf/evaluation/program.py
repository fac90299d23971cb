"""What one replica computes of its images: a function of tensors alone.

It has static shapes where its inputs have, and then compiles for a TPU. The
probabilities of all views are added up at the label's size, tile by tile: no
view is held as a whole, and nothing but counts need leave the device.
"""

from collections.abc import Mapping, Sequence
import math

import keras
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import blocks, resizing, tiles
from ddep_tf.models import layers

Tensors = dict[str, tf.Tensor]


class Program:
    """Segments images of one size, which lie in canvases.

    Attributes:
      passes: number of confusion matrices, see `tiles.passes`.

    Args:
      network: images [B, h, w, 3] float32 in [-1, 1] -> logits [B, h, w, C];
        C is its `num_outputs`.
      spec: EvalSpec.
      single_scale: whether the plain view is measured alone, too.
    """

    def __init__(self, network: keras.Model, spec: specs.EvalSpec,
                 single_scale: bool = False):
        self._network = network
        self._classes = network.num_outputs
        self._spec = spec
        self._views = len(tiles.views(spec))
        views = tiles.passes(spec, single_scale)
        self.passes = len(views)
        # The plain view is measured, and is none of the views.
        self._starts_anew = len(views) > 1 and len(views[1]) == self._views

    def inputs(self, batch: int | None = None,
               canvas: Sequence[int | None] = (None, None),
               label_canvas: Sequence[int | None] = (None, None),
               count: int | None = None) -> dict[str, tf.TensorSpec]:
        """Returns the specs of what the methods take; None leaves open.

        'image' [B, H, W, 3] float32 in [-1, 1]; 'label' [B, h, w] uint8 train
        ids, 255 where nothing is counted, whose sides are multiples of those
        of a block; 'size' and 'label_size', [2] int32, what is used of both;
        'table', 'row_shares', 'column_shares' and 'ends' as of tiles.Tiles.

        Args:
          batch: B.
          canvas: (H, W).
          label_canvas: (h, w).
          count: tiles at most.
        """
        tile = self._spec.tile or (None, None)
        spec = tf.TensorSpec
        return {'image': spec((batch, *canvas, 3), tf.float32),
                'label': spec((batch, *label_canvas), tf.uint8),
                'size': spec((2,), tf.int32),
                'label_size': spec((2,), tf.int32),
                'table': spec((count, len(tiles.FIELDS)), tf.int32),
                'row_shares': spec((count, tile[0]), tf.float32),
                'column_shares': spec((count, tile[1]), tf.float32),
                'ends': spec((self.passes,), tf.int32)}

    def count(self, inputs: Mapping[str, tf.Tensor]) -> Tensors:
        """Compares what is predicted with the labels.

        Args:
          inputs: see `inputs`.

        Returns:
          dict of 'matrix' [B, passes, C, C] int32, the confusion matrices of
          each image, rows are the truth; 'ids' [B, h, w] uint8, what is
          predicted in the last pass; 'image_finite' and 'result_finite', [1]
          bool.
        """
        truth = blocks.split(inputs['label'])
        batch = layers.dims(inputs['image'])[0]

        def measure(index, total, matrices, ids, finite):
            del ids
            total = self._add_pass(inputs, index, total)
            ids, good = blocks.most_probable(total, truth)
            matrix = blocks.confusion(truth, ids, self._classes)
            matrices = tf.tensor_scatter_nd_update(matrices, [[index]],
                                                   matrix[None])
            if self._starts_anew:
                total = self._nothing(inputs)
            return total, matrices, ids, finite & good

        matrices = tf.zeros((self.passes, batch, self._classes, self._classes),
                            tf.int32)
        _, matrices, ids, finite = blocks.loop(
            0, self.passes, measure, self._nothing(inputs), matrices, truth,
            tf.constant(True))
        return {'matrix': tf.transpose(matrices, (1, 0, 2, 3)),
                **self._result(inputs, ids, finite)}

    def predict(self, inputs: Mapping[str, tf.Tensor]) -> Tensors:
        """As `count`, without 'matrix'."""
        return self._result(inputs, *blocks.most_probable(
            self._add_all(inputs), blocks.split(inputs['label'])))

    def probabilities(self, inputs: Mapping[str, tf.Tensor]) -> Tensors:
        """As `predict`, and 'probabilities' [B, h, w, C] float32, averaged
        over all views."""
        total = self._add_all(inputs)
        mean = blocks.join(total.stack(), *layers.dims(inputs['label'])[1:])
        return {'probabilities': mean / self._views,
                **self._result(inputs, *blocks.most_probable(
                    total, blocks.split(inputs['label'])))}

    def _result(self, inputs, ids, finite):
        ids = blocks.join(ids[..., None], *layers.dims(inputs['label'])[1:])
        image_finite = tf.reduce_all(tf.math.is_finite(inputs['image']))
        return {'ids': ids[..., 0], 'image_finite': image_finite[None],
                'result_finite': finite[None]}

    def _nothing(self, inputs):
        """Returns a total that nothing has been added to."""
        batch, height, width = layers.dims(inputs['label'])
        count = height * width // (blocks.HEIGHT * blocks.WIDTH)
        return blocks.nothing(count, batch, self._classes)

    def _add_all(self, inputs):
        return blocks.loop(
            0, self.passes,
            lambda index, total: self._add_pass(inputs, index, total),
            self._nothing(inputs))

    def _add_pass(self, inputs, index, total):
        """Adds the tiles of a pass to a total."""
        ends = tf.concat([[0], inputs['ends']], 0)
        images = tf.transpose(inputs['image'], (0, 3, 1, 2))
        return blocks.loop(
            ends[index], ends[index + 1],
            lambda tile, total: self._add_tile(inputs, images, tile, total),
            total)

    def _add_tile(self, inputs, images, index, total):
        tile = dict(zip(tiles.FIELDS, tf.unstack(
            inputs['table'][index], len(tiles.FIELDS)), strict=True))
        shape = self._spec.tile or (tile['height'], tile['width'])
        mirrored = tile['mirrored'] > 0
        part = resizing.crop(
            images, inputs['size'],
            tf.stack([tile['view_height'], tile['view_width']]),
            tf.stack([tile['top'], tile['left']]), shape,
            self._window(images, inputs['size']), self._spec.fill)
        part = tf.where(mirrored, tf.reverse(part, [2]), part)
        found = tf.nn.softmax(self._network(part, training=False))
        height, width = tf.unstack(inputs['label_size'])
        rows = blocks.Axis(
            height, tile['view_height'], tile['top'], False,
            inputs['row_shares'][index, :shape[0]], tile['first_row'],
            tile['end_row'])
        columns = blocks.Axis(
            width, tile['view_width'], tile['left'], mirrored,
            inputs['column_shares'][index, :shape[1]], tile['first_column'],
            tile['end_column'])
        across = layers.dims(inputs['label'])[2] // blocks.WIDTH
        return blocks.add(total, found, across, rows, columns)

    def _window(self, images, size):
        """Returns the size of what a tile is resized from, at most."""
        if not self._spec.tile:
            return tf.unstack(size)
        # A side of a view is rounded: of few pixels by up to a half.
        step = 1.5 / min(1.0, *self._spec.scales)
        most = [math.ceil((side + 2) * step) + 4 for side in self._spec.tile]
        limits = images.shape[2:]
        if None in limits:
            return tf.unstack(tf.minimum(most, size))
        return [min(one, limit) for one, limit in zip(most, limits)]
