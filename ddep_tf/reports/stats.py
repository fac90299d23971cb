"""Numbers of a report: means, paired differences, grids, curves.

All scores here are in points, that is mIoU times 100.
"""

import collections
import dataclasses
import math

import numpy as np

from ddep_tf import errors

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Score:
    """Test mIoU of a variant and arm, in points.

    `std` (ddof 1) is nan for one run; `single_scale` and `pixel_accuracy` are
    nan where they were not measured. `setting` is as of read.Run;
    `planned` is how many runs there are to be, None where that is not known.
    """
    variant: str
    labels: int
    setting: str
    arm: str
    mean: float
    std: float
    count: int
    planned: int | None
    single_scale: float
    pixel_accuracy: float
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Difference:
    """`arm` minus `minus`, in points; `low`, `high` are nan for one pair."""
    variant: str
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
    """Returns a Score per label count, variant and arm that has a run."""
    found = []
    for variant, labels, arm in _settings(experiment):
        runs = _runs(experiment, variant, labels, arm)
        if runs:
            found.append(_score(experiment, variant, labels, arm, runs))
    return found


def _score(experiment, variant, labels, arm, runs):
    values = np.array([100 * run.test for run in runs])
    return Score(
        variant, labels, runs[0].setting, arm, values.mean(),
        deviation(values), len(values), _planned(experiment, runs[0].setting),
        _nanmean([100 * run.single_scale for run in runs]),
        _nanmean([100 * run.pixel_accuracy for run in runs]),
        tuple(sorted({run.learning_rate for run in runs})),
        tuple(sorted({run.weight_decay for run in runs})))


def _planned(experiment, setting):
    """How many runs a label setting is to have, None if not known."""
    spec = experiment.info.get('spec', {})
    seeds, runs = spec.get('seeds'), spec.get('label_runs')
    if not runs:
        return len(seeds) if seeds else None
    settings = [*spec.get('label_counts', ()),
                *spec.get('label_fractions', ())]
    return dict(zip(map(str, settings), runs)).get(setting)


def differences(experiment):
    """Returns a Difference per label count, variant and compared pair."""
    found = []
    for labels in label_counts(experiment):
        for variant in experiment.variants:
            for arm, minus in compared(experiment.arms):
                pairs = paired(experiment, variant, labels, arm, minus)
                if len(pairs):
                    found.append(_difference(variant, labels, arm, minus,
                                             pairs))
    return found


def compared(arms):
    """Returns the (arm, minus) to tell of: all against supervised, and ddep
    against scratch."""
    pairs = [(arm, 'supervised') for arm in arms if arm != 'supervised']
    pairs = pairs if 'supervised' in arms else []
    if 'ddep' in arms and 'scratch' in arms:
        pairs.append(('ddep', 'scratch'))
    return sorted(pairs, key=lambda pair: pair[0] != 'ddep')


def paired(experiment, variant, labels, arm, minus):
    """Returns the differences in points [N] float64, a seed's after another.

    Only runs of the same seed and on the same subset, by its sha256, pair.
    """
    ours = _by_seed(experiment, variant, labels, arm)
    theirs = _by_seed(experiment, variant, labels, minus)
    return np.array([100 * (ours[key] - theirs[key])
                     for key in sorted(ours.keys() & theirs.keys())])


def deviation(values):
    """Returns the standard deviation, ddof 1, of [N]; nan for N = 1."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _settings(experiment):
    return [(variant, labels, arm) for labels in label_counts(experiment)
            for variant in experiment.variants for arm in experiment.arms]


def _runs(experiment, variant, labels, arm):
    return [run for run in experiment.finished()
            if (run.variant, run.labels, run.arm) == (variant, labels, arm)]


def _by_seed(experiment, variant, labels, arm):
    by_seed = {}
    for run in _runs(experiment, variant, labels, arm):
        key = run.seed, run.subset_sha256
        if key in by_seed:
            raise errors.UserError(
                f'runs.csv has two chosen runs of arm {arm}, {labels} labels, '
                f'seed {run.seed}: one learning rate is chosen per setting')
        by_seed[key] = run.test
    return by_seed


def _difference(variant, labels, arm, minus, pairs):
    low = high = math.nan
    if len(pairs) > 1:
        low, high = interval(pairs)
    return Difference(variant, labels, arm, minus, pairs.mean(), low, high,
                      len(pairs))


def interval(values):
    """Returns the bootstrap interval of the mean of [N], N above 1.

    Percentiles of the means of RESAMPLES draws with replacement, from a fixed
    seed: the same numbers, the same interval.
    """
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy import stats  # Here: it takes most of a second to import.
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, method='percentile',
        n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    return tuple(map(float, found.confidence_interval))


def grids(experiment):
    """Returns {(variant, labels, arm): [Run, ...] by rates} of the sweeps."""
    found = {}
    for run in experiment.runs:
        if run.role == 'sweep':
            found.setdefault((run.variant, run.labels, run.arm),
                             []).append(run)
    for runs in found.values():
        runs.sort(key=lambda run: (run.learning_rate, run.weight_decay))
    return found


def class_means(experiment):
    """Returns {(class, variant, labels, arm): mean IoU in points}, nan where
    no run has the class."""
    values = collections.defaultdict(list)
    for row in experiment.class_scores:
        values[row.class_name, row.variant, row.labels, row.arm].append(100 * row.iou)
    return {key: _nanmean(found) for key, found in values.items()}


def _nanmean(values):
    present = [value for value in values if not math.isnan(value)]
    return float(np.mean(present)) if present else math.nan


def curves(experiment, variant):
    """Returns {labels: {arm: {seed: (steps [N], val in points [N])}}}."""
    found = {}
    rows = [point for point in experiment.points
            if point.chosen and not math.isnan(point.val)
            and point.variant == variant]
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
