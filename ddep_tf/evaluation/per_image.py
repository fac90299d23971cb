"""How each image of a split fares, with pictures of the worst and the best."""

from collections.abc import Callable
import math
import os

import numpy as np

from ddep_tf import files
from ddep_tf.evaluation import metrics, samples
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.runtime import run_folder

_DIGITS = 6  # Of a score: in the table and in the pictures the same are equal.
_LONGEST = 1024  # Side of a picture: pages show less, and it is kept in memory.
Pictures = dict[str, np.ndarray]  # {kind: uint8 pixels}.


class PerImage:
    """Notes the mean IoU of each image of a split.

    Args:
      extremes: how many of the worst and of the best images to show.
    """

    def __init__(self, extremes: int):
        self._scores: dict[str, float] = {}
        self._worst, self._best = _Lowest(extremes), _Lowest(extremes)

    def see(self, example_id: str, one: predictor_lib.Segmented) -> None:
        """Takes an image. Its mean is over the classes that it, or what is
        predicted of it, holds; nan if nothing in it counts."""
        score = round(metrics.mean_iou(one.matrix), _DIGITS)
        self._scores[example_id] = score
        if not math.isnan(score):
            for kept, key in (self._worst, score), (self._best, -score):
                kept.offer(key, example_id, lambda: _pictures(one))

    def write(self, run_dir: str | os.PathLike) -> None:
        """Writes per_image.csv, the worst image first, and the pictures.

        Nothing is written if no image was seen.
        """
        if not self._scores:
            return
        rows = sorted(self._scores.items(), key=lambda row: (
            math.isnan(row[1]), row[1]))
        table = files.csv_text(('id', 'mean_iou'), (
            {'id': name, 'mean_iou': f'{score:.{_DIGITS}f}'}
            for name, score in rows))
        files.write_text(files.path(run_dir, run_folder.PER_IMAGE), table)
        worst, best = self._worst.kept(), self._best.kept()
        folder = files.path(run_dir, run_folder.EXTREMES)
        for rank, pictures in enumerate(worst.values(), 1):
            samples.write_pictures(folder, f'worst_{rank}', pictures)
        for rank, (name, pictures) in enumerate(best.items(), 1):
            if name not in worst:  # Of a few images, one may be among both.
                samples.write_pictures(folder, f'best_{rank}', pictures)


class _Lowest:
    """Keeps what has the lowest keys; of equal ones, what came first."""

    def __init__(self, count: int):
        self._count = count
        self._found: list[tuple[float, str, Pictures]] = []

    def offer(self, key: float, name: str,
              make: Callable[[], Pictures]) -> None:
        """Makes and keeps pictures if the key is among the lowest."""
        found = self._found
        if len(found) < self._count or found and key < found[-1][0]:
            found.append((key, name, make()))
            found.sort(key=lambda entry: entry[0])
            del found[self._count:]

    def kept(self) -> dict[str, Pictures]:
        """Returns {name: pictures}, the lowest first."""
        return {name: pictures for _, name, pictures in self._found}


def _pictures(one: predictor_lib.Segmented) -> Pictures:
    step = -(-max(one.label.shape) // _LONGEST)
    return samples.segmented(one.image, one.label[::step, ::step],
                             one.predicted[::step, ::step])
