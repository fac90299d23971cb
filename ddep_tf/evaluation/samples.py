"""Pictures of a run: samples as PNG, and the same in TensorBoard."""

import itertools
import re

import numpy as np
from PIL import Image
import tensorflow as tf

from ddep_tf.data import labels, pipelines
from ddep_tf.evaluation import predictor
from ddep_tf.runtime import build


def label_set(run):
    """Returns the LabelSet of a segment run's first set."""
    return labels.for_spec(run.data[0])


def colour(ids, palette):
    """Paints train ids [H, W] uint8 as [H, W, 3] uint8; ignored is black."""
    table = np.zeros((256, 3), np.uint8)
    table[:len(palette)] = palette
    return table[ids]


def file_name(example_id):
    """Returns an example's id as a file may be called, without ending."""
    return re.sub(r'[^\w.-]', '_', example_id)


def to_bytes(image):
    """Turns an image in [-1, 1] into [H, W, 3] uint8."""
    image = np.clip((np.asarray(image) + 1.0) * 127.5, 0, 255)
    return image.round().astype(np.uint8)


def write_samples(run, infer, source, where):
    """Writes pictures of the first examples of `source` to samples/.

    Args:
      run: RunSpec.
      infer: of evaluator.Meter.
      source: data source.
      where: the run folder, a Path.
    """
    if run.stage == 'classify':
        return
    folder = where / 'samples'
    folder.mkdir(exist_ok=True)
    ids = source.first_ids(run.evaluation.samples)
    for position, kinds in _samples(run, infer, source):
        name = file_name(ids[position])
        for kind, pixels in kinds.items():
            Image.fromarray(pixels).save(folder / f'{name}_{kind}.png')


def summarise(run, infer, source):
    """Writes the same pictures to the default TensorBoard writer."""
    palette = label_set(run).palette if run.stage == 'segment' else None
    rows = {}
    for _, kinds in _samples(run, infer, source):
        for kind, pixels in kinds.items():
            painted = colour(pixels, palette) if pixels.ndim == 2 else pixels
            rows.setdefault(kind, []).append(painted)
    for kind, images in rows.items():
        for i, image in enumerate(images):
            tf.summary.image(f'{kind}/{i}', image[None])


def _samples(run, infer, source):
    """Yields (position, {kind: uint8 pixels}) of the first few examples."""
    if run.stage == 'denoise':
        yield from _denoised(run, infer, source)
    elif run.stage == 'segment':
        yield from _segmented(run, infer, source)


def _denoised(run, infer, source):
    dataset = pipelines.eval_dataset(source, 1, run.crop_size,
                                     example_fn=build.noise_hook(run))
    for batch in itertools.islice(dataset, run.evaluation.samples):
        noisy, clean = infer(batch)
        yield int(batch['position'][0]), {
            'clean': to_bytes(batch['image'][0]),
            'noisy': to_bytes(noisy[0]), 'denoised': to_bytes(clean[0])}


def _segmented(run, infer, source):
    dataset = pipelines.eval_dataset(source, 1)
    for example in itertools.islice(dataset, run.evaluation.samples):
        truth = example['label'].numpy().astype(np.uint8)
        prediction = predictor.label_ids(
            infer, example['image'][None], truth.shape)[0]
        image = tf.image.resize(example['image'], truth.shape)
        yield int(example['position']), {
            'image': to_bytes(image), 'truth': truth,
            'prediction': prediction}
