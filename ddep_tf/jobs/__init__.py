"""Writes an experiment's runs as job files for a scheduler. No TensorFlow.

Slurm, Kubernetes or JobSet keep the queue, the order and the retries. Each job
is the experiment's own command with `--only=NAME`, which skips a run that is
done and resumes one that was interrupted.
"""

from collections.abc import Sequence
import os
import pathlib

from ddep_tf import errors
from ddep_tf import files as files_lib
from ddep_tf.jobs import jobset, kubernetes, levels, slurm
from ddep_tf.jobs import resources as resources_lib

Resources = resources_lib.Resources
SCHEDULERS = {'slurm': slurm, 'kubernetes': kubernetes, 'jobset': jobset}


def texts(scheduler: str, name: str, runs: Sequence[levels.Run],
          command: Sequence[str], resources: Resources) -> dict[str, str]:
    """Returns {file name: text} of the job files.

    Args:
      scheduler: one of SCHEDULERS.
      name: of the experiment, [A-Za-z0-9_.-].
      runs: in the order of the plan; their names are [A-Za-z0-9_.-] too.
      command: starts the experiment; each job adds `--only=NAME` of its run.
      resources: of each run.

    Raises:
      UserError: an unknown scheduler, resources that are wrong or that it
        does not use, or a plan that cannot be written as jobs.
    """
    if scheduler not in SCHEDULERS:
        raise errors.UserError('--engine must be one of '
                               f'{", ".join(SCHEDULERS)}, got {scheduler!r}')
    module = SCHEDULERS[scheduler]
    resources_lib.check(resources, scheduler, module.USES)
    if 'image' in module.USES and not resources.image:
        raise errors.UserError(f'--image is missing: {scheduler} needs it')
    resources_lib.check_plan(name, runs)
    return module.write(name, runs, command, resources)


def write(scheduler: str, name: str, runs: Sequence[levels.Run],
          command: Sequence[str], resources: Resources,
          folder: str | os.PathLike) -> list[pathlib.Path]:
    """Writes the job files into a folder. Arguments as of `texts`.

    Returns:
      The files, in the order in which they are submitted.

    Raises:
      UserError: as `texts`, or the folder cannot be written.
    """
    files_lib.require_local(folder, '--jobs_dir', 'job files are submitted '
                            'from a local folder, name one')
    paths = []
    for file, text in texts(scheduler, name, runs, command, resources).items():
        path = files_lib.path(folder, file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files_lib.write_text(path, text)
            if path.suffix == '.sh':
                path.chmod(0o755)
        except OSError as error:
            raise errors.UserError(f'--jobs_dir {folder} cannot be written: '
                                   f'{error.strerror}') from error
        paths.append(path)
    return paths
