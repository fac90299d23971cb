"""The picture of the method: what each stage makes of the same test images.

A row per test image: the image, a noisy copy, the same denoised, its true
classes, and those that each arm predicts.
"""

from collections.abc import Mapping
import dataclasses
import os

from matplotlib import figure, patches
import numpy as np
from PIL import Image

from ddep_tf.experiments import records
from ddep_tf.reports import figures, read, stats, thumbnails

NAME = 'method.png'
ALT = ('Test images with noise and denoised, their true classes, and the '
       'classes that each arm predicts.')
_ROWS = 2
_DENOISED = ('clean', 'noisy', 'denoised')
_SEGMENTED = ('image', 'truth', 'prediction')

# Inches: the side of a panel, the gap between two, the margins.
_PANEL, _GAP, _TOP, _BOTTOM, _SIDE = 1.7, 0.08, 0.85, 0.62, 0.12
_STEP = _PANEL + _GAP
_FRAME, _GRAY, _NOTE = '#ff4f9a', '#8a929c', '#5a6370'


@dataclasses.dataclass(frozen=True)
class Example:
    """A test image, and one region of it as the stages saw and predicted it.

    Attributes:
      image: [H, W, 3] uint8.
      corner: (top, left) of the region in the image.
      noisy, denoised: [h, w, 3] uint8.
      masks: {'truth' or an arm: [h, w] uint8 train ids}.
    """
    image: np.ndarray
    corner: tuple[int, int]
    noisy: np.ndarray
    denoised: np.ndarray
    masks: dict[str, np.ndarray]

    @property
    def is_cut(self) -> bool:
        """Whether the region is only a part of the image."""
        return self.image.shape != self.noisy.shape


def draw(experiment: read.Experiment, folder: str) -> str | None:
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
    path = os.path.join(folder, NAME)
    found = stats.headline(experiment)
    shown = examples(experiment, found) if found else []
    if found and shown:
        figures.save(_draw(experiment, found, shown), path)
        return NAME
    if os.path.exists(path):
        os.remove(path)
    return None


def examples(experiment: read.Experiment,
             found: stats.Difference) -> list[Example]:
    """Returns the test images to show, those with the most varied truth.

    The truth alone decides: what is shown must not depend on predictions.

    Args:
      experiment: read.Experiment.
      found: the comparison whose setting is shown.
    """
    runs = _first_seed(experiment, found)
    denoised = _denoised_samples(experiment, found)
    segmented = {arm: thumbnails.samples(experiment.exp_dir, run.run,
                                         _SEGMENTED)
                 for arm, run in runs.items()}
    names = sorted(set(denoised).intersection(*segmented.values()))
    loaded = [_load(denoised[name], {
        arm: paths[name] for arm, paths in segmented.items()})
        for name in names]
    return sorted(filter(None, loaded), key=_largest_share)[:_ROWS]


def _first_seed(experiment, found) -> dict[str, records.RunRow]:
    """Returns {arm: run} of the first seed that both arms of `found` have."""
    by_seed: dict[int, dict[str, records.RunRow]] = {}
    for run in experiment.finished():
        if (run.variant, run.labels) == (found.variant, found.labels):
            by_seed.setdefault(run.seed, {})[run.arm] = run
    runs = next(runs for _, runs in sorted(by_seed.items())
                if {found.arm, found.minus} <= runs.keys())
    return {arm: runs[arm] for arm in experiment.arms if arm in runs}


def _denoised_samples(experiment, found) -> dict[str, dict[str, str]]:
    """Returns the samples of the arm's first denoising that has any."""
    samples = (thumbnails.samples(experiment.exp_dir, run.run, _DENOISED)
               for run in experiment.runs if run.arm == found.arm
               and run.variant == found.variant and not run.is_finetuning)
    return next(filter(None, samples), {})


def _load(denoised: Mapping[str, str],
          segmented: Mapping[str, Mapping[str, str]]) -> Example | None:
    """Returns None if a file is missing or broken, or if the denoising saw
    another region than the middle of the image."""
    paths = next(iter(segmented.values()))
    try:
        image = _read_rgb(paths['image'])
        clean, noisy, clear = (_read_rgb(denoised[kind]) for kind in _DENOISED)
        masks = {'truth': _read_ids(paths['truth'])}
        masks |= {arm: _read_ids(paths['prediction'])
                  for arm, paths in segmented.items()}
    except (KeyError, OSError, ValueError):
        return None
    (top, bottom), (left, right) = (
        ((whole - part) // 2, (whole + part) // 2)
        for whole, part in zip(image.shape[:2], clean.shape[:2]))
    if min(top, left) < 0 or not np.array_equal(
            image[top:bottom, left:right], clean):
        return None
    return Example(image, (top, left), noisy, clear, {
        name: ids[top:bottom, left:right] for name, ids in masks.items()})


def _read_rgb(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def _read_ids(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, np.uint8)


def _largest_share(example: Example) -> float:
    """Returns the share of the region that its largest class takes."""
    truth = example.masks['truth']
    return np.bincount(truth.ravel()).max() / truth.size


def _draw(experiment, found, shown: list[Example]) -> figure.Figure:
    arms = list(shown[0].masks)[1:]
    size = ((4 + len(arms)) * _STEP - _GAP + 2 * _SIDE,
            len(shown) * _STEP - _GAP + _TOP + _BOTTOM)
    drawn = figure.Figure(figsize=size, facecolor='white')
    palette = thumbnails.full_palette(experiment.info.get('palette', ()))
    for row, example in enumerate(shown):
        for column, pixels in enumerate(_panels(example, palette)):
            axes = drawn.add_axes((
                (_SIDE + column * _STEP) / size[0],
                1 - (_TOP + _PANEL + row * _STEP) / size[1],
                _PANEL / size[0], _PANEL / size[1]))
            axes.imshow(pixels, interpolation='nearest')
            axes.set_axis_off()
            if column == 0 and example.is_cut:
                _frame(axes, example)
    _write_titles(drawn, found.labels, len(arms))
    _write_names(drawn, experiment, found, arms)
    _write_note(drawn, shown)
    _draw_legend(drawn, experiment.class_names, palette, shown)
    return drawn


def _panels(example: Example, palette: np.ndarray) -> list[np.ndarray]:
    """Returns [H, W, 3] uint8 each; the photos brightened by one factor."""
    white = max(float(np.percentile(example.image, 99.8)), 1.0)
    photos = (example.image, example.noisy, example.denoised)
    return [*(np.clip(photo * (255 / white), 0, 255).astype(np.uint8)
              for photo in photos),
            *(palette[ids] for ids in example.masks.values())]


def _frame(axes, example: Example) -> None:
    top, left = example.corner
    height, width = example.noisy.shape[:2]
    axes.add_patch(patches.Rectangle(
        (left - 0.5, top - 0.5), width, height, fill=False, edgecolor=_FRAME,
        linewidth=1.8))


def _write_titles(drawn, labels: int, arms: int) -> None:
    """Writes the method's two steps above the columns that show them."""
    for first, columns, title in (
            (1, 2, '1  Learn to denoise, without labels'),
            (3, 1 + arms, f'2  Learn to segment, from {labels} labelled '
                          'images')):
        left = _SIDE + first * _STEP
        right = left + columns * _STEP - _GAP
        start, end = (_place(drawn, x, 0.34) for x in (left, right))
        drawn.add_artist(patches.ConnectionPatch(
            start, end, 'figure fraction', color=_GRAY, linewidth=1.2))
        drawn.text(*_place(drawn, (left + right) / 2, 0.26), title,
                   ha='center', fontsize=11, weight='bold')


def _write_names(drawn, experiment, found, arms: list[str]) -> None:
    """Writes what each column shows, with the score of an arm."""
    scores = {score.arm: score.mean for score in stats.scores(experiment)
              if (score.variant, score.labels) == (found.variant,
                                                   found.labels)}
    for column, name in enumerate(
            ['test image', 'noisy', 'denoised', 'truth', *arms]):
        x = _SIDE + column * _STEP + _PANEL / 2
        lines = [name]
        if column > 3:
            lines.append(f'mIoU {scores[name]:.1f}')
        for above, line in enumerate(reversed(lines)):
            drawn.text(*_place(drawn, x, _TOP - 0.09 - 0.18 * above), line,
                       ha='center', fontsize=10)


def _write_note(drawn, shown: list[Example]) -> None:
    lines = ['mIoU: on the test split, mean over the seeds.']
    if any(example.is_cut for example in shown):
        lines.insert(0, 'All columns but the first show what is framed.')
    drawn.text(_SIDE / drawn.get_figwidth(), 0.12 / drawn.get_figheight(),
               '\n'.join(lines), fontsize=8.5, color=_NOTE, linespacing=1.3)


def _draw_legend(drawn, class_names: list[str], palette: np.ndarray,
                 shown: list[Example]) -> None:
    """Names the classes in the picture; others would only take room."""
    seen = sorted(set().union(*(np.unique(ids) for example in shown
                                for ids in example.masks.values())))
    names = dict(enumerate(class_names))
    handles = [patches.Patch(facecolor=palette[train_id] / 255,
                             edgecolor=_GRAY,
                             label=names.get(train_id, 'ignored'))
               for train_id in seen]
    drawn.legend(handles=handles, loc='lower right', frameon=False, ncols=6,
                 fontsize=10, handlelength=1, handleheight=1, borderaxespad=0,
                 bbox_to_anchor=(1 - _SIDE / drawn.get_figwidth(),
                                 0.12 / drawn.get_figheight()))


def _place(drawn, x: float, below: float) -> tuple[float, float]:
    """Inches from the left and below the top -> fractions of the figure."""
    return (x / drawn.get_figwidth(), 1 - below / drawn.get_figheight())
