"""How cores and GPUs are divided between runs."""

import os
import subprocess
import sys

import pytest

from ddep_tf import errors
from ddep_tf.experiments import shares

pytestmark = pytest.mark.quick


@pytest.fixture
def machine(monkeypatch):
    """Returns a function that sets the cores and the GPUs of the machine."""
    def make(cores, gpus):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(cores))
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', gpus)
    return make


@pytest.mark.parametrize('cores, count, divided', [
    (range(8), 2, [(0, 1, 2, 3), (4, 5, 6, 7)]),
    ((1, 5, 9), 2, [(1,), (5, 9)]), (range(2), 2, [(0,), (1,)]),
    ((3,), 2, [(3,), (3,)])])
def test_each_share_has_cores_and_as_many_threads(machine, cores, count,
                                                  divided):
    machine(cores, '')
    found = shares.shares(count)
    assert [share.cores for share in found] == divided
    for share in found:
        assert share.environment == {
            'TF_NUM_INTRAOP_THREADS': str(len(share.cores)),
            'TF_NUM_INTEROP_THREADS': str(len(share.cores))}


def test_each_share_has_a_gpu_where_there_are_any(machine):
    machine(range(8), '2,0,GPU-abc')
    found = shares.shares(3)
    assert [share.environment['CUDA_VISIBLE_DEVICES'] for share in found] == [
        '2', '0', 'GPU-abc']
    assert sum(len(share.cores) for share in found) == 8


@pytest.mark.parametrize('gpus, text, slots', [
    ('', 'auto', 4), ('0,1', 'auto', 2), ('0', 'auto', 1), ('-1', 'auto', 4),
    ('', '1', 1), ('', '7', 7), ('0,1', '2', 2), ('0', '1', 1)])
def test_slots_are_those_asked_for_or_of_the_machine(machine, gpus, text,
                                                     slots):
    machine(range(4), gpus)
    assert shares.slots_of(text) == slots


@pytest.mark.parametrize('gpus, text', [
    ('', '0'), ('', '-1'), ('', 'x'), ('', ''), ('', '1.5'), ('', '²'),
    ('0', '2'), ('0,1', '3')])
def test_slots_that_cannot_be_are_refused(machine, gpus, text):
    machine(range(4), gpus)
    with pytest.raises(errors.UserError, match='--parallel'):
        shares.slots_of(text)


_THREADS = '''
from ddep_tf.experiments import shares
share, = shares.shares(1)
shares.take(shares.Share(share.cores[:1], {'TF_NUM_INTRAOP_THREADS': '1'}))
import os
print(os.environ['TF_NUM_INTRAOP_THREADS'], *os.sched_getaffinity(0))
'''


def test_a_process_keeps_to_its_share():
    found = subprocess.run([sys.executable, '-c', _THREADS], check=True,
                           capture_output=True, text=True).stdout.split()
    assert found == ['1', str(min(os.sched_getaffinity(0)))]
