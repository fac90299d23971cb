"""The corruption that the decoder learns to undo. Pure functions.

Draws are stateless functions of a seed that the caller derives from (seed,
step, position in the global batch): one replica and many see the same noise.
"""

import math

import tensorflow as tf

from ddep_tf import errors, specs


def corrupt(x, noise, stddev=0.22, kind='scaled', target='noise'):
    """Mixes noise into images, and says what is to be predicted from them.

    Args:
      x: clean images, [B, H, W, 3] float32 in [-1, 1].
      noise: of the same shape, drawn from N(0, 1).
      stddev: noise magnitude s, at least 0; a number, or one an example, [B].
        0.22 is the best found for DDeP [R].
      kind: 'scaled', (x + s*e) / sqrt(1 + s^2), which keeps the variance, or
        'simple', x + s*e [R].
      target: 'noise' [R] or 'image' [W].

    Returns:
      (x_noisy, target), both [B, H, W, 3] float32.

    Raises:
      ValueError: an unknown kind or target, a stddev that is negative or not
        finite (where its value is known, outside a graph), shapes that
        differ, or what is no array of real numbers.
    """
    # The spec knows which words are allowed, and says so.
    specs.NoiseSpec(kind=kind, target=target)
    x, noise = _as_float32(x, 'x'), _as_float32(noise, 'noise')
    if not x.shape.is_compatible_with(noise.shape):
        raise errors.UserError(f'x and noise must have one shape, got '
                               f'{x.shape} and {noise.shape}')
    s = _per_example(_checked_stddev(stddev), x)
    noisy = x + s * noise
    if kind == 'scaled':
        noisy = noisy / tf.sqrt(1.0 + s * s)
    return noisy, noise if target == 'noise' else x


def clean_from(x_noisy, prediction, stddev, kind, target):
    """Returns the clean image that a prediction implies, [B, H, W, 3]."""
    if target == 'image':
        return prediction
    s = _per_example(_as_float32(stddev, 'stddev'), x_noisy)
    if kind == 'scaled':
        x_noisy = x_noisy * tf.sqrt(1.0 + s * s)
    return x_noisy - s * prediction


def draw(shape, seeds):
    """Draws the noise of each example of a batch.

    The numbers of an example depend on its own seed alone, whatever the batch
    and its device. XLA draws others than TensorFlow's own operations.

    Args:
      shape: of an image, (H, W, 3).
      seeds: [B, 2] integer tensor; each of an example and step alone.

    Returns:
      [B, H, W, 3] float32 from N(0, 1).
    """
    return tf.map_fn(lambda seed: tf.random.stateless_normal(shape, seed),
                     seeds, fn_output_signature=tf.float32)


def draw_stddev(seed, spec):
    """Draws the noise magnitude of one example, a float32 scalar.

    Args:
      seed: [2] integer tensor, that of `draw`.
      spec: NoiseSpec.
    """
    if spec.level == 'fixed':
        return tf.constant(spec.stddev, tf.float32)
    if spec.level == 'range':
        return tf.random.stateless_uniform([], seed + 1, *spec.stddev_range)
    # From (0, 1], since g = 0 has no finite s.
    u = 1.0 - tf.random.stateless_uniform([], seed + 1)
    g = u if spec.level == 'uniform' else tf.cos(0.5 * math.pi * (1 - u)) ** 2
    g = tf.maximum(g, 1e-6)
    return tf.sqrt(1.0 / g - 1.0)


def levels(spec: specs.NoiseSpec) -> tuple[float, ...]:
    """Returns noise magnitudes s to show a denoiser at, ascending [O].

    Of a fixed one, its half and its double too; of a drawn one, the ends and
    the middle of the range, or those of g = 0.9, 0.5 and 0.1.
    """
    if spec.level == 'fixed':
        found = (spec.stddev / 2, spec.stddev, spec.stddev * 2)
    elif spec.level == 'range':
        low, high = spec.stddev_range
        found = (low, (low + high) / 2, high)
    else:
        found = tuple((1 / g - 1) ** 0.5 for g in (0.9, 0.5, 0.1))
    return tuple(sorted({round(s, 3) for s in found}))


def _checked_stddev(stddev):
    values = _as_float32(stddev, 'stddev')
    if tf.is_symbolic_tensor(values):
        return values
    if not tf.reduce_all((values >= 0) & tf.math.is_finite(values)):
        raise errors.UserError('stddev must be finite and at least 0, got '
                               f'{stddev}')
    return values


def _as_float32(values, name):
    try:
        values = tf.convert_to_tensor(values)
    except (TypeError, ValueError) as error:
        raise errors.UserError(f'{name} must be an array of numbers, got '
                               f'{type(values).__name__}') from error
    if not (values.dtype.is_floating or values.dtype.is_integer):
        raise errors.UserError(f'{name} must hold real numbers, got '
                               f'{values.dtype.name}')
    return tf.cast(values, tf.float32)


def _per_example(s, x):
    """Shapes a scalar or [B] so that it broadcasts over [B, H, W, 3]."""
    if s.shape.rank == 0:
        return s
    if s.shape.rank != 1 or not s.shape.is_compatible_with(x.shape[:1]):
        raise errors.UserError('stddev must be a number or one an example, '
                               f'[B] of {x.shape[:1]}; got shape {s.shape}')
    return tf.reshape(s, [-1] + [1] * (x.shape.rank - 1))
