"""The transformer half of the hybrid encoder, pre-norm, as published."""

from collections.abc import Sequence
import math

import keras
import tensorflow as tf

from ddep_tf.models import layers, products, registry

_GELU, _CUBIC = math.sqrt(2 / math.pi), 0.044715  # Of the tanh in GELU.
_LEAVES = {'gamma': 'scale', 'beta': 'bias'}


def _key_of(layer, variable):
    if layer == variable:  # The class token's key is bare.
        return layer
    return registry.slashed_key(layer, _LEAVES.get(variable, variable))


def _from_published(key, array):
    if array.ndim == 4 and array.shape[:3] == (1, 1, 1) and (
            key.endswith(('/scale', '/bias'))):
        return array.reshape(-1)  # Published GroupNorms have either shape.
    return array


KEYS = registry.KeyMap(
    head=('head/', 'pre_logits/'), unused=('cls', 'head/', 'pre_logits/'),
    key_of=_key_of, from_published=_from_published)


@layers.register
class FlatGlorot(keras.initializers.Initializer):
    """Glorot-uniform for a matrix whose rows or columns span several axes.

    Keras would take the axis of heads for pixels of a convolution.

    Args:
      input_axes: number of leading axes that are inputs.
    """

    def __init__(self, input_axes: int):
        self.input_axes = input_axes

    def __call__(self, shape, dtype=None):
        flat = (math.prod(shape[:self.input_axes]),
                math.prod(shape[self.input_axes:]))
        values = keras.initializers.GlorotUniform()(flat, dtype)
        return tf.reshape(values, shape)

    def get_config(self):
        return {'input_axes': self.input_axes}


@layers.register
class ClassToken(keras.layers.Layer):
    """One learned token, the same for every image."""

    def build(self, input_shape):
        self.cls = self.add_weight(name='cls', shape=(1, 1, input_shape[-1]),
                                   initializer='zeros')

    def call(self, inputs):
        """[B, h, w, C] float -> [B, 1, C]."""
        batch = layers.dims(inputs)[0]
        return tf.tile(tf.cast(self.cls, inputs.dtype), (batch, 1, 1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, input_shape[-1])


@layers.register
class PositionEmbedding(keras.layers.Layer):
    """Flattens a map into tokens and adds their position embeddings.

    The stored embedding always has a slot for the class token. It is resized
    to the input's grid with corners aligned.

    Args:
      grid: (rows, columns) of the stored embedding.
    """

    def __init__(self, grid: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        rows, columns = grid
        self.grid = (rows, columns)

    def build(self, inputs_shape, token_shape=None):
        rows, columns = self.grid
        self.pos_embedding = self.add_weight(
            name='pos_embedding',
            shape=(1, 1 + rows * columns, inputs_shape[-1]), autocast=False,
            initializer=keras.initializers.RandomNormal(stddev=0.02))

    def resized(self, height: int | tf.Tensor, width: int | tf.Tensor,
                channels: int) -> tf.Tensor:
        """Returns the embeddings of a grid, [1, height * width, channels],
        without that of the class token."""
        positions = tf.convert_to_tensor(self.pos_embedding)[:, 1:]
        is_known = isinstance(height, int) and isinstance(width, int)
        if is_known and (height, width) == self.grid:
            return positions
        grid = tf.reshape(positions, (1, *self.grid, channels))
        grid = layers.resize_corners(grid, height, width)
        return tf.reshape(grid, (1, height * width, channels))

    def call(self, inputs, token=None):
        """Adds position embeddings.

        Args:
          inputs: [B, h, w, C] float.
          token: class token [B, 1, C] or None.

        Returns:
          [B, h * w, C] float, or [B, 1 + h * w, C] with the token first.
        """
        batch, height, width, channels = layers.dims(inputs)
        tokens = tf.reshape(inputs, (batch, height * width, channels))
        tokens = _sum(tokens, self.resized(height, width, channels))
        if token is None:
            return tokens
        slot = tf.convert_to_tensor(self.pos_embedding)[:, :1]
        return tf.concat([_sum(token, slot), tokens], 1)

    def get_config(self):
        return {**super().get_config(), 'grid': self.grid}


def _sum(tokens, positions):
    """Adds float32 positions; of the dtype of `tokens`."""
    return tf.cast(tf.cast(tokens, positions.dtype) + positions, tokens.dtype)


@layers.register
class TokensToGrid(keras.layers.Layer):
    """Reshapes tokens into the map they came from, without a class token."""

    def call(self, inputs, grid):
        """tokens [B, n + h * w, C], grid [B, h, w, C] -> [B, h, w, C]."""
        batch, height, width, channels = layers.dims(grid)
        return tf.reshape(inputs[:, -height * width:],
                          (batch, height, width, channels))


@layers.register
class FirstToken(keras.layers.Layer):
    """Selects the class token."""

    def call(self, inputs):
        """[B, n, C] float -> [B, C]."""
        return inputs[:, 0]


@layers.register
class DotProductAttention(keras.layers.Layer):
    """softmax(query key^T / sqrt(size)) value, per head.

    The weights, which grow with the square of the tokens, are computed again
    for the gradient.
    """

    def call(self, query, key, value):
        """Three of [B, n, heads, size] float -> one of the same shape."""
        return layers.recomputed(_attend)(query, key, value)


def _attend(query, key, value):
    query *= query.shape[-1] ** -0.5
    scores = tf.einsum('bqhd,bkhd->bhqk', query, key)
    weights = tf.nn.softmax(tf.cast(scores, tf.float32))
    return tf.einsum('bhqk,bkhd->bqhd', tf.cast(weights, value.dtype), value)


@layers.register
def gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    """GELU in its tanh approximation, the default of jax.nn.gelu."""
    return _gelu(x)


@tf.custom_gradient
def _gelu(x):
    """Keeps its input for the gradient, and none of six steps in between."""
    def gradient(upstream):
        y = layers.after(upstream, x)  # Or what is computed of it is kept too.
        tanh = tf.tanh(_GELU * y * (1 + _CUBIC * tf.square(y)))
        slope = _GELU * (1 + 3 * _CUBIC * tf.square(y))
        return upstream * 0.5 * (
            1 + tanh + y * slope * (1 - tf.square(tanh)))

    return tf.nn.gelu(x, approximate=True), gradient


@layers.register
class LayerNorm(keras.layers.LayerNormalization):
    """Keras' own over the channels. For the gradient it keeps its input and a
    mean and a deviation a token, but nothing else as large."""

    def call(self, inputs):
        """[B, n, C] float -> the same. Statistics in float32."""
        x, gamma, beta = (tf.cast(each, tf.float32) for each in (
            inputs, self.gamma, self.beta))
        return tf.cast(_layer_norm(x, gamma, beta, tf.constant(self.epsilon)),
                       inputs.dtype)


@tf.custom_gradient
def _layer_norm(x, gamma, beta, epsilon):
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    root = tf.math.rsqrt(variance + epsilon)

    def gradient(upstream):
        normal = (layers.after(upstream, x) - mean) * root
        of_gamma = tf.reduce_sum(upstream * normal, (0, 1))
        of_beta = tf.reduce_sum(upstream, (0, 1))
        # They would keep what they are taken of, see `products`.
        scaled = gamma * layers.after((of_gamma, of_beta), upstream)
        of_x = root * (
            scaled - tf.reduce_mean(scaled, -1, keepdims=True)
            - normal * tf.reduce_mean(scaled * normal, -1, keepdims=True))
        return of_x, of_gamma, of_beta, None

    scale = root * gamma
    return x * scale + (beta - mean * scale), gradient


@layers.register
class Dense(keras.layers.Dense):
    """Keras' own, in less memory."""

    def call(self, inputs):
        """[B, n, C] float -> [B, n, units]."""
        return self.activation(products.dense(
            inputs, *map(tf.convert_to_tensor, (self.kernel, self.bias))))


@layers.register
class GeluDense(keras.layers.Dense):
    """A dense layer of the GELU of its input, which is computed again for the
    gradient: beside the input it would be as much again."""

    def call(self, inputs):
        """[B, n, C] float -> [B, n, units]."""
        def compute(x, kernel, bias):
            return products.dense(gelu_tanh(x), kernel, bias)

        return layers.recomputed(compute)(
            inputs, *map(tf.convert_to_tensor, (self.kernel, self.bias)))


@layers.register
class HeadsDense(keras.layers.EinsumDense):
    """Keras' own, of a kernel from channels to heads or back, in less
    memory."""

    def call(self, inputs):
        """[B, n, C] float -> [B, n, heads, size], or the other way."""
        outputs = self.bias.shape
        split = self.kernel.shape.rank - len(outputs)
        inner = self.kernel.shape[:split]
        batch, count = layers.dims(inputs)[:2]
        y = products.dense(
            tf.reshape(inputs, (batch, count, math.prod(inner))),
            tf.reshape(self.kernel, (math.prod(inner), math.prod(outputs))),
            tf.reshape(self.bias, (-1,)))
        return tf.reshape(y, (batch, count, *outputs))


def _norm(x, name):
    return LayerNorm(epsilon=1e-6, name=name)(x)


def _dropped(x, name, rate):
    return layers.Dropout(rate, name=name)(x) if rate else x


def _attention(x, name, heads):
    size = x.shape[-1] // heads
    projected = [
        HeadsDense(
            'bnc,chd->bnhd', (None, heads, size), bias_axes='hd',
            kernel_initializer=FlatGlorot(1), name=f'{name}.{part}')(x)
        for part in ('query', 'key', 'value')]
    y = DotProductAttention(name=f'{name}.core')(*projected)
    return HeadsDense(
        'bnhd,hdc->bnc', (None, x.shape[-1]), bias_axes='c',
        kernel_initializer=FlatGlorot(2), name=f'{name}.out')(y)


def _mlp(x, name, width, dropout):
    def dense(kind, units, part, activation=None):
        return kind(
            units, activation, kernel_initializer='glorot_uniform',
            bias_initializer=keras.initializers.RandomNormal(stddev=1e-6),
            name=f'{name}.{part}')

    # A dropout between the two sees the GELU itself.
    activation, second = ((gelu_tanh, Dense) if dropout
                          else (None, GeluDense))
    y = dense(Dense, width, 'Dense_0', activation)(x)
    y = _dropped(y, f'{name}.dropout_0', dropout)
    y = dense(second, x.shape[-1], 'Dense_1')(y)
    return _dropped(y, f'{name}.dropout_1', dropout)


def _block(x, name, heads, mlp_width, dropout):
    y = _norm(x, f'{name}.LayerNorm_0')
    y = _attention(y, f'{name}.MultiHeadDotProductAttention_1', heads)
    y = _dropped(y, f'{name}.dropout', dropout)
    x = keras.layers.Add(name=f'{name}.add_1')([x, y])
    y = _norm(x, f'{name}.LayerNorm_2')
    y = _mlp(y, f'{name}.MlpBlock_3', mlp_width, dropout)
    return keras.layers.Add(name=f'{name}.add_3')([x, y])


def transformer(x: keras.KerasTensor, hidden: int, blocks: int, heads: int,
                mlp_width: int, position_grid: tuple[int, int],
                class_token: bool = False, dropout: float = 0.0
                ) -> tuple[keras.KerasTensor, keras.KerasTensor | None]:
    """Builds patch embedding, transformer blocks and the final norm.

    Args:
      x: stride-16 map, [B, h, w, C] float.
      hidden: channels of a token.
      blocks, heads: number of blocks, and of heads in each.
      mlp_width: hidden units of each block's MLP.
      position_grid: (rows, columns) of the position embedding.
      class_token: let a class token attend.
      dropout: rate, in [0, 1).

    Returns:
      (map [B, h, w, hidden], class token [B, hidden] or None), float.
    """
    grid = keras.layers.Conv2D(hidden, 1, kernel_initializer='lecun_normal',
                               name='embedding')(x)
    embed = PositionEmbedding(position_grid,
                              name='Transformer.posembed_input')
    tokens = embed(grid, ClassToken(name='cls')(grid)) if class_token else (
        embed(grid))
    tokens = _dropped(tokens, 'Transformer.dropout', dropout)
    for n in range(blocks):
        tokens = _block(tokens, f'Transformer.encoderblock_{n}', heads,
                        mlp_width, dropout)
    tokens = _norm(tokens, 'Transformer.encoder_norm')
    token = FirstToken(name='class_token')(tokens) if class_token else None
    return TokensToGrid(name='tokens_to_grid')(tokens, grid), token
