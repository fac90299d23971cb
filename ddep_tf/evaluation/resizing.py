"""Resizing as products with matrices, from sizes that a device is told.

As tf.image.resize, whose sizes must be known when a TPU's program is compiled.
Sizes and places here are int32 scalars, numbers of entries Python's where they
have to be. An axis is resized by a matrix, outputs x inputs.
"""

import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import tiles
from ddep_tf.models import layers


def crop(images: tf.Tensor, size: tf.Tensor, view: tf.Tensor,
         start: tf.Tensor, shape: tuple[int | tf.Tensor, int | tf.Tensor],
         window: tuple[int | tf.Tensor, int | tf.Tensor],
         fill: str = specs.GRAY) -> tf.Tensor:
    """Cuts a part out of resized images.

    Args:
      images: [B, 3, H, W] float32, of which what lies beyond `size` is unused.
      size: [2] int32, height and width of the images.
      view: [2] int32, the size that they are resized to, with antialiasing.
      start: [2] int32, where the part begins in the view; may be negative.
      shape: (height, width) of the part.
      window: (height, width) from which the part can be interpolated.
      fill: what lies beyond the images, see EvalSpec.

    Returns:
      [B, height, width, 3] float32.
    """
    places = [_places(start[axis], shape[axis], view[axis], fill)
              for axis in range(2)]
    part = tf.cond(tf.reduce_all(size == view),
                   lambda: _cut(images, size, places),
                   lambda: _resized(images, size, view, start, places, window))
    return tf.transpose(part, (0, 2, 3, 1))


def _cut(images, size, places):
    part = images
    for axis in range(2):
        inside = (places[axis] >= 0) & (places[axis] < size[axis])
        part = tf.gather(part, tf.where(inside, places[axis], 0),
                         axis=2 + axis)
        mask = tf.cast(inside, tf.float32)
        part *= mask if axis else mask[:, None]
    return part


def _resized(images, size, view, start, places, window):
    batch = layers.dims(images)[0]
    limit = layers.dims(images)[2:]
    matrices, begins = [], []
    for axis in range(2):
        matrix, begin = _antialiased(
            size[axis], view[axis], start[axis], places[axis], window[axis],
            limit[axis])
        matrices.append(matrix)
        begins.append(begin)
    part = tf.slice(images, [0, 0, *begins], [batch, 3, *window])
    part = tf.matmul(matrices[0], part)
    part = tf.reshape(part, (-1, window[1]))
    height, width = (layers.dims(matrix)[0] for matrix in matrices)
    return tf.reshape(tf.matmul(part, matrices[1], transpose_b=True),
                      (batch, 3, height, width))


def _places(start, length, view, fill):
    """Returns which places of a view a part shows, [length] int32; those that
    are not in it are gray."""
    places = start + tf.range(length)
    if fill == specs.GRAY:
        return places
    # The last place is followed by itself, then the one before it.
    mirrored = places % (2 * view)
    mirrored = tf.minimum(mirrored, 2 * view - 1 - mirrored)
    return tf.where(length > tiles.padded(view), mirrored, places)


def _antialiased(size, view, start, places, window, limit):
    """Returns ([places, window] weights of an axis, where the window begins).

    Those of a triangle as wide as a pixel of the view, as of tf.image.resize;
    zero for places outside of the view.
    """
    step = tf.cast(size, tf.float32) / tf.cast(view, tf.float32)
    reach = tf.maximum(step, 1.0)
    centers = (tf.cast(places, tf.float32) + 0.5) * step
    nearest = (tf.cast(tf.maximum(start, 0), tf.float32) + 0.5) * step
    begin = tf.clip_by_value(tf.cast(tf.floor(nearest - reach), tf.int32) - 1,
                             0, limit - window)
    inputs = begin + tf.range(window)
    gaps = abs(tf.cast(inputs, tf.float32) + 0.5 - centers[:, None])
    weights = tf.maximum(1.0 - gaps / reach, 0.0)
    weights *= tf.cast(inputs < size, tf.float32)
    weights = tf.math.divide_no_nan(
        weights, tf.reduce_sum(weights, 1, keepdims=True))
    inside = (places >= 0) & (places < view)
    return weights * tf.cast(inside, tf.float32)[:, None], begin


def bilinear(outputs: tf.Tensor, out_size: tf.Tensor, in_size: tf.Tensor
             ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns between which inputs outputs lie, half-pixel centers.

    Args:
      outputs: [n] int32, places in the result.
      out_size, in_size: int32 scalars, the lengths of the axis.

    Returns:
      ([n] int32 the input before, [n] int32 that after, [n] float32 how much
      the latter counts, of 1).
    """
    step = tf.cast(in_size, tf.float32) / tf.cast(out_size, tf.float32)
    place = tf.maximum((tf.cast(outputs, tf.float32) + 0.5) * step - 0.5, 0.0)
    before = tf.minimum(tf.cast(place, tf.int32), in_size - 1)
    weight = tf.minimum(place - tf.cast(before, tf.float32), 1.0)
    return before, tf.minimum(before + 1, in_size - 1), weight
