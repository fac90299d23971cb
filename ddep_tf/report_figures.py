"""Curves of a report, drawn to PNG files.

Built on `Figure` alone: pyplot would look for a display and keep state.
"""

import os

from matplotlib import figure, ticker
import numpy as np

from ddep_tf import errors, report_stats

# Okabe and Ito's colours; lines differ in dash and marker as well.
LOOKS = {
    'scratch': ('#595959', 's', ':'),
    'supervised': ('#0072B2', 'o', '--'),
    'ddep': ('#D55E00', '^', '-'),
    'dep': ('#009E73', 'D', '-.'),
}
OTHER = ('#CC79A7', 'v', '-')
OVER_LABELS = 'miou_over_labels.png'
ALONG = 'miou_along_finetuning.png'


def draw_figures(experiment, folder):
    """Writes what there are numbers for; returns the names written.

    A figure that stood there before and has no numbers now is removed.
    """
    written = []
    for name, draw in ((OVER_LABELS, _over_labels), (ALONG, _along)):
        path = os.path.join(folder, name)
        drawn = draw(experiment)
        if drawn is not None:
            _save(drawn, path)
            written.append(name)
        elif os.path.exists(path):
            os.remove(path)
    return written


def _save(drawn, path):
    # No software version in the file: the same numbers, the same bytes.
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        drawn.savefig(path + '.part', format='png', dpi=150,
                      metadata={'Software': None})
        os.replace(path + '.part', path)
    except OSError as error:
        raise errors.UserError(f'{path} cannot be written: {error.strerror}'
                               ) from None


def _over_labels(experiment):
    """Test mIoU over the number of labelled images, a line an arm."""
    found = report_stats.scores(experiment)
    if not found:
        return None
    counts = report_stats.label_counts(experiment)
    arms = [arm for arm in experiment.arms
            if any(score.arm == arm for score in found)]
    drawn = figure.Figure(figsize=(6.6, 4.2), layout='constrained')
    axes = drawn.subplots()
    for position, arm in enumerate(arms):
        # Moved apart by 3 %, so that error bars do not hide one another.
        shift = 1.03 ** (position - (len(arms) - 1) / 2)
        _draw_arm(axes, experiment, arm, shift)
    _log_ticks(axes, counts)
    axes.set_xlabel('labelled training images (number, log scale)')
    axes.set_ylabel('test mIoU (points, 0 to 100)')
    axes.set_title('Mean over seeds; bars: one standard deviation;\n'
                   'faint dots: single runs', fontsize=9)
    _finish(axes)
    axes.legend(frameon=False)
    return drawn


def _draw_arm(axes, experiment, arm, shift):
    colour, marker, line = LOOKS.get(arm, OTHER)
    found = [score for score in report_stats.scores(experiment)
             if score.arm == arm]
    axes.errorbar(
        [score.labels * shift for score in found],
        [score.mean for score in found],
        yerr=np.nan_to_num([score.std for score in found]),
        color=colour, marker=marker, linestyle=line, label=arm, capsize=4,
        linewidth=1.8, markersize=7)
    runs = [run for run in experiment.finished() if run.arm == arm]
    axes.plot([run.labels * shift for run in runs],
              [100 * run.test for run in runs], '.', color=colour, alpha=0.4)


def _log_ticks(axes, counts):
    axes.set_xscale('log')
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlim(counts[0] / 1.4, counts[-1] * 1.4)


def _along(experiment):
    """Val mIoU over fine-tuning steps, a panel a number of labels."""
    found = report_stats.curves(experiment)
    if not found:
        return None
    columns = min(len(found), 3)
    rows = -(-len(found) // columns)
    drawn = figure.Figure(figsize=(max(6.6, 4.4 * columns), 3.8 * rows),
                          layout='constrained')
    panels = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, labels in zip(panels, found):
        _draw_panel(axes, labels, found[labels], experiment.arms)
    for axes in panels[len(found):]:
        axes.set_visible(False)
    return drawn


def _draw_panel(axes, labels, arms, order):
    for arm in (arm for arm in order if arm in arms):
        colour, marker, line = LOOKS.get(arm, OTHER)
        for steps, values in arms[arm].values():
            axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.4)
        steps, values = report_stats.mean_curve(arms[arm])
        axes.plot(steps, values, color=colour, linestyle=line, marker=marker,
                  linewidth=2, markersize=5,
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
