"""Networks that compute in 16 bits, beside the same in float32."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.experiments import flops
from ddep_tf.models import layers, resnet, vit, weights
from ddep_tf.runtime import build, inputs
from ddep_tf.training import optimizer

HALVES = [specs.BFLOAT16, specs.FLOAT16]


def _objective(run, arrays=None):
    network = build.build_network(run)
    if arrays is not None:
        weights.load_arrays(network, arrays)
    objective = build.build_objective(run, network)
    optimizer.add_optimizer(run, objective)
    return objective


def _gradients(objective, batch):
    """Returns the loss, and {path of a variable: its gradient}."""
    batch = objective.prepared(batch)
    scale = objective.optimizer.scale_loss(tf.ones(()))
    loss, _, found = tf.function(objective._gradients)(
        batch, objective.divisor(batch), scale)
    return float(loss), {
        variable.path: tf.reshape(gradient, [-1]).numpy() / float(scale)
        for variable, gradient in zip(objective.trained_variables, found)}


def _cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


@pytest.fixture(name='batches', scope='module')
def _batches(make_run):
    """A function that returns a batch of a stage."""
    def batch(stage):
        run = make_run(stage, global_batch_size=4)
        return next(iter(inputs.train_dataset(
            run, inputs.open_labelled(run, ''))))
    return batch


@pytest.mark.parametrize('stage, precision, least', [
    ('denoise', specs.BFLOAT16, 0.9), ('segment', specs.FLOAT16, 0.98)])
def test_gradients_of_all_variables_point_as_in_float32(
        make_run, batches, stage, precision, least):
    """Each of them too, though further back ReLUs flip in 16 bits."""
    keras.utils.set_random_seed(0)  # Whatever tests came before.
    batch, run = batches(stage), make_run(stage, train_encoder=True)
    plain = _objective(run)
    _shake(plain.network)
    half = _objective(dataclasses.replace(run, precision=precision),
                      weights.export_arrays(plain.network))
    (loss, expected), (other, found) = (
        _gradients(each, batch) for each in (plain, half))
    assert other == pytest.approx(loss, rel=0.01)
    assert _cosine(np.concatenate(list(expected.values())),
                   np.concatenate(list(found.values()))) > 0.999
    norms = {key: np.linalg.norm(g) for key, g in expected.items()}
    # Nil, but for rounding: a bias that softmax does not see.
    cosines = {key: _cosine(expected[key], found[key]) for key in expected
               if norms[key] > 1e-6 * max(norms.values())}
    assert len(cosines) > 0.9 * len(expected)
    assert min(cosines.values()) > least, cosines


def _shake(network):
    """Draws what is constant at first, so that nothing is 0."""
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        if not np.ptp(variable.numpy()):
            variable.assign_add(0.1 * rng.normal(size=variable.shape))


@pytest.mark.parametrize('precision', HALVES)
def test_a_kernel_is_standardized_before_it_is_rounded(precision):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 8, 4)).astype('f4')
    kernel = 1 + 0.001 * rng.normal(size=(3, 3, 4, 8))
    outputs = []
    for policy in (specs.FLOAT32, precision):
        layer = resnet.StdConv(8, 3, use_bias=False, dtype=policy)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        outputs.append(np.asarray(layer(x), 'f4'))
    error = np.linalg.norm(outputs[1] - outputs[0])
    assert error < 0.01 * np.linalg.norm(outputs[0])


FINE = 1 + 2.0 ** -12  # Rounds to 1 in 16 bits.


@pytest.mark.parametrize('precision', HALVES)
@pytest.mark.parametrize('kind', [
    functools.partial(layers.GroupNorm, 1), layers.StoredBatchNorm,
    functools.partial(keras.layers.LayerNormalization, epsilon=1e-6)])
def test_norms_do_not_round_their_scale(kind, precision):
    x = tf.constant([[[[-1.0, 1.0]], [[1.0, -1.0]]]])
    layer = kind(dtype=precision)
    layer.build(x.shape)
    layer.gamma.assign([FINE] * 2)
    layer.beta.assign([-1.0] * 2)
    epsilon = layer.epsilon
    expected = FINE / np.sqrt(1 + epsilon) - 1
    y = layer(x)
    assert y.dtype == precision.removeprefix('mixed_')
    assert float(y[0, 0, 0, 1]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize('grid', [(1, 2), (1, 3)])
@pytest.mark.parametrize('precision', HALVES)
def test_positions_are_not_rounded(precision, grid):
    layer = vit.PositionEmbedding((1, 2), dtype=precision)
    layer.build((1, *grid, 4))
    layer.pos_embedding.assign(tf.fill((1, 3, 4), FINE))
    np.testing.assert_array_equal(
        tf.cast(layer(-tf.ones((1, *grid, 4))), tf.float32), FINE - 1)


def test_building_puts_the_policy_back_even_if_it_fails(make_run):
    run = make_run('segment', precision=specs.BFLOAT16)
    network = build.build_network(run)
    assert keras.config.dtype_policy().name == specs.FLOAT32
    computed = network.decoder.get_layer('block1.conv1').compute_dtype
    assert computed == 'bfloat16' and network.head.compute_dtype == 'float32'
    assert {v.dtype for v in network.variables} == {'float32'}
    with pytest.raises(errors.UserError):
        build.build_network(dataclasses.replace(
            run, encoder=specs.EncoderSpec('keras/none')))
    assert keras.config.dtype_policy().name == specs.FLOAT32


def test_a_run_costs_the_same_operations_in_any_precision(make_run):
    found = [flops.measure(make_run('denoise', precision=precision))
             for precision in specs.PRECISIONS]
    assert found[0] == found[1] == found[2]


@pytest.mark.full
@pytest.mark.parametrize('precision', HALVES)
def test_200_steps_of_denoising_end_within_the_spread_of_seeds(
        make_run, precision):
    def end(seed, precision):
        keras.utils.set_random_seed(seed)
        run = make_run('denoise', seed=seed, precision=precision, steps=200,
                       global_batch_size=4)
        objective = _objective(run)
        step = tf.function(objective.train_step, reduce_retracing=True)
        batches = iter(inputs.train_dataset(
            run, inputs.open_labelled(run, '')))
        losses = [float(step(next(batches))['loss']) for _ in range(200)]
        return losses[0], np.mean(losses[-50:])

    seeds = [end(seed, specs.FLOAT32) for seed in range(4)]
    first, last = end(0, precision)
    ends = [value for _, value in seeds]
    assert last < first - 0.03
    assert abs(last - ends[0]) < max(ends) - min(ends)
