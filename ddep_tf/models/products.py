"""Convolutions and matrix products that need little memory for their gradient.

TensorFlow runs what became ready last first. So gradients of kernels and
biases would wait, and keep what they are taken of, till all others are done:
here those of inputs wait for them.
"""

import tensorflow as tf

from ddep_tf.models import layers


@tf.custom_gradient
def dense(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Returns x kernel + bias.

    Args:
      x: [..., C] float.
      kernel: [C, D], of the same dtype.
      bias: [D], of the same dtype.

    Returns:
      [..., D], of the same dtype.
    """
    inputs, outputs = kernel.shape
    rows = tf.reshape(x, (-1, inputs))

    def gradient(upstream):
        upstream = tf.reshape(upstream, (-1, outputs))
        of_kernel = tf.matmul(rows, upstream, transpose_a=True)
        # In 16 bits the sum of many rows would no longer grow.
        of_bias = tf.cast(tf.reduce_sum(tf.cast(upstream, tf.float32), 0),
                          bias.dtype)
        upstream = layers.after((of_kernel, of_bias), upstream)
        of_rows = tf.matmul(upstream, kernel, transpose_b=True)
        return tf.reshape(of_rows, layers.dims(x)), of_kernel, of_bias

    y = tf.nn.bias_add(tf.matmul(rows, kernel), bias)
    return tf.reshape(y, (*layers.dims(x)[:-1], outputs)), gradient


def conv2d(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1,
           padding: str = 'SAME') -> tf.Tensor:
    """Returns what tf.nn.conv2d does.

    Args:
      x: [B, H, W, C] float.
      kernel: [h, w, C, D], of the same dtype.
      stride: of rows and columns.
      padding: 'SAME' or 'VALID'.

    Returns:
      [B, about H / stride, about W / stride, D], of the same dtype.
    """
    options = {'strides': [1, stride, stride, 1], 'padding': padding}

    @tf.custom_gradient
    def compute(x, kernel):
        def gradient(upstream):
            of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=upstream,
                **options)
            of_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=layers.dims(x), filter=kernel,
                out_backprop=layers.after(of_kernel, upstream), **options)
            return of_x, of_kernel

        return tf.nn.conv2d(x, kernel, stride, padding), gradient

    return compute(x, kernel)
