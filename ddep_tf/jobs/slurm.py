"""An experiment as Slurm job arrays: one a level, one task a run. No TF.

The next level starts `afterany` of the one before, not `afterok`: where one
run failed, `afterok` would leave all runs of the next level in the queue for
ever, also those that need nothing of it. Each run looks for what it needs
itself, and ends with exit code 4 where that is not done.
"""

import shlex

from ddep_tf.jobs import levels

USES = {'cpus', 'memory_gb', 'gpus', 'max_parallel', 'grace_seconds', 'hours',
        'max_array', 'partition', 'account', 'qos', 'logs', 'workdir'}

# USR1 comes from the time limit alone, so that a cancelled job, which gets
# TERM, is not queued again. Slurm itself queues what it preempts.
_RUN = '''\
{hand_on}trap 'asked=yes; hand_on' USR1
trap hand_on TERM
asked=
{command} "--only=$run" &
{wait}\
if [ "$code" -eq 143 ] && [ -n "$asked" ]; then
  echo "$run: its time is over, the state is saved: queueing it again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
'''

_SUBMIT = '''\
#!/bin/bash
# Submits all levels of {name} to Slurm, each after the one before: bash submit.sh
# Submit again to go on: runs that are done are skipped.
set -eu
command -v sbatch >/dev/null || {{
  echo 'submit.sh: sbatch is not here: run this where Slurm is' >&2
  exit 2
}}
cd -- "$(dirname -- "$0")"
mkdir -p -- {logs}
{submits}\
echo 'When they are done, this writes the tables and the report:'
printf '%s\n' {report}
'''


def write(name, nodes, command, resources):
    """Returns {file name: text}: a script a level and `submit.sh`.

    Args:
      name: of the experiment.
      nodes: runs, each with `name`, `level` and `needs`.
      command: list of str that starts the experiment; `--only` is added.
      resources: Resources.
    """
    files, submits, before = {}, [], ''
    for level, names in levels.split(nodes):
        ids = []
        for part, some in enumerate(_parts(names, resources.max_array)):
            stem = f'{name}-{level}-{levels.title(level)}'
            stem += f'-{part}' if len(names) > resources.max_array else ''
            files[f'{stem}.sbatch'] = _script(
                stem, some, levels.waiting(command, level), resources)
            ids.append(f'level{level}_{part}')
            submits.append(f'{ids[-1]}=$(sbatch --parsable {before}'
                           f'{stem}.sbatch)\n'
                           f'echo "{stem}: job ${ids[-1]}"\n')
        # --parsable prints JOB, or JOB;CLUSTER.
        before = '--dependency=afterany:' + ':'.join(
            f'"${{{i}%%;*}}"' for i in ids) + ' '
    files['submit.sh'] = _SUBMIT.format(
        name=name, logs=shlex.quote(resources.logs), submits=''.join(submits),
        report=shlex.quote(shlex.join(command)))
    return files


def _parts(names, size):
    return [names[i:i + size] for i in range(0, len(names), size)]


def _script(stem, names, command, resources):
    head = [f'# {stem}: {len(names)} runs, one a task. submit.sh submits all '
            'levels in order;', f'# this one alone: sbatch {stem}.sbatch']
    options = [f'#SBATCH {option}' for option in
               _options(stem, len(names), resources)]
    text = '\n'.join(['#!/bin/bash', *head, *options, ''])
    text += levels.choose('SLURM_ARRAY_TASK_ID', names)
    if resources.workdir:
        text += f'cd -- {shlex.quote(resources.workdir)} || exit 2\n'
    return text + _RUN.format(hand_on=levels.HAND_ON,
                              wait=levels.WAIT_FOR_CHILD,
                              command=shlex.join(command))


def _options(stem, count, resources):
    at_a_time = f'%{resources.max_parallel}' if resources.max_parallel else ''
    options = [
        f'--job-name={stem}', f'--array=0-{count - 1}{at_a_time}',
        '--nodes=1', '--ntasks=1', f'--cpus-per-task={resources.cpus}',
        f'--mem={resources.memory_gb}G', f'--time={resources.hours}:00:00',
        '--requeue', '--open-mode=append',
        f'--signal=B:USR1@{resources.grace_seconds}',
        f'--output="{resources.logs}/%x-%A_%a.log"']
    if resources.gpus:
        options.append(f'--gres=gpu:{resources.gpus}')
    return options + [f'--{key}={getattr(resources, key)}' for key in
                      ('partition', 'account', 'qos')
                      if getattr(resources, key)]
