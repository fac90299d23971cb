"""Runs side by side: order, failures, stops. The jobs here train nothing."""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ddep_tf import configure, errors, files
from ddep_tf.data import image_files
from ddep_tf.experiments import pool
from ddep_tf.experiments import runner as runner_lib
from ddep_tf.runtime import stop_signal

GIN = ['experiments/demo_shapes.gin']
SECONDS = 60  # After which something that should come never does.


def _wait_for(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def make(folder, stop):
    """Of a worker: jobs that do what `folder`/orders.json says of them."""
    return functools.partial(_do, pathlib.Path(folder), stop)


def _do(folder, stop, job):
    name = job.planned.name
    start = time.monotonic()
    (folder / f'{name}.started').write_text(str(os.getpid()))
    print(f'{name} was here', flush=True)
    orders = json.loads((folder / 'orders.json').read_text())
    _obey(folder, stop, name, orders.get(name, ''))
    run_dir = pathlib.Path(job.run_dir)
    files.write_json(run_dir / 'result.json', {
        'val': 0.5, 'test': 0.5, 'steps': 5, 'images': 20, 'seconds': 1.0,
        'subset_sha256': 'abc', 'commit': ''})
    (folder / f'{name}.done').write_text(json.dumps(
        {'pid': os.getpid(), 'start': start, 'end': time.monotonic(),
         'cores': sorted(os.sched_getaffinity(0))}))


def _obey(folder, stop, name, order):
    if order == 'diverge':
        raise errors.TrainingStopped('the loss is not finite at step 3')
    if order == 'crash':
        os.kill(os.getpid(), signal.SIGKILL)
    if order == 'fail':
        raise MemoryError('no memory')
    if order == 'mistake':
        raise image_files.Unusable('a bad image')
    if order == 'train until stopped':
        _wait_for(lambda: stop.asked)
        (folder / f'{name}.saved').touch()
        raise errors.Preempted('saved at step 7')
    if order:  # Another run that has to be running too.
        _wait_for((folder / f'{order}.started').exists)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Returns a function that makes an Experiment whose runs take orders."""
    # It would open the data by TensorFlow.
    monkeypatch.setattr(runner_lib.Experiment, '_check_label_settings',
                        lambda self: None)

    def make_one(orders, stop=None):
        return _experiment(tmp_path, orders, stop or stop_signal.StopSignal())
    return make_one


def _experiment(folder, orders, stop):
    (folder / 'orders.json').write_text(json.dumps(orders))
    spec, templates, operative = configure.load_experiment(GIN)
    executor = pool.Pool(2, functools.partial(make, str(folder)), stop)
    return runner_lib.Experiment(spec, templates, operative,
                                 str(folder / 'exp'), '', executor, stop)


def _pids(folder):
    return {int(path.read_text()) for path in folder.glob('*.started')}


def _is_alive(pid):
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return state.rsplit(')', 1)[1].split()[0] != 'Z'


def test_two_at_a_time_and_each_after_what_it_needs(experiment, tmp_path):
    whole = experiment({'denoise-ddep-s0': 'denoise-ddep-s1',
                        'segment-ddep-n20-s2': 'segment-supervised-n20-s2',
                        'segment-supervised-n20-s2': 'segment-ddep-n20-s2'})
    whole.run()
    done = {path.stem: json.loads(path.read_text())
            for path in tmp_path.glob('*.done')}
    assert set(done) == set(whole.plan.runs) and len(done) == 10
    for name, times in done.items():
        for need in whole.plan.find(name).needs:
            assert done[need]['end'] <= times['start']
        at_once = [other for other in done.values()
                   if other['start'] <= times['start'] < other['end']]
        assert len(at_once) <= 2
    # Two workers, each with its share of the cores.
    cores = {times['pid']: tuple(times['cores']) for times in done.values()}
    assert len(cores) == 2
    if len(os.sched_getaffinity(0)) > 1:
        assert not set.intersection(*map(set, cores.values()))
    facts = json.loads((tmp_path / 'exp' / 'experiment.json').read_text())
    assert facts['done'] == facts['planned'] == 10
    log = tmp_path / 'exp' / 'runs' / 'classify' / 'log.txt'
    assert log.read_text() == 'classify was here\n'
    assert not any(map(_is_alive, cores))


def test_runs_that_fail_leave_the_others(experiment, tmp_path, capsys):
    whole = experiment({
        'denoise-ddep-s0': 'crash', 'segment-supervised-n20-s0': 'fail',
        'segment-supervised-n20-s1': 'diverge'})
    with pytest.raises(errors.RunsFailed, match='3 of 10 runs failed'):
        whole.run()
    facts = json.loads((tmp_path / 'exp' / 'experiment.json').read_text())
    assert facts['failed'] == {
        'denoise-ddep-s0': 'its process was ended by SIGKILL',
        'segment-supervised-n20-s0': 'no memory',
        'segment-supervised-n20-s1': 'the loss is not finite at step 3'}
    assert facts['done'] == 6  # But for segment-ddep-n20-s0, too.
    out = capsys.readouterr().out
    assert 'denoise-ddep-s0 was here' in out and 'MemoryError' in out
    # Again: what had no reason to fail is done now.
    with pytest.raises(errors.TrainingStopped, match='1 of 10'):
        experiment({'segment-supervised-n20-s1': 'diverge'}).run()
    facts = json.loads((tmp_path / 'exp' / 'experiment.json').read_text())
    assert facts['done'] == 9


@pytest.mark.parametrize('how', ['stop', 'mistake', 'interrupt'])
def test_running_runs_save_their_state_before_the_end(experiment, tmp_path,
                                                      how, monkeypatch):
    orders = {'denoise-ddep-s0': 'train until stopped',
              'denoise-ddep-s1': 'train until stopped'}
    stop, error = stop_signal.StopSignal(), errors.Preempted
    if how == 'mistake':
        orders['denoise-ddep-s1'], error = 'mistake', errors.UserError
    whole = experiment(orders, stop)
    saved = [name for name, order in orders.items() if order != 'mistake']

    def act(executor, seconds, before=pool.Pool.outcomes):
        if all((tmp_path / f'{name}.started').exists() for name in orders):
            if how == 'interrupt':
                raise KeyboardInterrupt
            stop.asked = how == 'stop'
        return before(executor, min(seconds, 0.1))
    monkeypatch.setattr(pool.Pool, 'outcomes', act)
    with pytest.raises(KeyboardInterrupt if how == 'interrupt' else error):
        whole.run()
    assert all((tmp_path / f'{name}.saved').exists() for name in saved)
    assert not any(map(_is_alive, _pids(tmp_path)))
    assert not (tmp_path / 'segment-ddep-n20-s0.started').exists()


def _raise(error):
    raise error


@pytest.mark.parametrize('error', [
    FileNotFoundError(2, 'No such file or directory', 'gs://b/data'),
    TimeoutError(110, 'Google answers 503', 'gs://b/data'),
    image_files.Unusable('a bad image')])
def test_what_a_worker_raises_is_raised_here(tmp_path, error):
    with pool.Pool(1, functools.partial(make, str(tmp_path)),
                   stop_signal.StopSignal()) as workers:
        workers.prepare(1, 1)
        expected = OSError if isinstance(error, OSError) else errors.UserError
        with pytest.raises(expected) as found:
            workers.call(_raise, error)
        assert str(found.value) == str(error)
        assert expected is not OSError or type(found.value) is type(error)
        workers.call(_raise_nothing)  # The worker is still there.


def _raise_nothing():
    pass


_MAIN = '''
import pathlib, sys
import test_pool
from ddep_tf.experiments import runner
from ddep_tf.runtime import stop_signal
if __name__ == '__main__':
    runner.Experiment._check_label_settings = lambda self: None
    test_pool._experiment(
        pathlib.Path(sys.argv[1]),
        {f'denoise-ddep-s{seed}': 'train until stopped' for seed in range(3)},
        stop_signal.StopSignal()).run()
'''


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path):
    (tmp_path / 'main.py').write_text(_MAIN)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / 'main.py'), str(tmp_path)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            filter(None, [str(pathlib.Path(__file__).parent),
                          str(pathlib.Path(__file__).parents[2]),
                          os.environ.get('PYTHONPATH')]))})
    _wait_for((tmp_path / 'denoise-ddep-s1.started').exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _wait_for(lambda: not any(map(_is_alive, _pids(tmp_path))))
    assert (tmp_path / 'denoise-ddep-s1.saved').exists()
