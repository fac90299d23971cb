"""An experiment as Kubernetes Indexed Jobs: one a level. No TF.

Jobs know no order: a run waits in its pod, with its devices, until the runs
that it needs are done in the shared folder. Where nodes are few, submit a
level when the one before has ended. A JobSet keeps the order itself.
"""

from ddep_tf.jobs import levels, pods

USES = pods.USES | {'max_parallel', 'wait_hours'}


def write(name, nodes, command, resources):
    """Returns {file name: text}: a Job a level; arguments as of `slurm`."""
    files = {}
    for level, names in levels.split(nodes):
        stem = f'{pods.dns_name(name)}-{level}-{levels.title(level)}'
        file = f'{name}-{level}-{levels.title(level)}.yaml'
        files[file] = pods.to_yaml(
            _head(name, file, len(names), level),
            _job(stem, names, levels.waiting(
                command, level, 60 * resources.wait_hours), resources))
    return files


def _head(name, file, count, level):
    head = [f'{name}, level {level} ({levels.title(level)}): {count} runs, one '
            'an index.',
            f'Submit: kubectl apply -f {file}',
            'Needs Kubernetes 1.29 or later, and a claim that many pods may '
            'write to.',
            'To go on after a failure: kubectl delete the job, apply again; '
            'runs that are done are skipped.']
    if level:
        head.append('Each run waits in its pod for the runs that it needs: '
                    'apply the levels in order.')
    return head


def _job(stem, names, command, resources):
    script = levels.choose('JOB_COMPLETION_INDEX', names)
    # In place of the shell, so that the run itself is asked to stop.
    script += 'exec "$@" "--only=$run"\n'
    spec = {
        'completionMode': 'Indexed', 'completions': len(names),
        'parallelism': min(len(names), resources.max_parallel or len(names)),
        'backoffLimitPerIndex': resources.retries,
        'podFailurePolicy': {'rules': [
            # A mistake, a loss that is not finite, needs that are not done.
            pods.on_exit_codes('FailIndex', 2, 3, 4),
            pods.on_exit_codes('Ignore', 143),  # Goes on from its state.
            pods.DISRUPTED]},
        'template': {'spec': pods.pod(script, command, resources)}}
    return {'apiVersion': 'batch/v1', 'kind': 'Job',
            'metadata': {'name': stem}, 'spec': spec}
