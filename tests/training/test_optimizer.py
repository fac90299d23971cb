import math

import keras
import numpy as np
import pytest

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
