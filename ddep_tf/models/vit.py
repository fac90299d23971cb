"""The transformer of the hybrid, as google-research/vision_transformer [R]."""

import keras
import tensorflow as tf


class Embedding(keras.layers.Layer):
    """Projects each position of the stride-16 map: a 1x1 patch embedding."""

    def __init__(self, hidden, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name='kernel', initializer='lecun_normal',
            shape=(1, 1, input_shape[-1], self.hidden))
        self.bias = self.add_weight(name='bias', shape=(self.hidden,),
                                    initializer='zeros')

    def call(self, inputs):
        return tf.nn.conv2d(inputs, self.kernel, 1, 'VALID') + self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.hidden)

    def get_config(self):
        return {**super().get_config(), 'hidden': self.hidden}


class Dense(keras.layers.Layer):
    """A linear map over the last axes, kernel and bias of given shapes.

    Args:
      equation: einsum of input and kernel.
      kernel_shape, bias_shape: as published.
    """

    def __init__(self, equation, kernel_shape, bias_shape, **kwargs):
        super().__init__(**kwargs)
        self.equation = equation
        self.shapes = tuple(kernel_shape), tuple(bias_shape)

    def build(self, input_shape=None):
        # Fans of the flattened kernel, as Flax's DenseGeneral has them.
        self.kernel = self.add_weight(
            name='kernel', shape=self.shapes[0], initializer=_flat_xavier(
                self.shapes[1]))
        self.bias = self.add_weight(name='bias', shape=self.shapes[1],
                                    initializer='zeros')

    def call(self, inputs):
        return tf.einsum(self.equation, inputs, self.kernel) + self.bias

    def get_config(self):
        return {**super().get_config(), 'equation': self.equation,
                'kernel_shape': self.shapes[0], 'bias_shape': self.shapes[1]}


class LayerNorm(keras.layers.Layer):
    """Normalises over the last axis, epsilon 1e-6."""

    def build(self, input_shape):
        self.scale = self.add_weight(name='scale', shape=(input_shape[-1],),
                                     initializer='ones')
        self.bias = self.add_weight(name='bias', shape=(input_shape[-1],),
                                    initializer='zeros')

    def call(self, inputs):
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return ((inputs - mean) * tf.math.rsqrt(variance + 1e-6) * self.scale
                + self.bias)


class Attention(keras.layers.Layer):
    """Multi-head self-attention, [B, N, C] -> [B, N, C]."""

    def __init__(self, hidden, heads, dropout, **kwargs):
        super().__init__(**kwargs)
        self.size = hidden // heads
        split = (hidden, heads, self.size), (heads, self.size)
        self.query, self.key, self.value = (
            Dense('bnc,chd->bnhd', *split, name=n)
            for n in ('query', 'key', 'value'))
        self.out = Dense('bnhd,hdc->bnc', (heads, self.size, hidden),
                         (hidden,), name='out')
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        for dense in (self.query, self.key, self.value, self.out):
            dense.build()

    def call(self, inputs, training=None):
        query = self.query(inputs) * self.size ** -0.5
        scores = tf.einsum('bqhd,bkhd->bhqk', query, self.key(inputs))
        weights = self.dropout(tf.nn.softmax(scores), training=training)
        values = tf.einsum('bhqk,bkhd->bqhd', weights, self.value(inputs))
        return self.out(values)


class Mlp(keras.layers.Layer):
    """Dense, GELU in its tanh approximation, dense."""

    def __init__(self, hidden, mlp, dropout, **kwargs):
        super().__init__(**kwargs)
        self.dense_0 = Dense('bnc,cm->bnm', (hidden, mlp), (mlp,),
                             name='Dense_0')
        self.dense_1 = Dense('bnm,mc->bnc', (mlp, hidden), (hidden,),
                             name='Dense_1')
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        self.dense_0.build()
        self.dense_1.build()

    def call(self, inputs, training=None):
        x = tf.nn.gelu(self.dense_0(inputs), approximate=True)
        x = self.dropout(x, training=training)
        return self.dropout(self.dense_1(x), training=training)


class EncoderBlock(keras.layers.Layer):
    """Pre-norm attention and MLP, each added to its input."""

    def __init__(self, hidden, heads, mlp, dropout, **kwargs):
        super().__init__(**kwargs)
        self.norm_0 = LayerNorm(name='LayerNorm_0')
        self.attention = Attention(hidden, heads, dropout,
                                   name='MultiHeadDotProductAttention_1')
        self.norm_2 = LayerNorm(name='LayerNorm_2')
        self.mlp = Mlp(hidden, mlp, dropout, name='MlpBlock_3')
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        for layer in (self.norm_0, self.attention, self.norm_2, self.mlp):
            layer.build(input_shape)

    def call(self, inputs, training=None):
        x = self.attention(self.norm_0(inputs), training=training)
        x = inputs + self.dropout(x, training=training)
        return x + self.mlp(self.norm_2(x), training=training)


def _flat_xavier(bias_shape):
    """Xavier over (inputs, outputs), however the kernel splits them."""
    def init(shape, dtype=None):
        outputs = 1
        for side in bias_shape:
            outputs *= side
        total = 1
        for side in shape:
            total *= side
        flat = keras.initializers.GlorotUniform()(
            (total // outputs, outputs), dtype)
        return keras.ops.reshape(flat, shape)
    return init
