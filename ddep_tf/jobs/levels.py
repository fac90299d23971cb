"""The levels of a plan, and what every job script shares. No TF."""

import itertools

from ddep_tf.experiments import plan

# A shell that is asked to stop hands this on, and waits until the state is
# saved. `wait` returns at a trapped signal too, hence the loop.
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


def split(nodes):
    """Returns [(level, [name of a run])], lowest level first."""
    ordered = sorted(nodes, key=lambda node: node.level)  # Keeps their order.
    return [(level, [node.name for node in group]) for level, group in
            itertools.groupby(ordered, key=lambda node: node.level)]


def title(level):
    """Returns the name of a level, for jobs and files."""
    return plan.LEVELS[level]


def waiting(command, level, minutes=2):
    """Returns the command as runs of a level wait for what they need.

    The default bears with a network folder, which may show a result late: NFS
    keeps a directory for up to 60 s.
    """
    return [*command, f'--wait={minutes}'] if level else list(command)


def choose(variable, names):
    """Returns shell lines that set `run` to the run of the index in `variable`.

    Args:
      variable: name of the engine's environment variable.
      names: list of run names, [A-Za-z0-9_.-] each, safe in any shell.
    """
    lines = [f'case "${{{variable}:-}}" in']
    lines += [f'{index}) run={name} ;;' for index, name in enumerate(names)]
    lines += [f'*) echo "no run has the number \'${{{variable}:-}}\' in '
              f'{variable}" >&2; exit 2 ;;', 'esac', '']
    return '\n'.join(lines)
