"""A run folder belongs to one start at a time, in processes of their own."""

import json
import signal
import subprocess
import sys

import pytest

from ddep_tf import errors
from ddep_tf.runtime import claim

pytestmark = pytest.mark.quick

# Holds a folder until it is told to end.
HOLD = '''
import sys
from ddep_tf.runtime import claim
if sys.argv[2] == 'renewed':
    claim.fcntl, claim.RENEW_SECONDS, claim._POLL_SECONDS = None, 0.2, 0.05
with claim.claimed(sys.argv[1]):
    print('holds', flush=True)
    input()
'''


@pytest.fixture(params=['locked', 'renewed'])
def kind(request, monkeypatch):
    """Held by the kernel's lock, or by a file that is renewed."""
    if request.param == 'renewed':
        monkeypatch.setattr(claim, 'fcntl', None)
        monkeypatch.setattr(claim, 'RENEW_SECONDS', 0.2)
        monkeypatch.setattr(claim, 'STALE_SECONDS', 2.0)
        monkeypatch.setattr(claim, '_POLL_SECONDS', 0.05)
    return request.param


@pytest.fixture
def holder(tmp_path, kind):
    """Another process, which holds the folder."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path), kind], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == 'holds\n'
    yield process
    process.kill()
    process.communicate()


def _refused(folder):
    with pytest.raises(errors.UserError) as caught, claim.claimed(folder):
        pass
    return str(caught.value)


def test_a_second_start_is_refused_and_told_who_holds_it(tmp_path, holder):
    message = _refused(tmp_path)
    assert f'process {holder.pid} on ' in message
    assert f'--run_dir {tmp_path}:' in message
    holder.communicate('\n')
    with claim.claimed(tmp_path):  # It let go.
        pass
    assert not list(tmp_path.iterdir())


def test_a_holder_that_was_killed_is_replaced(tmp_path, holder, capsys):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / claim.NAME).exists()
    with claim.claimed(tmp_path):
        assert _me(tmp_path)['pid'] != holder.pid
    said = capsys.readouterr().out
    assert f'process {holder.pid} on ' in said and 'taken over' in said
    assert not (tmp_path / claim.NAME).exists()


def _me(folder):
    return json.loads((folder / claim.NAME).read_text())


@pytest.mark.parametrize('kind', ['renewed'], indirect=True)
@pytest.mark.usefixtures('kind')
def test_a_holder_elsewhere_is_replaced_once_it_no_longer_renews(
        tmp_path, capsys):
    lost = {'id': 'x', 'host': 'other', 'machine': 'other', 'pid': 1,
            'since': 'then', 'renewed': 'then'}
    (tmp_path / claim.NAME).write_text(json.dumps(lost))
    with claim.claimed(tmp_path) as held:
        held.check()
        assert _me(tmp_path)['id'] != 'x'
        # One that was thought lost comes back, and finds itself replaced.
        (tmp_path / claim.NAME).write_text(json.dumps(lost))
        held._thread.join(5)
        with pytest.raises(errors.UserError, match='process 1 on other'):
            held.check()
    assert _me(tmp_path) == lost  # It is not this one's to remove.
    assert 'taken over' in capsys.readouterr().out


def test_a_folder_is_held_once_within_a_process(tmp_path, kind):
    with claim.claimed(tmp_path):
        assert 'is using it' in _refused(tmp_path)
        assert (tmp_path / claim.NAME).exists()


def test_what_is_left_of_a_file_names_nobody(tmp_path, kind):
    (tmp_path / claim.NAME).write_text('{"id')
    with claim.claimed(tmp_path):
        assert _me(tmp_path)['pid'] > 0
