"""Measures how time and memory grow with the crop and the batch. No TF.

Each point is a command of its own, as a user would type it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np

from ddep_tf import errors, files
from ddep_tf.runtime import child_process

TABLE = 'table.csv'
# Of the square crops, pixels: with less, the memory is what starting takes.
SIZES = (192, 256, 384)
BATCHES = (2, 4, 8)
_POINT = ('what', 'encoder', 'width', 'precision', 'size', 'batch')
COLUMNS = (*_POINT, 'core_seconds_per_step', 'seconds_per_step',
           'peak_rss_mib', 'gflop_per_step', 'steps', 'processor', 'cores',
           'tensorflow', 'commit')
Row = dict[str, str]
Measure = Callable[[Sequence[str]], dict]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A straight line through what was measured.

    Attributes:
      fixed: its value at 0.
      slope: what a million pixels, over all images of a step, add.
      residual: the largest relative distance of a point from it.
      exponent: that of the power law through the points, 1 where what is
        measured is proportional to the pixels.
    """
    fixed: float
    slope: float
    residual: float
    exponent: float


def measure(output_dir: str | os.PathLike, setting: Mapping[str, str],
            steps: int, benchmark: Measure | None = None) -> list[Row]:
    """Measures the points that table.csv lacks; returns those of a setting.

    Args:
      output_dir: folder of table.csv.
      setting: {flag of launch/benchmark.py: value}: what, encoder, width and
        precision.
      steps: that are measured at each point.
      benchmark: returns the JSON of launch/benchmark.py with given flags.

    Raises:
      UserError: a command failed.
    """
    folder = files.path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLE
    rows = files.read_csv(path) if path.exists() else []
    for point in points(setting):
        if _of(rows, point):
            continue
        print(f'{point["size"]} x {point["size"]}, {point["batch"]} images ...',
              flush=True)
        found = (benchmark or _benchmark)(
            [*(f'--{name}={value}' for name, value in point.items()),
             f'--steps={steps}'])
        rows.append({name: _text(value) for name, value in {
            **found, **point}.items() if name in COLUMNS})
        files.write_text(path, files.csv_text(COLUMNS, rows))
    return _of(rows, setting)


def points(setting: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yields the flags of each point, small ones first."""
    for size in SIZES:
        for batch in BATCHES:
            yield {**setting, 'size': str(size), 'batch': str(batch)}


def fit(rows: Sequence[Row], column: str) -> Fit:
    """Fits a column by least squares to the pixels of a step."""
    pixels = np.array([megapixels(row) for row in rows])
    values = np.array([float(row[column]) for row in rows])
    slope, fixed = np.polyfit(pixels, values, 1)
    line = fixed + slope * pixels
    return Fit(float(fixed), float(slope),
               float(np.abs(values / line - 1).max()),
               float(np.polyfit(np.log(pixels), np.log(values), 1)[0]))


def megapixels(row: Row) -> float:
    """Returns the pixels of a step's images, in millions."""
    return int(row['batch']) * int(row['size']) ** 2 / 1e6


def _of(rows, wanted):
    return [row for row in rows
            if all(row[name] == value for name, value in wanted.items())]


def _benchmark(flags):
    done = subprocess.run(
        [sys.executable, '-m', 'ddep_tf.launch.benchmark', '--json', *flags],
        capture_output=True, text=True, check=False,
        env=child_process.environment())
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ['']
        raise errors.UserError(f'launch/benchmark.py {" ".join(flags)} failed '
                               f'({lines[-1].strip()})')
    return json.loads(done.stdout.splitlines()[-1])


def _text(value):
    return f'{value:.4g}' if isinstance(value, float) else str(value)
