"""Reads the files of an experiment, or of a folder of results/. No TF."""

import dataclasses
import math
import os
import pathlib
from typing import Any

from ddep_tf import errors, files
from ddep_tf.experiments import records


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The data of a report. What an experiment does not have yet is empty.

    Attributes:
      exp_dir: folder it was read from.
      info: the content of experiment.json.
      runs, points, class_scores: rows of runs.csv, curves.csv, per_class.csv.
      subsets: manifests of the labelled subsets, smallest first.
      operative_gin: the gin bindings in effect, as text.
    """
    exp_dir: str
    info: dict[str, Any]
    runs: tuple[records.RunRow, ...]
    points: tuple[records.CurveRow, ...]
    class_scores: tuple[records.ClassRow, ...]
    subsets: tuple[dict, ...]
    operative_gin: str

    @property
    def name(self) -> str:
        return str(self.info['name'])

    @property
    def title(self) -> str:
        return str(self.info.get('title') or self.name)

    @property
    def spec(self) -> dict[str, Any]:
        """The fields of its ExperimentSpec, {} if they are not known."""
        return self.info.get('spec') or {}

    @property
    def arms(self) -> list[str]:
        """Arms in the plan's order, then any others found in the files."""
        found = {run.arm for run in self.runs if run.is_finetuning}
        planned = [str(arm) for arm in self.info.get('arms', ())]
        return planned + sorted(found - set(planned))

    @property
    def variants(self) -> list[str]:
        """Names of the variants, [''] if there are none."""
        return [str(v['name']) for v in self.info.get('variants', ())] or ['']

    @property
    def axis(self) -> str:
        """The field in which the variants differ, '' for none."""
        return str(self.info.get('axis') or '')

    @property
    def axis_values(self) -> dict[str, int | float | str | None]:
        """{variant: value of the axis}."""
        return {str(v['name']): v.get('value')
                for v in self.info.get('variants', ())}

    @property
    def failed(self) -> dict[str, str]:
        """{name of a failed run: reason}."""
        return dict(self.info.get('failed') or {})

    @property
    def status(self) -> str:
        """'n of m runs done'."""
        done, planned = (self.info.get(k, '?') for k in ('done', 'planned'))
        return f'{done} of {planned} runs done'

    @property
    def class_names(self) -> list[str]:
        return [str(name) for name in self.info.get('class_names', ())]

    @property
    def palette(self) -> list[list[int]]:
        """RGB of the classes, 0 to 255."""
        return list(self.info.get('palette', ()))

    def finished(self) -> list[records.RunRow]:
        """Returns the runs that the tables count: chosen and tested."""
        return [run for run in self.runs if run.is_finetuning
                and run.chosen and not math.isnan(run.test)]


def read_experiment(exp_dir: str | os.PathLike) -> Experiment:
    """Reads an experiment; all files but experiment.json may be missing.

    Raises:
      UserError: there is no experiment.json, or a file is malformed.
    """
    folder = files.path(exp_dir)
    path = folder / 'experiment.json'
    if not path.is_file():
        raise errors.UserError(f'{path} is missing: give the folder of an '
                               'experiment that was started')
    info = files.read_json(path)
    if not info.get('name'):
        raise errors.UserError(f'{path} has no "name": start the experiment '
                               'again to write it anew')
    gin = folder / 'operative.gin'
    return Experiment(
        exp_dir=os.fspath(exp_dir),
        info=info,
        runs=records.read(folder / 'runs.csv', records.RunRow),
        points=records.read(folder / 'curves.csv', records.CurveRow),
        class_scores=records.read(folder / 'per_class.csv', records.ClassRow),
        subsets=_read_subsets(exp_dir),
        operative_gin=gin.read_text(encoding='utf-8') if gin.is_file() else '')


def subset_files(exp_dir: str | os.PathLike) -> list[pathlib.Path]:
    """Returns the paths of an experiment's subset manifests, sorted."""
    return sorted(files.path(exp_dir, 'subsets').glob('*.json'))


def _read_subsets(exp_dir):
    subsets = [files.read_json(path) for path in subset_files(exp_dir)]
    return tuple(sorted(subsets, key=lambda subset: (
        subset.get('count', 0), subset.get('seed', 0))))
