"""The convolution of a map at twice its size, without the map of that size.

A 3x3 convolution of a map that was enlarged bilinearly sees three by three
pixels of the map before. So it is a convolution of that one, with a kernel for
each of the four places of a pixel (sub-pixel convolution), and takes as many
operations. The enlarged map would be the largest of a decoder.
"""

import numpy as np
import tensorflow as tf

from ddep_tf.models import layers, products


def _taps():
    """What pixel i + a - 1 gives to 2 i + p + m - 1 of twice the size, [2, 3,
    3] by p, m, a: p is the place of an output, m a row of its kernel."""
    taps = np.zeros((2, 3, 3), np.float32)
    for place, row in np.ndindex(2, 3):
        nearest, odd = divmod(place + row - 1, 2)
        taps[place, row, nearest + 1] = 0.75
        taps[place, row, nearest + (2 if odd else 0)] = 0.25
    return taps


_TAPS = _taps()


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Doubles a map as `layers.doubled` does, and convolves it, padded
    with zeros.

    Args:
      x: [B, h, w, C] float.
      kernel: [3, 3, C, D], of the same dtype.

    Returns:
      [B, 2 h, 2 w, D], of the same dtype.
    """
    channels, filters = kernel.shape[2:]
    if layers.keeps_all() or not _pays(x.shape, filters):
        return products.conv2d(layers.doubled(x), kernel)
    kernels = tf.einsum('pma,qnb,mncd->abcpqd', _of_type(kernel),
                        _of_type(kernel), kernel)
    # The border goes on beyond the map, as it does for what is enlarged ...
    x, *lines = _and_borders(
        tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], 'SYMMETRIC'))
    y = tf.nn.depth_to_space(products.conv2d(
        x, tf.reshape(kernels, (3, 3, channels, 4 * filters)),
        padding='VALID'), 2)
    # ... but what is enlarged has zeros beyond it.
    parts = kernel[0], kernel[2], kernel[:, 0], kernel[:, 2]
    top, bottom, left, right = map(_convolve_line, lines, parts)
    return _add_to_borders(y, -top, -bottom,
                           -_without_ends(left, lines[2], parts[2]),
                           -_without_ends(right, lines[3], parts[3]))


def _pays(shape, filters):
    """Whether the four kernels are smaller than what they save. An open size,
    of which nothing is trained, is taken for a small one."""
    places = shape[:3].num_elements()
    return places is not None and places > 32 * 9 * filters


def _of_type(kernel):
    return tf.constant(_TAPS, kernel.dtype)


def _convolve_line(line, kernel):
    """[B, n + 2, C], [3, C, D] -> [B, 2 n, D], of the doubled line, which
    goes on beyond its ends."""
    channels, filters = kernel.shape[1:]
    kernels = tf.einsum('pma,mcd->acpd', _of_type(kernel), kernel)
    y = tf.nn.conv1d(line, tf.reshape(kernels, (3, channels, 2 * filters)), 1,
                     'VALID')
    batch, count, _ = layers.dims(y)
    return tf.reshape(y, (batch, 2 * count, filters))


def _without_ends(y, line, kernel):
    """The same for a line with zeros beyond its ends: the corners of a map are
    in its rows already."""
    first = y[:, :1] - tf.matmul(line[:, :1], kernel[0])
    last = y[:, -1:] - tf.matmul(line[:, -1:], kernel[2])
    return tf.concat([first, y[:, 1:-1], last], 1)


# Of the two below each is the gradient of the other: that of a slice would be
# a map for each line.
@tf.custom_gradient
def _and_borders(x):
    """Returns a map, and its first and last row and column."""
    return (x, *_borders(x)), _add_to_borders


@tf.custom_gradient
def _add_to_borders(x, top, bottom, left, right):
    rows = [x[:, :1] + top[:, None], x[:, 1:-1], x[:, -1:] + bottom[:, None]]
    x = tf.concat(rows, 1)
    columns = [x[:, :, :1] + left[:, :, None], x[:, :, 1:-1],
               x[:, :, -1:] + right[:, :, None]]
    return tf.concat(columns, 2), lambda upstream: (upstream,
                                                    *_borders(upstream))


def _borders(x):
    return x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]
