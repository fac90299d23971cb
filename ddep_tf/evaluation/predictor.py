"""Segments whole images by tiles, flips and scales, and counts a split."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.evaluation import metrics, program, rounds
from ddep_tf.runtime import feed
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
    image: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    matrix: np.ndarray


class Predictor:
    """Segments images of any size, each replica others.

    Attributes:
      batch_size: images of one shape that a replica takes at once.
      replicas: number of replicas.
      own_replicas: of them, those of this worker.

    Args:
      network: images [B, h, w, 3] -> logits [B, h, w, C], for any h, w that
        are multiples of 16; C is its `num_outputs`.
      spec: EvalSpec.
      strategy: of the replicas.
    """

    def __init__(self, network: keras.Model, spec: specs.EvalSpec,
                 strategy: tf.distribute.Strategy | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self._static = strategies.takes_graphs_alone(self._strategy)
        if not spec.tile and self._static:
            raise errors.UserError(
                'EvalSpec.tile is not set: a TPU takes images of one size, so '
                "give one, such as --gin_param='EvalSpec.tile=(512, 512)'")
        self.batch_size = spec.batch_size
        self.replicas = self._strategy.num_replicas_in_sync
        self.own_replicas = self.replicas // feed.workers(self._strategy)
        self._spec = spec
        self._classes = network.num_outputs
        whole = program.Program(network, spec)
        self._predict = self._compiled(whole, whole.predict)
        self._probabilities = self._compiled(whole, whole.probabilities)
        # By whether the plain view is measured alone, too.
        self._count = {}
        for plain in (False, True):
            counting = program.Program(network, spec, single_scale=plain)
            self._count[plain] = self._compiled(counting, counting.count)

    def predict(self, groups: Sequence[rounds.Group],
                with_probabilities: bool = False
                ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Segments images without labels, on the replicas of this worker.

        Args:
          groups: for each of `own_replicas`; there may be fewer.
          with_probabilities: whether they are wanted, averaged over all views.

        Returns:
          For each group the most probable classes, [B, h, w] uint8 at its
          label_size, and probabilities [B, h, w, C] float32, or None.

        Raises:
          UserError: an image, or the result, holds values that are not finite.
        """
        parts = rounds.inputs(self._spec, False, groups, self.own_replicas,
                              self._static)
        found = feed.run(
            self._strategy,
            self._probabilities if with_probabilities else self._predict,
            lambda index: parts[index % self.own_replicas])
        # Only of replicas with images, one after the other: they are large.
        results = {name: feed.of_worker(self._strategy, value)
                   for name, value in found.items()}
        _check_finite({name: list(itertools.islice(results[name], len(groups)))
                       for name in ('image_finite', 'result_finite')})
        probabilities = results.get('probabilities', itertools.repeat(None))
        return [(_cut(group, ids).astype(np.uint8, copy=False),
                 _cut(group, own)) for group, ids, own in zip(
                     groups, results['ids'], probabilities)]

    def count(self, groups: Sequence[rounds.Group], with_ids: bool = False,
              single_scale: bool = False
              ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Compares what is predicted of images with their labels.

        Args:
          groups: for each replica; there may be fewer.
          with_ids: whether predictions are wanted.
          single_scale: whether the plain view is measured alone, too.

        Returns:
          For each group confusion matrices [B, passes, C, C] int64, see
          `tiles.passes`; and predictions [B, h, w] uint8, or None. These may
          be larger than the labels are.

        Raises:
          UserError: a label lies outside the classes, or as of `predict`.
        """
        for group in groups:
            for label in group.labels:
                metrics.check_labels(label, self._classes)
        parts = rounds.inputs(self._spec, single_scale, groups, self.replicas,
                              self._static,
                              self.batch_size if self._static else 0)
        found = feed.run(self._strategy, self._count[single_scale],
                         parts.__getitem__)
        names = ('matrix', 'image_finite', 'result_finite',
                 *(('ids',) if with_ids else ()))
        results = {name: feed.from_all(self._strategy, found[name])
                   for name in names}
        _check_finite(results)
        ids = (results['ids'].astype(np.uint8) if with_ids else
               len(parts) * [None])
        return list(zip(results['matrix'].astype(np.int64), ids))[:len(groups)]

    def _compiled(self, of_program, function):
        # One trace for all sizes, where these may be open.
        one = self.replicas == 1 and not self._static
        several_workers = feed.workers(self._strategy) > 1

        def replica(inputs):
            found = function(inputs)
            if several_workers:  # They exchange no bytes.
                for name in 'ids', 'image_finite', 'result_finite':
                    found[name] = tf.cast(found[name], tf.int32)
            return found

        return tf.function(
            lambda inputs: self._strategy.run(replica, args=(inputs,)),
            input_signature=[of_program.inputs()] if one else None,
            reduce_retracing=not self._static)


def evaluate(predictor: Predictor, dataset: tf.data.Dataset, num_classes: int,
             num_examples: int, progress: Callable[[Iterable], Iterable] = iter,
             see: Callable[[Segmented], None] | None = None,
             single_scale: bool = False) -> np.ndarray:
    """Counts a whole split.

    Args:
      predictor: Predictor.
      dataset: examples one by one, image [H, W, 3] float32 in [-1, 1] and
        label [h, w] int32: predictions are compared at the label's size.
      num_classes: C.
      num_examples: of the split; each must appear once.
      progress: wraps the iterable over rounds of images, to show a bar.
      see: called with each image, in the split's order.
      single_scale: measure the plain view alone, too.

    Returns:
      Confusion matrices [passes, C, C] int64, rows are the truth: that of all
      views last; before it that of the plain view, if it is another.

    Raises:
      RuntimeError: the data set holds another number of images.
      UserError: a label lies outside the classes, or as of a Predictor.
    """
    total, seen = np.zeros((1, num_classes, num_classes), np.int64), 0
    groups = rounds.groups(dataset, predictor.batch_size)
    for some in progress(rounds.in_turn(groups, predictor.replicas)):
        total = total + _counted(predictor, some, seen, see, single_scale)
        seen += sum(len(group.images) for group in some)
        del some  # Or it would be held while the next ones are read.
    check_seen(seen, num_examples)
    return total


def _counted(predictor, groups, first, see, single_scale):
    """Returns [passes, C, C] of a round of groups."""
    results = predictor.count(groups, see is not None, single_scale)
    if see:
        for one in _segmented(groups, results, first):
            see(one)
    return sum(matrices.sum(0) for matrices, _ in results)


def _segmented(groups, results, first):
    """Yields a Segmented of each image of some groups."""
    positions = itertools.count(first)
    for group, (matrices, ids) in zip(groups, results, strict=True):
        height, width = group.label_size
        for image, label, matrix, own in zip(group.images, group.labels,
                                             matrices, ids):
            yield Segmented(next(positions), image, label,
                            own[:height, :width], matrix[-1])


def check_seen(seen: int, num_examples: int) -> None:
    """Raises RuntimeError unless every image of a split was evaluated."""
    if seen != num_examples:
        raise RuntimeError(f'{seen} images were evaluated, the split has '
                           f'{num_examples}')


def summary(matrix: np.ndarray) -> dict[str, Any]:
    """Returns {'mean_iou', 'pixel_accuracy', 'iou': list of each class's}."""
    return {'mean_iou': metrics.mean_iou(matrix),
            'pixel_accuracy': metrics.pixel_accuracy(matrix),
            'iou': metrics.iou_per_class(matrix).tolist()}


def _cut(group, found):
    """Returns what a replica gives of a group's images, without what fills
    its canvas, nor holding on to that; None of None."""
    if found is None:
        return None
    height, width = group.label_size
    return np.ascontiguousarray(found[:len(group.images), :height, :width])


def _check_finite(
        results: Mapping[str, Sequence[np.ndarray] | np.ndarray]) -> None:
    """Raises UserError if a program's flags say that it is to be."""
    if not np.all(results['image_finite']):
        raise errors.UserError('the image holds values that are not finite')
    if not np.all(results['result_finite']):
        raise errors.UserError('the network gives values that are not finite: '
                               'its weights are useless, train again')
