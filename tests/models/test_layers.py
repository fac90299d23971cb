"""Interpolation against scipy and TensorFlow, norms against formulas."""

import kept
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from ddep_tf.models import layers, resnet

pytestmark = pytest.mark.quick


def _map(*shape):
    return np.random.default_rng(3).normal(size=shape).astype('f4')


@pytest.mark.parametrize('outputs, inputs', [
    (1, 1), (1, 5), (5, 1), (4, 4), (7, 3), (3, 7), (24, 14), (14, 64)])
def test_interpolation_matrix_is_scipys_zoom(outputs, inputs):
    values = _map(inputs).astype('f8')
    truth = scipy.ndimage.zoom(values, outputs / inputs, order=1)
    matrix = layers.interpolation_matrix(outputs, inputs)
    np.testing.assert_allclose(matrix @ values, truth, atol=1e-6)
    dynamic = layers.interpolation_matrix(tf.constant(outputs), inputs)
    np.testing.assert_allclose(dynamic, matrix, atol=1e-6)
    if outputs == inputs:
        np.testing.assert_array_equal(matrix, np.eye(outputs))


@pytest.mark.parametrize('shape', [(2, 5, 7, 3), (1, 1, 1, 2), (1, 2, 1, 4)])
def test_upsample_is_tensorflows_bilinear_resize(shape):
    x = _map(*shape)
    truth = tf.image.resize(x, (2 * shape[1], 2 * shape[2]))
    np.testing.assert_allclose(layers.Upsample()(x), truth, atol=1e-6)


def test_upsample_gradient_is_tensorflows():
    x = tf.constant(_map(2, 3, 4, 5))

    def gradient(upsample):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(upsample(x) ** 3)
        return tape.gradient(loss, x)

    truth = gradient(lambda x: tf.image.resize(x, (6, 8)))
    np.testing.assert_allclose(gradient(layers.Upsample()), truth, atol=1e-4)


def test_upsample_with_corners_aligned_is_scipys_zoom():
    x = _map(2, 5, 7, 3)
    truth = scipy.ndimage.zoom(x.astype('f8'), (1, 2, 2, 1), order=1)
    ours = layers.Upsample(align_corners=True)(x)
    np.testing.assert_allclose(ours, truth, atol=1e-5)


@pytest.mark.parametrize('align_corners', [False, True])
def test_upsample_with_an_open_size(align_corners):
    layer = layers.Upsample(align_corners)
    step = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    x = _map(2, 3, 4, 3)
    np.testing.assert_allclose(step(x), layer(x), atol=1e-6)


def test_upsample_gradient_compiles_in_bfloat16():
    layer = layers.Upsample(dtype='bfloat16')

    @tf.function(jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.nn.relu(layer(x)))
        return tape.gradient(loss, x)

    result = gradient(tf.ones((1, 4, 4, 2), tf.bfloat16))
    assert result.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(result, tf.float32), 4.0)


@pytest.mark.parametrize('groups', [1, 4, 8])
def test_group_norm(groups):
    x = 3 * _map(2, 5, 6, 8) + 1
    layer = layers.GroupNorm(groups)
    layer.build(x.shape)
    layer.gamma.assign(np.arange(8.))
    layer.beta.assign(np.ones(8))
    parts = x.astype('f8').reshape(2, 30, groups, 8 // groups)
    mean = parts.mean((1, 3), keepdims=True)
    truth = (parts - mean) / np.sqrt(
        ((parts - mean) ** 2).mean((1, 3), keepdims=True) + 1e-6)
    truth = truth.reshape(x.shape) * np.arange(8.) + 1
    np.testing.assert_allclose(layer(x), truth, atol=1e-5)


def test_stored_batch_norm_ignores_the_batchs_statistics():
    x = _map(2, 3, 3, 4)
    layer = layers.StoredBatchNorm()
    layer.build(x.shape)
    for variable, value in ((layer.gamma, 2.), (layer.beta, .5),
                            (layer.moving_mean, 1.),
                            (layer.moving_variance, 3.)):
        variable.assign(np.full(4, value))
    before = [v.numpy() for v in layer.variables]
    np.testing.assert_allclose(layer(x), (x - 1) / np.sqrt(3.001) * 2 + .5,
                               atol=1e-6)
    for value, variable in zip(before, layer.variables):
        np.testing.assert_array_equal(value, variable.numpy())
    assert len(layer.trainable_variables) == 2


def test_group_norm_gradient_is_that_of_the_formula():
    layer = layers.GroupNorm(groups=2)
    layer.build((None, None, None, 6))
    x, upstream = (tf.constant(_map(2, 3, 5, 6) + i) for i in range(2))
    gamma, beta = tf.constant(_map(6)), tf.constant(_map(6) + 1)
    layer.set_weights([gamma, beta])

    def formula(x):
        groups = tf.reshape(x, (2, 15, 2, 3))
        mean, variance = tf.nn.moments(groups, (1, 3), keepdims=True)
        normal = (groups - mean) / tf.sqrt(variance + layer.epsilon)
        return tf.reshape(normal, x.shape) * gamma + beta

    def gradients(norm, gamma, beta):
        with tf.GradientTape() as tape:
            tape.watch((x, gamma, beta))
            y = norm(x)
        return tape.gradient(y, (x, gamma, beta), upstream)

    for found, expected in zip(
            gradients(layer, layer.gamma.value, layer.beta.value),
            gradients(formula, gamma, beta), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_group_norm_keeps_one_map():
    layer, shape = layers.GroupNorm(groups=2), (2, 8, 8, 4)
    layer.build(shape)
    few = 2 * np.prod(shape[::3])  # Numbers of an image and channel.
    # Beside what it is given, and what the loss keeps of its output.
    assert kept.elements(layer, tf.constant(_map(*shape))) <= (
        2 * np.prod(shape) + few)


def test_a_standardized_convolution_keeps_one_kernel():
    layer, shape = resnet.StdConv(8, 3, use_bias=False), (1, 4, 4, 8)
    layer.build(shape)
    assert kept.elements(layer, tf.constant(_map(*shape)),
                         variables=[layer.kernel.value]) <= (
        np.prod(shape) + np.prod(layer.kernel.shape))


def test_the_gradient_of_a_standardized_kernel_is_that_of_the_formula():
    layer = resnet.StdConv(4, 3, use_bias=False)
    layer.build((None, None, None, 5))
    kernel, upstream = (tf.constant(_map(3, 3, 5, 4) + i) for i in range(2))
    layer.kernel.assign(kernel)

    def formula(kernel):
        mean, variance = tf.nn.moments(kernel, (0, 1, 2))
        return (kernel - mean) / (tf.sqrt(variance) + 1e-5)

    def outcome(standardized, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = standardized()
        return y, tape.gradient(y, kernel, upstream)

    for found, expected in zip(
            outcome(layer.standardized, layer.kernel.value),
            outcome(lambda: formula(kernel), kernel), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
