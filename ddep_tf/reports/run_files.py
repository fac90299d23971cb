"""What a report reads in the folders of runs; what is missing is empty. No
TF."""

from collections.abc import Sequence
import math
import os
import pathlib
import re

import numpy as np

from ddep_tf import files
from ddep_tf.experiments import records
from ddep_tf.runtime import run_folder


def folder(exp_dir: str | os.PathLike, run: str) -> pathlib.Path | None:
    """Returns the folder of a run; None if it has no name of a folder, so
    that no name in a table leads out of the experiment."""
    if run in ('', '.', '..') or re.search(r'[/\\\0]', run):
        return None
    return files.path(exp_dir, 'runs', run)


def pictures(exp_dir: str | os.PathLike, run: str, kinds: Sequence[str],
             within: str = 'samples') -> dict[str, dict[str, str]]:
    """Returns {name: {kind: path}} of a run's pictures.

    Args:
      exp_dir: folder of the experiment.
      run: name of the run.
      kinds: endings of the names before .png, such as 'image'.
      within: their folder in that of the run.
    """
    found: dict[str, dict[str, str]] = {}
    run_dir = folder(exp_dir, run)
    if run_dir is None:
        return found
    pattern = re.compile(rf'(.+)_({"|".join(kinds)})\.png')
    for path in sorted(files.path(run_dir, within).glob('*.png')):
        match = pattern.fullmatch(path.name)
        if match:
            name, kind = match.groups()
            found.setdefault(name, {})[kind] = str(path)
    return found


def confusion_matrix(exp_dir: str | os.PathLike, run: str
                     ) -> np.ndarray | None:
    """Returns the test pixels [C, C] int64 by true (rows) and predicted
    class; None if they were not counted."""
    run_dir = folder(exp_dir, run)
    result = run_folder.read_result(run_dir) if run_dir else None
    matrix = ((result or {}).get('test_details') or {}).get('confusion_matrix')
    return None if matrix is None else np.array(matrix, np.int64)


def image_scores(exp_dir: str | os.PathLike, run: str
                 ) -> list[tuple[str, float]]:
    """Returns (id, mean IoU in points) of the test images in which anything
    counts, the worst first."""
    run_dir = folder(exp_dir, run)
    rows = records.read(run_dir / run_folder.PER_IMAGE,
                        records.ImageRow) if run_dir else ()
    return sorted([(row.id, 100 * row.mean_iou) for row in rows
                   if not math.isnan(row.mean_iou)], key=lambda row: row[1])
