"""The network that denoises and segments: encoder, decoder and head."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from ddep_tf import errors, spec_base, specs
from ddep_tf.models import decoder as decoder_lib
from ddep_tf.models import encoder as encoder_lib
from ddep_tf.models import registry, remat, sparing


@keras.saving.register_keras_serializable('ddep_tf')
class Network(encoder_lib.BuiltModel):
    """Dense prediction: `num_outputs` channels for every pixel.

    Args:
      encoder: keras.Model, image -> dict of maps.
      decoder: keras.Model, that dict -> features [B, H, W, C].
      num_outputs: channels of the output.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model,
                 num_outputs: int, **kwargs):
        super().__init__(encoder, **kwargs)
        self.decoder = decoder
        self.num_outputs = num_outputs
        self.head = keras.layers.Conv2D(
            num_outputs, 3, padding='same', dtype='float32', name='head',
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))
        self.head.build(decoder.output.shape)
        self._trained_decoder: sparing.Sparing | remat.Recomputed = (
            sparing.Sparing(decoder))

    def recompute_blocks(self) -> None:
        """Has training keep still less in memory, see `remat`."""
        super().recompute_blocks()
        self._trained_decoder = remat.Recomputed(self.decoder)

    def call(self, inputs, training=None):
        """image [B, H, W, 3] in [-1, 1] -> [B, H, W, num_outputs] float32."""
        self._check(inputs)
        return self.decode(self.encode(inputs, training), training)

    def encode(self, inputs: tf.Tensor, training: bool | None = None
               ) -> dict[str, tf.Tensor]:
        """Returns what `decode` takes: the encoder's maps, and the image."""
        encode = (training and self._recomputed_encoder) or self.encoder
        maps = encode(inputs, training=training)
        return {**maps, decoder_lib.IMAGE: keras.ops.convert_to_tensor(inputs)}

    def decode(self, features: Mapping[str, tf.Tensor],
               training: bool | None = None) -> tf.Tensor:
        """Runs decoder and head.

        Args:
          features: dict of the encoder's outputs, and of the image if the
            decoder takes it.
          training: passed to the decoder, as to any Keras model.

        Returns:
          [B, H, W, num_outputs] float32.
        """
        maps = {key: features[key] for key in self.decoder.input}
        decode = self._trained_decoder if training else self.decoder
        return self.head(decode(maps, training=training))

    def _check(self, inputs):
        size = tuple(inputs.shape)[1:3]
        # An open side passes as one of a size that fits.
        specs.check_size([specs.STRIDE if side is None else side
                          for side in size], 'the image size')

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'num_outputs': self.num_outputs,
                'decoder': keras.saving.serialize_keras_object(self.decoder)}


def build_network(encoder_spec: specs.EncoderSpec,
                  decoder_spec: specs.DecoderSpec, num_outputs: int,
                  image_size: tuple[int | None, int | None],
                  position_grid: Sequence[int] | None = None) -> Network:
    """Builds a network from its specs.

    Args:
      encoder_spec: EncoderSpec.
      decoder_spec: DecoderSpec.
      num_outputs: channels of the output: 3 to denoise, classes to segment.
      image_size: (height, width), multiples of 16; None leaves a side open.
      position_grid: (rows, columns) of the position embedding; None takes the
        spec's, else the image's.

    Returns:
      Network with `encoder`, `decoder` and `head`.

    Raises:
      UserError: the encoder is unknown or does not support its spec, or the
        image size is none of those.
    """
    registry.find(encoder_spec.name, encoder_spec.representation_size)
    encoder = encoder_lib.build_encoder(
        encoder_spec.name, image_size,
        dropout=encoder_lib.dropout_of(encoder_spec),
        position_grid=position_grid or encoder_spec.position_grid or None)
    decoder = decoder_lib.build_decoder(decoder_spec, encoder)
    return Network(encoder, decoder, num_outputs, name='network')


def build_segmenter(name: str, num_classes: int, width_multiplier: int = 1,
                    image_size: tuple[int | None, int | None] = (224, 224),
                    decoder: specs.DecoderSpec | None = None) -> Network:
    """Builds a segmenter.

    Args:
      name: of the encoder, see `encoder.build_encoder`.
      num_classes: logits per pixel.
      width_multiplier: multiplies every channel count of the decoder.
      image_size: (height, width), multiples of 16; None leaves a side open.
      decoder: DecoderSpec, with a width_multiplier of its own; None takes the
        encoder's default.

    Returns:
      Network: image [B, H, W, 3] float32 in [-1, 1] -> logits
      [B, H, W, num_classes] float32.

    Raises:
      UserError: an unknown encoder or a bad argument.
    """
    encoder_spec = specs.EncoderSpec(name=name)
    for argument, value in (('num_classes', num_classes),
                            ('width_multiplier', width_multiplier)):
        if not spec_base.is_count(value):
            raise errors.UserError(
                f'{argument} must be a whole number above 0, got {value!r}')
    if decoder is None:
        decoder = dataclasses.replace(registry.find(name).decoder,
                                      width_multiplier=int(width_multiplier))
    elif width_multiplier not in (1, decoder.width_multiplier):
        raise errors.UserError(
            f'width_multiplier is {width_multiplier}, but that of the decoder '
            f'is {decoder.width_multiplier}: give one of them')
    return build_network(encoder_spec, decoder, num_classes, image_size)
