"""The numbers of a report: means, paired differences, grids.

All scores are in points, that is, times 100. `labels` is everywhere the
number of labelled images.
"""

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ddep_tf import errors
from ddep_tf.experiments import records
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import paired, read


@dataclasses.dataclass(frozen=True)
class Score:
    """Test mIoU of an arm at a label setting, in points.

    Attributes:
      setting: as in records.RunRow.
      mean, std: over runs; `std` (ddof 1) is nan for a single run.
      values: of each run.
      planned: number of runs that there will be, None if not known.
      metrics: {column of records.metrics: mean}, nan if not measured.
      learning_rates, weight_decays, encoder_factors: of the runs, sorted.
    """
    variant: str
    labels: int
    setting: str
    arm: str
    mean: float
    std: float
    values: tuple[float, ...]
    planned: int | None
    metrics: dict[str, float]
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    encoder_factors: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of runs."""
        return len(self.values)


class Side(NamedTuple):
    """One of the two sides of a comparison."""
    variant: str
    arm: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """mIoU of one side minus that of another, in points.

    Attributes:
      variant, arm: the one side.
      minus_variant, minus: the other.
      arm_mean, minus_mean: of the pairs, each side's own mean in points.
      low, high: ends of the confidence interval, nan for a single pair.
      values: the difference of each pair.
      seeds: of the pairs.
    """
    variant: str
    labels: int
    arm: str
    minus_variant: str
    minus: str
    arm_mean: float
    minus_mean: float
    low: float
    high: float
    values: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def count(self) -> int:
        """Number of pairs."""
        return len(self.values)


def label_counts(experiment: read.Experiment) -> list[int]:
    """Returns the numbers of labelled images that have a finished run."""
    return sorted({run.labels for run in experiment.finished()})


def scores(experiment: read.Experiment) -> list[Score]:
    """Returns a Score per label count, variant and arm that has a run."""
    found = []
    for labels in label_counts(experiment):
        for variant in experiment.variants:
            for arm in experiment.arms:
                runs = _runs(experiment, labels, Side(variant, arm))
                if runs:
                    found.append(_score(experiment, runs))
    return found


def _score(experiment, runs: Sequence[records.RunRow]) -> Score:
    first = runs[0]
    values = np.array([100 * run.test for run in runs])
    return Score(
        first.variant, first.labels, first.setting, first.arm,
        float(values.mean()), paired.deviation(values),
        tuple(map(float, values)),
        _planned(experiment, first.setting),
        {column: _nanmean([100 * getattr(run, column) for run in runs])
         for column in records.metrics()},
        *(tuple(sorted({getattr(run, name) for run in runs}))
          for name in ('learning_rate', 'weight_decay', 'encoder_factor')))


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
    """Returns the Difference on test of all that `compared` yields."""
    found = (on_test(experiment, *sides) for sides in compared(experiment))
    return [difference for difference in found if difference]


def compared(experiment: read.Experiment) -> Iterator[
        tuple[int, Side, Side]]:
    """Yields (labels, side, other side): arms of the same variant."""
    for labels in label_counts(experiment):
        for variant in experiment.variants:
            for arm, minus in spec_lib.comparisons(experiment.arms):
                yield labels, Side(variant, arm), Side(variant, minus)


def headline(experiment: read.Experiment) -> Difference | None:
    """Returns the leading arm's first Difference, None without one."""
    pair = spec_lib.headline(experiment.arms)
    return next((found for found in differences(experiment)
                 if (found.arm, found.minus) == pair), None)


def on_test(experiment: read.Experiment, labels: int, ours: Side,
            theirs: Side) -> Difference | None:
    """Returns the Difference in test mIoU, None without a pair."""
    pairs = paired_runs(experiment, labels, ours, theirs)
    return difference(labels, ours, theirs, [one.seed for one, _ in pairs],
                      [(100 * one.test, 100 * other.test)
                       for one, other in pairs])


def paired_runs(experiment: read.Experiment, labels: int, ours: Side,
                theirs: Side) -> list[tuple[records.RunRow, records.RunRow]]:
    """Returns the pairs of runs of two sides, by seed.

    A pair is two runs of the same seed and the same subset, by its sha256.
    """
    one, other = (_by_subset(experiment, labels, side)
                  for side in (ours, theirs))
    return [(one[subset], other[subset])
            for subset in sorted(one.keys() & other.keys())]


def difference(labels: int, ours: Side, theirs: Side, seeds: Sequence[int],
               pairs: Sequence[tuple[float, float]]) -> Difference | None:
    """Returns the Difference of pairs (ours, theirs), in points, by seed."""
    if not pairs:
        return None
    both = np.array(pairs)
    arm_mean, minus_mean = map(float, both.mean(axis=0))
    values = both[:, 0] - both[:, 1]
    low, high = paired.interval(values)
    return Difference(
        ours.variant, labels, ours.arm, theirs.variant, theirs.arm, arm_mean,
        minus_mean, low, high, tuple(map(float, values)), tuple(seeds))


def excess(found: Difference, other: Difference) -> Difference | None:
    """Returns by how much one Difference is larger than another, over the
    seeds of both; None without one. Its `arm_mean` and `minus_mean` are the
    means of the two."""
    one, two = (dict(zip(each.seeds, each.values)) for each in (found, other))
    seeds = sorted(one.keys() & two.keys())
    return difference(
        found.labels, Side(found.variant, found.arm),
        Side(found.minus_variant, found.minus), seeds,
        [(one[seed], two[seed]) for seed in seeds])


def _runs(experiment, labels, side) -> list[records.RunRow]:
    return [run for run in experiment.finished()
            if (run.labels, run.variant, run.arm) == (labels, *side)]


def _by_subset(experiment, labels, side):
    """Returns {(seed, sha256 of the subset): RunRow}."""
    found: dict[tuple[int, str], records.RunRow] = {}
    for run in _runs(experiment, labels, side):
        subset = run.seed, run.subset_sha256
        if subset in found:
            raise errors.UserError(
                f'runs.csv has two chosen runs of arm {side.arm}, {labels} '
                f'labels, seed {run.seed}: only one learning rate is chosen '
                'per setting')
        found[subset] = run
    return found


def grids(experiment: read.Experiment) -> dict[
        tuple[str, int, str], list[records.RunRow]]:
    """Returns {(variant, labels, arm): runs of the sweep, by their rates}."""
    found: dict[tuple[str, int, str], list[records.RunRow]] = {}
    for run in experiment.runs:
        if run.role == records.SWEEP:
            found.setdefault((run.variant, run.labels, run.arm),
                             []).append(run)
    for runs in found.values():
        runs.sort(key=lambda run: (run.learning_rate, run.weight_decay,
                                   run.encoder_factor))
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


def commits(experiment: read.Experiment) -> list[str]:
    """Returns the commits of the runs, in the order of their rows."""
    found = [run.commit for run in experiment.runs if run.commit]
    return list(dict.fromkeys(found)) or [
        str(commit) for commit in [experiment.info.get('commit')] if commit]
