"""Decodes image bytes by TensorFlow ops that name what they refuse."""

from typing import Any

import tensorflow as tf

from ddep_tf.data import image_files

# What the files of a format begin with.
_JPEG, _PNG, _GIF = b'\xff\xd8', b'\x89PNG\r\n\x1a\n', b'GIF8'


def decode_image(contents: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG.

    Gray, palette, transparent and CMYK images become the same RGB values that
    PIL gives. 16 bits per channel fail the op: TensorFlow would drop 8.

    Args:
      contents: scalar string.
      name: scalar string, for the error message.

    Returns:
      [H, W, 3] uint8.
    """
    # Nothing but its size is asked of a JPEG, which is what most images are.
    contents = tf.cond(tf.strings.substr(contents, 0, 2) == _JPEG,
                       lambda: _checked_jpeg(contents, name),
                       lambda: _checked_other(contents, name))
    # This op reads PNG too. By default it uses a fast but inexact inverse
    # transform for JPEG; the exact one agrees with PIL.
    image = tf.io.decode_jpeg(contents, channels=3,
                              dct_method='INTEGER_ACCURATE')
    return tf.ensure_shape(image, (None, None, 3))


def _checked_jpeg(contents, name):
    sides = tf.image.extract_jpeg_shape(contents, tf.int64)[:2]
    return _check_pixels(sides, contents, name)


def _checked_other(contents, name):
    contents = _check_pixels(_sides(contents), contents, name)
    depth, _ = _png_form(contents)
    return checked(depth != b'\x10', contents, 'image of 16 bits per '
                   'channel, save it with 8:', name)


def decode_gray(contents: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """Decodes an 8-bit gray PNG to [H, W] uint8; any other fails the op.

    TensorFlow would turn a palette's indices into brightness values, and
    rescale 16 bits to 8.
    """
    contents = _check_pixels(_sides(contents), contents, name)
    depth, color_type = _png_form(contents)
    contents = checked((depth == b'\x08') & (color_type == b'\x00'), contents,
                       'mask that is not an 8-bit gray PNG:', name)
    return tf.io.decode_png(contents, channels=1)[..., 0]


def _png_form(contents):
    """Returns bit depth and color type, one byte each; '' if not a PNG."""
    # Padded, since substr fails beyond the end of a truncated file.
    head = tf.strings.join([tf.strings.substr(contents, 0, 26), '\0' * 26])
    png = tf.strings.substr(head, 0, 8) == _PNG
    return tuple(tf.where(png, tf.strings.substr(head, offset, 1), '')
                 for offset in (24, 25))


def _check_pixels(sides, contents, name):
    """Returns `contents`; the op fails if the sides, int64, that an image
    claims have too many pixels."""
    limit = image_files.max_pixels()
    return checked(tf.reduce_prod(sides) <= limit, contents, 'image of more '
                   f'than {limit:,} pixels, replace it or raise '
                   '--max_image_pixels:', name)


def _sides(contents):
    """Returns the sides that a PNG's or GIF's header claims, [2] int64; 0 of
    other files."""
    head = tf.strings.join([tf.strings.substr(contents, 0, 24), '\0' * 24])

    def sides(offset, dtype, little_endian):
        field = tf.strings.substr(head, offset, 2 * dtype.size)
        return tf.cast(tf.io.decode_raw(field, dtype, little_endian), tf.int64)
    return tf.case([
        (tf.strings.substr(head, 0, 8) == _PNG,
         lambda: sides(16, tf.int32, False)),
        (tf.strings.substr(head, 0, 4) == _GIF,
         lambda: sides(6, tf.uint16, True))],
        default=lambda: tf.zeros(2, tf.int64))


def check_same_size(example: dict[str, tf.Tensor], name: tf.Tensor) -> None:
    """Fails the label's op unless image and mask agree in height and width."""
    image = tf.shape(example['image'])[:2]
    mask = tf.shape(example['label'])
    example['label'] = checked(
        tf.reduce_all(image == mask), example['label'],
        'mask and image of different sizes:', name, mask, image)


def checked(condition: tf.Tensor, value: tf.Tensor,
            *message: Any) -> tf.Tensor:
    """Returns `value`; the op fails with `message` if `condition` is false."""
    with tf.control_dependencies([tf.debugging.Assert(condition,
                                                      list(message))]):
        return tf.identity(value)
