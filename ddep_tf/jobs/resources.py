"""What each run of an experiment may take, whatever the engine. No TF."""

import dataclasses
import math
import re

from ddep_tf import errors

# Slurm reads some of these from comment lines, where a space or a line break
# would begin another option.
_WORD = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.:/@,+-]*')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')
_AT_LEAST = {'gpus': 0, 'hosts': 1, 'cpus': 1, 'memory_gb': 1, 'hours': 1,
             'max_parallel': 0, 'max_array': 1, 'retries': 0, 'wait_hours': 1,
             'grace_seconds': 1}
_WORDS = ('image', 'claim', 'mount', 'tpu_accelerator', 'tpu_topology',
          'partition', 'account', 'qos')


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one run takes, and where it finds it.

    Attributes:
      cpus: processor cores of a host.
      memory_gb: memory of a host, GiB.
      gpus: GPUs of a host; 0 is none.
      hosts: machines that share one run (jobset).
      max_parallel: runs of a level at a time; 0 is no limit.
      retries: starts after a failure that is nobody's mistake (kubernetes,
        jobset).
      grace_seconds: time to save the state in, before a kill.
      workdir: folder to start in; '' is where the job starts anyway.
      hours: time limit of one start of a run (slurm); a run that needs more
        saves its state and queues again.
      max_array: tasks of one array (slurm). Slurm's own MaxArraySize is 1001
        by default, and the highest index is one less.
      partition, account, qos: of the cluster (slurm); '' is its default.
      logs: folder of the tasks' output (slurm).
      image: container image (kubernetes, jobset).
      claim: PersistentVolumeClaim with the data and the runs (kubernetes,
        jobset); more than one pod writes to it at a time.
      mount: where the claim is mounted (kubernetes, jobset).
      wait_hours: how long a run waits for the runs that it needs
        (kubernetes).
      tpu_accelerator: GKE's name of the TPU, 'tpu-v5-lite-podslice' for
        instance; '' is no TPU.
      tpu_topology: the chips of the slice, '2x4' for instance.
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
    def is_slice_of_hosts(self):
        """Whether a run has a TPU slice that spans hosts."""
        return bool(self.tpu_accelerator) and self.hosts > 1

    @property
    def tpu_chips(self):
        """TPU chips of one host; 0 without a TPU."""
        if not self.tpu_accelerator:
            return 0
        return math.prod(map(int, self.tpu_topology.split('x'))) // self.hosts


def check(resources, engine, uses):
    """Raises UserError where the resources are wrong, or not the engine's.

    Args:
      resources: Resources.
      engine: its name, for the message.
      uses: the fields that the engine reads. Another field that is set would
        be ignored, and so is refused.
    """
    for field in dataclasses.fields(resources):
        value = getattr(resources, field.name)
        if field.name not in uses and value != field.default:
            others = ', '.join(sorted(uses))
            raise errors.UserError(f'--{field.name} is nothing that {engine} '
                                   f'takes: leave it out (it takes {others})')
        _check_value(field.name, value)
    _check_tpu(resources)


def _check_value(name, value):
    if name in _AT_LEAST and value < _AT_LEAST[name]:
        raise errors.UserError(f'--{name} {value} is too small: give '
                               f'{_AT_LEAST[name]} or more')
    if name in _WORDS and value and not (
            _WORD.fullmatch(value.removeprefix('/'))):
        raise errors.UserError(f'--{name} {value!r} is no such name: give one '
                               'word, of letters, digits and _.:/@,+-')
    if name == 'logs' and set(value) & set('%\\"\'\n\r'):
        raise errors.UserError(f'--run_dir: the logs in {value!r} have a %, '
                               '\\, quote or line break in their path, which '
                               'Slurm reads as its own: choose another folder')


def _check_tpu(resources):
    accelerator, topology = (resources.tpu_accelerator,
                             resources.tpu_topology)
    if bool(accelerator) != bool(topology):
        raise errors.UserError('a TPU needs both --tpu_accelerator and '
                               '--tpu_topology: give the other one too')
    if not accelerator:
        return
    if resources.gpus:
        raise errors.UserError('--gpus and --tpu_accelerator: a run takes one '
                               'of them, leave the other out')
    if not re.fullmatch(r'[1-9]\d*(x[1-9]\d*){1,2}', topology):
        raise errors.UserError(f'--tpu_topology {topology!r} is no topology: '
                               'give 2x4 or 2x2x1, for instance')
    chips = math.prod(map(int, topology.split('x')))
    if chips % resources.hosts:
        raise errors.UserError(
            f'--tpu_topology {topology} has {chips} chips, which --hosts '
            f'{resources.hosts} cannot share evenly: mend one of them')


def check_plan(name, nodes):
    """Raises UserError where a name or an order cannot be written as jobs.

    Args:
      name: of the experiment.
      nodes: ordered runs, each with `name`, `level` and `needs`.
    """
    levels = {node.name: node.level for node in nodes}
    for wrong in [n for n in (name, *levels) if not _NAME.fullmatch(n)]:
        raise errors.UserError(f'the name {wrong!r} cannot name a job: take '
                               'letters, digits and _.- alone')
    if not nodes or len(levels) < len(nodes):
        raise errors.UserError(f'{name} has no runs, or two of one name: '
                               'see --dry_run')
    for node in nodes:
        for need in node.needs:
            if levels.get(need, node.level) >= node.level:
                raise errors.UserError(
                    f'the run {node.name} needs {need}, which is in no level '
                    'before its own: mend the plan')
