"""The folder of an experiment: created, or checked to hold the same one."""

import dataclasses
import os
import pathlib
from typing import Any

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.runtime import run_folder

PLAN = 'plan.json'


def open_experiment(exp_dir: str | os.PathLike, spec: spec_lib.ExperimentSpec,
                    templates: plan_lib.Templates,
                    operative: str) -> pathlib.Path:
    """Creates the folder, or checks that it holds the same experiment.

    Args:
      exp_dir: path.
      spec: ExperimentSpec.
      templates: {variant: {stage: RunSpec}}.
      operative: the operative gin config as text.

    Raises:
      UserError: runs of another experiment were started in the folder, or it
        cannot be created.
    """
    folder = files.path(exp_dir)
    if is_started(folder) and _read(folder / PLAN) != (spec, templates):
        raise errors.UserError(
            f'--run_dir {folder} holds another experiment or another '
            'version of this one: choose another folder, and take over the '
            f'runs that stay the same by --reuse={folder}')
    files.make_folder(folder, '--run_dir')
    files.make_folder(folder / 'subsets', '--run_dir')
    files.write_json(folder / PLAN, {
        'spec': dataclasses.asdict(spec),
        'stages': {variant: {stage: dataclasses.asdict(run)
                             for stage, run in stages.items()}
                   for variant, stages in templates.items()}})
    files.write_text(folder / 'operative.gin', operative)
    return folder


def is_started(exp_dir: pathlib.Path) -> bool:
    """Whether a run of the experiment has saved anything."""
    return any(map(run_folder.is_started, exp_dir.glob('runs/*')))


def _read(path: pathlib.Path) -> Any:
    """Returns (spec, templates) of a plan, None if they cannot be read.

    Fields that an earlier version did not have are at their defaults.
    """
    found = files.read_json(path)
    try:
        return (spec_base.from_dict(spec_lib.ExperimentSpec, found['spec']),
                {variant: {stage: spec_base.from_dict(specs.RunSpec, run)
                           for stage, run in stages.items()}
                 for variant, stages in found['stages'].items()})
    except (errors.UserError, AttributeError, KeyError, TypeError):
        return None
