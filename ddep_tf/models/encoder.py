"""Encoders and classifiers by name, under one contract.

An encoder is a Keras model from an image [B, H, W, 3] float32 in [-1, 1] to a
dict of maps stride2, stride4, stride8 and stride16, [B, H / s, W / s, C].
"""

import keras

from ddep_tf import errors, spec_base, specs
from ddep_tf.models import efficientnet_lite, resnet, vit
from ddep_tf.models import weights as weights_lib

_HYBRIDS = {
    'r50_vit_b16': {
        'width': 64, 'units': (3, 4, 9),
        'transformer': {'hidden': 768, 'blocks': 12, 'heads': 12,
                        'mlp_width': 3072}},
    'tiny': {
        'width': 32, 'units': (1, 2, 1),
        'transformer': {'hidden': 48, 'blocks': 2, 'heads': 3,
                        'mlp_width': 96}},
}
_OPEN_GRID = (14, 14)  # Of a 224 x 224 image, where the size is left open.


def build_encoder(name, image_size=(224, 224), class_token=False,
                  weights=None, position_grid=None, dropout=0.0):
    """Builds an encoder.

    Args:
      name: one of specs.ENCODERS.
      image_size: (height, width) of the input, positive multiples of 16; None
        leaves a side open.
      class_token: let a class token attend; it is then the output
        `class_token`, [B, C]. Not for efficientnet_lite0.
      weights: its published .npz, loaded strictly.
      position_grid: (rows, columns) of the position embedding; None takes that
        of `weights`, else the image's.
      dropout: rate inside the transformer, in [0, 1).

    Returns:
      keras.Model: image -> dict, see above.
    """
    specs.EncoderSpec(name=name, dropout=dropout)
    height, width = _check_image_size(image_size)
    image = keras.Input((height, width, 3), name='image')
    if name in _HYBRIDS:
        grid = _choose_grid(position_grid, weights, height, width)
        outputs = _hybrid(image, name, grid, class_token, dropout)
    elif class_token:
        raise errors.UserError(f'class_token: {name} has none')
    else:
        outputs = efficientnet_lite.features(image)
    model = keras.Model(image, outputs, name='encoder')
    if weights is not None:
        weights_lib.load_vit_npz(model, weights)
    return model


def _hybrid(image, name, grid, class_token, dropout):
    numbers = _HYBRIDS[name]
    outputs = resnet.resnet(image, numbers['width'], numbers['units'])
    outputs['stride16'], token = vit.transformer(
        outputs['stride16'], **numbers['transformer'], position_grid=grid,
        class_token=class_token, dropout=dropout)
    if class_token:
        outputs['class_token'] = token
    return outputs


def _check_image_size(image_size):
    try:
        height, width = image_size
    except (TypeError, ValueError):
        raise errors.UserError('image_size must be (height, width), got '
                               f'{image_size!r}') from None
    # An open side may be any, so a size that fits stands in for it.
    specs.check_size([specs.STRIDE if side is None else side
                      for side in (height, width)], 'image_size')
    return tuple(None if side is None else int(side)
                 for side in (height, width))


def _choose_grid(position_grid, weights, height, width):
    if position_grid:
        return _check_grid(position_grid)
    grid = weights_lib.position_grid_of(weights) if weights else None
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


@keras.saving.register_keras_serializable('ddep_tf')
class Classifier(keras.Model):
    """Logits from one output of an encoder.

    Args:
      encoder: the encoder.
      top: keras.Model from that output to logits [B, num_classes] float32.
      source: name of that output.
    """

    def __init__(self, encoder, top, source, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.top = top
        self.source = source
        self.built = True

    def call(self, inputs, training=None):
        """image [B, H, W, 3] float32 in [-1, 1] -> logits float32."""
        outputs = self.encoder(inputs, training=training)
        return self.top(outputs[self.source], training=training)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {'encoder': serialize(self.encoder),
                'top': serialize(self.top), 'source': self.source,
                'name': self.name}

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls(**{key: load(value) if key in ('encoder', 'top') else value
                      for key, value in config.items()})


def build_classifier(name, num_classes, representation_size=None,
                     image_size=(224, 224), position_grid=None, dropout=0.0):
    """Builds an encoder with the head it is pretrained with.

    Args:
      name: one of specs.ENCODERS.
      num_classes: number of logits.
      representation_size: units of the tanh layer before the head; None has no
        such layer. None for efficientnet_lite0.
      image_size, position_grid, dropout: see `build_encoder`.

    Returns:
      Classifier, whose `encoder` is the encoder: image -> logits
      [B, num_classes] float32.
    """
    for argument, value in (('num_classes', num_classes),
                            ('representation_size', representation_size)):
        required = argument == 'num_classes'
        if (required or value is not None) and not spec_base.is_count(value):
            raise errors.UserError(
                f'{argument} must be a whole number above 0, got {value!r}')
    hybrid = name in _HYBRIDS
    encoder = build_encoder(name, image_size, hybrid, None, position_grid,
                            dropout)
    source = 'class_token' if hybrid else 'stride16'
    features = keras.Input(encoder.output[source].shape[1:], name='features')
    if hybrid:
        logits = _token_head(features, num_classes, representation_size)
    elif representation_size is None:
        logits = efficientnet_lite.classify(features, num_classes)
    else:
        raise errors.UserError(f'representation_size: {name} has its own '
                               'head, leave it None')
    return Classifier(encoder, keras.Model(features, logits, name='top'),
                      source, name='classifier')


def _token_head(x, num_classes, representation_size):
    if representation_size is not None:
        x = keras.layers.Dense(representation_size, 'tanh', name='pre_logits',
                               kernel_initializer='lecun_normal')(x)
    return keras.layers.Dense(
        num_classes, dtype='float32', name='head',
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)
