"""The ResNet stem of the hybrid: weight-standardised, GroupNorm, v1 order.

As in google-research/vision_transformer, models_resnet.py [R].
"""

import keras
import tensorflow as tf


class StdConv(keras.layers.Layer):
    """A convolution without bias whose kernel is standardised before use.

    (w - mean) / (std + 1e-5) over axes 0, 1, 2: the epsilon outside the root.
    """

    def __init__(self, filters, size, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.size, self.stride = filters, size, stride

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name='kernel', initializer='lecun_normal',
            shape=(self.size, self.size, input_shape[-1], self.filters))

    def call(self, inputs):
        mean, variance = tf.nn.moments(self.kernel, [0, 1, 2], keepdims=True)
        kernel = (self.kernel - mean) / (tf.sqrt(variance) + 1e-5)
        return tf.nn.conv2d(inputs, kernel, self.stride, 'SAME')

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, _ceil(height, self.stride), _ceil(width, self.stride),
                self.filters)

    def get_config(self):
        return {**super().get_config(), 'filters': self.filters,
                'size': self.size, 'stride': self.stride}


class GroupNorm(keras.layers.Layer):
    """Normalises over a group of channels and all positions.

    Args:
      groups: number of groups.
      epsilon: 1e-6, as Flax's default.
    """

    def __init__(self, groups=32, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.groups, self.epsilon = groups, epsilon

    def build(self, input_shape):
        channels = input_shape[-1]
        self.scale = self.add_weight(name='scale', shape=(channels,),
                                     initializer='ones')
        self.bias = self.add_weight(name='bias', shape=(channels,),
                                    initializer='zeros')

    def call(self, inputs):
        channels = inputs.shape[-1]
        shape = tf.shape(inputs)
        grouped = tf.reshape(
            inputs, [shape[0], shape[1] * shape[2], self.groups,
                     channels // self.groups])
        mean, variance = tf.nn.moments(grouped, [1, 3], keepdims=True)
        grouped = (grouped - mean) * tf.math.rsqrt(variance + self.epsilon)
        return tf.reshape(grouped, shape) * self.scale + self.bias

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), 'groups': self.groups,
                'epsilon': self.epsilon}


class Unit(keras.layers.Layer):
    """A bottleneck: 1x1, 3x3 (with the stride), 1x1, added to its input.

    Args:
      width: channels of the bottleneck; four times as many leave it.
      stride: of the 3x3 convolution and the projection.
    """

    def __init__(self, width, stride, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride = width, stride
        out = 4 * width
        self.conv1 = StdConv(width, 1, name='conv1')
        self.gn1 = GroupNorm(name='gn1')
        self.conv2 = StdConv(width, 3, stride, name='conv2')
        self.gn2 = GroupNorm(name='gn2')
        self.conv3 = StdConv(out, 1, name='conv3')
        self.gn3 = GroupNorm(name='gn3')
        self.conv_proj = self.gn_proj = None

    def build(self, input_shape):
        channels, width = input_shape[-1], self.width
        if channels != 4 * width or self.stride != 1:
            self.conv_proj = StdConv(4 * width, 1, self.stride,
                                     name='conv_proj')
            self.gn_proj = GroupNorm(name='gn_proj')
            self.conv_proj.build(input_shape)
            self.gn_proj.build((None, None, None, 4 * width))
        for conv, norm, fan_in, out in (
                (self.conv1, self.gn1, channels, width),
                (self.conv2, self.gn2, width, width),
                (self.conv3, self.gn3, width, 4 * width)):
            conv.build((None, None, None, fan_in))
            norm.build((None, None, None, out))

    def call(self, inputs):
        residual = inputs
        if self.conv_proj is not None:
            residual = self.gn_proj(self.conv_proj(inputs))
        x = tf.nn.relu(self.gn1(self.conv1(inputs)))
        x = tf.nn.relu(self.gn2(self.conv2(x)))
        return tf.nn.relu(residual + self.gn3(self.conv3(x)))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, _ceil(height, self.stride), _ceil(width, self.stride),
                4 * self.width)

    def get_config(self):
        return {**super().get_config(), 'width': self.width,
                'stride': self.stride}


class Block(keras.layers.Layer):
    """A row of units; the first one has the stride."""

    def __init__(self, width, units, stride, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride = width, stride
        self.units = [Unit(width, stride if i == 0 else 1, name=f'unit{i + 1}')
                      for i in range(units)]

    def build(self, input_shape):
        for unit in self.units:
            unit.build(input_shape)
            input_shape = unit.compute_output_shape(input_shape)

    def call(self, inputs):
        for unit in self.units:
            inputs = unit(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        for unit in self.units:
            input_shape = unit.compute_output_shape(input_shape)
        return input_shape

    def get_config(self):
        return {**super().get_config(), 'width': self.width,
                'units': len(self.units), 'stride': self.stride}


def resnet(images, width, units):
    """Builds the stem.

    Args:
      images: [B, H, W, 3] float32 in [-1, 1], symbolic.
      width: channels of the root: 64, and 32 for `tiny`.
      units: bottlenecks of the three blocks.

    Returns:
      dict of stride2 [B, H/2, W/2, width], stride4 [.., 4 * width], stride8
      [.., 8 * width], stride16 [.., 16 * width], float32.
    """
    x = StdConv(width, 7, 2, name='conv_root')(images)
    x = keras.layers.ReLU(name='relu_root')(GroupNorm(name='gn_root')(x))
    features = {'stride2': x}
    x = keras.layers.MaxPooling2D(3, 2, 'same', name='pool_root')(x)
    for i, count in enumerate(units):
        x = Block(width * 2 ** i, count, 1 if i == 0 else 2,
                  name=f'block{i + 1}')(x)
        features[f'stride{4 * 2 ** i}'] = x
    return features


def _ceil(side, stride):
    return None if side is None else -(-side // stride)
