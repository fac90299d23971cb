"""Pure TensorFlow ops on an example.

An example is a dict: 'image' [H, W, 3] uint8 or float32 in [0, 255], and
maybe 'label', [H, W] uint8 train ids (a mask) or a scalar int32 (a class,
which passes through). What is done to the image's geometry is done to the
mask. Randomness is a function of `seed`, [2] int32 or int64, alone.
"""

import tensorflow as tf

from ddep_tf import specs

# What images are padded with: ImageNet's mean colour, RGB [O]. A fixed one, so
# that the pad does not depend on the image, nor on how it was cropped before.
FILL = (124, 116, 104)


def resize(example, scale=1.0, short_side=0):
    """Resizes by `scale`, then so that the short side is `short_side`.

    Args:
      example: see above.
      scale: float above 0; 1 is off. Sides are rounded, at least 1 pixel.
      short_side: pixels; 0 is off.

    Returns:
      The example; image float32 in [0, 255] if anything was resized.
    """
    if scale == 1.0 and not short_side:
        return example
    size = tf.shape(example['image'])[:2]
    size = _scaled(size, tf.constant(scale, tf.float32))
    if short_side:
        short = tf.cast(tf.reduce_min(size), tf.float32)
        size = _scaled(size, short_side / short)
    return _resize_to(example, size)


def random_scale(example, low, high, seed):
    """Resizes by a factor drawn uniformly from [low, high)."""
    if low == high == 1.0:
        return example
    factor = tf.random.stateless_uniform((), seed, low, max(high, low + 1e-6))
    return _resize_to(example,
                      _scaled(tf.shape(example['image'])[:2], factor))


def pad_to(example, size, ignore=specs.IGNORE_LABEL):
    """Pads below and to the right, where the image is smaller than `size`.

    Args:
      example: see above.
      size: (height, width), at least this afterwards.
      ignore: what the mask is padded with; the image takes FILL.
    """
    image = example['image']
    missing = tf.maximum(tf.constant(size) - tf.shape(image)[:2], 0)
    padding = [[0, missing[0]], [0, missing[1]]]
    result = dict(example)
    inside = tf.pad(tf.ones_like(image[..., :1], tf.bool), [*padding, [0, 0]])
    result['image'] = tf.where(inside, tf.pad(image, [*padding, [0, 0]]),
                               tf.constant(FILL, image.dtype))
    if _has_mask(example):
        result['label'] = tf.pad(
            example['label'], padding,
            constant_values=tf.cast(ignore, example['label'].dtype))
    return result


def random_crop(example, size, seed):
    """Cuts out `size` at a random place, of the padded image if need be.

    Args:
      example: see above.
      size: (height, width).
      seed: see above.

    Returns:
      The example, of static shape.
    """
    example = pad_to(example, size)
    room = tf.shape(example['image'])[:2] - tf.constant(size)
    place = tf.random.stateless_uniform((2,), seed)
    # In [0, room]: the product of floats below 1 may round up to room + 1.
    corner = tf.minimum(tf.cast(
        place * tf.cast(room + 1, tf.float32), tf.int32), room)
    return _cut(example, corner, size)


def centre_crop(example, size):
    """Cuts `size`, (height, width), out of the (padded) image's middle."""
    example = pad_to(example, size)
    room = tf.shape(example['image'])[:2] - tf.constant(size)
    return _cut(example, room // 2, size)


def random_flip(example, seed):
    """Mirrors left and right, in half of the cases."""
    flip = tf.random.stateless_uniform((), seed) < 0.5
    result = dict(example)
    result['image'] = tf.where(flip, example['image'][:, ::-1],
                               example['image'])
    if _has_mask(example):
        result['label'] = tf.where(flip, example['label'][:, ::-1],
                                   example['label'])
    return result


def to_float(example):
    """Image -> float32 in [-1, 1], x / 127.5 - 1; label -> int32."""
    result = dict(example)
    image = tf.cast(example['image'], tf.float32)
    result['image'] = tf.clip_by_value(image / 127.5 - 1.0, -1.0, 1.0)
    if 'label' in example:
        result['label'] = tf.cast(example['label'], tf.int32)
    return result


def _has_mask(example):
    return 'label' in example and example['label'].shape.rank == 2


def _scaled(size, factor):
    size = tf.round(tf.cast(size, tf.float32) * factor)
    return tf.maximum(tf.cast(size, tf.int32), 1)


def _resize_to(example, size):
    result = dict(example)
    result['image'] = tf.image.resize(
        example['image'], size, method='bilinear', antialias=True)
    if _has_mask(example):
        result['label'] = tf.image.resize(
            example['label'][..., None], size, method='nearest')[..., 0]
    return result


def _cut(example, corner, size):
    height, width = size
    result = dict(example)
    result['image'] = tf.ensure_shape(tf.slice(
        example['image'], [corner[0], corner[1], 0], [height, width, 3]),
        (height, width, 3))
    if _has_mask(example):
        result['label'] = tf.ensure_shape(
            tf.slice(example['label'], corner, [height, width]), size)
    return result
