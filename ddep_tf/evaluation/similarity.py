"""How two runs differ: in their weights, and in what they make of images."""

from collections.abc import Mapping
import dataclasses
import math
import os

import keras
import numpy as np
import tensorflow as tf

from ddep_tf import errors, files
from ddep_tf.models import registry as encoders
from ddep_tf.models import weights
from ddep_tf.objectives import base as objectives
from ddep_tf.objectives import registry
from ddep_tf.runtime import build, inputs, run_folder

PARTS = ('encoder', *(f'decoder/{block}' for block in (
    'entry', 'block1', 'block2', 'block3', 'block4')))
# The activation in which each part of the decoder ends.
_ENDS = {'decoder/entry': 'entry.relu',
         **{f'decoder/block{i}': f'block{i}.relu2' for i in range(1, 5)}}


@dataclasses.dataclass(frozen=True)
class Row:
    """A part of two networks.

    Attributes:
      part: one of PARTS.
      first, second: Frobenius norms of all its kernels.
      distance: norm of the difference of the kernels, over `first`.
      cosine: of the kernels.
      alignment: linear CKA of what it gives, in [0, 1]; of the encoder, of
        its map of stride 16.
    """
    part: str
    first: float
    second: float
    distance: float
    cosine: float
    alignment: float


def compare(first: str | os.PathLike, second: str | os.PathLike,
            data_dir: str | os.PathLike, strategy: tf.distribute.Strategy,
            images: int = 16) -> list[Row]:
    """Compares two finished runs that denoise or segment with one network.

    Args:
      first, second: run folders. The center crops of the first one's val
        images are what features are compared on.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      images: how many of them.

    Raises:
      UserError: a run has no weights yet, the first one's data no val split,
        or the networks have other parts or sizes.
    """
    run = run_folder.read_run(first)
    batch = _batch(run, data_dir, images)
    networks = [_load(path, strategy) for path in (first, second)]
    found = [_features(network, batch) for network in networks]
    kernels = [_kernels(path) for path in (first, second)]
    if [_shapes(part) for part in kernels[0].values()] != [
            _shapes(part) for part in kernels[1].values()]:
        raise errors.UserError(f'{second} has another network than {first}: '
                               'compare runs of one encoder and decoder')
    return [_row(part, kernels[0][part], kernels[1][part],
                 cka(found[0][part], found[1][part])) for part in PARTS]


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the linear centered kernel alignment of features.

    Kornblith et al. 2019, "Similarity of neural network representations
    revisited": 1 where one is a rotated and scaled copy of the other.

    Args:
      first, second: [N, C] and [N, D] float, rows of the same examples.

    Returns:
      A number in [0, 1]; nan if one of them is constant.
    """
    first, second = (np.asarray(x, np.float64) - np.mean(x, 0, np.float64)
                     for x in (first, second))
    shared = np.linalg.norm(first.T @ second) ** 2
    own = math.prod(np.linalg.norm(x.T @ x) for x in (first, second))
    return float(shared / own) if own else math.nan


def _load(path, strategy):
    run = run_folder.read_run(path)
    if not registry.objective_of(run.stage).has_decoder:
        raise errors.UserError(f'{path} is of the stage {run.stage}: it has '
                               'no decoder to compare')
    return build.load_network(run, path, strategy)


def _batch(run, data_dir, images):
    source = next(iter(inputs.open_inputs(run, data_dir, ('val',))['val']),
                  None)
    if source is None:
        raise errors.UserError(f'{run.data[0].name} names no val split: set '
                               'DatasetSpec.val_split of the run')
    dataset = inputs.crop_dataset(run, source, images)
    return objectives.as_float(next(iter(dataset))['image'])


def _features(network, images) -> dict[str, np.ndarray]:
    """Returns {part: what it gives of each place of the images, [N, C]}."""
    maps = network.encode(images, training=False)
    probe = keras.Model(network.decoder.input, {
        part: network.decoder.get_layer(name).output
        for part, name in _ENDS.items()})
    given = probe({key: maps[key] for key in network.decoder.input},
                  training=False)
    return {part: np.reshape(value, (-1, value.shape[-1])) for part, value in
            {'encoder': maps[list(encoders.MAPS)[-1]], **given}.items()}


def _kernels(path) -> dict[str, dict[str, np.ndarray]]:
    """Returns {part: {key: kernel}} of a run's weights."""
    arrays = weights.read_npz(files.path(path, run_folder.WEIGHTS))
    found: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    for key, array in arrays.items():
        part = '/'.join(key.split('/')[:2])
        if not key.startswith(('decoder/', 'head/')):
            part = 'encoder'
        if part in found and array.ndim > 1:
            found[part][key] = array
    return found


def _shapes(kernels: Mapping[str, np.ndarray]):
    return {key: array.shape for key, array in kernels.items()}


def _row(part, first, second, alignment):
    one, other = (np.concatenate([kernels[key].ravel() for key in first])
                  .astype(np.float64) for kernels in (first, second))
    norms = np.linalg.norm(one), np.linalg.norm(other)
    return Row(part, *map(float, norms),
               float(np.linalg.norm(one - other) / norms[0]),
               float(one @ other / math.prod(norms)), alignment)


def table(rows: list[Row]) -> str:
    """Returns the rows as text, below a head."""
    lines = [f'{"part":<16} {"norm":>8} {"other":>8} {"distance":>9} '
             f'{"cosine":>7} {"CKA":>6}']
    return '\n'.join(lines + [
        f'{row.part:<16} {row.first:8.3f} {row.second:8.3f} '
        f'{row.distance:9.3f} {row.cosine:7.3f} {row.alignment:6.3f}'
        for row in rows])
