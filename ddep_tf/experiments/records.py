"""The rows of runs.csv, curves.csv, per_class.csv, and of per_image.csv in
the folder of a run. No TF.

One dataclass per file: its fields are the columns, in order. A column that a
file lacks reads as blank, and a column without a field is ignored, so that
results of other versions stay readable. To record another number of a run's
result, add a field to RunRow.
"""

from collections.abc import Mapping
import csv
import dataclasses
import math
import os
from typing import Any, TypeVar

from ddep_tf import errors, files

PRETRAINING, SWEEP, FINAL = ROLES = ('pretraining', 'sweep', 'final')
Row = TypeVar('Row')


def of_result(*keys: str, title: str = '') -> dict[str, Any]:
    """Metadata of a field whose value is found in a run's result.

    Args:
      *keys: nested keys of `result.json`, the outermost first.
      title: of its column in the table of scores, as the mean over runs in
        points (times 100); '' leaves it out of that table.
    """
    return {'keys': keys, 'title': title}


@dataclasses.dataclass(frozen=True)
class RunRow:
    """A row of runs.csv. A blank cell is nan in a float, None in an int.

    Attributes:
      run: name of the run.
      stage: one of specs.STAGES.
      variant: '' if the experiment has none.
      width: width multiplier of the decoder.
      setting: the labels asked for, a count or a fraction; '' for all.
      labels: number of labelled images that a fine-tuning uses.
      role: one of ROLES; '' in files that have no such column.
      chosen: whether the run counts for its arm; of a sweep, the best does.
      val, test: mIoU in [0, 1] of a fine-tuning; else what its stage
        measures, such as the denoising loss.
      single_scale: test mIoU in [0, 1] at scale 1.0 without flips.
      seconds: wall-clock time.
    """
    run: str
    stage: str
    variant: str
    arm: str
    width: int
    setting: str
    labels: int
    subset_sha256: str = dataclasses.field(metadata=of_result('subset_sha256'))
    seed: int
    role: str
    learning_rate: float
    weight_decay: float
    chosen: bool
    steps: int = dataclasses.field(metadata=of_result('steps'))
    val: float = dataclasses.field(metadata=of_result('val'))
    test: float = dataclasses.field(metadata=of_result('test'))
    single_scale: float = dataclasses.field(metadata=of_result(
        'test_details', 'single_scale', 'mean_iou', title='Single scale'))
    pixel_accuracy: float = dataclasses.field(metadata=of_result(
        'test_details', 'pixel_accuracy', title='Pixel accuracy'))
    seconds: float = dataclasses.field(metadata=of_result('seconds'))
    commit: str = dataclasses.field(metadata=of_result('commit'))
    encoder_factor: float

    def __post_init__(self):
        if not self.run:
            raise errors.UserError("runs.csv has a row without a 'run'")
        if self.is_finetuning and (
                not self.arm or None in (self.labels, self.seed)):
            raise errors.UserError(
                f'runs.csv: run {self.run!r} must have an arm, and numbers in '
                'the columns labels and seed')

    @property
    def is_finetuning(self) -> bool:
        """Whether the run was fine-tuned on labelled images."""
        return self.role in (SWEEP, FINAL)


@dataclasses.dataclass(frozen=True)
class CurveRow:
    """A row of curves.csv: val mIoU, in [0, 1], after `step` steps."""
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
class ClassRow:
    """A row of per_class.csv: test IoU in [0, 1], nan for an absent class."""
    run: str
    variant: str
    arm: str
    labels: int
    seed: int
    class_name: str = dataclasses.field(metadata={'column': 'class'})
    iou: float


@dataclasses.dataclass(frozen=True)
class ImageRow:
    """A row of per_image.csv: a test image's own mean IoU in [0, 1], nan if
    nothing in it counts."""
    id: str
    mean_iou: float


def columns(cls: type) -> list[str]:
    """Returns the columns of a class of rows, in the order of its file."""
    return [_column(field) for field in dataclasses.fields(cls)]


def measured(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {column of runs.csv: its value in a run's result, or None}."""
    return {field.name: _find(result, field.metadata['keys'])
            for field in dataclasses.fields(RunRow)
            if 'keys' in field.metadata}


def metrics() -> dict[str, str]:
    """Returns {column of runs.csv: its title in the table of scores}."""
    return {field.name: field.metadata['title']
            for field in dataclasses.fields(RunRow)
            if field.metadata.get('title')}


def read(path: str | os.PathLike, cls: type[Row]) -> tuple[Row, ...]:
    """Returns the rows of a file as a tuple of `cls`, () if it is missing.

    Raises:
      UserError: a cell that must be a number is not.
    """
    if not files.path(path).is_file():
        return ()
    with files.path(path).open(encoding='utf-8', newline='') as file:
        reader = csv.DictReader(file)
        return tuple(_parse(cls, row, f'{path}, line {reader.line_num}')
                     for row in reader)


def _column(field):
    return field.metadata.get('column', field.name)


def _find(result, keys):
    for key in keys:
        result = (result or {}).get(key)
    return result


def _parse(cls, row, place):
    return cls(**{
        field.name: _value(field.type, (row.get(_column(field)) or '').strip(),
                           f'{place}: {_column(field)}')
        for field in dataclasses.fields(cls)})


def _value(kind, text, cell):
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
            f'{cell} must be a number, got {text!r}') from None
