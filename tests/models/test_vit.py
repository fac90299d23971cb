"""The transformer's own operations."""

import numpy as np
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
