"""The convolution of a map at twice its size, without it."""

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf.models import doubling, layers

pytestmark = pytest.mark.quick


def _tensors(height, width):
    return [tf.random.stateless_normal(shape, (0, i)) for i, shape in enumerate(
        [(2, height, width, 3), (3, 3, 3, 1), (2, 2 * height, 2 * width, 1)])]


def _enlarged_then_convolved(x, kernel):
    return tf.nn.conv2d(layers.Upsample()(x), kernel, 1, 'SAME')


@pytest.mark.parametrize('size', [(12, 13), (2, 80), (1, 150), (150, 1)])
@pytest.mark.parametrize('xla', [False, True])
def test_it_is_what_the_enlarged_map_gives(size, xla):
    x, kernel, upstream = _tensors(*size)

    def outcome(convolve):
        @tf.function(jit_compile=xla)
        def run(x, kernel):
            with tf.GradientTape() as tape:
                tape.watch((x, kernel))
                y = convolve(x, kernel)
            return y, *tape.gradient(y, (x, kernel), upstream)
        return run(x, kernel)

    for found, expected in zip(outcome(doubling.convolve),
                               outcome(_enlarged_then_convolved), strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-5)


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_it_computes_in_16_bits(dtype):
    x, kernel, _ = (tf.cast(each, dtype) for each in _tensors(12, 13))
    found = doubling.convolve(x, kernel)
    assert found.dtype == dtype
    expected = _enlarged_then_convolved(*(
        tf.cast(each, tf.float32) for each in (x, kernel)))
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), expected,
        atol=(0.02 if dtype == tf.bfloat16 else 0.003)
        * np.abs(expected).max())


def _largest(x, kernel):
    run = tf.function(doubling.convolve).get_concrete_function(x, kernel)
    return max(np.prod(tensor.shape) for each in run.graph.get_operations()
               for tensor in each.outputs)


def test_neither_the_enlarged_map_nor_kernels_of_its_size_are_made():
    x, kernel, _ = _tensors(12, 13)
    assert _largest(x, kernel) < 4 * tf.size(x)
    assert _largest(x[:1], kernel) == 4 * tf.size(x[:1])


def test_no_gradient_of_a_line_is_a_map():
    @tf.function
    def gradient(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = doubling.convolve(x, kernel)
        return tape.gradient(y, (x, kernel))

    graph = gradient.get_concrete_function(*_tensors(12, 13)[:2]).graph
    sizes = [np.prod(op.outputs[0].shape) for op in graph.get_operations()
             if op.type == 'StridedSliceGrad']
    assert max(sizes) <= 2 * 2 * (13 + 2) * 3  # Of a line, once doubled.
