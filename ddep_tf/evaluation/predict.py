"""Segments photos and videos with a finished run."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import os
import pathlib

import numpy as np
import tensorflow as tf
import tqdm

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files, labels, photos, transforms, videos
from ddep_tf.evaluation import ahead, prediction_files, rounds
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.objectives import registry
from ddep_tf.runtime import build, process


def predict_files(run_dir: str | os.PathLike, run: specs.RunSpec,
                  inputs: Iterable[str | os.PathLike],
                  output_dir: str | os.PathLike,
                  strategy: tf.distribute.Strategy,
                  write: Sequence[str] = prediction_files.DEFAULT,
                  strict: bool = False, frame_step: int = 1) -> None:
    """Segments what is named, writes masks and pictures, lists what is left.

    Args:
      run_dir: finished segment run.
      run: its RunSpec; `evaluation` says how images are segmented.
      inputs: as of photos.find.
      output_dir: folder for what is written: NAME.png and so on of NAME.jpg,
        NAME/000000.png of the first frame of NAME.mp4.
      strategy: tf.distribute.Strategy.
      write: of prediction_files.KINDS.
      strict: raise for the first image that cannot be read.
      frame_step: of videos, every so many frames one is segmented.

    Raises:
      UserError: the run does not segment, there is no image, none can be
        read, or a file would replace an image or another file.
    """
    require_segments(run, run_dir)
    written = prediction_files.PredictionFiles(
        output_dir, write, labels.for_spec(run.data[0]))
    found = photos.find(inputs, output_dir)
    written.check(found)
    process.set_up(
        run.seed, deterministic=process.is_deterministic(run, strategy))
    network = build.load_network(run, run_dir, strategy)
    predictor = predictor_lib.Predictor(network, run.evaluation, strategy)
    skipped: dict[photos.Photo, str] = {}  # Errors would hold the pixels.
    with (tqdm.tqdm(total=len(found), desc='predict', unit='image') as bar,
          contextlib.closing(ahead.read_ahead(
              _read(found, frame_step, bar),
              predictor.own_replicas + 1)) as images):
        for some in rounds.in_turn(images, predictor.own_replicas):
            some = [one for one in some if one[0] not in skipped]
            for photo, name, result in _predict(
                    predictor, some, run.data[0], written.takes_probabilities):
                if isinstance(result, image_files.Unusable):
                    if strict:
                        raise result
                    skipped.setdefault(photo, str(result))
                elif photo not in skipped:  # Or what is left of a video.
                    written.write(name, result)
                bar.update()
                del result
            del some  # Or both would be held while the next ones are read.
    if skipped and not written.count:
        raise errors.UserError(next(iter(skipped.values())))
    written.finish()
    print(f'{written.count} masks in {output_dir}')
    if skipped:
        print(files.printable('\n'.join(f'skipped: {reason}'
                                        for reason in skipped.values())))
        print(f'{len(skipped)} of {len(found)} skipped, named above')


def as_group(images: Sequence[np.ndarray],
             dataset_spec: specs.DatasetSpec) -> rounds.Group:
    """Returns images as a Predictor takes them, to be segmented at their size.

    Args:
      images: of one size, each [H, W, 3] uint8.
      dataset_spec: DatasetSpec that the run was trained on; they are resized
        in the same way.
    """
    inputs = [transforms.to_float(transforms.resize(
        {'image': tf.constant(image)}, dataset_spec.scale,
        dataset_spec.short_side))['image'].numpy() for image in images]
    return rounds.Group(inputs, images[0].shape[:2])


def require_segments(run: specs.RunSpec, run_dir: str | os.PathLike) -> None:
    """Raises UserError unless a run predicts masks."""
    if not registry.objective_of(run.stage).whole_images:
        raise errors.UserError(f'{run_dir} is a {run.stage} run: prediction '
                               'needs one of the stage segment')


def _read(found, frame_step, bar):
    """Yields (photo, name, [H, W, 3] uint8) of all images and frames, or an
    Unusable in place of what cannot be read."""
    for photo in found:
        try:
            for name, image in _images(photo, frame_step, bar):
                yield photo, name, image
        except image_files.Unusable as error:
            yield photo, photo.name, error


def _images(photo: photos.Photo, frame_step: int, bar: tqdm.tqdm
            ) -> Iterator[tuple[pathlib.PurePath, np.ndarray]]:
    """Yields (name, [H, W, 3] uint8) of an image, or of each frame."""
    if not photo.is_video:
        yield photo.name, image_files.read_image(photo.path)
        return
    with videos.opened(photo.path, frame_step) as video:
        bar.total += max(-(-video.claimed // frame_step), 1) - 1
        for number, frame in video:
            yield photo.name / f'{number:06d}', frame
        if video.read < video.claimed - 1:
            bar.write(f'{photo.path}: of {video.claimed} frames that its '
                      f'header claims, {video.read} could be read')


def _predict(predictor, some, dataset_spec, with_probabilities):
    """Yields (photo, name, Prediction) of what _read yields, or an Unusable in
    place of what cannot be read or segmented."""
    images = [image for *_, image in some
              if not isinstance(image, image_files.Unusable)]
    found = iter(_segmented(predictor, images, dataset_spec,
                            with_probabilities))
    for photo, name, image in some:
        result = image
        if not isinstance(image, image_files.Unusable):
            result = next(found) or image_files.Unusable(
                f'{name}, {image.shape[1]} x {image.shape[0]} pixels, does not '
                'fit in memory: give smaller tiles, such as '
                "--gin_param='EvalSpec.tile=(512, 512)'")
        yield photo, name, result


def _segmented(predictor, images, dataset_spec, with_probabilities):
    """Returns a Prediction of each image [H, W, 3] uint8, each on a replica of
    its own, or None for one that does not fit in memory."""
    if not images:
        return []
    try:
        found = predictor.predict(
            [as_group([image], dataset_spec) for image in images],
            with_probabilities)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        found = None  # Not here: the error holds what is to be freed.
    if found:
        return [prediction_files.Prediction(
            image, ids[0], probabilities[0] if with_probabilities else None)
            for image, (ids, probabilities) in zip(images, found, strict=True)]
    if len(images) == 1:
        return [None]
    # Each lay in a canvas as high as the highest, as wide as the widest.
    return [one for image in images for one in _segmented(
        predictor, [image], dataset_spec, with_probabilities)]
