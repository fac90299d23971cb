"""The curves of a report, as PNG files.

They are drawn on a `Figure`: pyplot would look for a display and keep state.
"""

from collections.abc import Callable, Mapping, Sequence
import os
from typing import Any

from matplotlib import figure, ticker
import numpy as np

from ddep_tf import files
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import learning, output, read, stats

OVER_ARMS = 'miou_of_arms.png'
OVER_LABELS = 'miou_over_labels.png'
OVER_VARIANTS = 'miou_over_variants.png'
ALONG = 'miou_along_finetuning.png'
DPI = 150

# The lengths of an error bar below and above the mean, in points.
Bars = Callable[[stats.Score], tuple[float, float]]


def draw_figures(experiment: read.Experiment,
                 folder: str | os.PathLike) -> list[str]:
    """Draws the figures that there are numbers for.

    Earlier figures that there are no numbers for are removed.

    Args:
      experiment: read.Experiment.
      folder: where the PNG files go.

    Returns:
      The names of the files written.

    Raises:
      UserError: a file cannot be written.
    """
    written = []
    for name, draw in ((OVER_ARMS, _over_arms), (OVER_LABELS, _over_labels),
                       (OVER_VARIANTS, _over_variants), (ALONG, _along)):
        path = files.path(folder, name)
        drawn = draw(experiment)
        if drawn is not None:
            save(drawn, path)
            written.append(name)
        else:
            path.unlink(missing_ok=True)
    return written


def save(drawn: figure.Figure, path: str | os.PathLike) -> None:
    """Writes a PNG file. UserError if `path` cannot be written."""
    with output.replacing(path) as temporary:
        # Without the version of matplotlib, the same numbers give the same
        # bytes.
        drawn.savefig(temporary, format='png', dpi=DPI,
                      metadata={'Software': None})


def _over_arms(experiment):
    """Draws test mIoU of each arm, if there is a single setting."""
    found = stats.scores(experiment)[::-1]  # The first comes to the top.
    if len({(score.variant, score.labels) for score in found}) != 1:
        return None
    drawn = figure.Figure(figsize=(6.6, 1.6 + 0.45 * len(found)),
                          layout='constrained')
    axes = drawn.subplots()
    for place, score in enumerate(found):
        look = spec_lib.find_arm(score.arm)
        axes.plot(score.values, [place] * score.count, '.', color=look.color,
                  alpha=0.4)
        axes.errorbar(score.mean, place, xerr=_deviations(score)[0],
                      color=look.color, marker=look.marker, capsize=4,
                      linewidth=1.8, markersize=7)
        axes.annotate(f'{score.mean:.1f}', (score.mean, place), (0, 8),
                      textcoords='offset points', ha='center', fontsize=9)
    axes.set_yticks(range(len(found)), [score.arm for score in found])
    axes.set_ylim(-0.6, len(found) - 0.3)
    axes.margins(x=0.1)
    axes.set_xlabel('test mIoU (points, 0 to 100)')
    shown = ('one run each' if all(score.count == 1 for score in found) else
             'mean over seeds;\nbars: one standard deviation; faint dots: '
             'single runs')
    axes.set_title(f'{_count(found[0].labels, "labelled image")}: {shown}',
                   fontsize=9)
    _finish(axes)
    return drawn


def _over_labels(experiment):
    """Draws test mIoU over labelled images: a panel per variant."""
    found = stats.scores(experiment)
    variants = [variant for variant in experiment.variants
                if any(score.variant == variant for score in found)]
    # With a single label count, another figure says it all.
    if len(stats.label_counts(experiment)) < 2:
        return None
    drawn, panels = _panels(len(variants), sharey=True)
    for axes, variant in zip(panels, variants):
        draw_labels(axes, experiment, variant, _deviations)
        axes.set_ylabel('test mIoU (points, 0 to 100)')
        axes.set_title(_variant_title(experiment, variant) +
                       'Mean over seeds; bars: one standard deviation;\n'
                       'faint dots: single runs', fontsize=9)
        axes.legend(frameon=False)
    return drawn


def draw_labels(axes, experiment: read.Experiment, variant: str,
                bars: Bars, spread: float = 1.03) -> None:
    """Draws test mIoU over labelled images: a line per arm of a variant.

    Args:
      axes: Axes, drawn on.
      experiment: read.Experiment.
      variant: with a finished run.
      bars: error bars.
      spread: factor between the positions of two arms, so that their error
        bars do not cover each other.
    """
    found = [score for score in stats.scores(experiment)
             if score.variant == variant]
    arms = [arm for arm in experiment.arms
            if any(score.arm == arm for score in found)]
    for position, arm in enumerate(arms):
        shift = spread ** (position - (len(arms) - 1) / 2)
        points = [score for score in found if score.arm == arm]
        _draw_arm(axes, arm, [score.labels * shift for score in points],
                  points, bars)
    _label_ticks(axes, found)
    axes.set_xlabel('labelled training images (log scale)')
    _finish(axes)


def _deviations(score: stats.Score) -> tuple[float, float]:
    std = float(np.nan_to_num(score.std))
    return std, std


def _over_variants(experiment):
    """Draws test mIoU over the variants' axis: a panel per label count."""
    found = stats.scores(experiment)
    if len({score.variant for score in found}) < 2:
        return None
    counts = stats.label_counts(experiment)
    drawn, panels = _panels(len(counts), sharey=False)
    values = experiment.axis_values
    numeric = all(isinstance(value, (int, float)) for value in values.values())
    for axes, labels in zip(panels, counts):
        positions = values if numeric else {
            variant: i for i, variant in enumerate(experiment.variants)}
        # Variants that lie on no axis have nothing between them: no line.
        ordered = bool(experiment.axis)
        for index, arm in enumerate(experiment.arms):
            points = [score for score in found
                      if (score.arm, score.labels) == (arm, labels)]
            shift = 0.0 if ordered else 0.08 * (
                index - (len(experiment.arms) - 1) / 2)
            _draw_arm(axes, arm,
                      [positions[score.variant] + shift for score in points],
                      points, _deviations, line=ordered)
        _variant_ticks(axes, positions, values, numeric)
        axes.set_xlabel(experiment.axis or 'variant')
        axes.set_ylabel('test mIoU (points, 0 to 100)')
        axes.set_title(f'{_count(labels, "labelled image")}\nMean over seeds; '
                       'bars: one standard deviation;\n'
                       'faint dots: single runs', fontsize=9)
        _finish(axes)
        axes.legend(frameon=False)
    return drawn


def _panels(count: int, sharey: bool) -> tuple[figure.Figure, np.ndarray]:
    """Returns a figure and its `count` axes, at most three in a row."""
    columns = min(count, 3)
    rows = -(-count // columns)
    drawn = figure.Figure(figsize=(max(6.6, 4.8 * columns), 4.2 * rows),
                          layout='constrained')
    panels = drawn.subplots(rows, columns, sharey=sharey,
                            squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return drawn, panels[:count]


def _draw_arm(axes, arm: str, positions: Sequence[float],
              scores: Sequence[stats.Score], bars: Bars,
              line: bool = True) -> None:
    if not scores:
        return
    look = spec_lib.find_arm(arm)
    axes.errorbar(
        positions, [score.mean for score in scores],
        yerr=np.transpose([bars(score) for score in scores]),
        color=look.color, marker=look.marker,
        linestyle=look.line if line else 'none',
        label=arm, capsize=4, linewidth=1.8, markersize=7)
    dots = [(position, value) for position, score in zip(positions, scores)
            for value in score.values]
    axes.plot(*zip(*dots), '.', color=look.color, alpha=0.4)


def _variant_title(experiment, variant):
    if not variant:
        return ''
    value = experiment.axis_values.get(variant)
    return f'{variant}: {experiment.axis} {value}\n' if (
        experiment.axis) else f'{variant}\n'


def _variant_ticks(axes, positions: Mapping[str, float],
                   values: Mapping[str, Any], numeric: bool) -> None:
    if numeric and min(values.values()) > 0 and (
            max(values.values()) > 4 * min(values.values())):
        axes.set_xscale('log')
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    names = [f'{values[name]:g}' if numeric else str(values[name] or name)
             for name in positions]
    axes.set_xticks(list(positions.values()), names)
    if not numeric:
        axes.margins(x=0.2)


def _label_ticks(axes, scores):
    """Labels the numbers of images, with fractions on a second line."""
    names = {score.labels: spec_lib.label_text(
        str(score.labels), score.setting, '{}\n{}') for score in scores}
    axes.set_xscale('log')
    axes.set_xticks(list(names), list(names.values()))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlim(min(names) / 1.4, max(names) * 1.4)


def _along(experiment):
    """Draws val mIoU over fine-tuning steps: a panel per label count."""
    if len(experiment.variants) > 1:
        return None  # Too many curves to read.
    found = learning.curves(experiment, experiment.variants[0])
    if not found:
        return None
    drawn, panels = _panels(len(found), sharey=True)
    for axes, labels in zip(panels, found):
        _draw_panel(axes, labels, found[labels], experiment.arms)
    return drawn


def _draw_panel(axes, labels, arms, order):
    for arm in (arm for arm in order if arm in arms):
        look = spec_lib.find_arm(arm)
        for steps, values in arms[arm].values():
            axes.plot(steps, values, color=look.color, linewidth=0.8,
                      alpha=0.4)
        steps, values = learning.mean_curve(arms[arm])
        axes.plot(steps, values, color=look.color, linestyle=look.line,
                  marker=look.marker, linewidth=2, markersize=5,
                  label=f'{arm} ({_count(len(arms[arm]), "seed")})')
    axes.set_title(_count(labels, 'labelled image'), fontsize=10)
    axes.set_xlabel('fine-tuning (steps)')
    axes.set_ylabel('val mIoU (points, 0 to 100)')
    _step_ticks(axes, sorted({step for seeds in arms.values()
                              for curve in seeds.values()
                              for step in curve[0]}))
    _finish(axes)
    axes.legend(frameon=False, fontsize=9)


def _step_ticks(axes, steps):
    if len(steps) <= 6:
        axes.set_xticks(steps)
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))


def _count(number, noun):
    return f'{number} {noun}{"" if number == 1 else "s"}'


def _finish(axes):
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
