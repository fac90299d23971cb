"""Writes an experiment's runs out for engines that people already have.

Slurm, Kubernetes or JobSet keep the queue, the order and the retries; each run
is the experiment's own command with `--only=NAME`, which skips what is done
and goes on with what was cut off. No TF.
"""

import os
import pathlib

from ddep_tf import errors
from ddep_tf.jobs import jobset, kubernetes, slurm
from ddep_tf.jobs import resources as _resources

Resources = _resources.Resources
ENGINES = {'slurm': slurm, 'kubernetes': kubernetes, 'jobset': jobset}


def texts(engine, name, nodes, command, resources):
    """Returns {file name: text} of the job files.

    Args:
      engine: 'slurm', 'kubernetes' or 'jobset'.
      name: of the experiment, [A-Za-z0-9_.-].
      nodes: ordered runs, each with `name` (str, [A-Za-z0-9_.-]), `level`
        (int, from 0) and `needs` (names of runs of lower levels).
      command: list of str that starts the experiment; each job adds
        `--only=NAME` of its run.
      resources: Resources.

    Raises:
      UserError: an unknown engine, resources that are wrong or not the
        engine's, or a plan that cannot be written as jobs.
    """
    if engine not in ENGINES:
        raise errors.UserError(f'--engine must be one of {", ".join(ENGINES)}'
                               f', got {engine!r}')
    module = ENGINES[engine]
    _resources.check(resources, engine, module.USES)
    for needed in {'image', 'claim'} & module.USES:
        if not getattr(resources, needed):
            raise errors.UserError(f'--{needed} is missing: {engine} needs it')
    _resources.check_plan(name, nodes)
    return module.write(name, nodes, command, resources)


def write(engine, name, nodes, command, resources, folder):
    """Writes the job files into a folder. Arguments as of `texts`.

    Returns:
      list of pathlib.Path, in the order in which they are submitted.

    Raises:
      UserError: as `texts`, or the folder cannot be written.
    """
    files = texts(engine, name, nodes, command, resources)
    where = pathlib.Path(folder)
    try:
        where.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (where / file).write_text(text, encoding='utf-8')
            if file.endswith('.sh'):
                os.chmod(where / file, 0o755)
    except OSError as error:
        raise errors.UserError(f'--jobs_dir {folder} cannot be written: '
                               f'{error.strerror}') from error
    return [where / file for file in files]
