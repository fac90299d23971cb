"""What of a run's network cannot be built is refused."""

import pytest

from ddep_tf import errors, specs
from ddep_tf.runtime import build


def test_batch_norm_over_replicas_is_not_compiled(make_run, two):
    decoder = specs.DecoderSpec(entry_channels=16, block_channels=(16,) * 4,
                                norm='batch')
    run = make_run('segment', decoder=decoder, jit_compile=True)
    build.build_objective(run, build.build_network(run))
    with two.scope(), pytest.raises(errors.UserError, match='2 replicas'):
        build.build_objective(run, build.build_network(run))


def test_a_grid_of_positions_needs_positions(make_run):
    run = make_run('segment', encoder=specs.EncoderSpec(
        'efficientnet_lite0', position_grid=(2, 2)))
    with pytest.raises(errors.UserError, match='no position embedding'):
        build.build_network(run)


def test_a_control_needs_a_decoder(make_run):
    run = make_run('classify', decoder_control='norms', init_decoder='a.npz')
    with pytest.raises(errors.UserError, match='of classify'):
        build.graft(run, build.build_network(run))
