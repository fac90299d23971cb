"""Exports a finished run as a model that other programs open."""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np
from PIL import Image
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files, photos
from ddep_tf.data.sources import factory
from ddep_tf.evaluation import predict, tiles
from ddep_tf.runtime import build, run_folder
from ddep_tf.serving import (
    card,
    compare,
    formats,
    loading,
    plain_layers,
    serving_model,
)


def export(run_dir: str | os.PathLike, output: str | os.PathLike,
           format_name: str, image_size: Sequence[int] | None = None,
           compare_images: Sequence[str] = (), license_name: str = 'other',
           command: str = '') -> compare.Comparison:
    """Writes a folder with the model, its facts and a card.

    Args:
      run_dir: finished segment run.
      output: folder to write; must not exist.
      format_name: one of formats.FORMATS.
      image_size: (height, width) of the images; None takes any.
      compare_images: files, folders and patterns of the images that the model
        is compared on; none takes some that are part of the package.
      license_name: of the card, by its name at Hugging Face.
      command: of the card.

    Returns:
      Comparison of the model with the run, which segments whole images here.

    Raises:
      UserError: the run does not segment or is not finished, the network has
        no such format, or the model differs from the run; nothing is written.
    """
    files.require_local(output, '--output', 'name a local folder, and copy '
                        'what was written')
    form = formats.FORMATS[format_name]
    run = run_folder.read_run(run_dir)
    predict.require_segments(run, run_dir)
    images = _images(compare_images, output, image_size)
    # Other programs compute in float32, and not every format has bfloat16.
    network = build.load_network(
        dataclasses.replace(run, precision=specs.FLOAT32), run_dir,
        tf.distribute.get_strategy())
    original = loading.of_network(run, network, specs.EvalSpec())
    model = _serving_model(run, network, form, image_size)
    with files.new_folder(output) as folder:
        _write(form, model, folder / form.file)
        measured = compare.compare(
            lambda batch: original.predict(batch, probabilities=True), form,
            folder / form.file, images)
        facts = {
            'format': format_name,
            'image_size': image_size and list(image_size),
            'class_names': list(original.class_names),
            'palette': original.palette.tolist(),
            'comparison': dataclasses.asdict(measured),
            'sha256': _digests(folder), 'versions': run_folder.versions(),
            'run': _facts_of_run(run_dir)}
        files.write_json(folder / loading.FACTS, facts)
        files.write_text(folder / 'README.md', card.text(
            facts, run, run_folder.read_result(run_dir) or {}, license_name,
            command, _operative(run_dir)))
    return measured


def megabytes(folder: str | os.PathLike) -> float:
    """Returns the size of all files in a folder, 1e6 bytes."""
    return sum(path.stat().st_size for path in files.path(folder).rglob('*')
               if path.is_file()) / 1e6


def _serving_model(run, network, form, image_size) -> keras.Model:
    data = run.data[0]
    if form.plain:
        inner = serving_model.resized_size(data, image_size)
        network = plain_layers.rebuild(
            network, [side and tiles.padded(side) for side in inner])
    return serving_model.build(network, image_size, data)


def _write(form, model, path):
    try:
        form.write(model, path)
    except (errors.UserError, OSError):
        raise
    except Exception as error:  # Of any converter.
        reason = str(error).strip().partition('\n')[0]
        raise errors.UserError(
            f'the network cannot be written as {path.name} '
            f'({reason or type(error).__name__}): take another format'
        ) from error


def _images(names: Sequence[str], output, image_size
            ) -> list[np.ndarray]:
    """Returns the images [H, W, 3] uint8 to compare on."""
    if names:
        images = [image_files.read_image(photo.path)
                  for photo in photos.find(names, output)
                  if not photo.is_video]
        if not images:
            raise errors.UserError('--compare_images names videos alone: name '
                                   'an image')
    else:
        folder = factory.PACKAGED / 'nuclei' / 'test'
        images = [image_files.read_image(path)
                  for path in sorted(folder.glob('*.png'))[:3]]
        images[1] = images[1][:200, :237]  # No multiples of 16.
    if image_size:
        height, width = image_size
        images = [np.asarray(Image.fromarray(image).resize((width, height)))
                  for image in images]
    return images


def _digests(folder: pathlib.Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): files.sha256(path)
            for path in sorted(folder.rglob('*')) if path.is_file()}


def _facts_of_run(run_dir) -> dict[str, Any]:
    """Returns what is known of the weights, without the run's whole spec."""
    facts = files.read_json(files.path(run_dir, 'weights.json'))
    return {key: facts[key] for key in facts if key != 'spec'}


def _operative(run_dir):
    path = files.path(run_dir, 'operative.gin')
    return path.read_text(encoding='utf-8') if path.exists() else ''
