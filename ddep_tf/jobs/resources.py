"""The resources of a run, for any scheduler. No TensorFlow."""

from collections.abc import Collection, Sequence
import dataclasses
import math
import re

from ddep_tf import errors
from ddep_tf.jobs import levels

# Slurm reads some of these from comment lines, in which a space or line break
# would start another option.
_WORD = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.:/@,+-]*')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')
_MINIMUM = {'gpus': 0, 'hosts': 1, 'cpus': 1, 'memory_gb': 1, 'hours': 1,
            'max_parallel': 0, 'max_array': 1, 'retries': 0, 'wait_hours': 1,
            'grace_seconds': 1}
_WORDS = ('image', 'claim', 'mount', 'tpu_accelerator', 'tpu_topology',
          'partition', 'account', 'qos')


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one run uses, and where.

    Attributes:
      cpus: processor cores per host.
      memory_gb: memory per host, GiB.
      gpus: GPUs per host; 0 is none.
      hosts: machines that share one run (slurm, jobset).
      max_parallel: runs of a level at a time (slurm, kubernetes); 0 is no
        limit.
      retries: restarts after a failure other than a user's mistake; of slurm,
        after a worker was lost.
      grace_seconds: time to save the state before a kill.
      workdir: folder to start in; '' is the scheduler's default.
      hours: time limit of one job (slurm). A run that needs longer saves
        its state and is queued again.
      max_array: tasks per array (slurm). Slurm's own MaxArraySize is 1001 by
        default, and the highest index is one less.
      partition, account, qos: of the cluster (slurm); '' is its default.
      logs: folder of the tasks' output (slurm).
      image: container image (kubernetes, jobset).
      claim: PersistentVolumeClaim with the data and the runs (kubernetes,
        jobset); several pods write to it at a time. '' where both lie in a
        bucket.
      mount: where the claim is mounted (kubernetes, jobset).
      wait_hours: how long a run waits for the runs that it needs
        (kubernetes).
      tpu_accelerator: GKE's name of the TPU, such as 'tpu-v5-lite-podslice';
        '' is no TPU.
      tpu_topology: the chips of the slice, such as '2x4'.
    """
    cpus: int = 4
    memory_gb: int = 16
    gpus: int = 0
    hosts: int = 1
    max_parallel: int = 0
    retries: int = 3
    grace_seconds: int = 120
    workdir: str = ''
    hours: int = 24
    max_array: int = 1000
    partition: str = ''
    account: str = ''
    qos: str = ''
    logs: str = 'logs'
    image: str = ''
    claim: str = ''
    mount: str = '/mnt/ddep'
    wait_hours: int = 168
    tpu_accelerator: str = ''
    tpu_topology: str = ''

    @property
    def is_slice_of_hosts(self) -> bool:
        """Whether a run has a TPU slice that spans several hosts."""
        return bool(self.tpu_accelerator) and self.hosts > 1

    @property
    def tpu_chips(self) -> int:
        """TPU chips per host; 0 without a TPU."""
        if not self.tpu_accelerator:
            return 0
        return _chips(self.tpu_topology) // self.hosts


def check(resources: Resources, scheduler: str,
          uses: Collection[str]) -> None:
    """Raises UserError if a resource is wrong, or one the scheduler ignores.

    Args:
      resources: those asked for.
      scheduler: its name, for the message.
      uses: the fields that it reads.
    """
    for field in dataclasses.fields(resources):
        value = getattr(resources, field.name)
        if field.name not in uses and value != field.default:
            raise errors.UserError(
                f'--{field.name} is not used by {scheduler}: leave it out (it '
                f'uses {", ".join(sorted(uses))})')
        _check_value(field.name, value)
    _check_tpu(resources)


def _check_value(name, value):
    if name in _MINIMUM and value < _MINIMUM[name]:
        raise errors.UserError(f'--{name} {value} is too small: give '
                               f'{_MINIMUM[name]} or more')
    if name in _WORDS and value and not (
            _WORD.fullmatch(value.removeprefix('/'))):
        raise errors.UserError(f'--{name} {value!r} is not a valid name: give '
                               'one word of letters, digits and _.:/@,+-')
    if name == 'logs' and set(value) & set('%\\"\'\n\r'):
        raise errors.UserError(f'--run_dir: the path of the logs, {value!r}, '
                               'has a %, \\, quote or line break, which Slurm '
                               'would interpret: choose another folder')


def _check_tpu(resources):
    accelerator, topology = (resources.tpu_accelerator,
                             resources.tpu_topology)
    if bool(accelerator) != bool(topology):
        raise errors.UserError('a TPU needs both --tpu_accelerator and '
                               '--tpu_topology: give the other one too')
    if not accelerator:
        return
    if resources.gpus:
        raise errors.UserError('--gpus and --tpu_accelerator: a run uses one '
                               'of them, leave the other out')
    if not re.fullmatch(r'[1-9]\d*(x[1-9]\d*){1,2}', topology):
        raise errors.UserError(f'--tpu_topology {topology!r} is not a '
                               'topology, such as 2x4 or 2x2x1')
    chips = _chips(topology)
    if chips % resources.hosts:
        raise errors.UserError(
            f'--tpu_topology {topology} has {chips} chips, which --hosts '
            f'{resources.hosts} cannot share evenly: change one of them')


def _chips(topology):
    return math.prod(map(int, topology.split('x')))


def check_plan(name: str, runs: Sequence[levels.Run]) -> None:
    """Raises UserError if a name or the order cannot be written as jobs.

    Args:
      name: of the experiment.
      runs: in the order of the plan.
    """
    level_of = {run.name: run.level for run in runs}
    for wrong in [n for n in (name, *level_of) if not _NAME.fullmatch(n)]:
        raise errors.UserError(f'{wrong!r} cannot be the name of a job: use '
                               'letters, digits and _.- only')
    if not runs or len(level_of) < len(runs):
        raise errors.UserError(f'{name} has no runs, or two of one name: '
                               'see --dry_run')
    for run in runs:
        for need in run.needs:
            if level_of.get(need, run.level) >= run.level:
                raise errors.UserError(
                    f'the run {run.name} needs {need}, which is in no earlier '
                    'level: correct the plan')
