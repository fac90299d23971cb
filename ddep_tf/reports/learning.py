"""Val mIoU along the fine-tuning: curves, and how soon a side is how good.

Scores are in points, that is, times 100.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ddep_tf.reports import read, stats

TARGET = 0.9  # Of the baseline's end.

# Steps [N] and values [N].
Curve = tuple[list[int], list[float]]


@dataclasses.dataclass(frozen=True)
class Reach:
    """When the runs of a side first reach a value.

    Attributes:
      median: of their steps; a run that never reaches it counts as later than
        all others, so that inf is half of the runs or more.
      reached: number of the runs that reach it.
      count: number of the runs.
    """
    median: float
    reached: int
    count: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How two sides compare along the fine-tuning.

    Attributes:
      along: Difference in the mean val mIoU over the steps that both runs of
        a pair were validated after.
      target: TARGET times the mean of the other side's last val mIoU.
      ours, theirs: when the runs of each side first reach it.
    """
    along: stats.Difference
    target: float
    ours: Reach
    theirs: Reach


def curves(experiment: read.Experiment, variant: str) -> dict[
        int, dict[str, dict[int, Curve]]]:
    """Returns {labels: {arm: {seed: (steps [N], val in points [N])}}}."""
    found: dict[int, dict[str, dict[int, Curve]]] = {}
    by_run = _by_run(experiment)
    for run in sorted(experiment.finished(),
                      key=lambda run: (run.labels, run.seed)):
        curve = by_run.get((run.run, run.variant))
        if curve and run.variant == variant:
            found.setdefault(run.labels, {}).setdefault(
                run.arm, {})[run.seed] = list(curve), list(curve.values())
    return found


def _by_run(experiment) -> dict[tuple[str, str], dict[int, float]]:
    """Returns {(run, variant): {step: val in points}}, steps ascending."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    points = [point for point in experiment.points
              if point.step is not None and not math.isnan(point.val)]
    for point in sorted(points, key=lambda point: point.step):
        found.setdefault((point.run, point.variant), {})[
            point.step] = 100 * point.val
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


def outcomes(experiment: read.Experiment) -> list[Outcome]:
    """Returns the Outcome of all that `stats.compared` yields."""
    found = (outcome(experiment, *sides)
             for sides in stats.compared(experiment))
    return [one for one in found if one]


def along(experiment: read.Experiment, labels: int, ours: stats.Side,
          theirs: stats.Side) -> stats.Difference | None:
    """Returns the Difference in mean val mIoU, None without a pair."""
    found = outcome(experiment, labels, ours, theirs)
    return found.along if found else None


def outcome(experiment: read.Experiment, labels: int, ours: stats.Side,
            theirs: stats.Side) -> Outcome | None:
    """Returns how two sides compare, None without a pair of curves."""
    pairs = _paired_curves(experiment, labels, ours, theirs)
    found = stats.difference(
        labels, ours, theirs, [pair.seed for pair in pairs],
        [(float(np.mean(pair.ours)), float(np.mean(pair.theirs)))
         for pair in pairs])
    if found is None:
        return None
    target = TARGET * float(np.mean([pair.theirs[-1] for pair in pairs]))
    return Outcome(
        found, target,
        _reach([(pair.steps, pair.ours) for pair in pairs], target),
        _reach([(pair.steps, pair.theirs) for pair in pairs], target))


class _PairedCurves(NamedTuple):
    """val mIoU [N] in points of two runs, after the same steps [N]."""
    seed: int
    steps: list[int]
    ours: list[float]
    theirs: list[float]


def _paired_curves(experiment, labels, ours, theirs) -> list[_PairedCurves]:
    """Returns the curves of the pairs of runs that are compared on test, cut
    down to the steps that both were validated after; pairs without any are
    left out."""
    by_run = _by_run(experiment)
    found = []
    for pair in stats.paired_runs(experiment, labels, ours, theirs):
        one, other = (by_run.get((run.run, run.variant), {}) for run in pair)
        steps = sorted(one.keys() & other.keys())
        if steps:
            found.append(_PairedCurves(
                pair[0].seed, steps, [one[step] for step in steps],
                [other[step] for step in steps]))
    return found


def _reach(side: Sequence[Curve], target: float) -> Reach:
    first = [next((step for step, value in zip(*curve) if value >= target),
                  math.inf) for curve in side]
    return Reach(float(np.median(first)), sum(map(math.isfinite, first)),
                 len(first))
