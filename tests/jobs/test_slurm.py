"""Slurm scripts: how bash runs them, and when Slurm would start them."""

import json
import re
import signal
import subprocess

import pytest

from ddep_tf import errors, jobs

from job_cases import HARD, planned

pytestmark = pytest.mark.quick

COMMAND = ['python', 'launch/experiment.py', *HARD]
_SBATCH = '''#!/bin/bash
printf '%s\\n' "$*" >> "$0.calls"
echo "$((100 + $(wc -l < "$0.calls")));cluster"
'''
# Lists the hosts, or notes what it is asked for.
_SCONTROL = '''#!/bin/bash
if [ "$1" = show ]; then printf 'node1\\nnode2\\n'; exit; fi
echo "$@" >> "{calls}"
'''


def _write(runs, folder, **resources):
    resources = jobs.Resources(logs=str(folder / 'my logs'), **resources)
    return jobs.write('slurm', 'exp_x', runs, COMMAND, resources, folder)


def _scripts(paths):
    return [path for path in paths if path.suffix == '.sbatch']


def _indices(script):
    last = re.search(r'^#SBATCH --array=0-(\d+)', script.read_text(), re.M)[1]
    return range(int(last) + 1)


def _run(stub, script, index, **environment):
    return stub.run(['bash', script], **_ids(index), **environment)


def _ids(index):
    """What Slurm says to the last task of an array that it starts."""
    return {'SLURM_ARRAY_TASK_ID': str(index), 'SLURM_ARRAY_JOB_ID': '77',
            'SLURM_JOB_ID': '77'}


def test_each_task_gets_its_run_and_the_arguments_unchanged(
        runs, tmp_path, stub):
    arrived = []
    wait = {one.name: ['--wait=2'] * (one.level > 0) for one in runs}
    for script in _scripts(_write(runs, tmp_path, max_array=2)):
        for index in _indices(script):
            code, argv, err = _run(stub, script, index)
            assert code == 0, err
            assert argv[:-1] == COMMAND[1:] + wait[argv[-1][7:]]
            arrived.append(argv[-1])
    assert arrived == [f'--only={one.name}' for one in runs]


def test_arrays_keep_within_slurms_own_limits(tmp_path):
    many = [planned(f'run{i}', 2) for i in range(2500)]
    scripts = _scripts(_write(many, tmp_path, max_parallel=7))
    assert [len(_indices(s)) for s in scripts] == [1000, 1000, 500]
    assert all('#SBATCH --array=0-' in s.read_text() and
               '%7\n' in s.read_text() for s in scripts)


def test_a_level_is_submitted_after_all_of_the_level_before(
        runs, tmp_path, stub):
    stub.program('sbatch', _SBATCH)
    *scripts, submit = _write(runs, tmp_path, max_array=1)
    code, _, err = stub.run(['bash', submit])
    assert code == 0 and not err
    assert (tmp_path / 'my logs').is_dir()
    calls = (stub.folder / 'sbatch.calls').read_text().splitlines()
    started, after = {}, {}  # Run -> its job; job -> jobs before it.
    for job, (call, script) in enumerate(zip(calls, scripts, strict=True)):
        job = str(101 + job)
        assert call.split()[0] == '--parsable' and call.endswith(script.name)
        before = re.search(r'--dependency=afterany:(\S+)', call)
        direct = before[1].split(':') if before else []
        after[job] = {*direct, *(a for d in direct for a in after[d])}
        for name in re.findall(r'run=(\S+) ;;', script.read_text()):
            started[name] = job
    assert set(started) == {one.name for one in runs}
    for one in runs:
        for need in one.needs:
            assert started[need] in after[started[one.name]]


def test_without_slurm_submit_says_so(runs, tmp_path):
    submit = _write(runs, tmp_path)[-1]
    done = subprocess.run(['/bin/bash', submit], env={'PATH': '/nowhere'},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert 'sbatch is not here' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bash_parses_every_script(runs, tmp_path):
    for path in _write(runs, tmp_path, workdir="/it's a $folder"):
        subprocess.run(['bash', '-n', path], check=True)


def test_exit_codes_pass_and_a_wrong_index_is_a_mistake(
        runs, tmp_path, stub):
    script = _write(runs, tmp_path)[0]
    for wanted in (0, 1, 2, 3, 4, 75, 143):
        assert _run(stub, script, 0, STUB_EXIT=str(wanted))[0] == wanted
    code, argv, err = _run(stub, script, 5)
    assert code == 2 and argv is None and '5' in err
    assert stub.run(['bash', script])[0] == 2


@pytest.mark.parametrize('sent, requeued', [
    ([signal.SIGUSR1], True), ([signal.SIGTERM], False),
    ([signal.SIGUSR1, signal.SIGTERM], True)])
def test_a_run_is_queued_again_at_its_time_limit_alone(
        runs, tmp_path, stub, sent, requeued):
    """TERM means cancelled, or preempted: Slurm itself requeues that."""
    calls = tmp_path / 'scontrol.calls'
    stub.program('scontrol', f'#!/bin/bash\necho "$@" >> "{calls}"\n')
    code, saved = stub.stop(['bash', _write(runs, tmp_path)[0]], sent,
                            **_ids(0))
    assert code == 143 and saved
    assert calls.exists() == requeued
    # 'requeue 77' would queue all tasks of the array again.
    assert not requeued or calls.read_text() == 'requeue 77_0\n'


@pytest.mark.parametrize('hosts, code, requeued', [
    (1, 75, True), (1, 137, False), (2, 75, True), (2, 137, True),
    (2, 1, False), (2, 143, False)])
def test_a_run_that_lost_a_worker_is_queued_again_a_few_times(
        runs, tmp_path, stub, hosts, code, requeued):
    calls = tmp_path / 'scontrol.calls'
    stub.program('scontrol', _SCONTROL.format(calls=calls))
    stub.program('srun', '#!/bin/bash\nSLURM_PROCID=0 exec "${@:5}"\n')
    script = _write(runs, tmp_path, hosts=hosts, retries=2)[1]
    (tmp_path / 'my logs').mkdir()
    for index in (0, 0, 0, 1):  # Each task has its own count.
        ended, _, err = _run(
            stub, script, index, STUB_EXIT=str(code),
            SLURM_JOB_NODELIST='node[1-2]',
            SLURM_RESTART_COUNT='9')  # Time limits do not count.
        assert ended == code, err
    asked = calls.read_text().splitlines() if calls.exists() else []
    assert asked == ['requeue 77_0', 'requeue 77_0', 'requeue 77_1'] * requeued


def test_a_signal_reaches_the_processes_of_its_own_task(runs, tmp_path, stub):
    calls, child = tmp_path / 'scancel.calls', tmp_path / 'child'
    stub.program('scancel', f'#!/bin/bash\necho "$@" >> "{calls}"\n'
                 f'kill -TERM $(cat "{child}")\n')
    stub.program('scontrol', '#!/bin/bash\n')
    stub.program('srun', f'#!/bin/bash\necho $$ > "{child}"\n'
                 'SLURM_PROCID=0 exec "${@:5}"\n')
    script = _write(runs, tmp_path, hosts=2)[0]
    code, saved = stub.stop(['bash', script], [signal.SIGTERM],
                            SLURM_JOB_NODELIST='node[1-2]', **_ids(0))
    assert code == 143 and saved
    assert calls.read_text() == '--signal=TERM 77_0\n'


def test_the_nodes_of_a_run_find_each_other(runs, tmp_path, stub):
    script = _write(runs, tmp_path, hosts=2, gpus=4)[0]
    text = script.read_text()
    assert '\n#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n' in text
    stub.program('scontrol', _SCONTROL.format(calls=tmp_path / 'calls'))
    stub.program('srun', '#!/bin/bash\nfor SLURM_PROCID in 0 1; do\n'
                 'export SLURM_PROCID; "${@:5}"; echo "$TF_CONFIG"; done\n')
    stub.program('python', '#!/bin/bash\necho "$TF_CONFIG" | tr -d "\\n"; '
                 'echo; printf "%s\\n" "${@: -1}"\n')
    done = subprocess.run(
        ['bash', script], capture_output=True, text=True, check=True,
        env={'PATH': f'{stub.folder}:/usr/bin:/bin', **_ids(0),
             'SLURM_JOB_ID': '1251', 'SLURM_JOB_NODELIST': 'node[1-2]'})
    said = done.stdout.split('\n')
    for index in (0, 1):
        config, only, _ = said[3 * index:3 * index + 3]
        assert json.loads(config) == {
            'cluster': {'worker': ['node1:20008', 'node2:20008']},
            'task': {'type': 'worker', 'index': index}}
        assert only == '--only=classify'


def test_options_request_what_a_run_uses(runs, tmp_path):
    text = _write(runs, tmp_path, gpus=2, hours=30, memory_gb=64, cpus=9,
                  partition='gpu', account='lab', grace_seconds=300,
                  )[0].read_text()
    for option in ('gres=gpu:2', 'time=30:00:00', 'mem=64G', 'partition=gpu',
                   'cpus-per-task=9', 'account=lab', 'signal=B:USR1@300',
                   'requeue'):
        assert f'\n#SBATCH --{option}\n' in text
    assert '--qos' not in text


@pytest.mark.parametrize('wrong', [
    {'partition': 'gpu --exclusive'}, {'partition': 'a\n#SBATCH --x'},
    {'hours': 0}, {'image': 'a/b'}, {'hosts': 0}, {'max_parallel': -1}])
def test_wrong_resources_are_refused_by_name(runs, tmp_path, wrong):
    with pytest.raises(errors.UserError, match=f'^--{next(iter(wrong))} '):
        _write(runs, tmp_path, **wrong)


@pytest.mark.parametrize('runs, named', [
    ([], 'no runs'), ([planned('a', 0), planned('a', 1)], 'two of one name'),
    ([planned('a b', 0)], 'a b'), ([planned('-a', 0)], '-a'),
    ([planned('a', 1), planned('b', 1, 'a')], 'b needs a'),
    ([planned('b', 1, 'nowhere')], 'nowhere')])
def test_a_plan_that_cannot_be_jobs_is_refused(runs, named, tmp_path):
    with pytest.raises(errors.UserError, match=named):
        _write(runs, tmp_path)
