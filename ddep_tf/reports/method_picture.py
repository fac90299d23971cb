"""The picture of the method: what each stage makes of the same test images.

A row per test image: the image, a noisy copy, the same denoised, its true
classes, and those that each arm predicts.
"""

import os

from matplotlib import figure, patches
import numpy as np

from ddep_tf import files
from ddep_tf.reports import figures, method_samples, read, thumbnails
from ddep_tf.reports.method_samples import Example, Samples

NAME = 'method.png'
ALT = ('Test images with noise and denoised, their true classes, and the '
       'classes that each arm predicts.')
_ROWS = 2

# Inches: the side of a panel, the gap between two, the margins. A panel has
# 256 pixels, so that crops of 64 and 128 are enlarged by whole numbers.
_PANEL, _GAP, _TOP, _BOTTOM, _SIDE = (
    pixels / figures.DPI for pixels in (256, 12, 128, 92, 18))
_STEP = _PANEL + _GAP
_FRAME, _GRAY, _NOTE = '#ff4f9a', '#8a929c', '#5a6370'


def draw(experiment: read.Experiment,
         folder: str | os.PathLike) -> str | None:
    """Draws the picture if every stage left samples of the same test images.

    An earlier picture that cannot be drawn any more is removed.

    Args:
      experiment: read.Experiment.
      folder: where the PNG file goes.

    Returns:
      The name of the file, None if there is none.

    Raises:
      UserError: the file cannot be written.
    """
    path = files.path(folder, NAME)
    samples = method_samples.collect(experiment, _ROWS)
    if samples:
        figures.save(_draw(experiment, samples), path)
        return NAME
    path.unlink(missing_ok=True)
    return None


def _draw(experiment, samples: Samples) -> figure.Figure:
    rows = [_panels(example, _palette(experiment))
            for example in samples.examples]
    width = len(rows[0]) * _STEP - _GAP + 2 * _SIDE
    height = len(rows) * _STEP - _GAP + _TOP + _BOTTOM
    drawn = figure.Figure(figsize=(width, height), facecolor='white')
    for row, panels in enumerate(rows):
        for column, pixels in enumerate(panels):
            axes = drawn.add_axes((
                (_SIDE + column * _STEP) / width,
                1 - (_TOP + _PANEL + row * _STEP) / height,
                _PANEL / width, _PANEL / height))
            axes.imshow(pixels, interpolation='nearest')
            axes.set_axis_off()
            if column == 0:
                _frame(axes, samples.examples[row])
    _write_titles(drawn, samples)
    _write_names(drawn, samples)
    _write_note(drawn, samples)
    _draw_legend(drawn, experiment, samples)
    return drawn


def _palette(experiment) -> np.ndarray:
    return thumbnails.full_palette(experiment.info.get('palette', ()))


def _panels(example: Example, palette: np.ndarray) -> list[np.ndarray]:
    """Returns [H, W, 3] uint8 each; the photos brightened by one factor."""
    white = max(float(np.percentile(example.image, 99.8)), 1.0)
    photos = (example.image, example.noisy, example.denoised)
    masks = (example.truth, *example.predictions.values())
    return [*(np.clip(photo * (255 / white), 0, 255).astype(np.uint8)
              for photo in photos), *(palette[ids] for ids in masks)]


def _frame(axes, example: Example) -> None:
    if not example.is_cut:
        return
    top, left = example.corner
    height, width = example.noisy.shape[:2]
    axes.add_patch(patches.Rectangle(
        (left - 0.5, top - 0.5), width, height, fill=False, edgecolor=_FRAME,
        linewidth=1.8))


def _write_titles(drawn, samples: Samples) -> None:
    """Writes the method's two steps above the columns that show them."""
    for first, columns, title in (
            (1, 2, '1  Learn to denoise, without labels'),
            (3, 1 + len(samples.examples[0].predictions),
             f'2  Learn to segment, from {samples.labels} labelled images')):
        left = _SIDE + first * _STEP
        right = left + columns * _STEP - _GAP
        start, end = (_place(drawn, x, 0.34) for x in (left, right))
        drawn.add_artist(patches.ConnectionPatch(
            start, end, 'figure fraction', color=_GRAY, linewidth=1.2))
        drawn.text(*_place(drawn, (left + right) / 2, 0.26), title,
                   ha='center', fontsize=11, weight='bold')


def _write_names(drawn, samples: Samples) -> None:
    """Writes what each column shows, with the score of an arm."""
    arms = samples.examples[0].predictions
    names = [['test image'], ['noisy'], ['denoised'], ['truth'],
             *([f'mIoU {samples.scores[arm]:.1f}', arm] for arm in arms)]
    for column, lines in enumerate(names):
        x = _SIDE + column * _STEP + _PANEL / 2
        for above, line in enumerate(lines):
            drawn.text(*_place(drawn, x, _TOP - 0.09 - 0.18 * above), line,
                       ha='center', fontsize=10)


def _write_note(drawn, samples: Samples) -> None:
    lines = ['mIoU: on all test images, mean over the seeds. Predictions: '
             f'seed {samples.seed}.']
    if any(example.is_cut for example in samples.examples):
        lines.insert(0, 'All columns but the first show what is framed.')
    drawn.text(_SIDE / drawn.get_figwidth(), 0.12 / drawn.get_figheight(),
               '\n'.join(lines), fontsize=8.5, color=_NOTE, linespacing=1.3)


def _draw_legend(drawn, experiment, samples: Samples) -> None:
    """Names the classes in the picture; all of them may be too many."""
    seen = np.unique(np.concatenate([
        ids.ravel() for example in samples.examples
        for ids in (example.truth, *example.predictions.values())]))
    names = dict(enumerate(experiment.class_names))
    palette = _palette(experiment)
    handles = [patches.Patch(facecolor=palette[train_id] / 255,
                             edgecolor=_GRAY,
                             label=names.get(int(train_id), 'ignored'))
               for train_id in seen]
    drawn.legend(handles=handles, loc='lower right', frameon=False, ncols=6,
                 fontsize=10, handlelength=1, handleheight=1, borderaxespad=0,
                 bbox_to_anchor=(1 - _SIDE / drawn.get_figwidth(),
                                 0.12 / drawn.get_figheight()))


def _place(drawn, x: float, below: float) -> tuple[float, float]:
    """Inches from the left and below the top -> fractions of the figure."""
    return x / drawn.get_figwidth(), 1 - below / drawn.get_figheight()
