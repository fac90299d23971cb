"""The levels of a plan, and what all job scripts share. No TensorFlow."""

from collections.abc import Iterable, Sequence
import itertools
from typing import Protocol

from ddep_tf.experiments import plan

# A shell that is asked to stop passes the signal on and waits until the state
# is saved. `wait` also returns at a trapped signal, hence the loop.
WAIT_FOR_CHILD = '''\
child=$!
while true; do
  signalled=
  wait "$child"
  code=$?
  [ -n "$signalled" ] || break
done
'''
HAND_ON = 'hand_on() { signalled=yes; kill -TERM "$child" 2>/dev/null; }\n'


class Run(Protocol):
    """What the jobs need to know of a planned run."""

    @property
    def name(self) -> str:
        """Unique in the experiment."""

    @property
    def level(self) -> int:
        """Index into plan.LEVELS."""

    @property
    def needs(self) -> Sequence[str]:
        """Names of runs of lower levels that must be done before."""


def split(runs: Iterable[Run]) -> list[tuple[int, list[str]]]:
    """Returns [(level, names of its runs in order)], lowest level first."""
    ordered = sorted(runs, key=lambda run: run.level)
    return [(level, [run.name for run in group]) for level, group in
            itertools.groupby(ordered, key=lambda run: run.level)]


def title(level: int) -> str:
    """Returns the name of a level, for jobs and files."""
    return plan.LEVELS[level]


def waiting(command: Sequence[str], level: int,
            minutes: int = 2) -> list[str]:
    """Returns the command of a level's runs, which wait for what they need.

    The default allows for a network folder that shows a result late: NFS
    caches a directory for up to 60 s.
    """
    return [*command, f'--wait={minutes}'] if level else list(command)


def choose(variable: str, names: Sequence[str]) -> str:
    """Returns shell lines that set `run` by the index in `variable`.

    Args:
      variable: an environment variable that the scheduler sets.
      names: of the runs, [A-Za-z0-9_.-], which is safe in any shell.
    """
    lines = [f'case "${{{variable}:-}}" in']
    lines += [f'{index}) run={name} ;;' for index, name in enumerate(names)]
    lines += [f'*) echo "no run has the index \'${{{variable}:-}}\' of '
              f'{variable}" >&2; exit 2 ;;', 'esac', '']
    return '\n'.join(lines)
