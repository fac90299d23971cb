"""The training pass of a decoder that keeps little more than what its
convolutions give."""

from collections.abc import Callable
import dataclasses
import itertools
from typing import Any

import keras
import tensorflow as tf

from ddep_tf.models import doubling, layers, products


@dataclasses.dataclass(frozen=True)
class _Map:
    """What is computed of `inputs` where it is needed.

    Attributes:
      inputs: what is kept.
      compute: the function of it.
      doubled: still to be enlarged.
    """
    inputs: tuple[tf.Tensor, ...]
    compute: Callable[..., tf.Tensor] = lambda x: x
    doubled: bool = False


class Sparing:
    """Computes what a decoder does, and keeps of it for the gradient what goes
    into norms, and what comes from the encoder.

    What lies between there and a convolution is computed again: little work
    beside the convolution, and two thirds of what is kept of a decoder. Maps
    are neither enlarged nor joined before they are convolved. Less is computed
    than by the layers' own gradients where the encoder is frozen: they take
    those of skips along.

    Args:
      decoder: functional model. Its layers are shared; it stays as it is.
    """

    def __init__(self, decoder: keras.Model):
        self._decoder = decoder

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """As the decoder. Only its gradients take another way."""
        flatten = keras.tree.flatten
        maps = {id(symbol): [_Map((value,))] for symbol, value in zip(
            flatten(self._decoder.input), flatten(inputs), strict=True)}
        for layer in self._decoder.operations:
            if not isinstance(layer, keras.layers.InputLayer):
                maps[id(layer.output)] = _maps_of(layer, [
                    each for symbol in flatten(layer.input)
                    for each in maps[id(symbol)]], training)
        return _now(*maps[id(self._decoder.output)])


def _maps_of(layer, given, training):
    """Returns the output of a layer of the decoder, in parts of its
    channels."""
    if isinstance(layer, keras.layers.Concatenate):
        return given
    if isinstance(layer, keras.layers.Conv2D):
        return [_Map((_convolved(layer, given),))]
    before, = given
    if isinstance(layer, layers.Upsample) and not layer.align_corners:
        return [dataclasses.replace(before, doubled=True)]
    if isinstance(layer, (keras.layers.ReLU, layers.Upsample)):
        return [_then(before, layer)]
    if isinstance(layer, layers.GroupNorm):
        return [_then(before, layer.normalized, layer.gamma, layer.beta)]
    if isinstance(layer, keras.layers.BatchNormalization):
        return [_Map((layer(_now(before), training=training),))]
    return [_Map((layer(_now(before)),))]


def _now(each):
    return each.compute(*each.inputs)


def _then(before, function, *variables):
    count = len(before.inputs)
    return _Map(
        (*before.inputs, *map(tf.convert_to_tensor, variables)),
        lambda *inputs: function(before.compute(*inputs[:count]),
                                 *inputs[count:]))


def _convolved(conv, given):
    """Convolves maps as the channels of one."""
    def compute(kernel, *inputs):
        left = iter(inputs)
        maps = [each.compute(*itertools.islice(left, len(each.inputs)))
                for each in given]
        kernels = tf.split(kernel, [each.shape[-1] for each in maps], 2)
        return tf.add_n([
            (doubling.convolve if each.doubled else products.conv2d)(
                tf.cast(x, kernel.dtype), part)
            for each, x, part in zip(given, maps, kernels, strict=True)])

    kernel = tf.cast(conv.kernel, conv.compute_dtype)
    return layers.recomputed(compute)(
        kernel, *itertools.chain(*(each.inputs for each in given)))
