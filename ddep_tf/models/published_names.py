"""The published keys of a network's variables."""

from collections.abc import Iterator
from typing import NamedTuple

import keras

from ddep_tf import errors
from ddep_tf.models import registry, vit


class Published(NamedTuple):
    """A variable, and the key map that it is published by."""
    variable: keras.Variable
    keys: registry.KeyMap


def published_variables(model: keras.Model) -> dict[str, Published]:
    """Finds the key of every variable of a network.

    Args:
      model: an encoder, a Classifier, a Network, or any Keras model of layers.

    Returns:
      dict key -> Published, statistics included: the encoder's keys, then
      those of the classifier's head, or `decoder/...` and `head/...`.

    Raises:
      UserError: two variables have the same key.
    """
    found: dict[str, Published] = {}
    for prefix, part, keys in _parts(model):
        for layer in layers_of(part):
            for variable in layer.weights:
                key = prefix + keys.key_of(layer.name,
                                           _name_in(layer, variable))
                if key in found and found[key].variable is not variable:
                    raise errors.UserError(
                        f'{found[key].variable.path} and {variable.path} have '
                        f'the same published key, {key}: rename a layer, or '
                        "mend the encoder's key map")
                found[key] = Published(variable, keys)
    return found


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns dict key -> variable, as `published_variables` orders them."""
    return {key: published.variable
            for key, published in published_variables(model).items()}


def encoder_keys(model: keras.Model) -> set[str]:
    """Returns the keys of a network's encoder."""
    return set(named_variables(encoder_of(model)))


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the encoder of a network; an encoder is its own."""
    return getattr(model, 'encoder', model)


def key_map(model: keras.Model) -> registry.KeyMap:
    """Returns the key map of a network's encoder.

    A Keras model that no entry has built takes that of the ViT.
    """
    name = getattr(encoder_of(model), 'entry_name', None)
    return registry.find(name).keys if name else vit.KEYS


def layers_of(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model and of the models inside it, in order."""
    if not isinstance(model, keras.Model):
        yield model
        return
    for layer in model.layers:
        yield from layers_of(layer)


def _parts(model):
    """Yields (prefix of the keys, model or layer, its key map)."""
    keys = key_map(model)
    yield '', encoder_of(model), keys
    if hasattr(model, 'top'):
        yield '', model.top, keys
    if hasattr(model, 'decoder'):
        yield 'decoder/', model.decoder, vit.KEYS
        yield '', model.head, vit.KEYS


def _name_in(layer, variable):
    """Returns a variable's name, below those of the layers inside `layer`."""
    return variable.path.rpartition(f'{layer.name}/')[2]
