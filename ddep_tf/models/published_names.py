"""The published names and layouts of a network's variables.

A layer's name with its dots as slashes is the published key of the ViT
layout. Layers named `lite.` have the keys of the PyTorch release, `_blocks.3.
_bn1.weight`, whose convolutions have their outputs first.
"""

import keras
import numpy as np

from ddep_tf.models import layers, vit

LITE = 'lite.'
_LEAVES = {'gamma': 'scale', 'beta': 'bias'}
_LITE_LEAVES = {'kernel': 'weight', 'gamma': 'weight', 'beta': 'bias',
                'moving_mean': 'running_mean',
                'moving_variance': 'running_var'}


def named_variables(model):
    """Names every variable of a network as published.

    Args:
      model: an encoder, a Classifier, a Network, or any Keras model of layers.

    Returns:
      dict key -> keras.Variable, statistics included: the encoder's keys,
      then those of the classifier's head, or `decoder/...` and `head/...`.
    """
    named = {}
    for prefix, part in _parts(model):
        for layer in part._flatten_layers(include_self=not _is_model(part)):
            if not _is_model(layer):
                for variable in layer.weights:
                    named[prefix + _key(layer, variable)] = variable
    return named


def encoder_keys(model):
    """Returns the keys of a network's encoder, a set."""
    return set(named_variables(getattr(model, 'encoder', model)))


def _parts(model):
    parts = [('', getattr(model, 'encoder', model))]
    if hasattr(model, 'top'):
        parts.append(('', model.top))
    if hasattr(model, 'decoder'):
        parts += [('decoder/', model.decoder), ('', model.head)]
    return parts


def _is_model(layer):
    return isinstance(layer, keras.Model)


def _key(layer, variable):
    if layer.name.startswith(LITE):
        path = layer.name.removeprefix(LITE).split('.')
        path = [part if part.isdigit() else f'_{part}' for part in path]
        return '.'.join([*path, _LITE_LEAVES.get(variable.name,
                                                 variable.name)])
    if layer.name == variable.name:  # The class token's key is bare.
        return layer.name
    return '/'.join([*layer.name.split('.'),
                     _LEAVES.get(variable.name, variable.name)])


def _is_lite(key):
    return key.startswith('_')


def to_published(key, array):
    """Returns a variable's value in its published layout."""
    if not _is_lite(key) or array.ndim < 2:
        return array
    if array.ndim == 2:
        return np.ascontiguousarray(array.T)
    order = (2, 3, 0, 1) if '_depthwise_conv' in key else (3, 2, 0, 1)
    return np.ascontiguousarray(array.transpose(order))


def from_published(key, array):
    """Returns a published array in the layout of its variable.

    A number of axes that fits nothing is left for the shape check to name.
    """
    if _is_lite(key) and array.ndim == 4:
        order = (2, 3, 0, 1) if '_depthwise_conv' in key else (2, 3, 1, 0)
        return array.transpose(order)
    if _is_lite(key) and array.ndim == 2:
        return array.T
    if array.ndim == 4 and array.shape[:3] == (1, 1, 1) and (
            key.endswith(('/scale', '/bias'))):
        return array.reshape(-1)  # Published GroupNorms have either shape.
    return array


def position_layer(model):
    """Returns the PositionEmbedding of a network, None if it has none."""
    encoder = getattr(model, 'encoder', model)
    for layer in encoder._flatten_layers(include_self=False):
        if isinstance(layer, vit.PositionEmbedding):
            return layer
    return None


def resize_positions(array, old, new):
    """Resizes a stored position embedding as the forward pass would.

    Args:
      array: [1, 1 + old rows * old columns, C] float32, class token first.
      old, new: (rows, columns).

    Returns:
      [1, 1 + new rows * new columns, C] float32.
    """
    if old == new:
        return array
    grid = array[0, 1:].reshape(*old, -1)
    down, across = (layers.interpolation_matrix(n, o)
                    for n, o in zip(new, old))
    grid = np.einsum('ph,qw,hwc->pqc', down, across, grid, optimize=True)
    return np.concatenate([array[:, :1],
                           grid.reshape(1, -1, array.shape[-1])], 1)
