"""A caller from Python gets what a launcher gets."""

import subprocess
import sys

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
