"""The result at the label's size, as a grid of blocks that tiles are added to.

A tile reaches some of them, whose shapes are fixed wherever it lies; the others
stay as they are, and are not copied. Rows of blocks come one after the other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from ddep_tf.evaluation import resizing, tiles
from ddep_tf.models import layers

HEIGHT, WIDTH = tiles.BLOCK


class Axis(NamedTuple):
    """How a tile lies along an axis; lengths and places are int32 scalars.

    Attributes:
      label, view: lengths of the result and of the view.
      start: where the tile begins in the view.
      mirrored: whether it was computed from right to left.
      shares: [tile] float32, what each of its places counts.
      first, end: of the blocks that it reaches.
    """
    label: tf.Tensor
    view: tf.Tensor
    start: tf.Tensor
    mirrored: tf.Tensor | bool
    shares: tf.Tensor
    first: tf.Tensor
    end: tf.Tensor


def split(images: tf.Tensor) -> tf.Tensor:
    """[B, h, w] -> [n, B, HEIGHT, WIDTH]; sides are multiples of these."""
    batch, height, width = layers.dims(images)
    parts = tf.reshape(images, (batch, height // HEIGHT, HEIGHT,
                                width // WIDTH, WIDTH))
    return tf.reshape(tf.transpose(parts, (1, 3, 0, 2, 4)),
                      (-1, batch, HEIGHT, WIDTH))


def join(parts: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
         ) -> tf.Tensor:
    """[n, B, HEIGHT, WIDTH, C] -> [B, height, width, C]."""
    batch, channels = layers.dims(parts)[1], parts.shape[-1]
    grid = tf.reshape(parts, (height // HEIGHT, width // WIDTH, batch, HEIGHT,
                              WIDTH, channels))
    return tf.reshape(tf.transpose(grid, (2, 0, 3, 1, 4, 5)),
                      (batch, height, width, channels))


def nothing(count: int | tf.Tensor, batch: int | tf.Tensor,
            classes: int) -> tf.TensorArray:
    """Returns so many blocks of zeros, [B, HEIGHT, WIDTH, C] float32."""
    zeros = tf.zeros((batch, HEIGHT, WIDTH, classes))
    empty = tf.TensorArray(tf.float32, count, clear_after_read=False,
                           element_shape=zeros.shape)
    return loop(0, count, lambda block, total: total.write(block, zeros),
                empty)


def add(total: tf.TensorArray, found: tf.Tensor, across: int | tf.Tensor,
        rows: Axis, columns: Axis) -> tf.TensorArray:
    """Adds what a tile says, resized bilinearly to the result's size.

    Args:
      total: blocks as of `nothing`.
      found: [B, h, w, C] float32.
      across: blocks in a row of the result.
      rows, columns: how the tile lies.

    Returns:
      The new total.
    """
    def add_row(row, total):
        band = _resized(found, 1, row * HEIGHT + tf.range(HEIGHT), rows)

        def add_block(column, total):
            part = _resized(band, 2, column * WIDTH + tf.range(WIDTH), columns)
            block = row * across + column
            return total.write(block, total.read(block) + part)

        return loop(columns.first, columns.end, add_block, total)

    return loop(rows.first, rows.end, add_row, total)


def most_probable(total: tf.TensorArray, ids: tf.Tensor
                  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns ([n, B, HEIGHT, WIDTH] uint8 classes, whether all is finite).

    Args:
      total: blocks as of `nothing`.
      ids: [n, B, HEIGHT, WIDTH] uint8, of which none is kept.
    """
    def decide(block, ids, finite):
        some = total.read(block)
        best = tf.cast(tf.argmax(some, -1, tf.int32), tf.uint8)
        return (tf.tensor_scatter_nd_update(ids, [[block]], best[None]),
                finite & tf.math.is_finite(tf.reduce_sum(some)))

    return loop(0, layers.dims(ids)[0], decide, ids, tf.constant(True))


def confusion(truth: tf.Tensor, ids: tf.Tensor, classes: int) -> tf.Tensor:
    """Counts pixels by true and predicted class, exactly.

    Args:
      truth: [n, B, HEIGHT, WIDTH] uint8, 255 is not counted.
      ids: [n, B, HEIGHT, WIDTH] uint8.
      classes: C.

    Returns:
      [B, C, C] int32, rows are the truth.
    """
    count, batch = layers.dims(truth)[:2]

    def one_hot(block):
        pixels = tf.reshape(block, (batch, HEIGHT * WIDTH))
        return tf.one_hot(tf.cast(pixels, tf.int32), classes)

    def add_block(block, matrix):
        # Counts of a block are whole numbers that float32 holds.
        pairs = tf.matmul(one_hot(truth[block]), one_hot(ids[block]),
                          transpose_a=True)
        return matrix + tf.cast(pairs, tf.int32)

    return loop(0, count, add_block,
                tf.zeros((batch, classes, classes), tf.int32))


def loop(first: int | tf.Tensor, end: int | tf.Tensor,
         body: Callable[..., Any], *state: Any) -> Any:
    """Returns the state after state = body(index, *state) of each index.

    One at a time, so that a state that is added to can stay in its place.
    """
    single = len(state) == 1

    def step(index, *state):
        found = body(index, *state)
        return (index + 1, found) if single else (index + 1, *found)

    found = tf.while_loop(lambda index, *_: index < end, step, (first, *state),
                          parallel_iterations=1)
    return found[1] if single else found[1:]


def _resized(values, axis, outputs, place):
    """Returns `outputs` of an axis, as far as they stem from this tile."""
    before, after, weight = resizing.bilinear(outputs, place.label, place.view)
    size = layers.dims(values)[axis]
    shape = [-1 if i == axis else 1 for i in range(4)]

    def taken(inputs, weights):
        index = inputs - place.start
        index = tf.where(place.mirrored, size - 1 - index, index)
        inside = (index >= 0) & (index < size)
        index = tf.where(inside, index, 0)
        weights *= tf.cast(inside, tf.float32) * tf.gather(place.shares, index)
        return tf.gather(values, index, axis=axis) * tf.reshape(weights, shape)

    return taken(before, 1.0 - weight) + taken(after, weight)
