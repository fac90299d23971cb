"""A small run on the embedded shapes, for the tests of the loop."""

import dataclasses

import pytest

from ddep_tf import specs

SHAPES = specs.DatasetSpec(
    name='shapes', source='shapes', label_set='shapes', num_classes=6,
    val_split='val', test_split='test', limit=6)


@pytest.fixture
def make_run():
    """Returns a function that makes a tiny RunSpec of a stage."""
    def make(stage, **changes):
        run = specs.RunSpec(
            stage=stage, data=(SHAPES,),
            encoder=specs.EncoderSpec(name='tiny'),
            decoder=specs.DecoderSpec(entry_channels=16,
                                      block_channels=(16, 16, 16, 16)),
            optimizer=specs.OptimizerSpec(learning_rate=1e-3),
            evaluation=specs.EvalSpec(batch_size=3, samples=1),
            steps=4, global_batch_size=2, crop_size=(32, 32),
            checkpoint_every=2, log_every=1)
        return dataclasses.replace(run, **changes)
    return make
