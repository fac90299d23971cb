"""What the tests of record sources share."""

import io
import zlib

import numpy as np
from PIL import Image
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.data.sources import factory


def open_source(values, split, folder, decodes='class', **changes):
    """Opens a split of the DatasetSpec of these values."""
    spec = specs.DatasetSpec(**(values | changes))
    return factory.open_source(spec, split, folder, decodes)


def examples(source):
    """The decoded examples of a source, as NumPy."""
    decoded = source.records().map(source.decode)
    return list(decoded.as_numpy_iterator())


def encode(image):
    """The bytes of a PIL image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return buffer.getvalue()


def png(array):
    """The bytes of a uint8 or uint16 array as PNG."""
    return encode(Image.fromarray(array))


def claiming(path, side):
    """Has the header of an image file claim side x side pixels."""
    data = bytearray(path.read_bytes())
    if path.suffix == '.png':
        data[16:24] = side.to_bytes(4) * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    else:
        start = data.index(b'\xff\xc0') + 5  # Behind length and depth.
        data[start:start + 4] = side.to_bytes(2) * 2
    path.write_bytes(data)


def rows(label):
    """Features of six examples x0..x5, images of 4 x 5 pixels of value i."""
    return [{'image': png(np.full((4, 5, 3), i, np.uint8)),
             'label': label(i), 'id': f'x{i}.jpg'.encode()}
            for i in range(6)]


def write(path, rows):
    """Writes rows as tf.Example records to a TFRecord file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            example = tf.train.Example(features=tf.train.Features(
                feature={k: _feature(v) for k, v in row.items()}))
            writer.write(example.SerializeToString())


def _feature(value):
    if isinstance(value, int):
        return tf.train.Feature(
            int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
