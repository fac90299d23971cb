"""Position embeddings and the row of blocks around them."""

import keras
import tensorflow as tf

from ddep_tf.models import interpolation, vit


class PositionEmbedding(keras.layers.Layer):
    """[1, 1 + gh*gw, C], the class token's slot first.

    Every forward pass resizes it to the input's grid, corners aligned, as
    scipy.ndimage.zoom(order=1) does when published files are loaded.

    Args:
      grid: (gh, gw) of the variable.
    """

    def __init__(self, grid, **kwargs):
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, hidden):
        self.pos_embedding = self.add_weight(
            name='pos_embedding', shape=(
                1, 1 + self.grid[0] * self.grid[1], hidden),
            initializer=keras.initializers.RandomNormal(stddev=0.02))
        # Loading resizes a file's embedding to it.
        self.pos_embedding.grid = self.grid

    def call(self, grid):
        """Returns the embedding [1, 1 + h*w, C] of a grid (h, w)."""
        if tuple(grid) == self.grid:
            return tf.convert_to_tensor(self.pos_embedding)
        return resize_positions(self.pos_embedding, self.grid, grid)


class Transformer(keras.layers.Layer):
    """[B, h, w, C] float32 -> (tokens [B, h, w, C], class token [B, C]).

    Without a class token the second is None, and none takes part.
    """

    def __init__(self, grid, hidden, blocks, heads, mlp, dropout, class_token,
                 **kwargs):
        super().__init__(**kwargs)
        self.class_token = class_token
        self.posembed_input = PositionEmbedding(grid, name='posembed_input')
        self.blocks = [vit.EncoderBlock(hidden, heads, mlp, dropout,
                                        name=f'encoderblock_{i}')
                       for i in range(blocks)]
        self.encoder_norm = vit.LayerNorm(name='encoder_norm')
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        hidden = input_shape[-1]
        self.posembed_input.build(hidden)
        for block in self.blocks:
            block.build((None, None, hidden))
        self.encoder_norm.build((None, None, hidden))
        self.cls = None
        if self.class_token:
            self.cls = self.add_weight(name='cls', shape=(1, 1, hidden),
                                       initializer='zeros')

    def call(self, inputs, training=None):
        shape = tf.shape(inputs)
        height, width = (shape[i] if inputs.shape[i] is None
                         else inputs.shape[i] for i in (1, 2))
        hidden = inputs.shape[-1]
        positions = self.posembed_input.call((height, width))
        x = tf.reshape(inputs, [-1, height * width, hidden])
        if self.class_token:
            x = tf.concat([tf.repeat(self.cls, shape[0], 0), x], 1) + positions
        else:
            x = x + positions[:, 1:]
        x = self.dropout(x, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        x = self.encoder_norm(x)
        grid = tf.reshape(x[:, 1:] if self.class_token else x,
                          [-1, height, width, hidden])
        return (grid, x[:, 0]) if self.class_token else grid

    def compute_output_shape(self, input_shape):
        batch, *_, hidden = input_shape
        if self.class_token:
            return input_shape, (batch, hidden)
        return input_shape


def resize_positions(embedding, old, new):
    """Resizes [1, 1 + h*w, C] from grid `old` to `new`; slot 0 stays."""
    embedding = tf.convert_to_tensor(embedding)
    hidden = embedding.shape[-1]
    grid = tf.reshape(embedding[:, 1:], [1, old[0], old[1], hidden])
    grid = interpolation.resize_aligned(grid, *new)
    return tf.concat([embedding[:, :1],
                      tf.reshape(grid, [1, new[0] * new[1], hidden])], 1)
