"""Kubernetes Jobs against the API's schema and rules; the arguments."""

import re
import signal

import kubernetes_validate
import pytest
import yaml

from ddep_tf import errors
from ddep_tf import jobs as jobs_lib

from job_cases import HARD, expand, planned

pytestmark = pytest.mark.quick

COMMAND = ['python', 'launch/experiment.py', *HARD]
# The oldest with these fields on by default, and the first to have them GA.
VERSIONS = ['1.29', '1.33']
RESOURCES = jobs_lib.Resources(image='registry.example/ddep:1', claim='shared',
                              gpus=2, max_parallel=2)
TPU = jobs_lib.Resources(image='a', claim='b', tpu_topology='2x4',
                        tpu_accelerator='tpu-v5-lite-podslice')
BUCKET = jobs_lib.Resources(image='a')


def _jobs(runs, resources=RESOURCES):
    return [yaml.safe_load(text) for text in jobs_lib.texts(
        'kubernetes', 'Exp_x', runs, COMMAND, resources).values()]


def _container(job):
    container, = job['spec']['template']['spec']['containers']
    return container


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('resources', [RESOURCES, TPU, BUCKET],
                         ids=['gpu', 'tpu', 'bucket'])
def test_every_job_fits_the_schema(runs, version, resources):
    jobs = _jobs(runs, resources)
    assert len(jobs) == 4
    for job in jobs:
        kubernetes_validate.validate(job, version, strict=True)


def test_the_schema_catches_a_typo(runs):
    job = _jobs(runs)[0]
    job['spec']['backoffLimitPerIndx'] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)


def test_rules_beyond_the_schema(runs):
    """Those that the API server checks in batch/validation."""
    for job in _jobs(runs):
        spec = job['spec']
        assert spec['completionMode'] == 'Indexed'
        assert spec['template']['spec']['restartPolicy'] == 'Never'
        assert 0 < spec['parallelism'] <= spec['completions']
        last = f'{job["metadata"]["name"]}-{spec["completions"] - 1}'
        assert re.fullmatch(r'[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?', last)
        for rule in spec['podFailurePolicy']['rules']:
            codes = rule.get('onExitCodes', {}).get('values', [1])
            assert codes == sorted(set(codes)) and 0 not in codes
    names = [job['metadata']['name'] for job in _jobs(runs)]
    assert len(set(names)) == len(names)


def test_which_exit_codes_are_retried(runs):
    rules = _jobs(runs)[0]['spec']['podFailurePolicy']['rules']
    action = {code: rule['action'] for rule in rules
              for code in rule.get('onExitCodes', {}).get('values', ())}
    assert action == {2: 'FailJob', 3: 'FailIndex', 4: 'FailIndex',
                      75: 'Count', 143: 'Ignore'}


def test_each_pod_gets_its_run_and_the_arguments_unchanged(runs, stub):
    arrived = []
    for job in _jobs(runs):
        for index in range(job['spec']['completions']):
            known = {'JOB_COMPLETION_INDEX': str(index)}
            words = [expand(w, known) for w in _container(job)['command']]
            code, argv, err = stub.run(words, **known)
            assert code == 0, err
            *same, only = argv
            level = int(job['metadata']['name'].split('-')[-2])
            wait = ['--wait=10080'] if level else []
            assert same == COMMAND[1:] + wait
            arrived.append(only)
    assert arrived == [f'--only={one.name}' for one in runs]
    code, argv, _ = stub.run(words, JOB_COMPLETION_INDEX='99')
    assert code == 2 and argv is None


def test_a_pod_requests_its_devices_and_no_others(runs):
    requested = _container(_jobs(runs)[0])['resources']
    assert requested['limits'] == {'memory': '16Gi', 'nvidia.com/gpu': 2}
    job = _jobs(runs, TPU)[0]
    assert _container(job)['resources']['limits']['google.com/tpu'] == 8
    assert job['spec']['template']['spec']['nodeSelector'] == {
        'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice',
        'cloud.google.com/gke-tpu-topology': '2x4'}


def test_without_a_claim_nothing_is_mounted(runs):
    pod = _jobs(runs, BUCKET)[0]['spec']['template']['spec']
    assert 'volumes' not in pod
    assert 'volumeMounts' not in pod['containers'][0]


def test_every_file_says_how_to_submit_it(runs):
    for scheduler in ('kubernetes', 'jobset'):
        for file, text in jobs_lib.texts(
                scheduler, 'exp', runs, COMMAND,
                jobs_lib.Resources(image='a', claim='b')).items():
            assert f'# Submit: kubectl apply -f {file}\n' in text


@pytest.mark.parametrize('wrong', [
    {'image': ''}, {'partition': 'gpu'}, {'image': 'a b'}])
def test_wrong_resources_are_refused_by_name(runs, wrong):
    given = {'image': 'a', 'claim': 'b', **wrong}
    with pytest.raises(errors.UserError, match=f'^--{next(iter(wrong))} '):
        _jobs(runs, jobs_lib.Resources(**given))


@pytest.mark.parametrize('accelerator, topology, gpus, named', [
    ('tpu-v5p-slice', '', 0, 'tpu_topology'), ('', '2x4', 0, 'accelerator'),
    ('tpu-v5p-slice', '2*4', 0, '2.4'), ('tpu-v5p-slice', '2x4', 1, 'gpus')])
def test_half_a_tpu_is_refused(accelerator, topology, gpus, named):
    with pytest.raises(errors.UserError, match=named):
        _jobs([planned('a', 0)], jobs_lib.Resources(
            image='a', claim='b', tpu_accelerator=accelerator,
            tpu_topology=topology, gpus=gpus))


def test_the_run_is_process_1_of_its_pod(runs, stub):
    """Kubernetes signals process 1 only; bash would not pass it on."""
    known = {'JOB_COMPLETION_INDEX': '0'}
    words = [expand(w, known) for w in _container(_jobs(runs)[0])['command']]
    assert stub.stop(words, [signal.SIGTERM], **known) == (
        143, True)
