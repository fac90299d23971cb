"""Bilinear resizing as small matrices, and as shifts."""

import tensorflow as tf


def aligned_matrix(size_in, size_out):
    """Returns [size_out, size_in] float32 that resizes, corners aligned.

    As scipy.ndimage.zoom(order=1). Sizes are ints or int32 scalars.
    """
    size_in = tf.cast(size_in, tf.float32)
    size_out = tf.cast(size_out, tf.float32)
    step = (size_in - 1.0) / tf.maximum(size_out - 1.0, 1.0)
    centres = tf.range(size_out) * step
    # A tent of width one around each centre: linear interpolation.
    return tf.nn.relu(1.0 - tf.abs(centres[:, None] - tf.range(size_in)))


def resize_aligned(images, height, width):
    """Resizes [B, H, W, C] float to [B, height, width, C], corners aligned."""
    shape = tf.shape(images)
    rows = aligned_matrix(shape[1], height)
    columns = aligned_matrix(shape[2], width)
    return tf.einsum('yh,xw,bhwc->byxc', tf.cast(rows, images.dtype),
                     tf.cast(columns, images.dtype), images)


def double_half_pixel(images):
    """Doubles [B, H, W, C], bilinear with half-pixel centres, edges clamped.

    Written as shifts weighted 3/4 and 1/4, which is exact for a factor of
    two, and whose gradient the TPU compiler accepts in bfloat16.
    """
    return _double(_double(images, 1), 2)


def _double(images, axis):
    before = tf.concat([_part(images, axis, 0, 1),
                        _part(images, axis, 0, -1)], axis)
    after = tf.concat([_part(images, axis, 1, None),
                       _part(images, axis, -1, None)], axis)
    pairs = tf.stack([0.25 * before + 0.75 * images,
                      0.75 * images + 0.25 * after], axis + 1)
    shape, known = tf.shape(images), images.shape.as_list()
    sizes = [shape[i] if side is None else side
             for i, side in enumerate(known)]
    sizes[axis] = 2 * sizes[axis]
    return tf.reshape(pairs, sizes)


def _part(images, axis, start, stop):
    index = [slice(None)] * 4
    index[axis] = slice(start, stop)
    return images[tuple(index)]
