"""Products have TensorFlow's gradients, in an order that frees memory."""

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf.models import products

pytestmark = pytest.mark.quick


def _normal(shape, seed):
    return tf.random.stateless_normal(shape, (0, seed))


def _convolutions(stride, padding):
    return (lambda x, kernel: products.conv2d(x, kernel, stride, padding),
            lambda x, kernel: tf.nn.conv2d(x, kernel, stride, padding),
            [_normal((2, 7, 6, 3), 0), _normal((3, 3, 3, 4), 1)])


def _denses():
    return (products.dense, lambda x, kernel, bias: x @ kernel + bias,
            [_normal((2, 5, 6), 0), _normal((6, 4), 1), _normal((4,), 2)])


CASES = [_convolutions(1, 'SAME'), _convolutions(2, 'SAME'),
         _convolutions(1, 'VALID'), _denses()]


@pytest.mark.parametrize('ours, theirs, inputs', CASES)
def test_results_and_gradients_are_tensorflows(ours, theirs, inputs):
    def outcome(product):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = product(*inputs)
        return y, *tape.gradient(y, inputs, _normal(y.shape, 3))

    for found, expected in zip(outcome(ours), outcome(theirs), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize('ours, theirs, inputs', CASES[2:])
def test_the_gradient_of_the_input_comes_last(ours, theirs, inputs):
    """Or what the others are taken of would be kept meanwhile."""
    del theirs

    @tf.function
    def gradients(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = ours(*inputs)
        return tape.gradient(y, inputs)

    of_x, *others = gradients.get_concrete_function(*inputs).outputs
    needed, waiting = set(), [of_x.op]
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [*op.control_inputs, *(each.op for each in op.inputs)]
    # A gradient that the function returns passes through an identity.
    assert all(other.op.inputs[0].op in needed for other in others)


def test_the_gradient_of_a_bias_is_summed_in_32_bits():
    x, kernel, bias = (tf.ones(shape, 'float16')
                       for shape in ((16384, 1), (1, 2), (2,)))
    with tf.GradientTape() as tape:
        tape.watch(bias)
        y = products.dense(x, kernel, bias)
    gradient = tape.gradient(y, bias, tf.fill(y.shape, tf.cast(.25, y.dtype)))
    assert gradient.dtype == 'float16'
    np.testing.assert_array_equal(gradient, [4096, 4096])
