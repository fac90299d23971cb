import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.training import optimizer

pytestmark = pytest.mark.quick

GRADIENTS = np.random.default_rng(0).standard_normal((6, 3))


def _adam(spec, steps, start, decay=0.0, factor=1.0):
    """Adam as its paper has it, in float64."""
    w, m, v = start.astype(np.float64), 0.0, 0.0
    for t in range(steps):
        rate = (spec.learning_rate * factor * 0.5 *
                (1 + math.cos(math.pi * t / steps)))
        g = GRADIENTS[t] + (decay * w if spec.weight_decay_form == 'coupled'
                            else 0)
        if spec.weight_decay_form == 'decoupled':
            w = w - rate * decay * w
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        scale = math.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
        w = w - rate * scale * m / (np.sqrt(v) + 1e-8)
    return w


@pytest.mark.parametrize('form', ['coupled', 'decoupled'])
def test_kernels_decay_and_the_encoder_has_its_own_rate(form):
    spec = specs.OptimizerSpec(learning_rate=0.1, weight_decay=0.3,
                               weight_decay_form=form, encoder_factor=0.5)
    start = np.array([1.0, -2.0, 3.0], np.float32)
    variables = [keras.Variable(start, name=n)
                 for n in ('kernel', 'bias', 'encoder_kernel')]
    adam = optimizer.Adam(spec, 6, variables[2:])
    adam.build(variables)
    for gradient in GRADIENTS:
        adam.apply([np.float32(gradient)] * 3, variables)
    for variable, decay, factor in zip(variables, (0.3, 0, 0.3),
                                       (1, 1, 0.5)):
        np.testing.assert_allclose(
            variable.numpy(), _adam(spec, 6, start, decay, factor), rtol=1e-4)


def test_warm_up_then_cosine_to_zero():
    schedule = optimizer.Schedule(1.0, 110, 10)
    rates = [float(schedule(step)) for step in (0, 4, 9, 10, 60, 110)]
    np.testing.assert_allclose(rates, [0.1, 0.5, 1, 1, 0.5, 0], atol=1e-6)


def test_a_scaled_loss_trains_alike_and_overflow_on_a_replica_moves_none(two):
    spec = specs.OptimizerSpec(learning_rate=0.1, schedule='constant',
                               weight_decay=0.3, weight_decay_form='decoupled')
    start = np.array([1.0, -2.0, 3.0], np.float32)
    with two.scope():
        variable = keras.Variable(start, name='kernel')
        adam = optimizer.ScaledAdam(spec, 6)
        adam.build([variable])

    @tf.function
    def step(gradient, overflows):
        def on_replica():
            # Each has its half; one of them alone overflows.
            replica = tf.distribute.get_replica_context()
            half = tf.cast(gradient, tf.float32) / 2
            bad = overflows & (replica.replica_id_in_sync_group == 1)
            half = tf.where(bad, float('inf'), half)
            adam.apply([adam.scale_loss(half)], [variable])
        two.run(on_replica)

    step(GRADIENTS[0], True)
    step(GRADIENTS[0], True)
    np.testing.assert_array_equal(variable.numpy(), start)
    assert adam.scale.numpy() == 2 ** 13 and adam.good_steps.numpy() == 0
    assert int(adam.iterations.numpy()) == 2  # As many as the run's.
    plain = keras.Variable(start, name='kernel')
    other = optimizer.Adam(spec, 6)
    other.build([plain])
    other.iterations.assign(2)
    for gradient in GRADIENTS[:2]:
        step(gradient, False)
        other.apply([tf.constant(gradient, tf.float32)], [plain])
    np.testing.assert_allclose(variable.numpy(), plain.numpy(), rtol=1e-6)
    adam.good_steps.assign(optimizer._GROW_EVERY - 1)
    step(GRADIENTS[0], False)
    assert adam.scale.numpy() == 2 ** 14
    adam.scale.assign(1.0)
    step(GRADIENTS[0], True)
    assert adam.scale.numpy() == 1.0
