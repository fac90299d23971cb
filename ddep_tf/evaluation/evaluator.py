"""Measures a network on a split, by its stage's own numbers."""

import dataclasses

import tensorflow as tf

from ddep_tf import errors
from ddep_tf.data import pipelines
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.runtime import build, input_checks, progress
from ddep_tf.runtime import inputs as inputs_lib


def measure_run(run, run_dir, data_dir, split, strategy, save=None):
    """Measures a finished run, by the weights that it left.

    Args:
      run: its RunSpec.
      run_dir: the run folder.
      data_dir: root folder of the data.
      split: 'val' or 'test' of the run's first set.
      strategy: tf.distribute.Strategy.
      save: of a segment run: called with each image's id and its predicted
        train ids, [h, w] uint8; None saves nothing.

    Returns:
      dict as of `Meter.measure`.

    Raises:
      UserError: the run has no weights yet, its set no such split, or an
        example cannot be used.
    """
    inputs = inputs_lib.open_inputs(run, data_dir, (split,))
    if not inputs[split]:
        raise errors.UserError(f'{run.data[0].name} names no {split} split: '
                               f'set DatasetSpec.{split}_split of the run')
    input_checks.check_inputs(inputs, data_dir)
    network = build.load_network(run, run_dir, strategy)
    with strategy.scope():
        objective = build.build_objective(run, network)
    with input_checks.explained(inputs):
        return Meter(run, objective, strategy).measure(inputs[split][0], save)


class Meter:
    """What training, evaluation and pictures share, so traced only once.

    Attributes:
      infer: segment: predictor_lib.Predictor; denoise: batch -> (noisy, clean),
        [B, H, W, 3] float32 each; classify: None.

    Args:
      run: RunSpec; its `evaluation` says how images are segmented.
      objective: Objective around the network.
      strategy: tf.distribute.Strategy.
    """

    def __init__(self, run, objective, strategy):
        self._run = run
        self._strategy = strategy
        self._eval_step = tf.function(objective.eval_step,
                                      reduce_retracing=True)
        self.infer = self._inference(objective)
        self._single = self._single_scale(objective)

    def measure(self, source, save=None, single_scale=True):
        """Measures every image of a source once.

        Args:
          source: data source.
          save: as of `measure_run`.
          single_scale: False leaves out what EvalSpec.single_scale adds.

        Returns:
          dict of 'value', the number that stands for all (mean IoU, accuracy,
          or denoising loss), 'images', and what else the stage measures; by
          EvalSpec.single_scale also 'single_scale', a dict of 'mean_iou',
          'pixel_accuracy', 'iou' and 'confusion_matrix'.

        Raises:
          RuntimeError: the source gave another number of images than it has.
        """
        if self._run.stage == 'segment':
            return self._measure_pixels(source, save, single_scale)
        return self._measure_batches(source)

    def _inference(self, objective):
        if self._run.stage == 'segment':
            return predictor_lib.Predictor(objective.network, self._run.evaluation,
                                      self._strategy)
        if self._run.stage == 'classify':
            return None
        restore = tf.function(objective.restore)
        return lambda batch: self._strategy.experimental_local_results(
            self._strategy.run(restore, args=(batch,)))[0]

    def _single_scale(self, objective):
        """Returns the Predictor of one plain view, None if not wanted."""
        spec = self._run.evaluation
        plain = dataclasses.replace(spec, scales=(1.0,), flip=False)
        if (self._run.stage != 'segment' or not spec.single_scale
                or plain == spec):
            return None
        return predictor_lib.Predictor(objective.network, plain, self._strategy)

    def _measure_pixels(self, source, save, single_scale):
        ids = source.ids if save else []
        summary = self._summary(
            self.infer, source,
            save and (lambda place, guess: save(ids[place], guess)))
        result = {'value': summary['mean_iou'], **summary,
                  'images': source.num_examples}
        if self._single and single_scale:
            result['single_scale'] = self._summary(self._single, source)
        return result

    def _summary(self, predictor, source, save=None):
        matrix = predictor_lib.evaluate(
            predictor, pipelines.eval_dataset(source, 1),
            self._run.data[0].num_classes, source.num_examples, _bar, save)
        return {**predictor_lib.summary(matrix),
                'confusion_matrix': matrix.tolist()}

    def _measure_batches(self, source):
        """Mean over a split's images of the objective's own metrics."""
        dataset = pipelines.eval_dataset(
            source, self._run.evaluation.batch_size, self._run.crop_size,
            example_fn=build.noise_hook(self._run))
        totals, seen = {}, 0
        replicas = self._strategy.num_replicas_in_sync
        for batch in _bar(dataset, 'batch'):
            count = len(batch['position'])
            shares = self._strategy.run(self._eval_step, args=(batch,))
            for name, share in shares.items():
                share = self._strategy.experimental_local_results(share)[0]
                totals[name] = (totals.get(name, 0.0) +
                                float(share) * replicas * count)
            seen += count
        predictor_lib.check_seen(seen, source.num_examples)
        means = {name: total / seen for name, total in totals.items()}
        value = means['accuracy' if 'accuracy' in means else 'loss']
        return {'value': value, **means, 'images': seen}


def _bar(iterable, unit='image'):
    return progress.bar(iterable, 'evaluate', unit)
