"""Sample pictures of a run: as PNG files, and in TensorBoard."""

from collections.abc import Iterator, Mapping
import hashlib
import itertools
import os
import re

import numpy as np
import tensorflow as tf

from ddep_tf import files, specs
from ddep_tf.data import image_files, labels, pipelines
from ddep_tf.data.sources import factory
from ddep_tf.evaluation import evaluator as evaluator_lib
from ddep_tf.evaluation import rounds
from ddep_tf.runtime import inputs, run_folder

_LONGEST = 200  # Bytes of a file name made of an id.
# Separators, control characters, and bytes that are not UTF-8.
_INVALID = re.compile(r'[/\\\x00-\x1f\x7f\ud800-\udfff]')


def label_set(run: specs.RunSpec) -> labels.LabelSet:
    """Returns the LabelSet of the masks of a run's first data set."""
    return labels.for_spec(run.data[0])


def file_name(example_id: str) -> str:
    """Returns an example's id as a valid file name, without an ending.

    It is the id, with '_' for what no file name can hold. One that leaves no
    room for what is appended, of the 255 bytes that disks allow, ends in a
    hash.
    """
    name = _INVALID.sub('_', example_id)
    encoded = name.encode()
    if len(encoded) <= _LONGEST:
        return name
    digest = hashlib.sha256(example_id.encode(errors='surrogatepass'))
    return (encoded[:_LONGEST - 17].decode(errors='ignore') + '_'
            + digest.hexdigest()[:16])


def to_bytes(image: tf.Tensor) -> np.ndarray:
    """Turns an image [H, W, 3] in [-1, 1] into uint8."""
    image = np.clip((np.asarray(image) + 1.0) * 127.5, 0, 255)
    return image.round().astype(np.uint8)


def write(run: specs.RunSpec, evaluator: evaluator_lib.Evaluator,
          source: factory.Source, run_dir: str | os.PathLike) -> None:
    """Writes pictures of the first examples of a source to samples/.

    Args:
      run: RunSpec.
      evaluator: Evaluator.
      source: data source.
      run_dir: the run folder.
    """
    folder = files.path(run_dir, 'samples')
    ids = source.first_ids(run.evaluation.samples)
    for position, pictures in _samples(run, evaluator, source):
        write_pictures(folder, file_name(ids[position]), pictures)
    for level, pictures in _at_levels(run, evaluator, source):
        write_pictures(files.path(run_dir, run_folder.LEVELS), f'{level:g}',
                       pictures)


def write_pictures(folder: str | os.PathLike, name: str,
                   pictures: Mapping[str, np.ndarray]) -> None:
    """Writes {kind: uint8 pixels} to NAME_KIND.png in a folder."""
    folder = files.path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, pixels in pictures.items():
        image_files.write_png(folder / f'{name}_{kind}.png', pixels)


def segmented(image: tf.Tensor, truth: np.ndarray,
              prediction: np.ndarray) -> dict[str, np.ndarray]:
    """Returns {kind: uint8 pixels} of an image and its masks.

    Args:
      image: [H, W, 3] float32 in [-1, 1].
      truth: [h, w] train ids.
      prediction: [h, w] train ids.
    """
    return {'image': to_bytes(tf.image.resize(image, truth.shape,
                                              antialias=True)),
            'truth': truth.astype(np.uint8),
            'prediction': prediction.astype(np.uint8)}


def summarize(run: specs.RunSpec, evaluator: evaluator_lib.Evaluator,
              source: factory.Source) -> None:
    """Writes the same pictures to the default TensorBoard writer."""
    by_kind: dict[str, list[np.ndarray]] = {}
    for _, pictures in _samples(run, evaluator, source):
        for kind, pixels in pictures.items():
            if pixels.ndim == 2:
                pixels = labels.paint(pixels, label_set(run).palette)
            by_kind.setdefault(kind, []).append(pixels)
    for kind, images in by_kind.items():
        for i, image in enumerate(images):
            tf.summary.image(f'{kind}/{i}', image[None])


def _samples(run, evaluator, source
             ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yields (position, {kind: uint8 pixels}) of the first few examples."""
    if evaluator.predictor is not None:
        yield from _of_whole_images(run, evaluator.predictor, source)
    elif evaluator.objective.sample_kinds:
        yield from _of_crops(run, evaluator, source)


def _of_crops(run, evaluator, source):
    dataset = inputs.crop_dataset(run, source, 1)
    for batch in itertools.islice(dataset, run.evaluation.samples):
        yield int(batch['position'][0]), _of_batch(evaluator, batch)


def _of_batch(evaluator, batch):
    return {kind: to_bytes(images[0])
            for kind, images in evaluator.sample_images(batch).items()}


def _at_levels(run, evaluator, source
               ) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Yields (level, {kind: uint8 pixels}) of the first example, which is
    the same at each but for its noise."""
    levels = evaluator.objective.sample_levels
    if not (levels and run.evaluation.samples):
        return
    batch = next(iter(inputs.crop_dataset(run, source, 1)))
    for level in levels:
        pictures = _of_batch(evaluator, evaluator.objective.at_level(
            batch, level))
        yield level, {kind: pictures[kind] for kind in ('noisy', 'denoised')}


def _of_whole_images(run, predictor, source):
    dataset = pipelines.eval_dataset(source, 1)
    for example in itertools.islice(dataset, run.evaluation.samples):
        truth = example['label'].numpy()
        ((prediction,), _), = predictor.predict([
            rounds.Group([example['image'].numpy()], truth.shape)])
        yield int(example['position']), segmented(example['image'], truth,
                                                  prediction)
