"""What tests share: two logical CPU devices, a small run, the real data."""

import dataclasses
import gc
import itertools
import os
import pathlib
import resource
import subprocess
import sys

import pytest

from ddep_tf import specs

import gcs_objects
import gcs_server

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# oneDNN's own allocator keeps what was freed, over all tests of a process.
os.environ.setdefault('TF_ONEDNN_USE_SYSTEM_ALLOCATOR', '1')
ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY_GIB = 0.4  # By so much may memory grow before it is given back.
MOST_GIB = 3  # Of a process of tests: two of them fit beside a browser.
LARGE = 'full_size', 'test_published.py'
LONG = 'test_leaves', '/launch/', 'test_setup'
_PEAKS = {}   # {name of a process of tests: GiB}.
_tidy = {'resident_gib': 1.0}  # What stayed when memory was last given back.


def pytest_configure(config):
    if _hands_out_tests(config):
        return
    import tensorflow as tf
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def _hands_out_tests(config):
    """Whether this process only hands tests to workers (pytest -n 2)."""
    return bool(config.getoption('tx', None)) and not hasattr(
        config, 'workerinput')


def pytest_collection_modifyitems(items):
    """What needs most memory first, then what takes long, in each half.

    Two workers begin with a half each. TensorFlow keeps what memory it once
    had, for other tests: networks of full size come before that adds up.
    """
    large = [item for item in items if _names(item, LARGE)]
    rest = [item for item in items if item not in large]
    long = [item for item in rest if _names(item, LONG)]
    long.sort(key=lambda item: [part not in item.nodeid for part in LONG])
    rest = [item for item in rest if not _names(item, LONG)]
    half = max(0, len(items) // 2 - len(large + long[::2]))
    items[:] = large + long[::2] + rest[:half] + long[1::2] + rest[half:]


def _names(item, parts):
    return any(part in item.nodeid for part in parts)


def pytest_collection_finish():
    # Half a million objects of TensorFlow, which no collection need look at.
    gc.collect()
    gc.freeze()


def pytest_runtest_setup():
    """Runs of earlier tests make operations deterministic, for good: random
    ones then need a seed."""
    if 'tensorflow' in sys.modules:
        sys.modules['tensorflow'].random.set_seed(0)


def pytest_runtest_teardown(item, nextitem):
    """Gives memory back before it adds up: glibc keeps what was freed."""
    del item, nextitem
    if not sys.platform.startswith('linux') or (
            _resident_gib() < _tidy['resident_gib'] + TIDY_GIB):
        return
    import keras

    from ddep_tf.runtime import memory
    keras.backend.clear_session()
    gc.collect()
    memory.give_back()
    _tidy['resident_gib'] = _resident_gib()


def _resident_gib():
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2 ** 30


def pytest_sessionfinish(session):
    if _hands_out_tests(session.config):
        return
    unit = 1 if sys.platform == 'darwin' else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2 ** 30
    if hasattr(session.config, 'workeroutput'):
        session.config.workeroutput['peak_gib'] = peak


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """A worker has ended: keeps what it said of its memory."""
    output = getattr(node, 'workeroutput', {})
    if 'peak_gib' in output:
        _PEAKS[node.gateway.id] = output['peak_gib']


def pytest_terminal_summary(terminalreporter):
    for name, peak in sorted(_PEAKS.items()):
        terminalreporter.line(
            f'{name}: at most {peak:.2f} GiB of memory' + (
                f', above {MOST_GIB}' if peak > MOST_GIB else ''),
            red=peak > MOST_GIB)


@pytest.fixture
def real_data():
    """The folder of real data; skips the test where there is none."""
    folder = pathlib.Path(os.environ.get('DDEP_DATA_DIR',
                                         ROOT.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'needs real data: set DDEP_DATA_DIR ({folder} is no '
                    'folder)')
    return folder


@pytest.fixture(scope='session')
def gcs(tmp_path_factory):
    """A Google Cloud Storage on loopback."""
    server = gcs_server.Server(tmp_path_factory.mktemp('gcs'))
    yield server
    server.close()


@pytest.fixture
def bucket(gcs):
    """An empty bucket of it; a process of bucket.environment reaches it."""
    yield gcs_objects.Bucket(gcs, f'bucket-{next(_NUMBERS)}')
    gcs.reset()


_NUMBERS = itertools.count()
@pytest.fixture
def make_disk(tmp_path):
    """A function that mounts a small disk, of a size such as '64k'; skips the
    test where that is not allowed."""
    disk = tmp_path / 'disk'

    def mount(size):
        disk.mkdir()
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(disk)],
            capture_output=True, check=False)
        if done.returncode:
            disk.rmdir()
            pytest.skip('needs the right to mount a small disk')
        return disk
    yield mount
    if disk.is_dir():
        subprocess.run(['umount', '-l', str(disk)], check=True)


@pytest.fixture(autouse=True, scope='session')
def _marks_of_this_session(tmp_path_factory):
    """Which data was checked is noted elsewhere than in the user's cache."""
    from ddep_tf.runtime import check_marks
    folder = tmp_path_factory.mktemp('marks')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_marks, '_folder', lambda: folder)
        yield


@pytest.fixture(scope='session')
def two():
    """Two replicas; one strategy a process, as in use."""
    import tensorflow as tf
    return tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1'])


SHAPES = specs.DatasetSpec(
    name='shapes', source='shapes', label_set='shapes', num_classes=6,
    val_split='val', test_split='test', limit=6)


@pytest.fixture(scope='session')
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
