"""Divides a machine between runs that are executed at a time. No TF."""

import dataclasses
import glob
import os

from ddep_tf import errors
from ddep_tf.data import parallel


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of a machine that a process may use.

    Attributes:
      cores: numbers of its cores.
      environment: variables that keep TensorFlow to it.
    """
    cores: tuple[int, ...]
    environment: dict[str, str]


def slots_of(text: str) -> int:
    """Returns the number of runs at a time that `--parallel` asks for.

    Args:
      text: a number, or 'auto': one run per GPU, or per core if there is none.

    Raises:
      UserError: it is neither, or more than there are GPUs.
    """
    gpus = visible_gpus()
    if text == 'auto':
        return len(gpus) or parallel.cores()
    if not text.isdecimal() or int(text) < 1:
        raise errors.UserError('--parallel must be a number from 1 on, or '
                               f'auto, got {text!r}')
    if gpus and int(text) > len(gpus):
        raise errors.UserError(
            f'--parallel={text} is more than the number of GPUs here, '
            f'{len(gpus)}, and two runs do not share the memory of one')
    return int(text)


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA names them.

    TensorFlow is not asked, since it would take their memory.
    """
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    if given is None:
        return list(map(str, range(len(glob.glob('/dev/nvidia[0-9]*')))))
    return [name for name in given.split(',') if name not in ('', '-1')]


def shares(count: int) -> list[Share]:
    """Divides the cores and GPUs of this process into `count` shares.

    If there are fewer cores than shares, they are shared in turn.
    """
    cores, gpus = parallel.core_ids(), visible_gpus()
    found = []
    for index in range(count):
        own = cores[index * len(cores) // count:
                    (index + 1) * len(cores) // count]
        own = own or [cores[index % len(cores)]]
        environment = {'TF_NUM_INTRAOP_THREADS': str(len(own)),
                       'TF_NUM_INTEROP_THREADS': str(len(own))}
        if gpus:
            environment['CUDA_VISIBLE_DEVICES'] = gpus[index % len(gpus)]
        found.append(Share(tuple(own), environment))
    return found


def take(share: Share) -> None:
    """Keeps this process to a share; before it imports TensorFlow."""
    os.environ.update(share.environment)
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, share.cores)
