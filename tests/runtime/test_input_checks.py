"""Data is read through once: by one run, one process, one worker."""

import dataclasses
import os
import pathlib

import pytest
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.runtime import check_marks, input_checks, workers

pytestmark = pytest.mark.quick
ALONE = workers.Workers(tf.distribute.get_strategy())
FOLDER = check_marks._folder  # Tests have another one.


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the notes."""
    folder = tmp_path / 'cache'
    monkeypatch.setattr(check_marks, '_folder', lambda: folder)
    return folder


@pytest.fixture
def data(tmp_path):
    path = tmp_path / 'data'
    path.write_text('image')
    return path


class _Source:
    title = 'data set x'

    def __init__(self, identity, num_examples=3, files=()):
        self.identity, self.num_examples = identity, num_examples
        self.files = list(map(str, files))
        self.reads = 0

    def check(self, progress):
        self.reads += 1
        assert list(progress(range(3))) == [0, 1, 2]
        for path in self.files:
            if pathlib.Path(path).read_text() == 'broken':
                raise errors.UserError(path)


def _reads(*sources, data_dir='data', by=ALONE):
    """How often a process of its own reads each source."""
    checks = input_checks.InputChecks()
    checks.check({'train': list(sources)}, data_dir, by)
    return [source.reads for source in sources]


def test_a_source_is_read_once_for_each_object_and_folder():
    source, same, other = _Source('a'), _Source('a'), _Source('b')
    checks = input_checks.InputChecks()
    for _ in range(2):
        checks.check({'train': [source], 'val': [same, other]}, 'data', ALONE)
    assert (source.reads, same.reads, other.reads) == (1, 0, 1)
    checks.check({'train': [source]}, 'elsewhere', ALONE)
    input_checks.InputChecks().check({'train': [source]}, 'data', ALONE)
    assert source.reads == 3


def test_a_large_split_is_not_read_before_the_training():
    assert _reads(_Source('a', input_checks.READ_AT_MOST + 1)) == [0]


def test_the_next_process_reads_what_changed_alone(data, cache):
    assert _reads(_Source('a', files=[data])) == [1]
    assert _reads(_Source('a', files=[data])) == [0]
    assert _reads(_Source('b', files=[data])) == [1]
    assert _reads(_Source('a', files=[data]), data_dir='elsewhere') == [1]
    assert _reads(_Source('a', files=[data])) == [0]
    os.utime(data, (1, 1))
    assert _reads(_Source('a', files=[data])) == [1]
    data.write_text('larger image')
    os.utime(data, (1, 1))
    assert _reads(_Source('a', files=[data])) == [1]
    for path in cache.iterdir():
        path.write_text('damaged')
    assert _reads(_Source('a', files=[data])) == [1]
    assert _reads(_Source('a', files=[data])) == [0]


@pytest.mark.parametrize('changed', [
    (check_marks.run_folder, 'versions', lambda: {'ddep_tf': '99'}),
    (check_marks.image_files, 'max_pixels', lambda: 10),
    (check_marks, '_FORM', 99)], ids=['versions', 'limit', 'form'])
def test_what_is_checked_by_others_is_read(data, monkeypatch, changed):
    _reads(_Source('a', files=[data]))
    monkeypatch.setattr(*changed)
    assert _reads(_Source('a', files=[data])) == [1]


def test_faults_are_never_noted(data):
    data.write_text('broken')
    for _ in range(2):
        with pytest.raises(errors.UserError, match='data'):
            _reads(_Source('a', files=[data]))
    data.unlink()
    with pytest.raises(FileNotFoundError):
        _reads(_Source('a', files=[data]))


def test_a_cache_that_cannot_be_written_is_no_error(data, tmp_path,
                                                    monkeypatch):
    for folder in (data, data / 'below', pathlib.Path('/proc/checked')):
        monkeypatch.setattr(check_marks, '_folder', lambda f=folder: f)
        assert _reads(_Source('a', files=[data])) == [1]
        assert _reads(_Source('a', files=[data])) == [1]


@pytest.mark.parametrize('environment, folder', [
    ({'XDG_CACHE_HOME': '/of/xdg', 'HOME': '/home/x'}, '/of/xdg'),
    ({'XDG_CACHE_HOME': '', 'HOME': '/home/x'}, '/home/x/.cache')])
def test_where_notes_are(monkeypatch, environment, folder):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert FOLDER() == pathlib.Path(folder, 'ddep_tf/checked')


@dataclasses.dataclass
class _Worker:
    """One of two workers, as far as the checks see it."""
    is_chief: bool
    together = ALONE.together


def test_the_chief_reads_for_all_workers():
    assert _reads(_Source('a'), by=_Worker(is_chief=False)) == [0]
    assert _reads(_Source('a'), by=_Worker(is_chief=True)) == [1]


@tf.function
def _sum_of_two(batches):
    total = 0.0
    for _ in tf.range(2):
        total += next(batches)
    return total


@tf.function(jit_compile=True)
def _refused(batch):
    return tf.numpy_function(lambda x: x, [batch], tf.float32)


@pytest.mark.parametrize('step, reads', [(next, 1), (_sum_of_two, 1),
                                         (lambda batches: _refused(1.0), 0)],
                         ids=['eager', 'graph', 'of XLA'])
def test_examples_are_looked_for_where_making_a_batch_failed(step, reads):
    source = _Source('a')
    batches = iter(tf.data.Dataset.from_tensors('damaged').map(
        tf.strings.to_number))
    with pytest.raises(tf.errors.InvalidArgumentError), \
            input_checks.explained({'train': [source]}):
        step(batches)
    assert source.reads == reads
