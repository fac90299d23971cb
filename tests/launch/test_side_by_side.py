"""--parallel: stopped and resumed, the same results as one after the other."""

import csv
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from commands import ROOT, SHORT_EXPERIMENT

COMMAND = [sys.executable, str(ROOT / 'launch' / 'experiment.py'),
           '--gin_file=experiments/demo_shapes.gin']
SHORT = [*SHORT_EXPERIMENT, 'denoise/RunSpec.steps=40',
         'segment/RunSpec.steps=40', 'segment/RunSpec.eval_every=20',
         'RunSpec.log_every=1', 'RunSpec.eager=True']
RUNS = ['classify', 'denoise-ddep-s4', 'segment-supervised-n3-s4',
        'segment-ddep-n3-s4']


def _cores(count):
    return sorted(os.sched_getaffinity(0))[:count]


def _start(exp_dir, *flags, cores=None, params=SHORT, **options):
    def set_up():
        # In the background of a shell Ctrl-C is ignored, and children
        # inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if cores:
            os.sched_setaffinity(0, cores)
    return subprocess.Popen(
        [*COMMAND, f'--run_dir={exp_dir}', *flags,
         *(f'--gin_param={param}' for param in params)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=set_up,  # noqa: PLW1509
        **options)


def _end(process, seconds=300):
    out, err = process.communicate(timeout=seconds)
    # Python's own resource tracker ends a moment after its parent.
    end = time.monotonic() + 10
    while _processes(process.pid):
        assert time.monotonic() < end, 'a process is left'
        time.sleep(0.1)
    assert 'Traceback' not in err, err
    return process.returncode, out, err


def _processes(session):
    """Returns the processes of a session that are alive."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, _, owner = path.read_text().rsplit(')', 1)[1].split()[:4]
        except OSError:
            continue
        if int(owner) == session and state != 'Z':
            found.append(path.parent.name)
    return found


def _steps(exp_dir):
    """Returns how many steps each of the two runs at once has logged."""
    logs = [exp_dir / 'runs' / name / 'metrics.csv' for name in RUNS[1:3]]
    return [len(log.read_text().splitlines()) - 1 if log.exists() else 0
            for log in logs]


def _wait_for_steps(exp_dir, process, before=(0, 0)):
    """Waits until both runs have trained two steps more than `before`."""
    end = time.monotonic() + 200
    while any(now < then + 2
              for now, then in zip(_steps(exp_dir), before)):
        assert process.poll() is None and time.monotonic() < end, (
            process.communicate())
        time.sleep(0.05)


def _results(exp_dir):
    """Returns the rows of runs.csv but for times, and each run's weights."""
    with open(exp_dir / 'runs.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [row['run'] for row in rows] == RUNS
    weights = {name: hashlib.sha256(
        (exp_dir / 'runs' / name / 'weights.npz').read_bytes()).hexdigest()
        for name in RUNS}
    return [{**row, 'seconds': ''} for row in rows], weights


def test_two_at_a_time_end_as_one_after_the_other(tmp_path):
    params = [*SHORT, 'denoise/RunSpec.steps=2', 'segment/RunSpec.steps=2',
              'segment/RunSpec.eval_every=1']
    one = _start(tmp_path / 'one', params=params, cores=_cores(1), env={
        **os.environ, 'TF_NUM_INTRAOP_THREADS': '1',
        'TF_NUM_INTEROP_THREADS': '1'})
    two = _start(tmp_path / 'two', '--parallel=auto', params=params,
                 cores=_cores(2))
    for process in (one, two):
        code, out, err = _end(process)
        assert code == 0 and '| ddep |' in out, err
    assert _results(tmp_path / 'one') == _results(tmp_path / 'two')
    code, out, err = _end(_start(
        tmp_path / 'three', f'--reuse={tmp_path / "none"}',
        f'--reuse={tmp_path / "one"}', params=params))
    assert code == 2 and '--reuse' in err
    code, out, err = _end(_start(tmp_path / 'three', '--noone_process',
                                 f'--reuse={tmp_path / "one"}', params=params))
    assert code == 0 and '| ddep |' in out, err
    assert [f'{name} is there' in out for name in RUNS] == [True] * 4
    assert _results(tmp_path / 'one') == _results(tmp_path / 'three')


@pytest.mark.full
def test_stopped_and_resumed_it_ends_as_one_after_the_other(tmp_path):
    one = _start(tmp_path / 'one', env={
        **os.environ, 'TF_NUM_INTRAOP_THREADS': '1',
        'TF_NUM_INTEROP_THREADS': '1'}, cores=_cores(1))
    code, _, err = _end(one)
    assert code == 0, err

    # A worker has as many threads as `one` has, if there are two cores.
    two = _cores(2)
    exp_dir = tmp_path / 'two'
    # Ctrl-C reaches all processes of a terminal.
    process = _start(exp_dir, '--parallel=2', '--shard=1/2', cores=two)
    _wait_for_steps(exp_dir, process)
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = _end(process)
    assert code == 130 and 'interrupted' in err
    for name in RUNS[1:3]:
        assert (exp_dir / 'runs' / name / 'state' / 'checkpoint').exists()
        assert not (exp_dir / 'runs' / name / 'result.json').exists()
    # The other shard finds in the ledger that it has to wait.
    code, _, err = _end(_start(exp_dir, '--parallel=2', '--shard=2/2',
                               cores=two))
    assert code == 4 and 'segment-ddep-n3-s4' in err
    before = _steps(exp_dir)
    process = _start(exp_dir, '--parallel=2', cores=two)
    _wait_for_steps(exp_dir, process, before)
    process.send_signal(signal.SIGTERM)
    code, _, err = _end(process)
    assert code in (143, 0), err  # They may just have reached their ends.
    code, out, err = _end(_start(exp_dir, '--parallel=auto',
                                 cores=two))
    assert code == 0, err
    assert '| ddep |' in out and 'report:' in out
    assert _results(exp_dir) == _results(tmp_path / 'one')
    assert 'step 0 of' in (exp_dir / 'runs' / RUNS[1] / 'log.txt').read_text()


@pytest.mark.parametrize('flags, named', [
    (['--parallel=0'], '--parallel'), (['--parallel=-1'], '--parallel'),
    (['--parallel=x'], '--parallel'),
    (['--parallel=2', '--strategy=tpu'], '--strategy'),
    (['--parallel=2', '--tpu=local'], '--strategy'),
    (['--parallel=2', '--strategy=multi_worker'], '--strategy'),
    (['--parallel=2', '--only=classify'], '--only')])
def test_what_cannot_run_side_by_side_is_refused(tmp_path, flags, named):
    code, out, err = _end(_start(tmp_path / 'exp', *flags))
    assert code == 2 and named in err
    assert len(err.strip().splitlines()) == 1
    assert 'TensorFlow' not in out and not (tmp_path / 'exp').exists()
