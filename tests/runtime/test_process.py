"""A caller from Python gets what a launcher gets."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf.runtime import process
from ddep_tf.runtime import strategy as strategies

_CODE = '''
import sys
from tensorflow.python.framework import config
import tensorflow as tf
from ddep_tf import specs
from ddep_tf.training import train
data = specs.DatasetSpec(name='shapes', source='shapes', label_set='shapes',
                         num_classes=6, limit=2)
run = specs.RunSpec(
    stage='denoise', data=(data,), encoder=specs.EncoderSpec(name='tiny'),
    decoder=specs.DecoderSpec(entry_channels=16, block_channels=(16,) * 4),
    steps=1, global_batch_size=2, crop_size=(32, 32), eager=True)
assert not config.is_op_determinism_enabled()
train.train(run, '', sys.argv[1], '', tf.distribute.get_strategy())
assert config.is_op_determinism_enabled()
'''


def test_training_from_python_is_deterministic(tmp_path):
    subprocess.run([sys.executable, '-c', _CODE, str(tmp_path / 'run')],
                   check=True, capture_output=True)
    assert (tmp_path / 'run' / 'weights.npz').exists()


@pytest.mark.parametrize('device, asked, watched', [
    ('CPU', True, True), ('CPU', False, True), ('GPU', True, True),
    ('GPU', False, False), ('TPU', True, False)])
def test_determinism_is_watched_over_where_it_is_needed(
        make_run, monkeypatch, device, asked, watched):
    monkeypatch.setattr(strategies, 'device_type', lambda strategy: device)
    run = make_run('segment', deterministic=asked)
    assert process.is_deterministic(run, None) == watched


def test_the_device_of_a_strategy(two):
    assert strategies.device_type(two) == 'CPU'
    assert strategies.device_type(strategies.get_strategy()) == 'CPU'


def test_xla_compiles_after_a_run_that_was_deterministic():
    """It has no deterministic gradient of max pooling."""
    images = tf.random.stateless_uniform((1, 8, 8, 3), (0, 0))

    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            pooled = tf.nn.max_pool2d(images, 3, 2, 'SAME')
        return tape.gradient(pooled, images)

    process.set_up()
    expected = tf.function(gradient)(images)
    with pytest.raises(tf.errors.UnimplementedError):
        tf.function(gradient, jit_compile=True)(images)
    process.set_up(deterministic=False)
    np.testing.assert_array_equal(
        tf.function(gradient, jit_compile=True)(images), expected)
