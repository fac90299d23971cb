"""Encoders and classifiers by name, under one contract.

An encoder is a Keras model from an image [B, H, W, 3] float32 in [-1, 1] to a
dict of maps stride2, stride4, stride8 and stride16, [B, H / s, W / s, C].
"""

from collections.abc import Sequence
import os
from typing import Any

import keras

from ddep_tf import errors, spec_base, specs
from ddep_tf.models import positions, registry, remat
from ddep_tf.models import weights as weights_lib

_OPEN_GRID = (14, 14)  # That of a 224 x 224 image, if the size is left open.


@keras.saving.register_keras_serializable('ddep_tf')
class Encoder(keras.Model):
    """A functional model that keeps the name of its registry entry.

    Attributes:
      entry_name: by which `registry.find` finds the entry, saved and loaded
        with the model.
    """

    entry_name = ''

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'entry_name': self.entry_name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        entry_name = config.pop('entry_name')
        # Keras finds only layers that were imported. A file may not name
        # what else to import.
        if entry_name in registry.NAMES:
            registry.find(entry_name)
        model = super().from_config(config, custom_objects)
        model.entry_name = entry_name
        return model


def build_encoder(name: str,
                  image_size: tuple[int | None, int | None] = (224, 224),
                  class_token: bool = False,
                  weights: str | os.PathLike | None = None,
                  position_grid: Sequence[int] | None = None,
                  dropout: float = 0.0) -> Encoder:
    """Builds an encoder.

    Args:
      name: one of registry.NAMES, or MODULE:ENTRY for one of your own.
      image_size: (height, width) of the input, positive multiples of 16; None
        leaves a side open.
      class_token: let a class token attend; it is then the output
        `class_token`, [B, C]. For encoders that end in a transformer.
      weights: the encoder's published .npz, loaded strictly.
      position_grid: (rows, columns) of the position embedding; None takes that
        of `weights`, else the image's.
      dropout: rate inside the transformer, in [0, 1).

    Returns:
      Encoder: image -> dict, see above.

    Raises:
      UserError: an unknown name or a bad argument; or the weights do not fit.
    """
    specs.EncoderSpec(name=name, dropout=dropout)
    entry = registry.find(name)
    height, width = _check_image_size(image_size)
    image = keras.Input((height, width, 3), name='image')
    options: dict[str, Any] = {}
    if entry.has_tokens:
        grid = _choose_grid(position_grid, weights, height, width)
        options = {'position_grid': grid, 'class_token': class_token,
                   'dropout': dropout}
    elif class_token or dropout:
        option = 'class_token' if class_token else 'dropout'
        raise errors.UserError(f'{option}: {name} has no transformer: leave it '
                               'out')
    outputs = dict(entry.features(image, **options))
    _check_maps(outputs, name, height, width)
    model = Encoder(image, outputs, name='encoder')
    model.entry_name = name
    if weights is not None:
        weights_lib.load_vit_npz(model, weights)
    return model


def dropout_of(spec: specs.EncoderSpec) -> float:
    """Returns a spec's dropout; 0 for an encoder that has no transformer, of
    which runs of earlier versions may name one."""
    return spec.dropout if registry.find(spec.name).has_tokens else 0.0


def _check_image_size(image_size):
    try:
        height, width = image_size
    except (TypeError, ValueError):
        raise errors.UserError('image_size must be (height, width), got '
                               f'{image_size!r}') from None
    # An open side passes as one of a size that fits.
    specs.check_size([specs.STRIDE if side is None else side
                      for side in (height, width)], 'image_size')
    return tuple(None if side is None else int(side)
                 for side in (height, width))


def _check_maps(outputs, name, height, width):
    for key, stride in registry.MAPS.items():
        expected = tuple(side and side // stride for side in (height, width))
        shape = tuple(outputs[key].shape) if key in outputs else ()
        if shape[1:3] != expected or len(shape) != 4:
            raise errors.UserError(
                f'{name}: the output {key} must be a map [B, H / {stride}, '
                f'W / {stride}, C], got {shape or "none"}')


def _choose_grid(position_grid, weights, height, width):
    if position_grid:
        return _check_grid(position_grid)
    grid = positions.position_grid_of(weights) if weights else None
    if grid:
        return grid
    if height is None or width is None:
        return _OPEN_GRID
    return height // specs.STRIDE, width // specs.STRIDE


def _check_grid(grid):
    try:
        rows, columns = grid
    except (TypeError, ValueError):
        rows = columns = 0
    if not (spec_base.is_count(rows) and spec_base.is_count(columns)):
        raise errors.UserError('position_grid must be (rows, columns) of at '
                               f'least 1, got {grid!r}')
    return int(rows), int(columns)


class BuiltModel(keras.Model):
    """A model around an encoder, all of whose parts are built with it.

    Args:
      encoder: the encoder.
    """

    def __init__(self, encoder: keras.Model, **kwargs):
        # The image is not to be rounded, whatever its layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.encoder = encoder
        self.built = True
        # As Keras notes it of a model that it builds: `export` asks for it.
        self._build_shapes_dict = {'input_shape': encoder.input.shape}
        self._recomputed_encoder: remat.Recomputed | None = None

    @property
    def input_dtype(self) -> str:
        """Of the image, by which `export` makes its signature."""
        return 'float32'

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {'encoder': serialize(self.encoder), 'name': self.name,
                'dtype': serialize(self.dtype_policy)}

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls(**{key: load(value) if isinstance(value, dict) else value
                      for key, value in config.items()})

    def get_build_config(self) -> None:
        """Nothing is to be built of a model that is loaded."""

    def recompute_blocks(self) -> None:
        """Has training keep less in memory, see `remat`."""
        self._recomputed_encoder = remat.Recomputed(self.encoder)


@keras.saving.register_keras_serializable('ddep_tf')
class Classifier(BuiltModel):
    """Logits from one output of an encoder.

    Args:
      encoder: the encoder.
      top: keras.Model from that output to logits [B, num_classes] float32.
      source: name of that output.
    """

    def __init__(self, encoder: keras.Model, top: keras.Model, source: str,
                 **kwargs):
        super().__init__(encoder, **kwargs)
        self.top = top
        self.source = source

    def call(self, inputs, training=None):
        """image [B, H, W, 3] float32 in [-1, 1] -> logits float32."""
        encode = (training and self._recomputed_encoder) or self.encoder
        outputs = encode(inputs, training=training)
        return self.top(outputs[self.source], training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'source': self.source,
                'top': keras.saving.serialize_keras_object(self.top)}


def build_classifier(name: str, num_classes: int,
                     representation_size: int | None = None,
                     image_size: tuple[int | None, int | None] = (224, 224),
                     position_grid: Sequence[int] | None = None,
                     dropout: float = 0.0) -> Classifier:
    """Builds an encoder with the head it is pretrained with.

    Args:
      name: see `build_encoder`.
      num_classes: number of logits.
      representation_size: units of the tanh layer before the head; None for no
        such layer. Some encoders have a head of their own without one.
      image_size, position_grid, dropout: see `build_encoder`.

    Returns:
      Classifier, whose `encoder` is the encoder: image -> logits
      [B, num_classes] float32.

    Raises:
      UserError: an unknown name or a bad argument.
    """
    for argument, value in (('num_classes', num_classes),
                            ('representation_size', representation_size)):
        required = argument == 'num_classes'
        if (required or value is not None) and not spec_base.is_count(value):
            raise errors.UserError(
                f'{argument} must be a whole number above 0, got {value!r}')
    entry = registry.find(name, representation_size)
    encoder = build_encoder(name, image_size,
                            entry.head_input == 'class_token', None,
                            position_grid, dropout)
    features = keras.Input(encoder.output[entry.head_input].shape[1:],
                           name='features',
                           dtype=encoder.output[entry.head_input].dtype)
    options = {'representation_size': representation_size} if (
        representation_size) else {}
    logits = entry.head(features, num_classes, **options)
    return Classifier(encoder, keras.Model(features, logits, name='top'),
                      entry.head_input, name='classifier')
