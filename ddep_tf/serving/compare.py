"""Compares an exported model with the run that it was exported from."""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from ddep_tf import errors, files
from ddep_tf.serving import formats

# Of probabilities: float32 in another order of the operations differs by
# 1e-5 at most, 8 bits by 1e-2.
TOLERANCE = 1e-3
_PLAIN_KERAS = pathlib.Path(__file__).with_name('plain_keras.py')
_CALLS = 5  # Of which the median is the latency.


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
      images: number of images.
      difference: the largest one of two probabilities.
      agreement: fraction of the pixels with the same id.
      size: (height, width) of the image that the latency is of.
      run_milliseconds, milliseconds: latency of the run's network and of the
        exported model on this machine.
    """
    images: int
    difference: float
    agreement: float
    size: tuple[int, ...]
    run_milliseconds: float
    milliseconds: float


def compare(original: formats.Segment, form: formats.Format,
            path: pathlib.Path, images: Sequence[np.ndarray]) -> Comparison:
    """Compares an exported model with its original.

    Args:
      original: what it was exported from.
      form: the Format.
      path: the exported model.
      images: [H, W, 3] uint8 each.

    Raises:
      UserError: it does not open, or differs by more than TOLERANCE.
    """
    batches = [image[None] for image in images]
    expected = [original(batch) for batch in batches]
    try:
        found, milliseconds = (_by_keras_alone(path, batches) if form.plain
                               else _by(form.open(path), batches))
    except errors.UserError:
        raise
    except Exception as error:  # Of any runtime.
        raise errors.UserError(
            f'{path.name} does not run ({errors.first_line(error)}): take '
            'another format, or give --image_size') from error
    pairs = list(zip(expected, found, strict=True))
    difference = max(_difference(*pair) for pair in pairs)
    if not difference <= TOLERANCE:
        raise errors.UserError(
            f'{path.name} differs from the run: probabilities by '
            f'{difference:.2g}, where {TOLERANCE:g} is allowed: take another '
            'format')
    same = [a[0] == b[0] for a, b in pairs]
    return Comparison(
        len(images), difference,
        float(np.mean(np.concatenate([each.ravel() for each in same]))),
        images[0].shape[:2], _milliseconds(original, batches[0]), milliseconds)


def _by(segment, batches):
    found = [segment(batch) for batch in batches]
    return found, _milliseconds(segment, batches[0])


def _by_keras_alone(path, batches):
    """Runs a .keras file in a process that does not see this package."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = (files.path(folder, name)
                          for name in ('images.npz', 'results.npz'))
        np.savez(given, **{f'image_{i}': batch
                           for i, batch in enumerate(batches)})
        done = subprocess.run(
            [sys.executable, '-I', str(_PLAIN_KERAS), str(path), str(given),
             str(results)], capture_output=True, text=True, check=False,
            # This process may have taken all memory of a GPU.
            env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''})
        if done.returncode:
            # The lines of where it was raised are indented.
            raise RuntimeError('\n'.join(
                line for line in done.stderr.rpartition('Traceback')[2]
                .splitlines()[1:] if not line.startswith(' ')))
        with np.load(results) as arrays:
            return [(arrays[f'ids_{i}'], arrays[f'probabilities_{i}'])
                    for i in range(len(batches))], float(
                        arrays['milliseconds'])


def _difference(expected, found):
    """Returns the largest difference of the probabilities; infinite if the
    shapes differ, or if the ids are not those of the probabilities."""
    ids, probabilities = found
    if expected[1].shape != probabilities.shape or not np.array_equal(
            ids, probabilities.argmax(-1)):
        return np.inf
    return float(np.abs(expected[1] - probabilities).max())


def _milliseconds(segment, batch):
    seconds = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        segment(batch)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))
