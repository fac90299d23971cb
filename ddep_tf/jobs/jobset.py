"""An experiment as one JobSet, its levels one after the other. No TensorFlow.

A run is a Job of one or more hosts. A JobSet fails as a whole if one of its
Jobs does. So a run whose loss is not finite, or that needs runs which are not
done, says so in its log but ends its pod without a failure: the others go on.
"""

from collections.abc import Sequence
import json

from ddep_tf.jobs import levels, pods
from ddep_tf.jobs import resources as resources_lib
from ddep_tf.runtime import tpu_host

USES = pods.USES | {'hosts'}
_PORT = 2222  # The usual port of a TensorFlow server [O].

_RUN = '''\
{serve}{hand_on}trap hand_on TERM
"$@" "--only=$run"{tpu} &
{wait}\
case "$code" in
3|4) echo "$run: exit code $code: not done, the other runs go on" >&2; exit 0 ;;
esac
exit "$code"
'''

# Each host of a TPU slice serves its chips, and the first one also drives all
# of them: the run is done when it is.
_SERVE = '''\
if [ "$HOST_INDEX" != 0 ]; then exec "$1" -m ddep_tf.runtime.tpu_host; fi
"$1" -m ddep_tf.runtime.tpu_host &
'''


def write(name: str, runs: Sequence[levels.Run], command: Sequence[str],
          resources: resources_lib.Resources) -> dict[str, str]:
    """Returns {file name: text}: one JobSet. Arguments as of `slurm`."""
    stem = pods.dns_name(name)
    jobs, before = [], None
    for level, names in levels.split(runs):
        title = levels.title(level)
        job: dict = {'name': title, 'replicas': len(names)}
        if before:
            job['dependsOn'] = [{'name': before, 'status': 'Complete'}]
        job['template'] = {'spec': _job(
            stem, title, names, levels.waiting(command, level), resources)}
        jobs.append(job)
        before = title
    metadata: dict = {'name': stem}
    if resources.is_slice_of_hosts:
        # All hosts of a run on one slice, which is a node pool in GKE.
        metadata['annotations'] = {
            'alpha.jobset.sigs.k8s.io/exclusive-topology':
                'cloud.google.com/gke-nodepool'}
    document = {
        'apiVersion': 'jobset.x-k8s.io/v1alpha2', 'kind': 'JobSet',
        'metadata': metadata, 'spec': {
            'network': {'enableDNSHostnames': True, 'subdomain': stem},
            'failurePolicy': _failure_policy(resources),
            'replicatedJobs': jobs}}
    return {f'{name}.yaml': pods.to_yaml(_head(name, len(runs)), document)}


def _head(name, count):
    return [f'{name}: {count} runs, each a Job; a level starts when the one '
            'before it is complete.',
            f'Submit: kubectl apply -f {name}.yaml',
            'Needs JobSet 0.8 or later (dependsOn) and, for a TPU slice of '
            'several hosts, Kubernetes 1.31 (successPolicy). A claim must be '
            'one that several pods can write to.',
            'A run that ended with exit code 3 or 4 (loss not finite, needed '
            'runs not done) says so in its log.',
            'To continue after a failure: kubectl delete the jobset, apply '
            'again; runs that are done are skipped.']


def _failure_policy(resources):
    # A run on one host is restarted by its own Job: see `_job`.
    restarts = resources.retries if resources.hosts > 1 else 0
    return {'maxRestarts': restarts, 'rules': [
        {'name': 'usersMistake', 'action': 'FailJobSet',
         'onJobFailureReasons': ['PodFailurePolicy']}]}


def _job(stem, title, names, command, resources):
    shared = resources.is_slice_of_hosts
    script = levels.choose('RUN_INDEX', names) + _RUN.format(
        serve=_SERVE if shared else '', tpu=' "--tpu=$TPU_HOSTS"' * shared,
        hand_on=levels.HAND_ON, wait=levels.WAIT_FOR_CHILD)
    rules = [pods.on_exit_codes('FailJob', 2)]
    if resources.hosts == 1:
        rules += [pods.on_exit_codes('Count', pods.WORKER_LOST),
                  pods.on_exit_codes('Ignore', 143), pods.DISRUPTED]
    return {
        **({'successPolicy': {'rules': [{'succeededIndexes': '0'}]}}
           if shared else {}),
        'completionMode': 'Indexed', 'completions': resources.hosts,
        'parallelism': resources.hosts,
        # The JobSet restarts the hosts of a run, all of them together.
        'backoffLimit': resources.retries if resources.hosts == 1 else 0,
        'podFailurePolicy': {'rules': rules},
        'template': {'spec': pods.pod(script, command, resources,
                                      _env(stem, title, resources))}}


def _env(stem, title, resources):
    env = [_from_label('RUN_INDEX', 'jobset.sigs.k8s.io/job-index')]
    if resources.hosts == 1:
        return env
    hosts = [f'{stem}-{title}-$(RUN_INDEX)-{host}.{stem}'
             for host in range(resources.hosts)]
    index = _from_label('HOST_INDEX',
                        'batch.kubernetes.io/job-completion-index')
    if resources.is_slice_of_hosts:
        own = f'{stem}-{title}-$(RUN_INDEX)-$(HOST_INDEX).{stem}'
        shared = [
            {'name': 'TPU_HOSTS', 'value': ','.join(
                f'grpc://{host}:{tpu_host.PORT}' for host in hosts)},
            # As the workers of GKE's own examples set them.
            {'name': 'TPU_WORKER_ID', 'value': '$(HOST_INDEX)'},
            {'name': 'TPU_HOSTNAME_OVERRIDE', 'value': own}]
    else:
        config = json.dumps({
            'cluster': {'worker': [f'{host}:{_PORT}' for host in hosts]},
            'task': {'type': 'worker', 'index': 'HOST'}})
        shared = [{'name': 'TF_CONFIG', 'value': config.replace(
            '"HOST"', '$(HOST_INDEX)')}]
    return [*env, index, *shared]


def _from_label(name, label):
    return {'name': name, 'valueFrom': {'fieldRef': {
        'fieldPath': f"metadata.labels['{label}']"}}}
