"""Collects what each stage of the method left of the same test images."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from ddep_tf.data import image_files
from ddep_tf.experiments import records
from ddep_tf.reports import read, run_files, stats

_DENOISED = ('clean', 'noisy', 'denoised')
_SEGMENTED = ('image', 'truth', 'prediction')


@dataclasses.dataclass(frozen=True)
class Example:
    """A test image, and one region of it as the stages saw and predicted it.

    Attributes:
      image: [H, W, 3] uint8.
      corner: (top, left) of the region in the image.
      noisy, denoised: [h, w, 3] uint8.
      truth: [h, w] uint8 train ids.
      predictions: {arm: [h, w] uint8 train ids}.
    """
    image: np.ndarray
    corner: tuple[int, int]
    noisy: np.ndarray
    denoised: np.ndarray
    truth: np.ndarray
    predictions: dict[str, np.ndarray]

    @property
    def is_cut(self) -> bool:
        """Whether the region is only a part of the image."""
        return self.image.shape != self.noisy.shape


@dataclasses.dataclass(frozen=True)
class Samples:
    """Examples of the setting that the report's first sentence is about.

    Attributes:
      labels: number of labelled images.
      seed: of the runs that predicted.
      scores: {arm: test mIoU in points, mean over its runs}.
      examples: at least one.
    """
    labels: int
    seed: int
    scores: dict[str, float]
    examples: list[Example]


def collect(experiment: read.Experiment, count: int) -> Samples | None:
    """Returns the `count` test images with the most varied truth.

    The truth alone decides: what is shown must not depend on predictions.
    None if there is no image of which every stage left samples.
    """
    found = stats.headline(experiment)
    if found is None:
        return None
    seed, runs = _first_seed(experiment, found)
    denoised = _denoised_samples(experiment, found)
    segmented = {arm: run_files.pictures(experiment.exp_dir, run.run,
                                         _SEGMENTED)
                 for arm, run in runs.items()}
    names = sorted(set(denoised).intersection(*segmented.values()))
    loaded = (_load(denoised[name], {
        arm: paths[name] for arm, paths in segmented.items()})
        for name in names)
    examples = sorted(filter(None, loaded), key=_largest_share)[:count]
    if not examples:
        return None
    scores = {score.arm: score.mean for score in stats.scores(experiment)
              if (score.variant, score.labels) == (found.variant,
                                                   found.labels)}
    return Samples(found.labels, seed, scores, examples)


def _first_seed(experiment, found) -> tuple[int, dict[str, records.RunRow]]:
    """Returns the first seed that both arms of `found` have, and {arm: run}."""
    by_seed: dict[int, dict[str, records.RunRow]] = {}
    for run in experiment.finished():
        if (run.variant, run.labels) == (found.variant, found.labels):
            by_seed.setdefault(run.seed, {})[run.arm] = run
    seed = min(seed for seed, runs in by_seed.items()
               if {found.arm, found.minus} <= runs.keys())
    return seed, {arm: by_seed[seed][arm] for arm in experiment.arms
                  if arm in by_seed[seed]}


def _denoised_samples(experiment, found) -> dict[str, dict[str, str]]:
    """Returns the samples of the arm's first denoising that has any."""
    samples = (run_files.pictures(experiment.exp_dir, run.run, _DENOISED)
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
        truth = _read_ids(paths['truth'])
        predictions = {arm: _read_ids(paths['prediction'])
                       for arm, paths in segmented.items()}
    except (KeyError, OSError, ValueError):
        return None
    top, left = ((whole - part) // 2 for whole, part in zip(
        image.shape[:2], clean.shape[:2], strict=True))
    region = (slice(top, top + clean.shape[0]),
              slice(left, left + clean.shape[1]))
    if min(top, left) < 0 or not np.array_equal(image[region], clean):
        return None
    return Example(image, (top, left), noisy, clear, truth[region],
                   {arm: ids[region] for arm, ids in predictions.items()})


def _read_rgb(path: str) -> np.ndarray:
    with image_files.opened(path) as image:
        return np.asarray(image.convert('RGB'))


def _read_ids(path: str) -> np.ndarray:
    with image_files.opened(path) as image:
        return np.asarray(image, np.uint8)


def _largest_share(example: Example) -> float:
    """Returns the share of the region that its largest class takes."""
    largest = np.max(np.bincount(example.truth.ravel()))
    return float(largest) / example.truth.size
