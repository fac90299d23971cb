"""The transformer's own operations."""

import kept
import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf.models import vit


def test_gelu_and_its_gradient_are_those_of_tensorflow():
    x = tf.constant(np.linspace(-6, 6, 241), tf.float32)
    upstream = tf.constant(np.cos(np.arange(241)), tf.float32)
    found = []
    for function in (vit.gelu_tanh,
                     lambda x: tf.nn.gelu(x, approximate=True)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        found.append((y, tape.gradient(y, x, output_gradients=upstream)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_gelu_computes_again_not_before_its_gradient_is_asked_for():
    """Or what it computes in between would be kept after all."""
    @tf.function
    def gradient(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = vit.gelu_tanh(x)
        return tape.gradient(y, x, output_gradients=upstream)

    one = tf.TensorSpec([4], tf.float32)
    graph = gradient.get_concrete_function(one, one).graph
    upstream = graph.inputs[1].op

    def needs(op):
        return op is upstream or any(map(needs, [
            *op.control_inputs, *(tensor.op for tensor in op.inputs)]))
    first, again = (op for op in graph.get_operations() if op.type == 'Tanh')
    assert needs(again) and not needs(first)


def test_layer_norm_is_keras_own():
    norms = [kind(epsilon=1e-6) for kind in (
        vit.LayerNorm, keras.layers.LayerNormalization)]
    x, upstream = (tf.random.stateless_normal((2, 5, 12), (0, i))
                   for i in range(2))
    weights = [tf.random.stateless_normal((12,), (1, i)) for i in range(2)]

    def outcome(norm):
        norm.build(x.shape)
        norm.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = norm(x)
        return y, *tape.gradient(
            y, (x, norm.gamma.value, norm.beta.value), upstream)

    for found, expected in zip(*map(outcome, norms), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layer_norm_keeps_nothing_as_large_as_its_input():
    layer, shape = vit.LayerNorm(), (2, 5, 48)
    layer.build(shape)
    # The loss keeps its output, and two numbers a token are kept.
    assert kept.elements(layer, tf.random.stateless_normal(shape, (0, 0))) <= (
        2 * 5 * 48 + 2 * 2 * 5)


def _gelu(x):
    return tf.nn.gelu(x, approximate=True)


def _heads(*args, **kwargs):
    return [kind(*args, **kwargs)
            for kind in (vit.HeadsDense, keras.layers.EinsumDense)]


DENSE = [
    (vit.Dense(12), keras.layers.Dense(12), tf.identity,
     [(2, 5, 48), (48, 12), (12,)]),
    (vit.GeluDense(12), keras.layers.Dense(12), _gelu,
     [(2, 5, 48), (48, 12), (12,)]),
    (*_heads('bnc,chd->bnhd', (None, 3, 4), bias_axes='hd'), tf.identity,
     [(2, 5, 6), (6, 3, 4), (3, 4)]),
    (*_heads('bnhd,hdc->bnc', (None, 6), bias_axes='c'), tf.identity,
     [(2, 5, 3, 4), (3, 4, 6), (6,)])]


@pytest.mark.parametrize('ours, theirs, given, shapes', DENSE,
                         ids=['dense', 'gelu', 'to heads', 'from heads'])
def test_dense_layers_are_keras_own_and_keep_their_input_alone(
        ours, theirs, given, shapes):
    x, *weights = (tf.random.stateless_normal(shape, (0, i))
                   for i, shape in enumerate(shapes))

    def outcome(layer, given):
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(given(x))
        upstream = tf.random.stateless_normal(y.shape, (1, 0))
        return y, *tape.gradient(
            y, (x, layer.kernel.value, layer.bias.value), upstream)

    found = outcome(ours, tf.identity)
    for one, expected in zip(found, outcome(theirs, given), strict=True):
        np.testing.assert_allclose(one, expected, atol=2e-5)
    # Beside its input, which `elements` leaves out: the output, for the loss.
    assert kept.elements(ours, x, variables=[
        each.value for each in ours.trainable_variables]) == (
        np.prod(found[0].shape))


def test_attention_is_keras_own_and_keeps_no_weights():
    shape = (2, 7, 3, 4)
    inputs = [tf.random.stateless_normal(shape, (0, i)) for i in range(3)]
    layer = vit.DotProductAttention()

    def outcome(attend):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = attend(*inputs)
        return y, *tape.gradient(
            y, inputs, tf.random.stateless_normal(shape, (0, 3)))

    for found, expected in zip(
            outcome(layer), outcome(keras.ops.dot_product_attention),
            strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert kept.elements(layer, *inputs) == np.prod(shape)  # The output.
