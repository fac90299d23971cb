"""What tests share: two logical CPU devices, and where the real data is."""

import os
import pathlib

import pytest

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
