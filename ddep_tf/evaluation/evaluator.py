"""Measures a network on a split, as its objective asks to be judged."""

from collections.abc import Callable, Mapping
import itertools
import os
from typing import Any

import numpy as np
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import pipelines
from ddep_tf.data.sources import factory
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.evaluation import rounds
from ddep_tf.objectives import base
from ddep_tf.runtime import build, feed, input_checks, inputs, progress
from ddep_tf.runtime import workers as workers_lib

# Of each image's id.
See = Callable[[str, predictor_lib.Segmented], None]


def measure_run(run: specs.RunSpec, run_dir: str | os.PathLike,
                data_dir: str | os.PathLike, split: str,
                strategy: tf.distribute.Strategy,
                see: See | None = None,
                look: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measures a finished run by the weights that it left.

    Args:
      run: its RunSpec.
      run_dir: the run folder.
      data_dir: root folder of the data.
      split: 'val' or 'test' of the run's first data set.
      strategy: tf.distribute.Strategy.
      see: of a run that segments: called with each image's id and what was
        predicted of it.
      look: as of `Evaluator`.

    Returns:
      dict as of `Evaluator.measure`.

    Raises:
      UserError: the run has no weights yet, its data set no such split, or an
        example cannot be used.
    """
    opened = inputs.open_inputs(run, data_dir, (split,))
    if not opened[split]:
        raise errors.UserError(f'{run.data[0].name} names no {split} split: '
                               f'set DatasetSpec.{split}_split of the run')
    input_checks.InputChecks().check(opened, data_dir,
                                     workers_lib.Workers(strategy))
    network = build.load_network(run, run_dir, strategy)
    with strategy.scope():
        objective = build.build_objective(run, network)
    with input_checks.explained(opened):
        return Evaluator(run, objective, strategy, look).measure(
            opened[split][0], see)


class Evaluator:
    """Traces a network once for training, evaluation and samples.

    Attributes:
      objective: the Objective that is measured.
      predictor: Predictor of an objective that is judged on whole images,
        else None.

    Args:
      run: RunSpec; its `evaluation` says how whole images are predicted.
      objective: Objective around the network.
      strategy: tf.distribute.Strategy.
      look: called between two batches; may raise, to end the evaluation.
    """

    def __init__(self, run: specs.RunSpec, objective: base.Objective,
                 strategy: tf.distribute.Strategy,
                 look: Callable[[], None] = lambda: None):
        self._run = run
        self.objective = objective
        self._strategy = strategy
        self._look = look
        self._eval_step = self._on_replicas(lambda batch: {
            name: tf.reshape(share, [1])  # Workers exchange no scalars.
            for name, share in objective.eval_step(batch).items()})
        self._sample_images = self._on_replicas(objective.sample_images)
        self.predictor = None
        if objective.whole_images:
            self.predictor = predictor_lib.Predictor(
                objective.network, run.evaluation, strategy)

    def measure(self, source: factory.Source, see: See | None = None,
                single_scale: bool = True) -> dict[str, Any]:
        """Measures every image of a source once.

        Args:
          source: data source.
          see: as of `measure_run`.
          single_scale: False leaves out what EvalSpec.single_scale adds.

        Returns:
          dict of 'value', the objective's headline number (mean IoU, accuracy
          or denoising loss), 'images', and whatever else the stage measures;
          with EvalSpec.single_scale also 'single_scale', a dict of
          'mean_iou', 'pixel_accuracy', 'iou' and 'confusion_matrix'.

        Raises:
          RuntimeError: the source gave another number of images than it has.
        """
        if self.predictor is None:
            return self._measure_batches(source)
        return self._measure_pixels(source, see, single_scale)

    def sample_images(self, batch: Mapping[str, tf.Tensor]
                      ) -> dict[str, np.ndarray]:
        """Returns the objective's pictures of a batch of center crops."""
        results = feed.run(self._strategy, self._sample_images,
                           lambda index: batch)
        return {name: next(feed.of_worker(self._strategy, result))
                for name, result in results.items()}

    def _on_replicas(self, function):
        """Returns a traced function of a batch, as run on each replica."""
        return tf.function(
            lambda batch: self._strategy.run(function, args=(batch,)),
            reduce_retracing=True)

    def _measure_pixels(self, source, see, single_scale):
        ids = source.ids if see else []
        matrices = predictor_lib.evaluate(
            self.predictor, pipelines.eval_dataset(source, 1),
            self._run.data[0].num_classes, source.num_examples, self._bar,
            (lambda one: see(ids[one.position], one)) if see else None,
            single_scale and self._run.evaluation.single_scale)
        *plain, summary = (
            {**predictor_lib.summary(matrix),
             'confusion_matrix': matrix.tolist()} for matrix in matrices)
        result = {'value': summary[self.objective.headline], **summary,
                  'images': source.num_examples}
        if plain:
            result['single_scale'], = plain
        return result

    def _measure_batches(self, source):
        """Means over a split's images of the objective's own metrics."""
        dataset = inputs.crop_dataset(self._run, source,
                                      self._run.evaluation.batch_size)
        totals, seen = {}, 0
        replicas = self._strategy.num_replicas_in_sync
        for batches in _rounds(self._bar(dataset, 'batch'), replicas):
            count = len(batches[0]['position'])
            for name, shares in self._run_each(batches).items():
                for share in shares:
                    totals[name] = (totals.get(name, 0.0) +
                                    float(share) * replicas * count)
            seen += count * len(batches)
        predictor_lib.check_seen(seen, source.num_examples)
        means = {name: total / seen for name, total in totals.items()}
        return {'value': means[self.objective.headline], **means,
                'images': seen}

    def _run_each(self, batches):
        """Returns the shares of batches, each on a replica of its own."""
        # Those that are left without one repeat the last.
        results = feed.run(self._strategy, self._eval_step, lambda index: (
            batches[min(index, len(batches) - 1)]))
        return {name: feed.from_all(self._strategy, result)[:len(batches), 0]
                for name, result in results.items()}

    def _bar(self, iterable, unit='image'):
        for item in progress.bar(iterable, 'evaluate', unit):
            self._look()
            yield item
            del item  # Or it would be held while the next one is read.


def _rounds(batches, replicas):
    """Yields lists of up to so many neighbors of one size: the replicas run
    one program."""
    for _, equal in itertools.groupby(
            batches, lambda batch: len(batch['position'])):
        yield from rounds.in_turn(equal, replicas)
