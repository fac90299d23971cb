"""The decoder of TransUNet [R]: four x2 blocks with skips from the encoder."""

import keras
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.models import layers, registry

SKIPS = ('stride8', 'stride4', 'stride2')
IMAGE = 'stride1'  # The name of the image among the maps.


def build_decoder(spec: specs.DecoderSpec, encoder: keras.Model) -> keras.Model:
    """Builds a decoder.

    Args:
      spec: DecoderSpec.
      encoder: keras.Model whose `output` is the dict of maps to decode.

    Returns:
      keras.Model named 'decoder': dict of stride2, stride4, stride8, stride16
      [B, H / s, W / s, C], with `image_skip` also stride1, the image ->
      features [B, H, W, last channels] float32.
    """
    maps = {key: keras.Input(encoder.output[key].shape[1:], name=key,
                             dtype=encoder.output[key].dtype)
            for key in registry.MAPS}
    if spec.image_skip:
        maps[IMAGE] = keras.Input(encoder.input.shape[1:], name=IMAGE)
    x = _conv_block(maps['stride16'], 'entry', '', spec.entry_channels, spec)
    for i, (channels, skip) in enumerate(
            zip(spec.block_channels, (*SKIPS, IMAGE)), 1):
        name = f'block{i}'
        x = layers.Upsample(spec.align_corners, name=f'{name}.upsample')(x)
        if skip in maps:
            x = keras.layers.Concatenate(name=f'{name}.concat')(
                [x, maps[skip]])
        for part in ('1', '2'):
            x = _conv_block(x, name, part, channels, spec)
    x = keras.layers.Activation('linear', dtype='float32', name='features')(x)
    return keras.Model(maps, x, name='decoder')


def _conv_block(x, name, part, channels, spec):
    channels *= spec.width_multiplier
    x = keras.layers.Conv2D(
        channels, 3, padding='same', use_bias=False,
        kernel_initializer='lecun_normal', name=f'{name}.conv{part}')(x)
    x = _norm(f'{name}.norm{part}', channels, spec)(x)
    return keras.layers.ReLU(name=f'{name}.relu{part}')(x)


def _norm(name, channels, spec):
    if spec.norm == 'group':
        return layers.GroupNorm(channels // spec.group_size, name=name)
    # PyTorch's defaults, as in TransUNet. The statistics span all replicas, so
    # that one replica and many train alike; XLA compiles no talk among them.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=replicas > 1, name=name)
