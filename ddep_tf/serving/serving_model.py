"""The model that is exported: uint8 images in, ids and probabilities out.

It is made of Keras' own layers and operations around the network, so that
every format is one call of Keras. A graph of Keras knows no sizes where they
are left open: what is cut to the size of another tensor is taken at indices
that are counted along it.
"""

from collections.abc import Sequence

import keras
from keras import ops
import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import transforms


def build(network: keras.Model, image_size: Sequence[int] | None = None,
          data: specs.DatasetSpec | None = None) -> keras.Model:
    """Builds the model, which shares the network's variables.

    Args:
      network: images [B, h, w, 3] float32 in [-1, 1], h and w multiples of
        16 -> logits [B, h, w, C].
      image_size: (height, width) of the images; None leaves them open.
      data: DatasetSpec whose images are resized first, as it says.

    Returns:
      keras.Model: image [B, H, W, 3] uint8, of any size -> {'ids': [B, H, W]
      uint8, 'probabilities': [B, H, W, C] float32}.

    Raises:
      UserError: images are resized, and their size is left open.
    """
    size = tuple(image_size) if image_size else (None, None)
    image = keras.Input((*size, 3), dtype='uint8', name='image')
    x = ops.cast(image, 'float32')
    inner = resized_size(data, image_size)
    if inner != size:
        x = _resize(x, size, inner, antialias=True)
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name='scaled')(x)
    probabilities = keras.layers.Softmax(name='softmax')(
        _crop(network(_pad(x)), x))
    if inner != size:
        probabilities = _resize(probabilities, inner, size, antialias=False)
    return keras.Model(image, {'ids': _most_probable(probabilities),
                               'probabilities': probabilities},
                       name='segmenter')


def resized_size(data: specs.DatasetSpec | None,
                 image_size: Sequence[int] | None) -> tuple:
    """Returns the (height, width) to which a data set's images are resized.

    Raises:
      UserError: they are, but `image_size` leaves theirs open.
    """
    if data is None or (data.scale == 1.0 and not data.short_side):
        return tuple(image_size) if image_size else (None, None)
    if not image_size:
        raise errors.UserError(
            f'--image_size is missing: the run resizes its images (scale '
            f'{data.scale:g}, short_side {data.short_side}), which an exported '
            'model does for one size, such as --image_size=480,640')
    example = transforms.resize(
        {'image': tf.zeros((*image_size, 3), tf.uint8)}, data.scale,
        data.short_side)
    return tuple(example['image'].shape[:2])


def _pad(x):
    """Pads below and to the right, with mid gray, to multiples of STRIDE."""
    height, width = x.shape[1:3]
    if height:
        missing = [(0, -side % specs.STRIDE) for side in (height, width)]
        return keras.layers.ZeroPadding2D(missing, name='padded')(x)
    coarse = keras.layers.AveragePooling2D(specs.STRIDE, padding='same',
                                           name='blocks')(x)
    whole = keras.layers.UpSampling2D(specs.STRIDE, name='whole_blocks')(coarse)
    most = (0, specs.STRIDE - 1)
    return _cut(keras.layers.ZeroPadding2D((most, most), name='padded')(x),
                whole)


def _crop(x, like):
    """Cuts a map to the height and width of another."""
    if like.shape[1]:
        excess = [(0, of_x - of_like) for of_x, of_like in
                  zip(x.shape[1:3], like.shape[1:3])]
        return keras.layers.Cropping2D(excess, name='cropped')(x)
    return _cut(x, like)


def _cut(x, like):
    rows, columns = like[0, :, 0, 0], like[0, 0, :, 0]
    for axis, line in ((1, rows), (2, columns)):
        counted = ops.cumsum(ops.ones_like(line, dtype='int32')) - 1
        x = ops.take(x, counted, axis=axis)
    return x


def _resize(x, old, new, antialias):
    """Resizes a map bilinearly, as tf.image.resize does: by two matrices,
    since formats other than TensorFlow's have no antialiasing."""
    for equation, shape, before, after in (
            ('bhwc,hp->bpwc', (new[0], old[1]), old[0], new[0]),
            ('bhwc,wq->bhqc', new, old[1], new[1])):
        layer = keras.layers.EinsumDense(equation, (*shape, x.shape[-1]))
        x = layer(x)
        layer.kernel.assign(_interpolation(before, after, antialias))
    return x


def _interpolation(before, after, antialias) -> np.ndarray:
    """Returns [before, after] float32, the matrix of a resizing."""
    identity = np.eye(before, dtype=np.float32)[None, :, :, None]
    return tf.image.resize(identity, (after, before), antialias=antialias
                           ).numpy()[0, :, :, 0].T


def _most_probable(probabilities):
    """[B, H, W, C] -> [B, H, W] uint8, the first of the largest.

    Keras' argmax of floats looks at their bits, which ONNX and LiteRT cannot.
    """
    largest = ops.max(probabilities, -1, keepdims=True)
    return ops.cast(ops.argmax(ops.cast(
        ops.greater_equal(probabilities, largest), 'int32'), -1), 'uint8')
