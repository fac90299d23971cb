"""What tests share: two logical CPU devices, a small run, the real data."""

import dataclasses
import os
import pathlib

import pytest

from ddep_tf import specs

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
ROOT = pathlib.Path(__file__).resolve().parent.parent


def pytest_configure():
    import tensorflow as tf
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture
def real_data():
    """The folder of real data; skips the test where there is none."""
    folder = pathlib.Path(os.environ.get('DDEP_DATA_DIR',
                                         ROOT.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'needs real data: set DDEP_DATA_DIR ({folder} is no '
                    'folder)')
    return folder

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
