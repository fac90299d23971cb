"""What is computed again in the backward pass changes no gradient."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.models import remat, weights
from ddep_tf.runtime import build, inputs


def _gradients(run, arrays, batch, xla):
    network = build.build_network(run)
    weights.load_arrays(network, arrays)
    objective = build.build_objective(run, network)
    batch = objective.prepared(batch)
    compute = tf.function(objective._gradients, jit_compile=xla)
    loss, _, gradients = compute(batch, objective.divisor(batch), tf.ones(()))
    return [loss, *gradients]


@pytest.mark.parametrize('stage, xla, changes', [
    ('classify', False, {}),
    ('denoise', False, {'train_encoder': True, 'accumulate': 2}),
    pytest.param('segment', True, {'accumulate': 2},
                 marks=pytest.mark.full),
    ('segment', False, {'encoder': specs.EncoderSpec('efficientnet_lite0')}),
    ('segment', False, {'encoder': specs.EncoderSpec('keras/MobileNetV2')})])
def test_gradients_are_those_of_what_is_kept(make_run, stage, xla, changes):
    run = make_run(stage, **changes)
    arrays = weights.export_arrays(build.build_network(run))
    batch = next(iter(inputs.train_dataset(
        run, inputs.open_labelled(run, ''))))
    found, expected = (
        _gradients(dataclasses.replace(run, remat=again), arrays, batch, xla)
        for again in (True, False))
    for one, other in zip(found, expected, strict=True):
        most = max(np.abs(other).max(), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * most)


def test_blocks_of_encoder_and_decoder_are_found(make_run):
    network = build.build_network(make_run('segment'))
    blocks = [[part.block for part in remat.Recomputed(model)._parts
               if part.block] for model in (network.encoder, network.decoder)]
    assert blocks == [
        ['root', 'block1.unit1', 'block2.unit1', 'block2.unit2',
         'block3.unit1', 'Transformer.encoderblock_0',
         'Transformer.encoderblock_1'],
        ['entry', 'block1', 'block2', 'block3', 'block4']]


@pytest.mark.parametrize('part, change', [
    ('decoder', {'norm': 'batch'}), ('encoder', {'dropout': 0.1})])
def test_what_draws_or_counts_is_refused(make_run, part, change):
    run = make_run('segment')
    changed = dataclasses.replace(getattr(run, part), **change)
    with pytest.raises(errors.UserError, match='remat needs'):
        dataclasses.replace(run, remat=True, **{part: changed})


@pytest.mark.quick
def test_a_layer_that_draws_is_refused():
    image = keras.Input((4, 4, 3))
    x = keras.layers.GaussianNoise(0.1, name='block1.noise')(image)
    with pytest.raises(errors.UserError, match='block1.noise'):
        remat.Recomputed(keras.Model(image, x))
