"""The ImageNet weights of keras.applications, as files for --init_encoder."""

import os
import pathlib

import keras

from ddep_tf import errors, files
from ddep_tf.models import (
    encoder,
    keras_applications,
    npz,
    published_names,
    registry,
    weights,
)


def path_of(name: str, data_dir: str | os.PathLike) -> pathlib.Path:
    """Returns where the weights of 'keras/NAME' belong."""
    return files.path(data_dir, 'weights',
                      f'{name.removeprefix(registry.KERAS)}.npz')


def fetch(name: str, data_dir: str | os.PathLike) -> pathlib.Path:
    """Writes the weights of an encoder unless they are there; checks them.

    Keras downloads them, and keeps what it downloaded in ~/.keras.

    Args:
      name: 'keras/NAME'.
      data_dir: root folder of the data.

    Returns:
      The path of the .npz file, which holds what the encoder has.

    Raises:
      UserError: there is no such model, its weights cannot be reached, or the
        file that is there is not that of the encoder.
    """
    target = path_of(name, data_dir)
    network = encoder.build_encoder(name, (None, None))
    if not target.exists():
        copy(_pretrained(name), network)
        target.parent.mkdir(parents=True, exist_ok=True)
        npz.save_npz(target, weights.export_arrays(network))
    weights.load_vit_npz(network, target)
    return target


def check(name: str, data_dir: str | os.PathLike) -> pathlib.Path:
    """Returns the path of the weights. UserError as `fetch`, or if there are
    none."""
    target = path_of(name, data_dir)
    weights.load_vit_npz(encoder.build_encoder(name, (None, None)), target)
    return target


def _pretrained(name):
    make = keras_applications.constructor(name)
    try:
        return make(include_top=False)
    except Exception as error:  # Of Keras' download, whose kind is not stated.
        raise errors.UserError(
            f'{name}: Keras cannot download its ImageNet weights ({error}): '
            'connect to the network and start again, or copy ~/.keras/models '
            'from a machine that has them') from error


def copy(application: keras.Model, network: keras.Model) -> None:
    """Copies what `network` has of an application's variables."""
    names = keras_applications.stable_names(application)
    values = {(names.get(layer, layer), variable): value
              for layer, variable, value in _variables(application)}
    for layer, variable, target in _variables(network):
        # A kernel of one channel in or one channel out is the same numbers.
        value = keras.ops.convert_to_numpy(values[layer, variable])
        target.assign(value.reshape(target.shape))


def _variables(model):
    """Yields (name of a layer, name of its variable, the variable)."""
    for layer in published_names.layers_of(model):
        for variable in layer.weights:
            yield (layer.name,
                   keras_applications.variable_name(variable.name), variable)
