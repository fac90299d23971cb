"""The convolutional half of the hybrid encoder: a post-activation ResNet.

As in google-research/vision_transformer: weight-standardized convolutions
without bias, group normalization, the stride in the 3x3 convolution.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from ddep_tf.models import layers, products


@layers.register
class StdConv(keras.layers.Conv2D):
    """A convolution with a kernel standardized per output channel."""

    def add_weight(self, *args, **kwargs) -> keras.Variable:
        # Standardizing divides by the deviation: where it is small, a kernel
        # that was rounded to 16 bits before is nothing but its rounding.
        return super().add_weight(*args, **{**kwargs, 'autocast': False})

    def standardized(self) -> tf.Tensor:
        """Returns the kernel that it convolves with, float32."""
        return _standardized(tf.cast(self.kernel, tf.float32))

    def call(self, inputs):
        """[B, H, W, C] float -> [B, ceil(H / s), ceil(W / s), filters]."""
        def compute(x, kernel):
            kernel = tf.cast(_standardized(kernel), x.dtype)
            return products.conv2d(x, kernel, self.strides[0])

        return layers.recomputed(compute)(
            inputs, tf.cast(self.kernel, tf.float32))


@tf.custom_gradient
def _standardized(kernel):
    """Keeps its input for the gradient, and none of the steps in between,
    each as large."""
    def parts(kernel):
        centered = kernel - tf.reduce_mean(kernel, (0, 1, 2), keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(centered), (0, 1, 2)))
        # The epsilon is added outside the root, as in the original.
        return centered, deviation, deviation + 1e-5

    def gradient(upstream):
        centered, deviation, divisor = parts(layers.after(upstream, kernel))
        slope = tf.reduce_mean(upstream * centered, (0, 1, 2)) / (
            tf.square(divisor) * deviation)
        mean = tf.reduce_mean(upstream, (0, 1, 2))
        return (upstream - mean) / divisor - centered * slope

    centered, _, divisor = parts(kernel)
    return centered / divisor, gradient


def _conv(x, name, filters, size=1, stride=1):
    return StdConv(filters, size, stride, padding='same', use_bias=False,
                   kernel_initializer='lecun_normal', name=name)(x)


def _relu(x, name):
    return keras.layers.ReLU(name=name)(x)


def residual_unit(x: keras.KerasTensor, name: str, features: int,
                  stride: int) -> keras.KerasTensor:
    """A bottleneck: normalized 1x1, 3x3 and 1x1 convolutions, add, ReLU.

    Args:
      x: [B, H, W, C] float.
      name: prefix of the layer names.
      features: channels inside the bottleneck; it outputs four times as many.
      stride: of the 3x3 convolution and of the projection.

    Returns:
      [B, H / stride, W / stride, 4 * features] float, at least 0.
    """
    residual = x
    if x.shape[-1] != 4 * features or stride != 1:
        residual = _conv(x, f'{name}.conv_proj', 4 * features, stride=stride)
        residual = layers.GroupNorm(name=f'{name}.gn_proj')(residual)
    y = _conv(x, f'{name}.conv1', features)
    y = layers.GroupNorm(name=f'{name}.gn1')(y)
    y = _relu(y, f'{name}.relu1')
    y = _conv(y, f'{name}.conv2', features, size=3, stride=stride)
    y = layers.GroupNorm(name=f'{name}.gn2')(y)
    y = _relu(y, f'{name}.relu2')
    y = _conv(y, f'{name}.conv3', 4 * features)
    y = layers.GroupNorm(zero_scale=True, name=f'{name}.gn3')(y)
    y = keras.layers.Add(name=f'{name}.add')([residual, y])
    return _relu(y, f'{name}.relu3')


def resnet(x: keras.KerasTensor, width: int,
           units: Sequence[int]) -> dict[str, keras.KerasTensor]:
    """Builds the root and three stages.

    Args:
      x: image, [B, H, W, 3] float in [-1, 1].
      width: channels of the root, a multiple of 32.
      units: number of bottlenecks in each of the three stages.

    Returns:
      dict of stride2 (after the root's ReLU), stride4, stride8 and stride16:
      [B, H / s, W / s, C] float with 1, 4, 8 and 16 times `width` channels.
    """
    x = _conv(x, 'conv_root', width, size=7, stride=2)
    x = layers.GroupNorm(name='gn_root')(x)
    x = _relu(x, 'root_relu')
    maps = {'stride2': x}
    x = keras.layers.MaxPooling2D(3, 2, 'same', name='root_pool')(x)
    for i, count in enumerate(units):
        for j in range(count):
            x = residual_unit(x, f'block{i + 1}.unit{j + 1}', width * 2 ** i,
                              stride=2 if i and not j else 1)
        maps[f'stride{4 * 2 ** i}'] = x
    return maps
