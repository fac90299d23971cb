"""Encoder, decoder and a per-pixel head in one model."""

import keras

from ddep_tf import errors, specs
from ddep_tf.models import decoder as decoders
from ddep_tf.models import encoder as encoders

TINY_DECODER = {'entry_channels': 64, 'block_channels': (64, 48, 32, 16)}


class Network(keras.Model):
    """[B, H, W, 3] float32 in [-1, 1] -> [B, H, W, outputs] float32.

    Attributes:
      encoder, decoder, head: keras models and a layer; the denoising stage
        calls the first apart from the others.
    """

    def __init__(self, encoder, decoder, num_outputs, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.head = keras.layers.Conv2D(
            num_outputs, 3, padding='same', dtype='float32', name='head',
            # Small and of mean zero [O]: the first prediction is flat.
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))
        self.head.build(decoder.output_shape)
        self.built = True

    def call(self, images, training=None):
        features = self.encoder(images, training=training)
        return self.decode(features, training=training)

    def decode(self, features, training=None):
        """Maps the encoder's dict to [B, H, W, outputs] float32."""
        wanted = {name: features[name] for name in self.decoder.input}
        return self.head(self.decoder(wanted, training=training))


def build_network(encoder_spec, decoder_spec, num_outputs, image_size,
                  position_grid=None):
    """Builds a Network from specs.

    Args:
      encoder_spec: EncoderSpec.
      decoder_spec: DecoderSpec.
      num_outputs: channels of the head, at least 1.
      image_size: (H, W), or (None, None) for any multiple of 16.
      position_grid: as `build_encoder`.
    """
    if num_outputs < 1:
        raise errors.UserError('num_classes must be above 0, got '
                               f'{num_outputs}')
    encoder = encoders.build_encoder(
        encoder_spec.name, image_size, position_grid=position_grid,
        dropout=encoder_spec.dropout)
    decoder = decoders.build_decoder(decoder_spec, encoder)
    return Network(encoder, decoder, num_outputs, name='network')


def build_segmenter(name, num_classes, width_multiplier=1,
                    image_size=(224, 224), decoder=None):
    """Builds a segmenter.

    Args:
      name: one of specs.ENCODERS.
      num_classes: channels of the logits.
      width_multiplier: of the decoder, 1, 2 or 3 in the paper [S].
      image_size: (H, W), positive multiples of 16, or (None, None).
      decoder: DecoderSpec whose other fields are taken; None is TransUNet's,
        and a smaller one for `tiny`.

    Returns:
      keras.Model from [B, H, W, 3] float32 in [-1, 1] to logits
      [B, H, W, num_classes] float32.

    Raises:
      ValueError: a bad argument, named.
    """
    if name not in specs.ENCODERS:
        raise errors.UserError(f'name must be one of '
                               f'{", ".join(specs.ENCODERS)}, got {name!r}')
    sizes = TINY_DECODER if name == 'tiny' else {}
    if decoder is None:
        decoder = specs.DecoderSpec(width_multiplier=width_multiplier, **sizes)
    return build_network(specs.EncoderSpec(name=name), decoder, num_classes,
                         image_size)
