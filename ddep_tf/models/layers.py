"""Layers that several networks share, and the interpolation matrices."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import contextvars

import keras
import numpy as np
import tensorflow as tf

register = keras.saving.register_keras_serializable('ddep_tf')
_keeping = contextvars.ContextVar('keeping', default=False)
_SEEDS_APART = 1_000_003  # Between the seeds of replicas.


@contextlib.contextmanager
def keeping_all() -> Iterator[None]:
    """Has what is traced in the block compute nothing twice, nor in another
    way to save memory: so are the operations of a network counted."""
    token = _keeping.set(True)
    try:
        yield
    finally:
        _keeping.reset(token)


def keeps_all() -> bool:
    """Whether this is in a block of `keeping_all`."""
    return _keeping.get()


def dims(x: tf.Tensor) -> Sequence[int | tf.Tensor]:
    """Returns the dimensions of `x`: ints if known, int32 scalars otherwise.

    TPUs need static shapes, so known sizes must stay Python numbers.
    """
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size
            for i, size in enumerate(x.shape)]


def after(first: tf.Tensor | Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Returns `x`, but not before `first`, one or more, is there: what is
    computed of it then is in memory no earlier."""
    with tf.control_dependencies(tf.nest.flatten(first)):
        return tf.identity(x)


def recomputed(function: Callable[..., tf.Tensor]
               ) -> Callable[..., tf.Tensor]:
    """Returns a function that is computed again for its gradient, and of which
    nothing but its inputs is kept till then.

    XLA, which does not know what is to wait, may keep more. tf.recompute_grad
    has it wait, by a tf.cond each: too many for what is done in small pieces.

    Args:
      function: of float tensors alone; it may read no variable.
    """
    @tf.custom_gradient
    def compute(*inputs):
        def gradient(upstream):
            again = [after(upstream, x) for x in inputs]
            with tf.GradientTape() as tape:
                tape.watch(again)
                found = function(*again)
            return tape.gradient(found, again, upstream)

        return function(*inputs), gradient

    return function if keeps_all() else compute


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
        """[B, 1, 1, C] -> the same, of each channel that of its group."""
        batch, _, _, channels = dims(means)
        size = channels // self.groups
        means = tf.reduce_mean(
            tf.reshape(means, (batch, self.groups, size)), 2, keepdims=True)
        # Not tf.repeat, which takes thirty operations.
        return tf.reshape(tf.tile(means, (1, 1, size)),
                          (batch, 1, 1, channels))

    def call(self, inputs):
        """Normalizes `inputs`, [B, H, W, C] float. Statistics in float32."""
        return self.normalized(inputs, self.gamma, self.beta)

    def normalized(self, inputs, gamma, beta):
        """As `call`, with another scale and offset, [C] float32."""
        normalized = tf.custom_gradient(self._normalize)(
            *(tf.cast(each, tf.float32) for each in (inputs, gamma, beta)))
        return tf.cast(normalized, inputs.dtype)

    def _normalize(self, x, gamma, beta):
        """Returns the normalized map, and its gradient in one piece: quicker
        than that of each step, and a tenth of their operations."""
        def over_pixels(reduce, values):
            return reduce(values, (1, 2), keepdims=True)

        x -= self._group_mean(over_pixels(tf.reduce_mean, x))
        variance = self._group_mean(over_pixels(tf.reduce_mean, tf.square(x)))
        root = tf.math.rsqrt(variance + self.epsilon)
        scale = root * gamma

        def gradient(upstream):
            _, height, width, _ = dims(x)
            pixels = tf.cast(height * width, tf.float32)
            sums = over_pixels(tf.reduce_sum, upstream)
            products = over_pixels(tf.reduce_sum, upstream * x)
            shift = root * self._group_mean(gamma * sums) / pixels
            slope = root ** 3 * self._group_mean(gamma * products) / pixels
            return (upstream * scale - x * slope - shift,
                    tf.reduce_sum(products * root, (0, 1, 2)),
                    tf.reduce_sum(sums, (0, 1, 2)))

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
class Dropout(keras.layers.Dropout):
    """Keras' dropout, of which each replica drops places of its own.

    A seed's state is the same on all replicas, which would all drop what the
    first one does. That one drops what Keras' own layer does.
    """

    def call(self, inputs, training=False):
        if not (training and self.rate):
            return inputs
        context = tf.distribute.get_replica_context()  # None while it is built.
        replica = context.replica_id_in_sync_group if context else 0
        seed = tf.cast(self.seed_generator.next(), tf.int64)
        seed += [tf.cast(replica, tf.int64) * _SEEDS_APART, 0]
        # As Keras does: int32 is what XLA takes.
        seed = tf.cast(seed % (tf.int32.max - 1), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed)


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
        if self.align_corners:
            _, height, width, _ = dims(inputs)
            return resize_corners(inputs, 2 * height, 2 * width)
        return doubled(inputs)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)

    def get_config(self):
        return {**super().get_config(), 'align_corners': self.align_corners}


def doubled(x: tf.Tensor) -> tf.Tensor:
    """Doubles height and width of [B, H, W, C] float, bilinearly with
    half-pixel centers."""
    batch, height, width, channels = dims(x)
    rows = _double(tf.reshape(x, (batch, height, width * channels)))
    columns = _double(tf.reshape(rows, (-1, width, channels)))
    return tf.reshape(columns, (batch, 2 * height, 2 * width, channels))


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
        pairs = after(near, pairs)
        return near + 0.25 * (pairs[:, 1:, 1] + pairs[:, :-1, 0])

    wide = tf.concat([x[:, :1], x, x[:, -1:]], 1)
    near = 0.75 * after(wide, x)
    even = near + 0.25 * wide[:, :-2]
    odd = near + 0.25 * after(even, wide)[:, 2:]
    pairs = tf.concat([even, odd], 2)
    return tf.reshape(pairs, (count, 2 * size, channels)), gradient
