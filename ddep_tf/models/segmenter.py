"""Encoder, decoder and head: what denoises and what segments."""

import keras

from ddep_tf import errors, spec_base, specs
from ddep_tf.models import decoder as decoder_lib
from ddep_tf.models import encoder as encoder_lib

_TINY_DECODER = {'entry_channels': 64, 'block_channels': (64, 48, 32, 16)}


@keras.saving.register_keras_serializable('ddep_tf')
class Network(keras.Model):
    """A number for every pixel and output.

    Args:
      encoder: keras.Model, image -> dict of maps.
      decoder: keras.Model, that dict -> features [B, H, W, C].
      num_outputs: channels of the result.
    """

    def __init__(self, encoder, decoder, num_outputs, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.num_outputs = num_outputs
        self.head = keras.layers.Conv2D(
            num_outputs, 3, padding='same', dtype='float32', name='head',
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))
        self.head.build(decoder.output.shape)
        self.built = True

    def call(self, inputs, training=None):
        """image [B, H, W, 3] in [-1, 1] -> [B, H, W, num_outputs] float32."""
        self._check(inputs)
        return self.decode(self.encoder(inputs, training=training), training)

    def decode(self, features, training=None):
        """The part after the encoder.

        Args:
          features: dict that the encoder gives.
          training: passed to the decoder, as to any Keras model.

        Returns:
          [B, H, W, num_outputs] float32.
        """
        maps = {key: features[key] for key in decoder_lib.INPUTS}
        return self.head(self.decoder(maps, training=training))

    def _check(self, inputs):
        size = tuple(inputs.shape)[1:3]
        specs.check_size([specs.STRIDE if side is None else side
                          for side in size], 'the image size')

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {'encoder': serialize(self.encoder),
                'decoder': serialize(self.decoder),
                'num_outputs': self.num_outputs, 'name': self.name}

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls(**{key: load(value) if key in ('encoder', 'decoder')
                      else value for key, value in config.items()})


def build_network(encoder_spec, decoder_spec, num_outputs, image_size,
                  position_grid=None):
    """Builds a network from its specs.

    Args:
      encoder_spec: EncoderSpec.
      decoder_spec: DecoderSpec.
      num_outputs: channels of the result: 3 to denoise, classes to segment.
      image_size: (height, width), multiples of 16; None leaves a side open.
      position_grid: (rows, columns) of the position embedding; None takes the
        spec's, else the image's.

    Returns:
      Network with `encoder`, `decoder` and `head`.
    """
    encoder = encoder_lib.build_encoder(
        encoder_spec.name, image_size, dropout=encoder_spec.dropout,
        position_grid=position_grid or encoder_spec.position_grid or None)
    decoder = decoder_lib.build_decoder(decoder_spec, encoder)
    return Network(encoder, decoder, num_outputs, name='network')


def build_segmenter(name, num_classes, width_multiplier=1,
                    image_size=(224, 224), decoder=None):
    """Builds a segmenter.

    Args:
      name: encoder, one of specs.ENCODERS.
      num_classes: number of logits of a pixel.
      width_multiplier: times every channel count of the decoder.
      image_size: (height, width), multiples of 16; None leaves a side open.
      decoder: DecoderSpec, whose own width_multiplier holds where
        `width_multiplier` is 1; None takes the encoder's usual one.

    Returns:
      Network: image [B, H, W, 3] float32 in [-1, 1] -> logits
      [B, H, W, num_classes] float32.
    """
    encoder_spec = specs.EncoderSpec(name=name)
    for argument, value in (('num_classes', num_classes),
                            ('width_multiplier', width_multiplier)):
        if not spec_base.is_count(value):
            raise errors.UserError(
                f'{argument} must be a whole number above 0, got {value!r}')
    if decoder is None:
        numbers = _TINY_DECODER if name == 'tiny' else {}
        decoder = specs.DecoderSpec(width_multiplier=int(width_multiplier),
                                    **numbers)
    elif width_multiplier not in (1, decoder.width_multiplier):
        raise errors.UserError(
            f'width_multiplier is {width_multiplier}, that of the decoder '
            f'{decoder.width_multiplier}: name it once')
    return build_network(encoder_spec, decoder, num_classes, image_size)
