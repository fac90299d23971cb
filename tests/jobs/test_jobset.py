"""JobSets: the schema, the order of the levels, the hosts of a run."""

import json
import pathlib
import re
import signal

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ddep_tf import errors, jobs

from job_cases import HARD, expand

pytestmark = pytest.mark.quick

COMMAND = ['python', 'launch/experiment.py', *HARD]
SCHEMA = json.loads(pathlib.Path(__file__).with_name(
    'jobset_schema.json').read_text())
SLICE = {'tpu_accelerator': 'tpu-v5-lite-podslice', 'tpu_topology': '4x4'}
CASES = [{}, {'gpus': 8}, {'gpus': 8, 'hosts': 3}, {**SLICE, 'hosts': 4},
         {**SLICE, 'hosts': 4, 'claim': ''}]


def _jobset(runs, name='exp', **resources):
    (_, text), = jobs.texts(
        'jobset', name, runs, COMMAND, jobs.Resources(
            **{'image': 'a', 'claim': 'b', **resources})).items()
    return yaml.safe_load(text)


def _jobs(jobset):
    return jobset['spec']['replicatedJobs']


def _spec(job):
    return job['template']['spec']


def _container(job):
    container, = _spec(job)['template']['spec']['containers']
    return container


def _variables(job, run, host):
    """The variables of a pod, as Kubernetes fills them in."""
    labels = {'jobset.sigs.k8s.io/job-index': str(run),
              'batch.kubernetes.io/job-completion-index': str(host)}
    known = {}
    for variable in _container(job)['env']:
        if 'value' in variable:
            value = expand(variable['value'], known)
        else:
            path = variable['valueFrom']['fieldRef']['fieldPath']
            value = labels[re.fullmatch(r"metadata.labels\['(.*)'\]", path)[1]]
        known[variable['name']] = value
    return known


def _words(job, known):
    return [expand(word, known) for word in _container(job)['command']]


@pytest.mark.parametrize('resources', CASES)
def test_it_fits_the_schema(runs, resources):
    jobset = _jobset(runs, **resources)
    jsonschema.validate(jobset, SCHEMA)
    for job in _jobs(jobset):
        kubernetes_validate.validate(
            {'apiVersion': 'batch/v1', 'kind': 'Job',
             'metadata': {'name': 'x'}, 'spec': _spec(job)},
            '1.31' if 'successPolicy' in _spec(job) else '1.29', strict=True)


@pytest.mark.parametrize('name', ['exp', 'Exp_' + 'x' * 80])
def test_names_of_pods_are_valid_host_names(runs, name):
    many = [type(runs[0])(name=f'r{i}', level=0, needs=())
            for i in range(1200)]
    jobset = _jobset(many, name, hosts=100)
    job = _jobs(jobset)[0]
    longest = (f'{jobset["metadata"]["name"]}-{job["name"]}-'
               f'{job["replicas"] - 1}-{_spec(job)["completions"] - 1}-abcde')
    assert re.fullmatch(r'[a-z]([a-z0-9-]{0,61}[a-z0-9])?', longest)


def test_a_level_starts_when_what_it_needs_is_complete(runs):
    after, level_of = {}, {}
    for job in _jobs(_jobset(runs)):
        direct = [on['name'] for on in job.get('dependsOn', ())
                  if on['status'] == 'Complete']
        after[job['name']] = {*direct, *(a for d in direct for a in after[d])}
        script = _container(job)['command'][2]
        for name in re.findall(r'run=(\S+) ;;', script):
            level_of[name] = job['name']
    assert set(level_of) == {one.name for one in runs}
    for one in runs:
        for need in one.needs:
            assert level_of[need] in after[level_of[one.name]]


def test_each_job_gets_its_run_and_the_arguments_unchanged(runs, stub):
    arrived = []
    for job in _jobs(_jobset(runs)):
        for run in range(job['replicas']):
            known = _variables(job, run, 0)
            code, argv, err = stub.run(_words(job, known), **known)
            assert code == 0, err
            wait = ['--wait=2'] * (job['name'] != 'classify')
            assert argv[:-1] == COMMAND[1:] + wait
            arrived.append(argv[-1])
    assert arrived == [f'--only={one.name}' for one in runs]


def test_one_run_that_cannot_be_done_does_not_end_the_others(runs, stub):
    job = _jobs(_jobset(runs))[0]
    known = _variables(job, 0, 0)
    for ended, seen in ((0, 0), (1, 1), (2, 2), (3, 0), (4, 0), (143, 143)):
        code, _, err = stub.run(_words(job, known), STUB_EXIT=str(ended),
                                **known)
        assert code == seen
        assert (f'exit code {ended}' in err) == (ended in (3, 4))


def test_a_pod_that_is_stopped_waits_for_the_saved_state(runs, stub):
    job = _jobs(_jobset(runs))[0]
    known = _variables(job, 0, 0)
    assert stub.stop(_words(job, known), [signal.SIGTERM], **known) == (
        143, True)


def test_the_hosts_of_a_run_find_each_other(runs):
    jobset = _jobset(runs, gpus=8, hosts=3)
    job = _jobs(jobset)[2]
    assert _spec(job)['completions'] == _spec(job)['parallelism'] == 3
    subdomain = jobset['spec']['network']['subdomain']
    for host in range(3):
        config = json.loads(_variables(job, 1, host)['TF_CONFIG'])
        assert config['task'] == {'type': 'worker', 'index': host}
        # A pod's host name: JOBSET-REPLICATEDJOB-JOB-POD, below the subdomain.
        assert config['cluster'] == {'worker': [
            f'exp-sweep-1-{other}.{subdomain}:2222' for other in range(3)]}


def test_the_hosts_of_a_tpu_slice_share_its_chips(runs):
    jobset = _jobset(runs, hosts=4, **SLICE)
    assert jobset['metadata']['annotations'] == {
        'alpha.jobset.sigs.k8s.io/exclusive-topology':
            'cloud.google.com/gke-nodepool'}
    for job in _jobs(jobset):
        limits = _container(job)['resources']['limits']
        assert limits['google.com/tpu'] == 4 and _spec(job)['completions'] == 4
    with pytest.raises(errors.UserError, match='^--tpu_topology 4x4 '):
        _jobset(runs, hosts=3, **SLICE)


def test_the_first_host_of_a_tpu_slice_drives_all_of_them(runs, stub):
    job = _jobs(_jobset(runs, hosts=4, **SLICE))[2]
    assert _spec(job)['successPolicy'] == {'rules': [
        {'succeededIndexes': '0'}]}
    other = _variables(job, 1, 3)
    assert 'TF_CONFIG' not in other
    assert other['TPU_WORKER_ID'] == '3'
    assert other['TPU_HOSTNAME_OVERRIDE'] == 'exp-sweep-1-3.exp'
    code, argv, err = stub.run(_words(job, other), **other)
    assert code == 0 and argv == ['-m', 'ddep_tf.runtime.tpu_host'], err
    # Two commands run at a time here; the pod's end is the server's too.
    stub.program('python', '#!/bin/bash\n'
                 'if [ "$1" = -m ]; then exec sleep 5 >/dev/null 2>&1; fi\n'
                 'printf "%s\\n" "${@: -2}" >&2\n')
    first = _variables(job, 1, 0)
    code, _, err = stub.run(_words(job, first), **first)
    hosts = ','.join(f'grpc://exp-sweep-1-{host}.exp:8470'
                     for host in range(4))
    assert code == 0 and err.splitlines() == [
        '--only=segment-dep-n0.05-s0-lr1e-05', f'--tpu={hosts}']


def test_a_lost_worker_is_tried_again(runs, stub):
    """On one host by its own Job, on several by the JobSet, up to a limit."""
    one, several = _jobset(runs), _jobset(runs, gpus=8, hosts=3, retries=5)
    rules = _spec(_jobs(one)[0])['podFailurePolicy']['rules']
    assert {'action': 'Count', 'onExitCodes': {
        'containerName': 'run', 'operator': 'In', 'values': [75]}} in rules
    assert _spec(_jobs(one)[0])['backoffLimit'] == 3
    assert one['spec']['failurePolicy']['maxRestarts'] == 0
    job = _jobs(several)[0]
    handled = [code for rule in _spec(job)['podFailurePolicy']['rules']
               for code in rule.get('onExitCodes', {}).get('values', ())]
    assert 75 not in handled and _spec(job)['backoffLimit'] == 0
    assert several['spec']['failurePolicy']['maxRestarts'] == 5
    known = _variables(job, 0, 0)
    assert stub.run(_words(job, known), STUB_EXIT='75', **known)[0] == 75


def test_the_hosts_of_a_run_share_its_folder(runs):
    job = _jobs(_jobset(runs, gpus=8, hosts=3))[0]
    assert len({tuple(_words(job, _variables(job, 0, host)))
                for host in range(3)}) == 1


def test_a_limit_that_a_jobset_cannot_keep_is_refused(runs):
    with pytest.raises(errors.UserError, match='^--max_parallel '):
        _jobset(runs, max_parallel=2)
