"""The figure of the README: experiments side by side, with intervals."""

from collections.abc import Sequence
import os
import textwrap

import matplotlib as mpl
from matplotlib import figure
import numpy as np

from ddep_tf import errors
from ddep_tf.reports import figures, paired, read, stats

# Inches: at figures.DPI, two panels of text that is still read when a page
# shows them 800 pixels wide.
_WIDTH, _HEIGHT = 4.4, 4.4
_TITLE, _NOTE = 38, 56  # Letters in a line of a panel.
_STYLE: dict = {'font.size': 11, 'axes.titlesize': 11,
                'legend.fontsize': 11, 'lines.markersize': 5}


def draw(panels: Sequence[str], path: str | os.PathLike) -> None:
    """Draws test mIoU over labelled images, with the interval of each mean.

    Args:
      panels: FOLDER or FOLDER,VARIANT of results, from left to right.
      path: of the PNG file.

    Raises:
      UserError: a folder holds no finished experiment, or no such variant, or
        the file cannot be written.
    """
    found = [_read(panel) for panel in panels]
    with mpl.rc_context(_STYLE):
        drawn = figure.Figure(figsize=(_WIDTH * len(found), _HEIGHT),
                              layout='constrained')
        for axes, (experiment, variant) in zip(
                drawn.subplots(1, len(found), squeeze=False)[0], found):
            figures.draw_labels(axes, experiment, variant, _interval,
                                spread=1.06)
            axes.set_title('\n'.join(textwrap.wrap(
                ', '.join(filter(None, (experiment.title, variant))),
                _TITLE)))
            axes.legend(frameon=False)
        drawn.axes[0].set_ylabel('test mIoU (points)')
        drawn.supxlabel(textwrap.fill(
            'Means over runs, with their 95 % bootstrap interval; faint dots: '
            'single runs', _NOTE * len(found)), fontsize=9)
        figures.save(drawn, path)


def _read(panel: str) -> tuple[read.Experiment, str]:
    folder, _, variant = panel.partition(',')
    experiment = read.read_experiment(folder)
    if len(experiment.variants) == 1:
        variant = variant or experiment.variants[0]
    if not any(run.variant == variant for run in experiment.finished()):
        raise errors.UserError(
            f'{panel} has no run that was tested: give FOLDER,VARIANT with '
            f'one of {", ".join(map(repr, experiment.variants))}')
    return experiment, variant


def _interval(score: stats.Score) -> tuple[float, float]:
    """Returns the lengths of the error bar; none for a single run."""
    low, high = paired.interval(np.array(score.values))
    below, above = np.nan_to_num([score.mean - low, high - score.mean])
    return max(float(below), 0.0), max(float(above), 0.0)
