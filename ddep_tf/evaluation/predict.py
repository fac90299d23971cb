"""Segments photos and videos with a finished run."""

from collections.abc import Iterable, Iterator, Sequence
import os
import pathlib

import numpy as np
import tensorflow as tf
import tqdm

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files, labels, photos, transforms, videos
from ddep_tf.evaluation import ahead, prediction_files
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.objectives import registry
from ddep_tf.runtime import build, process

_AHEAD = 2  # Images that are read while one is segmented.


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
    with tqdm.tqdm(total=len(found), desc='predict', unit='image') as bar:
        for photo, name, image in ahead.read_ahead(
                _read(found, frame_step, bar), _AHEAD):
            if photo in skipped:
                continue  # What is left of a video.
            try:
                if isinstance(image, image_files.Unusable):
                    raise image
                written.write(name, _predict(
                    predictor, image, run, name, written.takes_probabilities))
            except image_files.Unusable as error:
                if strict:
                    raise
                skipped[photo] = str(error)
            bar.update()
    if skipped and not written.count:
        raise errors.UserError(next(iter(skipped.values())))
    written.finish()
    print(f'{written.count} masks in {output_dir}')
    if skipped:
        print(files.printable('\n'.join(f'skipped: {reason}'
                                        for reason in skipped.values())))
        print(f'{len(skipped)} of {len(found)} skipped, named above')


def predict_image(predictor: predictor_lib.Predictor, image: np.ndarray,
                  dataset_spec: specs.DatasetSpec) -> np.ndarray:
    """Segments one image at its own size.

    Args:
      predictor: predictor_lib.Predictor.
      image: [H, W, 3] uint8.
      dataset_spec: DatasetSpec that the run was trained on; the image is
        resized in the same way.

    Returns:
      [H, W] uint8 train ids.
    """
    return predictor.label_ids(as_input(image, dataset_spec),
                               image.shape[:2])[0]


def as_input(image: np.ndarray, dataset_spec: specs.DatasetSpec) -> tf.Tensor:
    """Returns an image [H, W, 3] uint8 as a network takes it: [1, h, w, 3]
    float32 in [-1, 1], resized as `predict_image` does."""
    example = transforms.to_float(transforms.resize(
        {'image': tf.constant(image)}, dataset_spec.scale,
        dataset_spec.short_side))
    return example['image'][None]


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


def _predict(predictor, image, run, name, with_probabilities):
    """Returns the Prediction of an image, [H, W, 3] uint8."""
    size = image.shape[:2]
    try:
        inputs = as_input(image, run.data[0])
        if not with_probabilities:
            return prediction_files.Prediction(
                image, predictor.label_ids(inputs, size)[0])
        found = predictor(inputs, size)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        raise image_files.Unusable(
            f'{name}, {image.shape[1]} x {image.shape[0]} pixels, does not fit '
            'in memory: give smaller tiles, such as '
            "--gin_param='EvalSpec.tile=(512, 512)'") from None
    return prediction_files.Prediction(
        image, predictor_lib.most_probable(found)[0], found[0])
