"""Slurm runs the scripts of runs that span nodes. The two nodes are two tasks
of one node here."""

import subprocess
import time

import pytest

from ddep_tf import files, jobs

import commands
from job_cases import planned
import slurm_cluster

pytestmark = pytest.mark.skipif(bool(slurm_cluster.missing()),
                                reason=slurm_cluster.missing())

TWO_TASKS = ('--nodes=1', '--ntasks-per-node=2')
# Notes its starts; ends as a file asks it to, or with 0 after a restart.
_PYTHON = '''#!/bin/bash
trap 'echo saved; exit 143' TERM
touch {folder}/started.$SLURM_PROCID
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] || exit 0
while true; do
  if [ -e {folder}/lose ]; then
    [ "$SLURM_PROCID" = 1 ] && kill -KILL $$
    sleep 1; exit 75
  fi
  sleep 0.1
done
'''


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    with slurm_cluster.running(tmp_path_factory.mktemp('slurm')) as found:
        yield found


def _submit(script, environment, *options):
    return subprocess.run(
        ['sbatch', '--parsable', *TWO_TASKS, *options, script],
        env=environment, text=True, capture_output=True,
        check=True).stdout.strip()


@pytest.mark.parametrize('hosts', [1, 2])
def test_slurm_itself_accepts_the_scripts(runs, cluster, tmp_path, hosts):
    for script in jobs.write(
            'slurm', 'exp', runs, ['python', 'x'],
            jobs.Resources(hosts=hosts, cpus=1, memory_gb=1), tmp_path)[:-1]:
        subprocess.run(['sbatch', '--test-only', '--nodes=1', script],
                       env=cluster, check=True, capture_output=True)


@pytest.fixture
def started(tmp_path, cluster, stub):
    """A run of two tasks; returns (job, environment)."""
    stub.program('python', _PYTHON.format(folder=tmp_path))
    (tmp_path / 'logs').mkdir()
    script = jobs.write(
        'slurm', 'exp', [planned('a', 0)], ['python', 'x'],
        jobs.Resources(hosts=2, cpus=1, memory_gb=1,
                       logs=str(tmp_path / 'logs')), tmp_path)[0]
    job = _submit(script, {**cluster, 'PATH': f'{stub.folder}:'
                           f'{cluster["PATH"]}'})
    end = time.monotonic() + 30
    while len(list(tmp_path.glob('started.*'))) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    return f'{job}_0'


def _log(folder):
    return ''.join(path.read_text() for path in (folder / 'logs').iterdir())


def test_the_time_limit_reaches_all_and_the_run_is_queued_again(
        started, cluster, tmp_path):
    subprocess.run(['scancel', '--signal=USR1', '--batch', started],
                   env=cluster, check=True)
    assert slurm_cluster.wait_for(started, cluster, 60) == 'COMPLETED'
    log = _log(tmp_path)
    assert '0: saved' in log and '1: saved' in log
    assert 'the state is saved: requeueing' in log


def test_a_run_that_lost_a_worker_is_queued_again(started, cluster, tmp_path):
    (tmp_path / 'lose').touch()
    assert slurm_cluster.wait_for(started, cluster, 60) == 'COMPLETED'
    log = _log(tmp_path)
    assert 'Killed' in log and 'exit code 75' in log
    assert 'a worker was lost: requeueing' in log


@pytest.mark.full
def test_the_nodes_train_one_run_together(cluster, tmp_path):
    """MultiWorkerMirroredStrategy, in one run folder."""
    code, out, err = commands.run(
        'write_jobs', '--gin_file=experiments/demo_shapes.gin',
        *(f'--gin_param={text}' for text in commands.SHORT_EXPERIMENT),
        '--engine=slurm', '--hosts=2', '--cpus=1', '--memory_gb=1',
        f'--run_dir={tmp_path / "run"}', f'--jobs_dir={tmp_path / "jobs"}')
    assert code == 0, err
    (tmp_path / 'run' / 'logs').mkdir(parents=True)
    job = _submit(out.splitlines()[0], cluster)
    state = slurm_cluster.wait_for(f'{job}_0', cluster)
    log = _log(tmp_path / 'run')
    assert state == 'COMPLETED', log
    assert '0: ' in log and '1: ' in log
    found = list((tmp_path / 'run' / 'runs').glob('*/result.json'))
    assert [files.read_json(path)['steps'] for path in found] == [2]
