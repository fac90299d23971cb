"""Layers that several networks share, and the interpolation matrices."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

register = keras.saving.register_keras_serializable('ddep_tf')


def dims(x: tf.Tensor) -> Sequence[int | tf.Tensor]:
    """Returns the dimensions of `x`: ints if known, int32 scalars otherwise.

    TPUs need static shapes, so known sizes must stay Python numbers.
    """
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size
            for i, size in enumerate(x.shape)]


def _corners_matrix(outputs, inputs, largest, ramp, cast):
    # Output i lies at i * (inputs - 1) / (outputs - 1) in the input. Whole
    # numbers keep corners and equal grids exact.
    span = largest(outputs - 1, 1)
    gap = abs(ramp(outputs)[:, None] * (inputs - 1) - ramp(inputs) * span)
    return largest(1 - cast(gap) / cast(span), 0)


def interpolation_matrix(
        outputs: int | tf.Tensor,
        inputs: int | tf.Tensor) -> 'np.ndarray | tf.Tensor':
    """Linear interpolation with corners aligned, as scipy's zoom(order=1).

    Args:
      outputs: number of outputs, int or int32 scalar.
      inputs: number of inputs, int or int32 scalar.

    Returns:
      [outputs, inputs] with rows that add up to 1: a float32 array if both
      numbers are Python ints, else a float32 tensor.
    """
    if isinstance(outputs, int) and isinstance(inputs, int):
        return _corners_matrix(
            outputs, inputs, np.maximum, np.arange,
            lambda n: np.asarray(n, np.float64)).astype(np.float32)
    return _corners_matrix(outputs, inputs, tf.maximum, tf.range,
                           lambda n: tf.cast(n, tf.float32))


def resize_corners(grid: tf.Tensor, height: int | tf.Tensor,
                   width: int | tf.Tensor) -> tf.Tensor:
    """Resizes bilinearly with corners aligned.

    Args:
      grid: [B, h, w, C] float tensor.
      height, width: size of the output, ints or int32 scalars.

    Returns:
      [B, height, width, C], dtype of `grid`.
    """
    rows, columns = dims(grid)[1:3]
    down = tf.cast(interpolation_matrix(height, rows), grid.dtype)
    across = tf.cast(interpolation_matrix(width, columns), grid.dtype)
    return tf.einsum('qw,bpwc->bpqc', across,
                     tf.einsum('ph,bhwc->bpwc', down, grid))


@register
class GroupNorm(keras.layers.Layer):
    """Group normalization of a map over pixels and each group's channels.

    Keras' own reduces a 5-D tensor, which is slow on CPUs and pads badly on
    TPUs. This one reduces pixels first, then the channels of each group.

    Args:
      groups: number of groups; must divide the number of channels.
      epsilon: added to the variance.
      zero_scale: initialize the scale with 0, so that a residual branch
        starts as zero.
    """

    def __init__(self, groups: int = 32, epsilon: float = 1e-6,
                 zero_scale: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon
        self.zero_scale = zero_scale

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(
            name='gamma', shape=shape, autocast=False,
            initializer='zeros' if self.zero_scale else 'ones')
        self.beta = self.add_weight(name='beta', shape=shape, autocast=False,
                                    initializer='zeros')

    def _group_mean(self, means):
        """[B, C] -> the same, of each channel that of its group."""
        batch, channels = dims(means)
        size = channels // self.groups
        means = tf.reshape(means, (batch, self.groups, size))
        means = tf.reduce_mean(means, 2, keepdims=True)
        # Not tf.repeat, which takes thirty operations.
        return tf.reshape(tf.tile(means, (1, 1, size)), (batch, channels))

    def call(self, inputs):
        """Normalizes `inputs`, [B, H, W, C] float. Statistics in float32."""
        normalized = tf.custom_gradient(self._normalize)(
            *(tf.cast(each, tf.float32)
              for each in (inputs, self.gamma, self.beta)))
        return tf.cast(normalized, inputs.dtype)

    def _normalize(self, x, gamma, beta):
        """Returns the normalized map, and its gradient in one piece: quicker
        than that of each step, and a tenth of their operations."""
        x -= self._group_mean(tf.reduce_mean(x, (1, 2)))[:, None, None]
        variance = self._group_mean(tf.reduce_mean(tf.square(x), (1, 2)))
        root = tf.math.rsqrt(variance + self.epsilon)
        scale = (root * gamma)[:, None, None]

        def gradient(upstream):
            _, height, width, _ = dims(x)
            pixels = tf.cast(height * width, tf.float32)
            sums = tf.reduce_sum(upstream, (1, 2))
            products = tf.reduce_sum(upstream * x, (1, 2))
            shift = root * self._group_mean(gamma * sums) / pixels
            slope = root ** 3 * self._group_mean(gamma * products) / pixels
            of_x = (upstream * scale - x * slope[:, None, None]
                    - shift[:, None, None])
            return (of_x, tf.reduce_sum(products * root, 0),
                    tf.reduce_sum(sums, 0))

        return x * scale + beta, gradient

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), 'groups': self.groups,
                'epsilon': self.epsilon, 'zero_scale': self.zero_scale}


@register
class StoredBatchNorm(keras.layers.Layer):
    """Batch normalization that always uses its stored statistics.

    Scale and offset are trained; the statistics change only when weights are
    loaded. Keras' own layer cannot be fixed to this: a functional model called
    with `training=True` overrides the `training=False` it was built with.

    Args:
      epsilon: added to the variance.
      scale: whether there is a scale; without one it is 1.
    """

    def __init__(self, epsilon: float = 1e-3, scale: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.scale = scale

    def build(self, input_shape):
        shape = (input_shape[-1],)
        if self.scale:
            self.gamma = self.add_weight(name='gamma', shape=shape,
                                         initializer='ones', autocast=False)
        self.beta = self.add_weight(name='beta', shape=shape,
                                    initializer='zeros', autocast=False)
        self.moving_mean = self.add_weight(
            name='moving_mean', shape=shape, initializer='zeros',
            trainable=False, autocast=False)
        self.moving_variance = self.add_weight(
            name='moving_variance', shape=shape, initializer='ones',
            trainable=False, autocast=False)

    def call(self, inputs):
        """Normalizes `inputs`, [..., C] float, in float32."""
        variance = tf.cast(self.moving_variance, tf.float32)
        scale = tf.math.rsqrt(variance + self.epsilon)
        if self.scale:
            scale *= tf.cast(self.gamma, tf.float32)
        offset = (tf.cast(self.beta, tf.float32)
                  - tf.cast(self.moving_mean, tf.float32) * scale)
        return tf.cast(tf.cast(inputs, tf.float32) * scale + offset,
                       inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), 'epsilon': self.epsilon,
                'scale': self.scale}


@register
class SpaceToDepth(keras.layers.Layer):
    """Turns squares of pixels into channels.

    Args:
      size: side of a square, pixels; must divide the height and the width.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        """[B, H, W, C] float -> [B, H / size, W / size, size * size * C]."""
        return tf.nn.space_to_depth(inputs, self.size)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and height // self.size,
                width and width // self.size, self.size ** 2 * channels)

    def get_config(self):
        return {**super().get_config(), 'size': self.size}


@register
class Upsample(keras.layers.Layer):
    """Doubles height and width bilinearly.

    Args:
      align_corners: align corners instead of using half-pixel centers.
    """

    def __init__(self, align_corners: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners

    def call(self, inputs):
        """[B, H, W, C] float -> [B, 2 H, 2 W, C]."""
        batch, height, width, channels = dims(inputs)
        if self.align_corners:
            return resize_corners(inputs, 2 * height, 2 * width)
        rows = _double(tf.reshape(inputs, (batch, height, width * channels)))
        columns = _double(tf.reshape(rows, (-1, width, channels)))
        return tf.reshape(columns, (batch, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)

    def get_config(self):
        return {**super().get_config(), 'align_corners': self.align_corners}


@tf.custom_gradient
def _double(x):
    """[M, n, C] -> [M, 2 n, C], bilinear with half-pixel centers.

    Each output lies a quarter of the way from its nearest input to the next
    one, which is clamped at the border. Written with shifts because the
    gradient of a resize does not compile in bfloat16 on a TPU, and with a
    custom gradient because that of slices is five times slower on a CPU.
    """
    count, size, channels = dims(x)

    # In few steps, one after the other: of a large map each takes as much.
    def gradient(upstream):
        ends = upstream[:, :1], upstream[:, -1:]
        pairs = tf.reshape(tf.concat([ends[0], upstream, ends[1]], 1),
                           (count, size + 1, 2, channels))
        near = 0.75 * (pairs[:, :-1, 1] + pairs[:, 1:, 0])
        with tf.control_dependencies([near]):
            pairs = tf.identity(pairs)
        return near + 0.25 * (pairs[:, 1:, 1] + pairs[:, :-1, 0])

    wide = tf.concat([x[:, :1], x, x[:, -1:]], 1)
    with tf.control_dependencies([wide]):
        near = 0.75 * x
    even = near + 0.25 * wide[:, :-2]
    with tf.control_dependencies([even]):
        odd = near + 0.25 * wide[:, 2:]
    pairs = tf.concat([even, odd], 2)
    return tf.reshape(pairs, (count, 2 * size, channels)), gradient
