"""Reads the files of an experiment, or of a folder of results/."""

import csv
import dataclasses
import json
import math
import os

from ddep_tf import errors

COPIED = ('experiment.json', 'runs.csv', 'curves.csv', 'per_class.csv',
          'operative.gin')


@dataclasses.dataclass(frozen=True)
class Run:
    """A row of runs.csv. Blank numbers are nan, or None where counted.

    Attributes:
      stage: classify, denoise or segment.
      variant: '' where the experiment has none.
      width: of the decoder.
      setting: its labels as asked for: a count, a fraction, '' for all.
      labels: labelled images of a segment run.
      role: pretraining, sweep or final.
      val, test, single_scale: mIoU in [0, 1] of a segment run; a denoise
        run's val is its loss.
      chosen: the run counts for its arm; of a sweep, the best.
      seconds: wall-clock.
    """
    run: str
    stage: str
    variant: str
    arm: str
    width: int
    setting: str
    labels: int
    subset_sha256: str
    seed: int
    role: str
    learning_rate: float
    weight_decay: float
    chosen: bool
    steps: int
    val: float
    test: float
    single_scale: float
    pixel_accuracy: float
    seconds: float
    commit: str

    def __post_init__(self):
        if self.stage == 'segment' and None in (self.labels, self.seed):
            raise errors.UserError(f'runs.csv: run {self.run!r} must have '
                                   'numbers in the columns labels and seed')


@dataclasses.dataclass(frozen=True)
class Point:
    """A row of curves.csv: mIoU on val, in [0, 1], after `step` steps."""
    run: str
    variant: str
    arm: str
    labels: int
    seed: int
    learning_rate: float
    chosen: bool
    step: int
    val: float


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """A row of per_class.csv: IoU on test in [0, 1]; nan: class not there."""
    run: str
    variant: str
    arm: str
    labels: int
    seed: int
    class_name: str
    iou: float


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a report is made of. What was not there is empty."""
    folder: str
    info: dict
    runs: tuple[Run, ...]
    points: tuple[Point, ...]
    class_scores: tuple[ClassScore, ...]
    subsets: tuple[dict, ...]
    operative_gin: str

    @property
    def name(self):
        return str(self.info['name'])

    @property
    def title(self):
        return str(self.info.get('title') or self.name)

    @property
    def arms(self):
        """Arms in the plan's order, then any others found in the files."""
        found = {run.arm for run in self.runs if run.stage == 'segment'}
        planned = [str(arm) for arm in self.info.get('arms', ())]
        return planned + sorted(found - set(planned))

    @property
    def variants(self):
        """Names of the variants, [''] where there are none."""
        return [str(v['name']) for v in self.info.get('variants', ())] or ['']

    @property
    def axis(self):
        """The field in which the variants differ, '' for none."""
        return str(self.info.get('axis') or '')

    @property
    def axis_values(self):
        """Returns {variant: value of the axis}, a number, text or None."""
        return {str(v['name']): v.get('value')
                for v in self.info.get('variants', ())}

    @property
    def failed(self):
        """Returns {name of a run that failed: reason}."""
        return dict(self.info.get('failed') or {})

    @property
    def status(self):
        """Returns 'n of m runs done'."""
        done, planned = (self.info.get(k, '?') for k in ('done', 'planned'))
        return f'{done} of {planned} runs done'

    @property
    def class_names(self):
        return [str(name) for name in self.info.get('class_names', ())]

    def finished(self):
        """Returns the runs that the tables count: chosen and tested."""
        return [run for run in self.runs if run.stage == 'segment'
                and run.chosen and not math.isnan(run.test)]


def read_experiment(folder):
    """Reads `folder`; all files but experiment.json may still be missing.

    Raises:
      UserError: there is no experiment.json, or a file is malformed.
    """
    folder = os.fspath(folder)
    path = os.path.join(folder, 'experiment.json')
    if not os.path.isfile(path):
        raise errors.UserError(f'{path} is missing: give the folder of an '
                               'experiment that was started')
    info = _read_json(path)
    if not info.get('name'):
        raise errors.UserError(f'{path} has no "name": start the experiment '
                               'again to write it anew')
    return Experiment(
        folder=folder,
        info=info,
        runs=_read_csv(os.path.join(folder, 'runs.csv'), Run),
        points=_read_csv(os.path.join(folder, 'curves.csv'), Point),
        class_scores=_read_csv(
            os.path.join(folder, 'per_class.csv'), ClassScore),
        subsets=_read_subsets(os.path.join(folder, 'subsets')),
        operative_gin=_read_text(os.path.join(folder, 'operative.gin')))


def subset_files(folder):
    """Returns the paths of the subsets' manifests below `folder`, sorted."""
    subsets = os.path.join(folder, 'subsets')
    if not os.path.isdir(subsets):
        return []
    return [os.path.join(subsets, name) for name in sorted(os.listdir(subsets))
            if name.endswith('.json')]


def _read_subsets(folder):
    subsets = [_read_json(path) for path in subset_files(
        os.path.dirname(folder))]
    return tuple(sorted(subsets, key=lambda subset: (
        subset.get('count', 0), subset.get('seed', 0))))


def _read_text(path):
    if not os.path.isfile(path):
        return ''
    with open(path, encoding='utf-8') as file:
        return file.read()


def _read_json(path):
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise errors.UserError(f'{path} is not JSON ({error}): start the '
                               'experiment again to write it anew') from None
    if not isinstance(value, dict):
        raise errors.UserError(f'{path} must hold a JSON object')
    return value


def _read_csv(path, cls):
    """Returns the rows as a tuple of `cls`; () where there is no file."""
    if not os.path.isfile(path):
        return ()
    fields = {'class' if field.name == 'class_name' else field.name: field
              for field in dataclasses.fields(cls)}
    with open(path, encoding='utf-8', newline='') as file:
        reader = csv.DictReader(file)
        missing = sorted(set(fields) - set(reader.fieldnames or ()))
        if missing:
            raise errors.UserError(f'{path} has no column {missing[0]!r}: was '
                                   'it written by another version?')
        return tuple(
            cls(**{field.name: _convert(
                field.type, row[column],
                f'{path}, line {reader.line_num}: {column}')
                for column, field in fields.items()})
            for row in reader)


def _convert(kind, text, where):
    text = (text or '').strip()
    try:
        if kind is str:
            return text
        if kind is bool:
            return bool(int(text or 0))
        if kind is int:
            return int(text) if text else None
        return float(text) if text else math.nan
    except ValueError:
        raise errors.UserError(
            f'{where} must be a number, got {text!r}') from None
