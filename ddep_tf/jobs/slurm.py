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

USES = {'cpus', 'memory_gb', 'gpus', 'hosts', 'max_parallel', 'retries',
        'grace_seconds', 'hours', 'max_array', 'partition', 'account', 'qos',
        'logs', 'workdir'}

# One task of an array has the array's number as its own SLURM_JOB_ID, by which
# scontrol and scancel would reach all tasks. Of the restarts only those after
# a lost worker are counted: a long run has any number at its time limit.
_NAMES = '''\
own_job="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
losses=$(realpath -m -- {logs})/{stem}-$own_job.lost
'''
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
  scontrol requeue "$own_job"
fi
case "$code" in {lost})
  if [ "$(cat -- "$losses" 2>/dev/null | wc -l)" -lt {retries} ]; then
    echo "$run" >>"$losses"
    echo "$run: a worker was lost: requeueing"
    scontrol requeue "$own_job"
  fi ;;
esac
exit "$code"
'''
_LOST = '75'  # cli.WORKER_LOST.

# One process per node; TF_CONFIG tells each of them where all are. Jobs that
# share a node must not share a port. srun ends with the highest of the exit
# codes: that of a process that was killed, 137, hides the 75 of the others,
# which notice it and end by themselves.
_TOGETHER = '''\
port=$((20000 + SLURM_JOB_ID % 1250 * 8))
workers=
for host in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do
  for task in $(seq 0 $((${SLURM_NTASKS_PER_NODE:-1} - 1))); do
    workers="$workers${workers:+, }\\"$host:$((port + task))\\""
  done
done
as_worker='
export TF_CONFIG="{\\"cluster\\": {\\"worker\\": [$0]},
  \\"task\\": {\\"type\\": \\"worker\\", \\"index\\": $SLURM_PROCID}}"
exec "$@"'
'''
# From Slurm 22.05 on srun does not take the cores of sbatch by itself.
_SRUN = ('srun --label --kill-on-bad-exit=0 --wait=0 --cpus-per-task={cpus} '
         'bash -c "$as_worker" "$workers" ')
_KILLED = '137'
# At a SIGTERM, srun kills its processes at once.
_HAND_ON_TO_ALL = (
    'hand_on() { signalled=yes; scancel --signal=TERM "$own_job"; }\n')

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
    text += _NAMES.format(logs=shlex.quote(resources.logs), stem=stem)
    if resources.workdir:
        text += f'cd -- {shlex.quote(resources.workdir)} || exit 2\n'
    hand_on, start, lost = levels.HAND_ON, '', _LOST
    if resources.hosts > 1:
        text += _TOGETHER
        hand_on = _HAND_ON_TO_ALL
        start = _SRUN.format(cpus=resources.cpus)
        lost = f'{_LOST}|{_KILLED}'
    return text + _RUN.format(
        hand_on=hand_on, wait=levels.WAIT_FOR_CHILD, lost=lost,
        retries=resources.retries, command=start + shlex.join(command))


def _options(stem, count, resources):
    at_a_time = f'%{resources.max_parallel}' if resources.max_parallel else ''
    options = [
        f'--job-name={stem}', f'--array=0-{count - 1}{at_a_time}',
        f'--nodes={resources.hosts}', '--ntasks-per-node=1',
        f'--cpus-per-task={resources.cpus}',
        f'--mem={resources.memory_gb}G', f'--time={resources.hours}:00:00',
        '--requeue', '--open-mode=append',
        f'--signal=B:USR1@{resources.grace_seconds}',
        f'--output="{resources.logs}/%x-%A_%a.log"']
    if resources.gpus:
        options.append(f'--gres=gpu:{resources.gpus}')
    return options + [f'--{key}={getattr(resources, key)}' for key in
                      ('partition', 'account', 'qos')
                      if getattr(resources, key)]
