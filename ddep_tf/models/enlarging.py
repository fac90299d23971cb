"""The training pass of a decoder that keeps no enlarged map."""

from typing import Any

import keras
import tensorflow as tf

from ddep_tf.models import layers

_JOINS = (layers.Upsample, keras.layers.Concatenate)


class Enlarging:
    """Computes what a decoder does, and keeps no map that was enlarged, or
    joined with a skip, for a convolution.

    These are a third of what is kept of a decoder. To enlarge a map again is
    little beside the convolution. Less is computed than by the layers' own
    gradients where the encoder is frozen: they take those of skips along.

    Args:
      decoder: functional model. Its layers are shared; it stays as it is.
    """

    def __init__(self, decoder: keras.Model):
        self._decoder = decoder

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """As the decoder. Only its gradients take another way."""
        flatten = keras.tree.flatten
        values = {id(symbol): value for symbol, value in zip(
            flatten(self._decoder.input), flatten(inputs), strict=True)}
        upsample = None  # The last one, whose map is still to be enlarged.
        for layer in self._decoder.operations:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            given = [value for symbol in flatten(layer.input)
                     for value in flatten(values[id(symbol)])]
            if isinstance(layer, _JOINS):
                upsample = (layer if isinstance(layer, layers.Upsample)
                            else upsample)
                found = given
            elif upsample:
                found = _conv_enlarged(upsample, layer, *given)
                upsample = None
            elif isinstance(layer, keras.layers.BatchNormalization):
                found = layer(*given, training=training)
            else:
                found = layer(*given)
            values[id(layer.output)] = found
        return values[id(self._decoder.output)]


def _conv_enlarged(upsample, conv, *inputs):
    """Convolves a map [B, h, w, C], enlarged, and skips [B, 2 h, 2 w, any] as
    the channels of one map."""
    @tf.custom_gradient
    def compute(kernel, x, *skips):
        def gradient(upstream):
            with tf.control_dependencies([upstream]):  # Not before.
                again, whole = tf.identity(x), tf.identity(kernel)
            with tf.GradientTape() as tape:
                tape.watch(again)
                maps = [upsample(again), *skips]
            kernels = tf.split(whole, [each.shape[-1] for each in maps], 2)
            of_kernels, of_maps = zip(*(
                _conv_gradients(*each, upstream)
                for each in zip(maps, kernels, strict=True)), strict=True)
            of_x = tape.gradient(maps[0], again, of_maps[0])
            return tf.concat(of_kernels, 2), of_x, *of_maps[1:]

        joined = tf.concat([upsample(x), *skips], -1) if skips else upsample(x)
        return tf.nn.conv2d(joined, kernel, 1, 'SAME'), gradient

    return compute(*(tf.cast(each, conv.compute_dtype)
                     for each in (conv.kernel, *inputs)))


def _conv_gradients(x, kernel, upstream):
    """Returns those of the kernel and of `x`: the latter last, so that not
    both maps, which are as large, have to be there."""
    options = {'strides': [1, 1, 1, 1], 'padding': 'SAME'}
    of_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=kernel.shape, out_backprop=upstream, **options)
    with tf.control_dependencies([of_kernel]):
        upstream = tf.identity(upstream)
    return of_kernel, tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream,
        **options)
