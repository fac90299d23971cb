"""Pure TensorFlow ops on an example.

An example is a dict of 'image', [H, W, 3] uint8 or float32 in [0, 255], and
possibly 'label': a mask, [H, W] uint8 train ids, or a class, scalar int32.
Geometric changes apply to image and mask alike; a class passes through.
Randomness is a function of `seed`, [2] int32 or int64, alone.
"""

import tensorflow as tf

from ddep_tf import specs

Example = dict[str, tf.Tensor]

# Images are padded with ImageNet's mean color, RGB [O]. It is fixed, so that
# the padding depends neither on the image nor on an earlier crop.
FILL = (124, 116, 104)


def uniform(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Draws from [0, 1), float32, as tf.random.stateless_uniform does: its
    bits, by one operation in place of five, as there is one for each image.
    """
    return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=seed)


def resize(example: Example, scale: float = 1.0,
           short_side: int = 0) -> Example:
    """Resizes by `scale`, then to a short side of `short_side`.

    Args:
      example: see above.
      scale: above 0; 1 is off. Sides are rounded, and at least 1 pixel.
      short_side: pixels; 0 is off.

    Returns:
      The example; its image is float32 in [0, 255] if it was resized.
    """
    if scale == 1.0 and not short_side:
        return example
    size = tf.shape(example['image'])[:2]
    size = _scaled(size, tf.constant(scale, tf.float32))
    if short_side:
        short = tf.cast(tf.reduce_min(size), tf.float32)
        size = _scaled(size, short_side / short)
    return _resize_to(example, size)


def random_scale(example: Example, low: float, high: float,
                 seed: tf.Tensor) -> Example:
    """Resizes by a factor drawn uniformly from [low, high)."""
    if low == high == 1.0:
        return example
    factor = tf.random.stateless_uniform((), seed, low, max(high, low + 1e-6))
    return _resize_to(example,
                      _scaled(tf.shape(example['image'])[:2], factor))


def pad_to(example: Example, size: tuple[int, int],
           ignore: int = specs.IGNORE_LABEL) -> Example:
    """Pads an image smaller than `size` below and to the right.

    Args:
      example: see above.
      size: the least (height, width) of the result.
      ignore: the mask's padding value; the image's is FILL.
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


def random_crop(example: Example, size: tuple[int, int],
                seed: tf.Tensor) -> Example:
    """Crops to `size` at a random place; a smaller image is padded first.

    Args:
      example: see above.
      size: (height, width).
      seed: see above.

    Returns:
      The example, of static shape.
    """
    room = _room(example, size)
    place = uniform((2,), seed)
    # `place` is below 1, but its product may round up to room + 1.
    corner = tf.minimum(tf.cast(
        place * tf.cast(room + 1, tf.float32), tf.int32), room)
    return _cut(example, corner, size)


def center_crop(example: Example, size: tuple[int, int]) -> Example:
    """Crops to the central (height, width); a smaller image is padded."""
    return _cut(example, _room(example, size) // 2, size)


def random_flip(example: Example, seed: tf.Tensor,
                vertical: bool = False) -> Example:
    """Mirrors left and right, or top and bottom, with probability 1/2."""
    flip = uniform((), seed) < 0.5
    axis = 0 if vertical else 1
    return _moved(example, lambda x: tf.cond(
        flip, lambda: tf.reverse(x, [axis]), lambda: x))


def random_turn(example: Example, seed: tf.Tensor) -> Example:
    """Turns a square example by 0, 90, 180 or 270 degrees, all as likely."""
    quarter, half = tf.unstack(uniform((2,), seed) < 0.5)

    def turned(x):
        axes = [1, 0, *range(2, x.shape.rank)]
        x = tf.where(quarter, tf.reverse(tf.transpose(x, axes), [0]), x)
        return tf.where(half, tf.reverse(x, [0, 1]), x)
    return _moved(example, turned)


def random_light(example: Example, spec: specs.AugmentSpec,
                 seed: tf.Tensor) -> Example:
    """Varies brightness, contrast, saturation and hue, in this order.

    Args:
      example: see above.
      spec: AugmentSpec.
      seed: see above.

    Returns:
      The example; its image is float32 in [0, 255] if anything was varied.
    """
    if not (spec.brightness or spec.contrast or spec.saturation or spec.hue):
        return example
    image = tf.cast(example['image'], tf.float32) / 255.0
    if spec.brightness:
        image = tf.image.stateless_random_brightness(
            image, spec.brightness, seed)
    if spec.contrast:
        image = tf.image.stateless_random_contrast(
            image, 1 - spec.contrast, 1 + spec.contrast, seed + 1)
    image = tf.clip_by_value(image, 0.0, 1.0)  # Or a hue means nothing.
    if spec.saturation:
        image = tf.image.stateless_random_saturation(
            image, 1 - spec.saturation, 1 + spec.saturation, seed + 2)
    if spec.hue:
        image = tf.image.stateless_random_hue(image, spec.hue, seed + 3)
    return {**example, 'image': 255.0 * tf.clip_by_value(image, 0.0, 1.0)}


def to_uint8(example: Example) -> Example:
    """Rounds the image to uint8, unless it is; casts the label to int32."""
    result = _with_int32_label(example)
    if example['image'].dtype != tf.uint8:
        result['image'] = tf.saturate_cast(tf.round(example['image']),
                                           tf.uint8)
    return result


def to_float(example: Example) -> Example:
    """Casts the image to float32, x / 127.5 - 1 in [-1, 1]; label to int32."""
    image = tf.cast(example['image'], tf.float32)
    return _with_int32_label(example) | {
        'image': tf.clip_by_value(image / 127.5 - 1.0, -1.0, 1.0)}


def _with_int32_label(example):
    if 'label' not in example:
        return dict(example)
    return {**example, 'label': tf.cast(example['label'], tf.int32)}


def _has_mask(example):
    return 'label' in example and example['label'].shape.rank == 2


def _moved(example, move):
    """Applies `move` to the image, and to the mask if there is one."""
    result = {**example, 'image': move(example['image'])}
    if _has_mask(example):
        result['label'] = move(example['label'])
    return result


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


def _room(example, size):
    """Returns how far a crop may move, [2] int32."""
    return tf.maximum(tf.shape(example['image'])[:2] - tf.constant(size), 0)


def _cut(example, corner, size):
    """Cuts (height, width) at a corner; most images are large enough."""
    fits = tf.reduce_all(tf.shape(example['image'])[:2] >= tf.constant(size))
    whole = tf.cond(fits, lambda: dict(example),
                    lambda: pad_to(example, size))
    result = {**example, 'image': tf.slice(
        whole['image'], tf.concat([corner, [0]], 0), (*size, 3))}
    if _has_mask(example):
        result['label'] = tf.slice(whole['label'], corner, size)
    return result
