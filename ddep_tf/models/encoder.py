"""Encoders and classifiers by name, under one contract."""

import dataclasses

import keras

from ddep_tf import errors, specs
from ddep_tf.models import efficientnet_lite, resnet, transformer, vit
from ddep_tf.models import weights as weight_files


@dataclasses.dataclass(frozen=True)
class Hybrid:
    """Sizes of a ResNet + ViT hybrid."""
    width: int
    units: tuple[int, ...]
    hidden: int
    blocks: int
    heads: int
    mlp: int


HYBRIDS = {
    'r50_vit_b16': Hybrid(64, (3, 4, 9), 768, 12, 12, 3072),  # [R]
    'tiny': Hybrid(32, (1, 2, 1), 48, 2, 3, 96),              # [O]
}
DEFAULT_GRID = (14, 14)  # Of 224 x 224, the published files' [R].


def build_encoder(name, image_size=(224, 224), class_token=False,
                  weights=None, position_grid=None, dropout=0.0):
    """Builds an encoder.

    Args:
      name: one of specs.ENCODERS.
      image_size: (H, W), positive multiples of 16; (None, None) leaves it
        open.
      class_token: whether the class token attends, as in the published
        classifier.
      weights: path of that encoder's published .npz, loaded strictly.
      position_grid: of the position embedding; None takes that of `weights`,
        else the image's.
      dropout: rate inside the transformer.

    Returns:
      keras.Model from [B, H, W, 3] float32 in [-1, 1] to a dict of float32
      maps 'stride2', 'stride4', 'stride8', 'stride16', and 'class_token'
      [B, C] where it was asked for.

    Raises:
      ValueError: an unknown name, a bad size, or bad weights.
    """
    size = _check(name, image_size)
    if position_grid is None and weights is not None:
        position_grid = weight_files.position_grid_of(weights)
    images = keras.Input((*size, 3), name='image')
    if name == 'efficientnet_lite0':
        if class_token:
            raise errors.UserError('class_token: efficientnet_lite0 has none')
        outputs = efficientnet_lite.features(images)
    else:
        grid = position_grid or _grid(size)
        outputs = _hybrid(images, HYBRIDS[name], grid, class_token, dropout)
    model = keras.Model(images, outputs, name='encoder')
    if weights is not None:
        weight_files.load_vit_npz(model, weights)
    return model


def build_classifier(name, num_classes, representation_size=None,
                     image_size=(224, 224), position_grid=None, dropout=0.0):
    """Builds a classifier.

    Args:
      name: one of specs.ENCODERS.
      num_classes: outputs, at least 1.
      representation_size: width of `pre_logits`, tanh(dense); None has none.
      image_size, position_grid, dropout: as `build_encoder`.

    Returns:
      keras.Model from [B, H, W, 3] float32 in [-1, 1] to logits
      [B, num_classes] float32. Its `encoder` is the encoder.

    Raises:
      ValueError: as `build_encoder`, or num_classes below 1.
    """
    if num_classes < 1:
        raise errors.UserError(f'num_classes must be above 0, got '
                               f'{num_classes}')
    hybrid = name in HYBRIDS
    if representation_size and not hybrid:
        raise errors.UserError(f'representation_size: {name} has none')
    encoder = build_encoder(name, image_size, hybrid, None, position_grid,
                            dropout)
    images = keras.Input(encoder.input_shape[1:], name='image')
    outputs = encoder(images)
    if hybrid:
        x = outputs['class_token']
        if representation_size:
            x = keras.layers.Dense(representation_size, activation='tanh',
                                   name='pre_logits')(x)
        # Zeros, as the original's head starts [R].
        logits = keras.layers.Dense(num_classes, name='head',
                                    kernel_initializer='zeros')(x)
    else:
        logits = efficientnet_lite.classifier_top(outputs['stride16'],
                                                  num_classes)
    model = keras.Model(images, logits, name='classifier')
    model.encoder = encoder
    return model


def _hybrid(images, sizes, grid, class_token, dropout):
    features = resnet.resnet(images, sizes.width, sizes.units)
    x = vit.Embedding(sizes.hidden, name='embedding')(
        features.pop('stride16'))
    x = transformer.Transformer(
        grid, sizes.hidden, sizes.blocks, sizes.heads, sizes.mlp, dropout,
        class_token, name='Transformer')(x)
    if class_token:
        x, features['class_token'] = x
    return {**features, 'stride16': x}


def _check(name, image_size):
    if name not in specs.ENCODERS:
        raise errors.UserError(f'name must be one of '
                               f'{", ".join(specs.ENCODERS)}, got {name!r}')
    if tuple(image_size) == (None, None):
        return None, None
    return specs.check_size(image_size, 'image_size')


def _grid(size):
    if size == (None, None):
        return DEFAULT_GRID
    return tuple(side // specs.STRIDE for side in size)
