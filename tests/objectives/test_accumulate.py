"""A step in parts has the loss and the gradients of the whole batch."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.models import weights
from ddep_tf.runtime import build, inputs
from ddep_tf.runtime import strategy as strategies

ONE = tf.distribute.get_strategy()


@pytest.mark.parametrize('stage', specs.STAGES)
def test_parts_add_up_to_the_whole(make_run, stage):
    run = make_run(stage, global_batch_size=4, train_encoder=True)
    network = build.build_network(run)
    arrays = weights.export_arrays(network)
    batch = next(iter(inputs.train_dataset(
        run, inputs.open_labelled(run, ''))))
    if stage == 'segment':  # Labels are not spread evenly.
        label = batch['label'].numpy()
        label[0] = label[1, 4:] = specs.IGNORE_LABEL
        batch['label'] = tf.constant(label)
    found = []
    for parts in (1, 4):
        weights.load_arrays(network, arrays)
        objective = build.build_objective(
            dataclasses.replace(run, accumulate=parts), network)
        prepared = objective.prepared(batch)
        compute = tf.function(objective._gradients)
        loss, metrics, gradients = compute(
            prepared, objective.divisor(prepared), tf.constant(8.0))
        found.append([loss, *metrics.values(), *gradients])
    for other in found[1:]:
        for whole, sums in zip(found[0], other, strict=True):
            most = max(np.abs(whole).max(), 1e-2)
            np.testing.assert_allclose(sums, whole, rtol=0, atol=1e-5 * most)


def test_what_does_not_divide_and_batch_norm_are_refused(make_run):
    strategies.check_batch(8, ONE, 4)
    with pytest.raises(errors.UserError, match='into 4 parts'):
        strategies.check_batch(6, ONE, 4)
    run = make_run('segment')
    with pytest.raises(errors.UserError, match='accumulate needs'):
        dataclasses.replace(run, accumulate=2, decoder=dataclasses.replace(
            run.decoder, norm='batch'))
