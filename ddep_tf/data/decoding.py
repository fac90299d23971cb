"""Pictures from bytes, by TensorFlow ops that say what they refuse."""

import tensorflow as tf


def decode_image(contents, name):
    """Decodes a JPEG or PNG to [H, W, 3] uint8.

    Grey, palette, transparent and CMYK pictures become the RGB that PIL
    gives; 16 bits a channel fail the op, since TensorFlow would drop 8.

    Args:
      contents: scalar string.
      name: scalar string, for the message.
    """
    depth, _ = _png_form(contents)
    contents = checked(depth != b'\x10', contents,
                       'image of 16 bits a channel, save it with 8:', name)
    # The op reads PNG too. Its default for JPEG is the fast, inexact inverse
    # transform; the exact one gives what PIL gives.
    image = tf.io.decode_jpeg(contents, channels=3,
                              dct_method='INTEGER_ACCURATE')
    return tf.ensure_shape(image, (None, None, 3))


def decode_grey(contents, name):
    """Decodes an 8-bit grey PNG to [H, W] uint8; fails the op on any other.

    TensorFlow would turn a palette's ids into its colours' brightness, and
    stretch 16 bits to 8.
    """
    depth, colour_type = _png_form(contents)
    contents = checked((depth == b'\x08') & (colour_type == b'\x00'),
                       contents, 'mask that is no 8-bit grey PNG:', name)
    return tf.io.decode_png(contents, channels=1)[..., 0]


def _png_form(contents):
    """Returns bit depth and colour type, a byte each; '' of other files."""
    # Padded, since substr fails beyond the end of a file that is cut off.
    head = tf.strings.join([tf.strings.substr(contents, 0, 26), '\0' * 26])
    png = tf.strings.substr(head, 0, 8) == b'\x89PNG\r\n\x1a\n'
    return tuple(tf.where(png, tf.strings.substr(head, place, 1), '')
                 for place in (24, 25))


def check_same_size(example, name):
    """Fails the op unless image and mask have the same height and width."""
    image = tf.shape(example['image'])[:2]
    mask = tf.shape(example['label'])
    example['label'] = checked(
        tf.reduce_all(image == mask), example['label'],
        'mask and image of different sizes:', name, mask, image)


def checked(condition, value, *message):
    """Returns `value`; fails the op with the message unless it holds."""
    with tf.control_dependencies([tf.debugging.Assert(condition,
                                                      list(message))]):
        return tf.identity(value)
