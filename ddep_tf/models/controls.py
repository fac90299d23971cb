"""Decoders that keep the sizes of pretrained weights, and not their content.

With them an experiment tells what denoising teaches from what it does to the
scale of the weights.
"""

from collections.abc import Sequence

import keras
import numpy as np


def remove_content(decoder: keras.Model, initial: Sequence[np.ndarray],
                   control: str, seed: int) -> None:
    """Takes out of a decoder what it was taught.

    Args:
      decoder: with pretrained weights.
      initial: the random value of each of its variables before these.
      control: 'shuffled' puts the entries of each variable in random order;
        'norms' restores `initial`, each kernel scaled to the Frobenius norm of
        the pretrained one.
      seed: of the order.
    """
    rng = np.random.default_rng(seed)
    for variable, start in zip(decoder.weights, initial, strict=True):
        value = keras.ops.convert_to_numpy(variable)
        variable.assign(rng.permuted(value.ravel()).reshape(value.shape)
                        if control == 'shuffled' else
                        _scaled(start, value, variable.name))


def _scaled(start, value, name):
    if name != 'kernel':
        return start
    return start * (np.linalg.norm(value) / np.linalg.norm(start))
