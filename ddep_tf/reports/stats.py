"""The numbers of a report: means, paired differences, grids, curves.

All scores are in points, that is, times 100. `labels` is everywhere the
number of labelled images.
"""

import collections
from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from ddep_tf import errors
from ddep_tf.experiments import records
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import read

CONFIDENCE = 0.95
RESAMPLES = 10_000

# Steps [N] and values [N].
Curve = tuple[list[int], list[float]]


@dataclasses.dataclass(frozen=True)
class Score:
    """Test mIoU of an arm at a label setting, in points.

    Attributes:
      setting: as in records.RunRow.
      mean, std: over runs; `std` (ddof 1) is nan for a single run.
      count: number of runs.
      planned: number of runs that there will be, None if not known.
      metrics: {column of records.metrics: mean}, nan if not measured.
      learning_rates, weight_decays: of the runs, sorted.
    """
    variant: str
    labels: int
    setting: str
    arm: str
    mean: float
    std: float
    count: int
    planned: int | None
    metrics: dict[str, float]
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Test mIoU of `arm` minus that of `minus`, in points.

    Attributes:
      arm_mean, minus_mean: of the pairs, each arm's own mean in points.
      low, high: ends of the confidence interval, nan for a single pair.
      count: number of pairs.
    """
    variant: str
    labels: int
    arm: str
    minus: str
    arm_mean: float
    minus_mean: float
    mean: float
    low: float
    high: float
    count: int


def label_counts(experiment: read.Experiment) -> list[int]:
    """Returns the numbers of labelled images that have a finished run."""
    return sorted({run.labels for run in experiment.finished()})


def scores(experiment: read.Experiment) -> list[Score]:
    """Returns a Score per label count, variant and arm that has a run."""
    found = []
    for labels in label_counts(experiment):
        for variant in experiment.variants:
            for arm in experiment.arms:
                runs = _runs(experiment, variant, labels, arm)
                if runs:
                    found.append(_score(experiment, runs))
    return found


def _score(experiment, runs: Sequence[records.RunRow]) -> Score:
    first = runs[0]
    values = np.array([100 * run.test for run in runs])
    return Score(
        first.variant, first.labels, first.setting, first.arm,
        float(values.mean()), deviation(values), len(values),
        _planned(experiment, first.setting),
        {column: _nanmean([100 * getattr(run, column) for run in runs])
         for column in records.metrics()},
        tuple(sorted({run.learning_rate for run in runs})),
        tuple(sorted({run.weight_decay for run in runs})))


def _planned(experiment, setting):
    """Returns the number of runs planned for a setting, None if not known."""
    spec = experiment.spec
    seeds, runs = spec.get('seeds'), spec.get('label_runs')
    if not runs:
        return len(seeds) if seeds else None
    settings = [*spec.get('label_counts', ()),
                *spec.get('label_fractions', ())]
    return dict(zip(map(str, settings), runs)).get(setting)


def differences(experiment: read.Experiment) -> list[Difference]:
    """Returns a Difference per label count, variant and compared pair."""
    found = []
    for labels in label_counts(experiment):
        for variant in experiment.variants:
            for arm, minus in spec_lib.comparisons(experiment.arms):
                pairs = paired(experiment, variant, labels, arm, minus)
                if len(pairs):
                    found.append(_difference(variant, labels, arm, minus,
                                             pairs))
    return found


def headline(experiment: read.Experiment) -> Difference | None:
    """Returns the leading arm's first Difference, None without one."""
    pair = spec_lib.headline(experiment.arms)
    return next((found for found in differences(experiment)
                 if (found.arm, found.minus) == pair), None)


def paired(experiment: read.Experiment, variant: str, labels: int, arm: str,
           minus: str) -> np.ndarray:
    """Returns both arms' test mIoU in points, [N, 2] float64, by seed.

    A pair is two runs of the same seed and the same subset, by its sha256.
    """
    ours = _by_subset(experiment, variant, labels, arm)
    theirs = _by_subset(experiment, variant, labels, minus)
    return np.array([(100 * ours[subset], 100 * theirs[subset])
                     for subset in sorted(ours.keys() & theirs.keys())])


def deviation(values: np.ndarray) -> float:
    """Returns the standard deviation, ddof 1, of [N]; nan for N = 1."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _runs(experiment, variant, labels, arm) -> list[records.RunRow]:
    return [run for run in experiment.finished()
            if (run.variant, run.labels, run.arm) == (variant, labels, arm)]


def _by_subset(experiment, variant, labels, arm):
    """Returns {(seed, sha256 of the subset): test mIoU in [0, 1]}."""
    found: dict[tuple[int, str], float] = {}
    for run in _runs(experiment, variant, labels, arm):
        subset = run.seed, run.subset_sha256
        if subset in found:
            raise errors.UserError(
                f'runs.csv has two chosen runs of arm {arm}, {labels} labels, '
                f'seed {run.seed}: only one learning rate is chosen per '
                'setting')
        found[subset] = run.test
    return found


def _difference(variant, labels, arm, minus, pairs):
    low = high = math.nan
    values = pairs[:, 0] - pairs[:, 1]
    if len(pairs) > 1:
        low, high = interval(values)
    return Difference(
        variant, labels, arm, minus, *map(float, pairs.mean(axis=0)),
        float(values.mean()), low, high, len(pairs))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the bootstrap interval of the mean of [N], N above 1.

    Percentiles of the means of RESAMPLES draws with replacement, from a fixed
    seed: the same numbers give the same interval.
    """
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy import stats  # Here: it takes most of a second to import.
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, method='percentile',
        n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    low, high = map(float, found.confidence_interval)
    return low, high


def grids(experiment: read.Experiment) -> dict[
        tuple[str, int, str], list[records.RunRow]]:
    """Returns {(variant, labels, arm): runs of the sweep, by their rates}."""
    found: dict[tuple[str, int, str], list[records.RunRow]] = {}
    for run in experiment.runs:
        if run.role == records.SWEEP:
            found.setdefault((run.variant, run.labels, run.arm),
                             []).append(run)
    for runs in found.values():
        runs.sort(key=lambda run: (run.learning_rate, run.weight_decay))
    return found


def class_means(experiment: read.Experiment) -> dict[
        tuple[str, str, int, str], float]:
    """Returns {(class, variant, labels, arm): mean IoU in points}.

    The mean is nan if the class occurs in no run.
    """
    values = collections.defaultdict(list)
    for row in experiment.class_scores:
        if row.labels is None:
            continue
        values[row.class_name, row.variant, row.labels,
               row.arm].append(100 * row.iou)
    return {group: _nanmean(found) for group, found in values.items()}


def _nanmean(values: Sequence[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return float(np.mean(present)) if present else math.nan


def curves(experiment: read.Experiment, variant: str) -> dict[
        int, dict[str, dict[int, Curve]]]:
    """Returns {labels: {arm: {seed: (steps [N], val in points [N])}}}."""
    found: dict[int, dict[str, dict[int, Curve]]] = {}
    rows = [point for point in experiment.points
            if point.chosen and not math.isnan(point.val)
            and None not in (point.labels, point.seed, point.step)
            and point.variant == variant]
    for row in sorted(rows, key=lambda row: (row.labels, row.seed, row.step)):
        seeds = found.setdefault(row.labels, {}).setdefault(row.arm, {})
        steps, values = seeds.setdefault(row.seed, ([], []))
        steps.append(row.step)
        values.append(100 * row.val)
    return found


def mean_curve(seeds: dict[int, Curve]) -> Curve:
    """Returns steps [N] and the means [N] of curves over seeds.

    Only steps that all seeds have reached count: otherwise the mean would
    jump where one of them ends.
    """
    common = sorted(set.intersection(
        *(set(steps) for steps, _ in seeds.values())))
    by_step = [dict(zip(*curve)) for curve in seeds.values()]
    return common, [float(np.mean([values[step] for values in by_step]))
                    for step in common]


def commits(experiment: read.Experiment) -> list[str]:
    """Returns the commits of the runs, in the order of their rows."""
    found = [run.commit for run in experiment.runs if run.commit]
    return list(dict.fromkeys(found)) or [
        str(commit) for commit in [experiment.info.get('commit')] if commit]
