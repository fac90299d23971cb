"""Numbers of a report: means, paired differences, grids, curves.

All scores here are in points, that is mIoU times 100.
"""

import collections
import dataclasses
import math

import numpy as np

from ddep_tf import errors

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Score:
    """Test mIoU of an arm, in points. `std` (ddof 1) is nan for one run."""
    labels: int
    arm: str
    mean: float
    std: float
    count: int
    learning_rates: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Difference:
    """`arm` minus `minus`, in points; `low`, `high` are nan for one pair."""
    labels: int
    arm: str
    minus: str
    mean: float
    low: float
    high: float
    count: int


def label_counts(experiment):
    """Returns the numbers of labelled images that have a counted run."""
    return sorted({run.labels for run in experiment.finished()})


def scores(experiment):
    """Returns a Score per label count and arm that has a run."""
    found = []
    for labels, arm in _settings(experiment):
        runs = [run for run in experiment.finished()
                if (run.labels, run.arm) == (labels, arm)]
        if runs:
            values = np.array([100 * run.test for run in runs])
            found.append(Score(
                labels, arm, values.mean(), deviation(values), len(values),
                tuple(sorted({run.learning_rate for run in runs}))))
    return found


def differences(experiment):
    """Returns a Difference per label count and compared pair of arms."""
    found = []
    for labels in label_counts(experiment):
        for arm, minus in compared(experiment.arms):
            pairs = paired(experiment, labels, arm, minus)
            if len(pairs):
                found.append(_difference(labels, arm, minus, pairs))
    return found


def compared(arms):
    """Returns the (arm, minus) to tell of: all against supervised, and ddep
    against scratch."""
    pairs = [(arm, 'supervised') for arm in arms if arm != 'supervised']
    pairs = pairs if 'supervised' in arms else []
    if 'ddep' in arms and 'scratch' in arms:
        pairs.append(('ddep', 'scratch'))
    return sorted(pairs, key=lambda pair: pair[0] != 'ddep')


def paired(experiment, labels, arm, minus):
    """Returns the differences in points [N] float64, a seed's after another.

    Only runs of the same seed and on the same subset, by its sha256, pair.
    """
    ours = _by_seed(experiment, labels, arm)
    theirs = _by_seed(experiment, labels, minus)
    return np.array([100 * (ours[key] - theirs[key])
                     for key in sorted(ours.keys() & theirs.keys())])


def deviation(values):
    """Returns the standard deviation, ddof 1, of [N]; nan for N = 1."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _settings(experiment):
    return [(labels, arm) for labels in label_counts(experiment)
            for arm in experiment.arms]


def _by_seed(experiment, labels, arm):
    by_seed = {}
    for run in experiment.finished():
        if (run.labels, run.arm) != (labels, arm):
            continue
        key = run.seed, run.subset_sha256
        if key in by_seed:
            raise errors.UserError(
                f'runs.csv has two chosen runs of arm {arm}, {labels} labels, '
                f'seed {run.seed}: one learning rate is chosen per setting')
        by_seed[key] = run.test
    return by_seed


def _difference(labels, arm, minus, pairs):
    mean, half = pairs.mean(), math.nan
    if len(pairs) > 1:
        from scipy import stats  # Here: it takes most of a second to import.
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(pairs) - 1)
        half = quantile * deviation(pairs) / math.sqrt(len(pairs))
    return Difference(labels, arm, minus, mean, mean - half, mean + half,
                      len(pairs))


def grids(experiment):
    """Returns {(labels, arm): [Run, ...] by learning rate} of the first seed.

    Settings with a single rate are left out: nothing was chosen there.
    """
    segment = [run for run in experiment.runs if run.stage == 'segment']
    seeds = experiment.info.get('spec', {}).get('seeds') or sorted(
        {run.seed for run in segment})
    found = {}
    for labels in sorted({run.labels for run in segment}):
        for arm in experiment.arms:
            runs = sorted(
                (run for run in segment if run.seed == seeds[0]
                 and (run.labels, run.arm) == (labels, arm)),
                key=lambda run: run.learning_rate)
            if len(runs) > 1:
                found[labels, arm] = runs
    return found


def class_means(experiment):
    """Returns {(class, labels, arm): mean IoU in points}, nan where no run
    has the class."""
    values = collections.defaultdict(list)
    for row in experiment.class_scores:
        values[row.class_name, row.labels, row.arm].append(100 * row.iou)
    return {key: _nanmean(found) for key, found in values.items()}


def _nanmean(values):
    present = [value for value in values if not math.isnan(value)]
    return float(np.mean(present)) if present else math.nan


def curves(experiment):
    """Returns {labels: {arm: {seed: (steps [N], val in points [N])}}}."""
    found = {}
    rows = [point for point in experiment.points
            if point.chosen and not math.isnan(point.val)]
    for row in sorted(rows, key=lambda row: (row.labels, row.seed, row.step)):
        seeds = found.setdefault(row.labels, {}).setdefault(row.arm, {})
        steps, values = seeds.setdefault(row.seed, ([], []))
        steps.append(row.step)
        values.append(100 * row.val)
    return found


def mean_curve(seeds):
    """Returns steps [N] and their means [N] over seeds.

    Only steps that every seed reached count: a mean over fewer seeds would
    jump where one of them ends.
    """
    common = sorted(set.intersection(
        *(set(steps) for steps, _ in seeds.values())))
    tables = [dict(zip(*curve)) for curve in seeds.values()]
    return common, [float(np.mean([table[step] for table in tables]))
                    for step in common]


def commits(experiment):
    """Returns the commits of the runs, in the order of their rows."""
    found = [run.commit for run in experiment.runs if run.commit]
    return list(dict.fromkeys(found)) or [
        str(commit) for commit in [experiment.info.get('commit')] if commit]
