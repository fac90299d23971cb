"""An experiment as Slurm job arrays: one per level, one task per run. No TF.

A level starts `afterany` of the one before it, not `afterok`: after a single
failed run, `afterok` would keep all runs of the next level in the queue
forever, even those that do not need it. Each run itself checks what it needs,
and ends with exit code 4 if that is not done.
"""

from collections.abc import Sequence
import shlex

from ddep_tf.jobs import levels
from ddep_tf.jobs import resources as resources_lib

USES = {'cpus', 'memory_gb', 'gpus', 'max_parallel', 'grace_seconds', 'hours',
        'max_array', 'partition', 'account', 'qos', 'logs', 'workdir'}

# Only the time limit sends USR1, so that a cancelled job, which gets TERM, is
# not queued again. Slurm itself requeues what it preempts.
_RUN = '''\
{hand_on}trap 'asked=yes; hand_on' USR1
trap hand_on TERM
asked=
{command} "--only=$run" &
{wait}\
if [ "$code" -eq 143 ] && [ -n "$asked" ]; then
  echo "$run: time limit reached, the state is saved: requeueing"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
'''

_SUBMIT = '''\
#!/bin/bash
# Submits all levels of {name} to Slurm, in order: bash submit.sh
# Submit again to continue: runs that are done are skipped.
set -eu
command -v sbatch >/dev/null || {{
  echo 'submit.sh: sbatch is not here: run this where Slurm is installed' >&2
  exit 2
}}
cd -- "$(dirname -- "$0")"
mkdir -p -- {logs}
{submits}\
echo 'When they are done, this writes the tables and the report:'
printf '%s\n' {report}
'''


def write(name: str, runs: Sequence[levels.Run], command: Sequence[str],
          resources: resources_lib.Resources) -> dict[str, str]:
    """Returns {file name: text}: scripts for each level, and `submit.sh`.

    Args:
      name: of the experiment.
      runs: in the order of the plan.
      command: starts the experiment; `--only` is added.
      resources: of each run.
    """
    files, submits, before = {}, [], ''
    for level, names in levels.split(runs):
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
    head = [f'# {stem}: {len(names)} runs, one per task. submit.sh submits '
            'all levels in order;',
            f'# this one alone: sbatch {stem}.sbatch']
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
