"""Segments whole images by tiles, flips and scales; counts on the host."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.evaluation import metrics
from ddep_tf.runtime import strategy as strategies


@dataclasses.dataclass(frozen=True)
class Segmented:
    """An image of a split, and what was predicted of it.

    Attributes:
      position: its place in the split.
      image: [H, W, 3] float32 in [-1, 1].
      label: [h, w] int32 train ids.
      predicted: [h, w] uint8 train ids.
      matrix: [C, C] int64, its own confusion matrix; rows are the truth.
    """
    position: int
    image: tf.Tensor
    label: np.ndarray
    predicted: np.ndarray
    matrix: np.ndarray


class Predictor:
    """Class probabilities of images of any size.

    Args:
      network: images [B, h, w, 3] -> logits [B, h, w, C], for any h, w that
        are multiples of 16.
      spec: EvalSpec.
      strategy: every replica computes the same; the first one's result is
        used.
    """

    def __init__(self, network: keras.Model, spec: specs.EvalSpec,
                 strategy: tf.distribute.Strategy | None = None):
        self.batch_size = spec.batch_size
        self._network = network
        self._spec = spec
        self._strategy = strategy or tf.distribute.get_strategy()
        if not spec.tile and strategies.takes_graphs_alone(self._strategy):
            raise errors.UserError(
                'EvalSpec.tile is not set: a TPU takes images of one size, so '
                "give one, such as --gin_param='EvalSpec.tile=(512, 512)'")
        height, width = spec.tile or (None, None)
        # One trace for all sizes; on a TPU a tile makes the shape static.
        self._compiled = tf.function(self._probabilities, input_signature=[
            tf.TensorSpec([None, height, width, 3], tf.float32)])

    def __call__(self, images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
        """Averages over all views of `images`.

        Args:
          images: [B, H, W, 3] float32 in [-1, 1].
          size: (height, width) of the result.

        Returns:
          Probabilities, [B, height, width, C] float32.
        """
        total, count = 0.0, 0
        for view in self._views(images, size):
            total, count = total + view, count + 1
        return total / count

    def _views(self, images, size):
        """Yields one at a time: 12 views of 150 classes would fill memory."""
        for scale in self._spec.scales:
            scaled = _rescale(images, scale)
            yield _resize(self._view(scaled), size)
            if self._spec.flip:
                mirrored = self._view(tf.reverse(scaled, [2]))
                yield _resize(tf.reverse(mirrored, [2]), size)

    def _view(self, images):
        """Returns probabilities at the view's size: whole or by tiles."""
        height, width = images.shape[1:3]
        tile = self._spec.tile
        padded = _pad(images, *(tile or (0, 0)))
        if not tile:
            return self._forward(padded)[:, :height, :width]
        # In place: every tile in a frame of its own would be the whole image
        # again and again.
        total = count = None
        rows = tile_starts(padded.shape[1], tile[0], self._spec.overlap)
        columns = tile_starts(padded.shape[2], tile[1], self._spec.overlap)
        for top in rows:
            for left in columns:
                place = np.s_[:, top:top + tile[0], left:left + tile[1]]
                part = self._forward(padded[place]).numpy()
                if total is None:
                    total = np.zeros((*padded.shape[:3], part.shape[-1]), 'f4')
                    count = np.zeros((*padded.shape[:3], 1), 'f4')
                total[place] += part
                count[place] += 1
        total /= count
        return tf.convert_to_tensor(total[:, :height, :width])

    def _forward(self, images):
        with strategies.on_host(self._strategy):
            return self._compiled(images)

    def _probabilities(self, images):
        def forward(batch):
            return tf.nn.softmax(self._network(batch, training=False))
        result = self._strategy.run(forward, args=(images,))
        return self._strategy.experimental_local_results(result)[0]


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Returns where tiles start that cover `length`, evenly spaced.

    They are the fewest whose neighbors share at least the fraction `overlap`
    of a tile; the last one ends at `length`.
    """
    if length <= tile:
        return [0]
    step = max(int(tile * (1 - overlap)), 1)
    gaps = -(-(length - tile) // step)
    return [round(i * (length - tile) / gaps) for i in range(gaps + 1)]


def evaluate(predictor: Predictor, dataset: tf.data.Dataset, num_classes: int,
             num_examples: int, progress: Callable[[Iterable], Iterable] = iter,
             see: Callable[[Segmented], None] = lambda one: None
             ) -> np.ndarray:
    """Counts a whole split into one confusion matrix.

    Args:
      predictor: Predictor.
      dataset: examples one by one, image [H, W, 3] float32 in [-1, 1] and
        label [h, w] int32: predictions are compared at the label's size.
      num_classes: C.
      num_examples: of the split; each must appear once.
      progress: wraps the iterable, to show a bar.
      see: called with each image, in the split's order.

    Returns:
      [C, C] int64, rows are the truth.

    Raises:
      RuntimeError: the data set holds another number of images.
    """
    total = np.zeros((num_classes, num_classes), np.int64)
    seen = 0
    for images, labels in progress(batches(dataset, predictor)):
        predictions = label_ids(predictor, images, labels.shape[1:])
        for image, label, predicted in zip(images, labels, predictions):
            matrix = metrics.confusion_matrix(label, predicted, num_classes)
            total += matrix
            see(Segmented(seen, image, label, predicted, matrix))
            seen += 1
    check_seen(seen, num_examples)
    return total


def check_seen(seen: int, num_examples: int) -> None:
    """Raises RuntimeError unless every image of a split was evaluated."""
    if seen != num_examples:
        raise RuntimeError(f'{seen} images were evaluated, the split has '
                           f'{num_examples}')


def batches(dataset: tf.data.Dataset, predictor: Predictor
            ) -> Iterator[tuple[tf.Tensor, np.ndarray]]:
    """Yields (images, labels) of up to batch_size neighbors of one shape."""
    waiting: list[tuple] = []  # (image, label, their shapes)
    for example in dataset:
        shapes = example['image'].shape, example['label'].shape
        if waiting and (shapes != waiting[0][2] or
                        len(waiting) == predictor.batch_size):
            yield _stack(waiting)
            waiting = []
        waiting.append((example['image'], example['label'].numpy(), shapes))
    if waiting:
        yield _stack(waiting)


def label_ids(predictor: Predictor, images: tf.Tensor,
              size: Sequence[int]) -> np.ndarray:
    """Returns the most probable class of each pixel, [B, h, w] uint8."""
    return most_probable(probabilities(predictor, images, size))


def most_probable(found: np.ndarray) -> np.ndarray:
    """[B, h, w, C] probabilities -> [B, h, w] uint8 train ids."""
    return tf.argmax(found, -1).numpy().astype(np.uint8)


def probabilities(predictor: Predictor, images: tf.Tensor,
                  size: Sequence[int]) -> np.ndarray:
    """Returns a Predictor's result, [B, h, w, C] float32, if it is finite.

    Raises:
      UserError: an image, or the result, holds other values.
    """
    if not np.isfinite(images).all():
        raise errors.UserError('the image holds values that are not finite')
    found = predictor(tf.convert_to_tensor(images), size)
    if not tf.math.is_finite(tf.reduce_sum(found)):
        raise errors.UserError('the network gives values that are not finite: '
                               'its weights are useless, train again')
    return found.numpy()


def summary(matrix: np.ndarray) -> dict[str, Any]:
    """Returns {'mean_iou', 'pixel_accuracy', 'iou': list of each class's}."""
    return {'mean_iou': metrics.mean_iou(matrix),
            'pixel_accuracy': metrics.pixel_accuracy(matrix),
            'iou': metrics.iou_per_class(matrix).tolist()}


def _stack(waiting):
    return (tf.stack([image for image, _, _ in waiting]),
            np.stack([label for _, label, _ in waiting]))


def _rescale(images, scale):
    if scale == 1.0:
        return images
    size = [max(round(side * scale), 1) for side in images.shape[1:3]]
    return tf.image.resize(images, size, antialias=True)


def _resize(probabilities, size):
    if tuple(probabilities.shape[1:3]) == tuple(size):
        return probabilities
    return tf.image.resize(probabilities, size)


def _pad(images, least_height, least_width):
    """Pads below and to the right, with mid gray, to multiples of STRIDE."""
    def missing(side, least):
        return max(least, -(-side // specs.STRIDE) * specs.STRIDE) - side
    height, width = images.shape[1:3]
    return tf.pad(images, [[0, 0], [0, missing(height, least_height)],
                           [0, missing(width, least_width)], [0, 0]])
