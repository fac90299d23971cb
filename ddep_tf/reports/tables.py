"""The tables of a report: lists of rows of strings, the first the head."""

from collections.abc import Callable, Sequence
import math
import operator
from typing import Any

from ddep_tf import files
from ddep_tf.experiments import records
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import learning, read, stats

BLANK = '-'
FACTOR = 'Encoder factor'  # Blank in results of versions without a grid of it.
Table = list[list[str]]
_Columns = list[tuple[str, Callable[[Any], str]]]


def score_rows(experiment: read.Experiment) -> Table:
    """Returns test mIoU per label setting, variant and arm."""
    def metric(column):
        return lambda score: points(score.metrics[column])
    measured: _Columns = [(title, metric(column))
                          for column, title in records.metrics().items()]
    columns: _Columns = [
        ('Labelled images', lambda s: spec_lib.label_text(
            str(s.labels), s.setting)),
        *_variant_column(experiment),
        ('Arm', lambda s: s.arm), ('Test mIoU', lambda s: points(s.mean)),
        ('Std', lambda s: points(s.std)), ('Runs', _runs), *measured,
        ('Learning rate', lambda s: ', '.join(map(_rate, s.learning_rates))),
        ('Weight decay', lambda s: ', '.join(map(_rate, s.weight_decays))),
        (FACTOR, lambda s: ', '.join(map(_rate, s.encoder_factors)))]
    return _without_blank(_table(columns, stats.scores(experiment)),
                          [title for title, _ in measured] + [FACTOR])


def difference_rows(experiment: read.Experiment) -> Table:
    """Returns the paired differences between arms."""
    return _table([
        ('Labelled images', lambda d: str(d.labels)),
        *_variant_column(experiment),
        ('Difference', lambda d: f'{d.arm} - {d.minus}'),
        ('Mean', lambda d: signed(d.mean)),
        ('95 % interval', interval), ('Pairs', lambda d: str(d.count))],
        stats.differences(experiment))


def learning_rows(experiment: read.Experiment) -> Table:
    """Returns the outcomes along the fine-tuning."""
    return _table([
        ('Labelled images', lambda o: str(o.along.labels)),
        *_variant_column(experiment, lambda o: o.along.variant),
        ('Difference', lambda o: f'{o.along.arm} - {o.along.minus}'),
        ('Mean val', lambda o: signed(o.along.mean)),
        ('95 % interval', lambda o: interval(o.along)),
        ('Pairs', lambda o: str(o.along.count)),
        ('90 % of the end', lambda o: points(o.target)),
        ('Steps to it, first arm', lambda o: _reach(o.ours)),
        ('Steps to it, second arm', lambda o: _reach(o.theirs))],
        learning.outcomes(experiment))


def _reach(found: learning.Reach) -> str:
    steps = f'{found.median:g}' if math.isfinite(found.median) else (
        'not reached')
    return f'{steps} ({found.reached} of {found.count})'


def class_rows(experiment: read.Experiment) -> Table:
    """Returns IoU per class (rows) of each arm and label count (columns)."""
    means = stats.class_means(experiment)
    present = {(variant, labels, arm) for _, variant, labels, arm in means}
    groups = [(variant, labels, arm)
              for labels in sorted({labels for _, labels, _ in present})
              for variant in experiment.variants for arm in experiment.arms
              if (variant, labels, arm) in present]
    names = dict.fromkeys(
        experiment.class_names + [name for name, *_ in means])
    head = ['Class', *(', '.join(filter(None, (arm, variant, str(labels))))
                       for variant, labels, arm in groups)]
    return [head, *(
        [name, *(points(means.get((name, *group), math.nan))
                 for group in groups)] for name in names)]


def grid_rows(experiment: read.Experiment) -> Table:
    """Returns val mIoU, the mean over the seeds of the grid, over weight
    decay and encoder factor (rows) and learning rate (columns)."""
    grids = stats.grids(experiment).values()
    rates = sorted({run.learning_rate for runs in grids for run in runs})
    variant = _variant_column(experiment)
    rows = [['Labelled images', *(head for head, _ in variant), 'Arm',
             'Weight decay', FACTOR,
             *(f'Learning rate {rate:g}' for rate in rates)]]
    for runs in grids:
        by_row: dict[tuple[str, str], list[records.RunRow]] = {}
        for run in runs:
            by_row.setdefault((_rate(run.weight_decay), _rate(
                run.encoder_factor)), []).append(run)
        rows += [[str(runs[0].labels),
                  *(cell(runs[0]) for _, cell in variant), runs[0].arm, *row,
                  *(_grid_cell([run for run in found
                                if run.learning_rate == rate])
                    for rate in rates)]
                 for row, found in by_row.items()]
    return _without_blank(rows, [FACTOR])


def _grid_cell(runs: list[records.RunRow]) -> str:
    if not runs:
        return BLANK
    mean = math.fsum(run.val for run in runs) / len(runs)
    return points(100 * mean) + (' (chosen)' if runs[0].chosen else '')


def run_rows(experiment: read.Experiment) -> Table:
    """Returns all runs; mIoU in points, other values as they are."""
    rows = [['Run', 'Steps', 'Learning rate', 'Val', 'Test', 'Seconds']]
    for run in experiment.runs:
        scale, digits = (100, 1) if run.is_finetuning else (1, 4)
        steps = BLANK if run.steps is None else str(run.steps)
        rows.append([run.run, steps, _rate(run.learning_rate),
                     points(scale * run.val, digits),
                     points(scale * run.test, digits),
                     points(run.seconds, 0)])
    return rows


def failed_rows(experiment: read.Experiment) -> Table:
    """Returns the failed runs and their reasons."""
    return [['Run that failed', 'Reason'],
            *([name, reason] for name, reason in experiment.failed.items())]


def scores_csv(experiment: read.Experiment) -> str:
    """Returns scores and differences as CSV, with all their digits."""
    metrics = list(records.metrics())
    return files.csv_text(
        ['kind', 'variant', 'labels', 'setting', 'arm', 'minus', 'mean', 'std',
         'low', 'high', 'count', *metrics, 'learning_rate', 'weight_decay',
         'encoder_factor'],
        [*({'kind': 'miou', 'variant': score.variant, 'labels': score.labels,
            'setting': score.setting, 'arm': score.arm,
            'mean': _full(score.mean), 'std': _full(score.std),
            'count': score.count,
            **{column: _full(score.metrics[column]) for column in metrics},
            'learning_rate': ' '.join(map(_rate, score.learning_rates)),
            'weight_decay': ' '.join(map(_rate, score.weight_decays)),
            'encoder_factor': ' '.join(map(_rate, score.encoder_factors))}
           for score in stats.scores(experiment)),
         *({'kind': 'difference', 'variant': found.variant,
            'labels': found.labels, 'arm': found.arm, 'minus': found.minus,
            'mean': _full(found.mean), 'low': _full(found.low),
            'high': _full(found.high), 'count': found.count}
           for found in stats.differences(experiment))])


def points(value: float, digits: int = 1) -> str:
    """Returns a number as text, BLANK for nan."""
    return BLANK if math.isnan(value) else f'{value:.{digits}f}'


def signed(value: float) -> str:
    """Returns a difference as text, with its sign: below 0 it is '-0.0' at
    most, 0 itself is '+0.0'."""
    return f'{value + 0.0:+.1f}'


def interval(found: stats.Difference) -> str:
    """Returns the interval of a difference as text, BLANK for none."""
    if math.isnan(found.low):
        return BLANK
    return f'{signed(found.low)} to {signed(found.high)}'


def _table(columns: _Columns, items: Sequence[Any]) -> Table:
    return [[head for head, _ in columns],
            *([cell(item) for _, cell in columns] for item in items)]


def _variant_column(
        experiment: read.Experiment, variant: Callable[[Any], str] =
        operator.attrgetter('variant')) -> _Columns:
    return [('Variant', variant)] if len(experiment.variants) > 1 else []


def _without_blank(rows: Table, heads: Sequence[str]) -> Table:
    """Drops those of the columns `heads` that have no number."""
    kept = [i for i, head in enumerate(rows[0]) if head not in heads
            or any(row[i] != BLANK for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _runs(score: stats.Score) -> str:
    if score.planned in (None, score.count):
        return str(score.count)
    return f'{score.count} of {score.planned}'


def _rate(value: float) -> str:
    return BLANK if math.isnan(value) else f'{value:g}'


def _full(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.6f}'
