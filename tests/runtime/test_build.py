"""What of a run's network cannot be built is refused."""

import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.runtime import build


def test_batch_norm_over_replicas_is_not_compiled(make_run, two):
    decoder = specs.DecoderSpec(entry_channels=16, block_channels=(16,) * 4,
                                norm='batch')
    run = make_run('segment', decoder=decoder, jit_compile=True)
    build.check_trainable(run, tf.distribute.get_strategy(), True)
    build.check_trainable(make_run('classify', decoder=decoder,
                                   jit_compile=True), two, True)
    with pytest.raises(errors.UserError, match='2 replicas'):
        build.check_trainable(run, two, False)


@pytest.mark.parametrize('options', [{'position_grid': (2, 2)},
                                     {'dropout': 0.1}])
@pytest.mark.parametrize('stage', ['classify', 'segment'])
def test_options_that_a_network_has_no_place_for(make_run, stage, options):
    """A run of an earlier version may have been trained without them."""
    run = make_run(stage, encoder=specs.EncoderSpec('efficientnet_lite0',
                                                    **options))
    one = tf.distribute.get_strategy()
    with pytest.raises(errors.UserError, match='has no transformer'):
        build.check_trainable(run, one, is_new=True)
    build.check_trainable(run, one, is_new=False)
    build.build_network(run)


def test_a_control_needs_a_decoder(make_run):
    run = make_run('classify', decoder_control='norms', init_decoder='a.npz')
    with pytest.raises(errors.UserError, match='of classify'):
        build.graft(run, build.build_network(run))
