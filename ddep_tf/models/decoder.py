"""The decoder of TransUNet [R], in widths 1x, 2x, 3x [S]."""

import keras

from ddep_tf.models import interpolation, resnet

SKIPS = ('stride8', 'stride4', 'stride2', None)


class Upsample(keras.layers.Layer):
    """Doubles [B, H, W, C], bilinear, centres half-pixel or corners aligned."""

    def __init__(self, align_corners, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners

    def call(self, inputs):
        if not self.align_corners:
            return interpolation.double_half_pixel(inputs)
        height, width = (side * 2 for side in keras.ops.shape(inputs)[1:3])
        return interpolation.resize_aligned(inputs, height, width)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(side and 2 * side for side in (height, width)),
                channels)

    def get_config(self):
        return {**super().get_config(), 'align_corners': self.align_corners}


def build_decoder(spec, encoder):
    """Builds the decoder of an encoder.

    Args:
      spec: DecoderSpec.
      encoder: keras.Model under the encoder's contract.

    Returns:
      keras.Model from the encoder's dict of maps to [B, H, W, C] float32,
      C = the last of spec.block_channels times the width.
    """
    inputs = {name: keras.Input(encoder.output[name].shape[1:], name=name)
              for name in ('stride2', 'stride4', 'stride8', 'stride16')}
    k = spec.width_multiplier
    x = _conv(inputs['stride16'], spec.entry_channels * k, spec, 'entry')
    for i, (channels, skip) in enumerate(zip(spec.block_channels, SKIPS)):
        name = f'block{i + 1}'
        x = Upsample(spec.align_corners, name=f'{name}_up')(x)
        if skip:
            x = keras.layers.Concatenate(name=f'{name}_skip')(
                [x, inputs[skip]])
        x = _conv(x, channels * k, spec, f'{name}_conv1')
        x = _conv(x, channels * k, spec, f'{name}_conv2')
    return keras.Model(inputs, x, name='decoder')


def _conv(x, channels, spec, name):
    """3x3 convolution, norm, ReLU."""
    x = keras.layers.Conv2D(channels, 3, padding='same', use_bias=False,
                            kernel_initializer='lecun_normal', name=name)(x)
    if spec.norm == 'group':
        x = resnet.GroupNorm(channels // spec.group_size,
                             name=f'{name}_norm')(x)
    else:
        x = keras.layers.BatchNormalization(name=f'{name}_norm')(x)
    return keras.layers.ReLU(name=f'{name}_relu')(x)
