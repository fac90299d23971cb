"""An experiment as Kubernetes Indexed Jobs: one per level. No TensorFlow.

Jobs have no order: a run waits in its pod, holding its devices, until the runs
that it needs are done in the shared folder. On a small cluster, submit a level
when the one before it has ended. A JobSet keeps the order by itself.
"""

from collections.abc import Sequence

from ddep_tf.jobs import levels, pods
from ddep_tf.jobs import resources as resources_lib

USES = pods.USES | {'max_parallel', 'wait_hours'}


def write(name: str, runs: Sequence[levels.Run], command: Sequence[str],
          resources: resources_lib.Resources) -> dict[str, str]:
    """Returns {file name: text}: a Job per level. Arguments as of `slurm`."""
    files = {}
    for level, names in levels.split(runs):
        stem = f'{pods.dns_name(name)}-{level}-{levels.title(level)}'
        file = f'{name}-{level}-{levels.title(level)}.yaml'
        files[file] = pods.to_yaml(
            _head(name, file, len(names), level),
            _job(stem, names, levels.waiting(
                command, level, 60 * resources.wait_hours), resources))
    return files


def _head(name, file, count, level):
    head = [f'{name}, level {level} ({levels.title(level)}): {count} runs, one '
            'per index.',
            f'Submit: kubectl apply -f {file}',
            'Needs Kubernetes 1.29 or later. A claim must be one that several '
            'pods can write to.',
            'To continue after a failure: kubectl delete the job, apply again; '
            'runs that are done are skipped.']
    if level:
        head.append('Each run waits in its pod for the runs that it needs: '
                    'apply the levels in order.')
    return head


def _job(stem, names, command, resources):
    script = levels.choose('JOB_COMPLETION_INDEX', names)
    # exec, so that the run itself is asked to stop, and not the shell.
    script += 'exec "$@" "--only=$run"\n'
    spec = {
        'completionMode': 'Indexed', 'completions': len(names),
        'parallelism': min(len(names), resources.max_parallel or len(names)),
        'backoffLimitPerIndex': resources.retries,
        'podFailurePolicy': {'rules': [
            # A user's mistake, which the other runs most often share.
            pods.on_exit_codes('FailJob', 2),
            # A non-finite loss, needed runs that are not done.
            pods.on_exit_codes('FailIndex', 3, 4),
            pods.on_exit_codes('Count', pods.WORKER_LOST),  # Tried again.
            pods.on_exit_codes('Ignore', 143),  # Resumes from its state.
            pods.DISRUPTED]},
        'template': {'spec': pods.pod(script, command, resources)}}
    return {'apiVersion': 'batch/v1', 'kind': 'Job',
            'metadata': {'name': stem}, 'spec': spec}
