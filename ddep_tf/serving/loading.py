"""`ddep_tf.load`: a finished run, or an exported model, that segments."""

from collections.abc import Sequence
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.evaluation import predict, samples
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.runtime import build, run_folder
from ddep_tf.serving import formats

FACTS = 'model.json'  # Beside an exported model.


class ImageSegmenter:
    """Segments images.

    Attributes:
      class_names: C names, in the order of the ids.
      palette: [C, 3] uint8, the classes' colors, RGB.
      image_size: (height, width) of the images it takes; None takes any.
    """

    def __init__(self, segment: formats.Segment, class_names: Sequence[str],
                 palette: np.ndarray,
                 image_size: Sequence[int] | None = None):
        self.class_names = tuple(class_names)
        self.palette = np.asarray(palette, np.uint8)
        self.image_size = tuple(image_size) if image_size else None
        self._segment = segment

    def predict(self, images: np.ndarray | Sequence[np.ndarray],
                probabilities: bool = False) -> Any:
        """Segments one image, a batch, or a list of images of any sizes.

        Args:
          images: [H, W, 3] or [B, H, W, 3] uint8, or a list of [H, W, 3].
          probabilities: give them too.

        Returns:
          Ids, [H, W] or [B, H, W] uint8, or a list of [H, W]; the train ids
          that `class_names` and `palette` are ordered by. With
          `probabilities` (ids, probabilities), the latter [..., C] float32.

        Raises:
          UserError: the images are none of these, or of another size than
            `image_size`.
        """
        pair: tuple[Any, Any]
        if isinstance(images, (list, tuple)):
            results = [self._one(image) for image in images]
            pair = [ids for ids, _ in results], [each for _, each in results]
        elif np.ndim(images) == 4:
            self._check(images[0] if len(images) else images)
            pair = self._segment(np.asarray(images))
        else:
            pair = self._one(images)
        return pair if probabilities else pair[0]

    def _one(self, image):
        self._check(image)
        ids, chances = self._segment(np.asarray(image)[None])
        return ids[0], chances[0]

    def _check(self, image):
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or (
                image.shape[-1] != 3 or not image.size):
            raise errors.UserError(
                'images must be uint8, [H, W, 3] or [B, H, W, 3], or a list '
                f'of [H, W, 3], got {image.dtype} {image.shape}')
        if self.image_size not in (None, image.shape[:2]):
            raise errors.UserError(
                f'this model takes images of {self.image_size} (height, '
                f'width), got {image.shape[:2]}: resize them')


def load(path: str | os.PathLike) -> ImageSegmenter:
    """Loads a finished segment run, or what launch/export.py wrote of one.

    Args:
      path: run folder; or folder of an exported model, or the model in it.

    Returns:
      ImageSegmenter. A run segments as its EvalSpec says: by tiles, flips
      and scales.

    Raises:
      UserError: there is none of these, or it is damaged.
    """
    folder = files.path(path)
    if (folder / run_folder.CONFIG).exists():
        return _load_run(folder)
    for place in (folder, folder.parent):
        if (place / FACTS).exists():
            return _load_exported(place)
    raise errors.UserError(f'{path} holds neither a run ({run_folder.CONFIG}) '
                           f'nor an exported model ({FACTS})')


def of_network(run: specs.RunSpec, network: keras.Model,
               evaluation: specs.EvalSpec) -> ImageSegmenter:
    """Returns what segments by a network in memory.

    Args:
      run: RunSpec of its run.
      network: images [B, h, w, 3] float32 in [-1, 1] -> logits.
      evaluation: EvalSpec, how images are segmented.
    """
    predictor = predictor_lib.Predictor(network, evaluation)

    def segment(images):
        found, = predictor.predict([predict.as_group(images, run.data[0])],
                                   True)
        return found

    label_set = samples.label_set(run)
    return ImageSegmenter(segment, label_set.class_names, label_set.palette)


def _load_run(run_dir):
    run = run_folder.read_run(run_dir)
    predict.require_segments(run, run_dir)
    network = build.load_network(run, run_dir, tf.distribute.get_strategy())
    return of_network(run, network, run.evaluation)


def _load_exported(folder):
    facts = files.read_json(folder / FACTS)
    try:
        form = formats.FORMATS[facts['format']]
        return ImageSegmenter(
            form.open(folder / form.file), facts['class_names'],
            facts['palette'], facts['image_size'])
    except (errors.UserError, ImportError, MemoryError):
        raise
    except Exception as error:  # Each format has errors of its own.
        raise errors.UserError(f'{folder} cannot be opened ({error}): export '
                               'it again') from error
