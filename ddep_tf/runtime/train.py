"""Trains one RunSpec in its run folder, from data to weights and result."""

import json
import time

import keras
import tensorflow as tf
import tqdm

from ddep_tf import errors, evaluate, specs
from ddep_tf.data import fractions, pipelines
from ddep_tf.models import weights
from ddep_tf.runtime import build, checkpoint, folder, handover, loop
from ddep_tf.runtime import pictures
from ddep_tf.runtime import strategy as strategies

# What a resumed run may log again stays in one place.
_RATES = ('learning_rate', 'step_seconds', 'images_per_second')


def train(run, operative, run_dir, data_dir, strategy, test=True):
    """Runs a stage to its end, or from where it was cut off.

    Args:
      run: RunSpec.
      operative: the operative gin config as text.
      run_dir: the run folder; made, or resumed if it is of the same spec.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      test: whether to evaluate on the test split at the end.

    Returns:
      dict of the result, as in `result.json`.

    Raises:
      UserError: bad input; before anything was trained.
      TrainingStopped: a non-finite loss; the last good state stays.
      Preempted: SIGTERM came; the state was saved.
    """
    strategies.check_batch(run.global_batch_size, strategy)
    where = folder.open_run(run_dir, run, operative)
    done = folder.read_result(where)
    if done:
        print(f'{where}: done before')
        return done
    return Session(run, where, data_dir, strategy).run_to_end(test)


def test(run, run_dir, data_dir, strategy):
    """Adds the test split's numbers to a finished run that lacks them.

    Returns:
      dict of the result, as `train`.
    """
    result = folder.read_result(run_dir)
    if result['test'] is None:
        session = Session(run, folder.open_run(run_dir, run, ''), data_dir,
                          strategy)
        result.update(session.measure_test())
        folder.write_result(run_dir, result)
    return result


def describe(run, data_dir, strategy):
    """Returns the plan of a run and its table of variables, as text."""
    strategies.check_batch(run.global_batch_size, strategy)
    sources = build.open_sources(run, data_dir)
    with strategy.scope():
        network = build.build_network(run)
    rows = build.graft(run, network)
    images = ', '.join(f'{s.num_examples} of {d.name}'
                       for s, d in zip(sources, run.data))
    return '\n'.join([
        f'stage      {run.stage}',
        f'images     {images}',
        f'steps      {run.steps} of {run.global_batch_size} images, '
        f'{run.crop_size[0]} x {run.crop_size[1]}',
        f'replicas   {strategy.num_replicas_in_sync}',
        f'parameters {network.count_params():,}',
        weights.format_table(rows)])


class Session:
    """What a run holds while it trains."""

    def __init__(self, run, where, data_dir, strategy):
        keras.backend.clear_session()
        keras.utils.set_random_seed(run.seed)
        self.run, self.where, self.strategy = run, where, strategy
        self.data_dir = data_dir
        self.started = time.time()
        self.sources = build.open_sources(run, data_dir)
        for source in self.sources:
            source.check()
        self.val = build.open_sources(run, data_dir, 'val')
        with strategy.scope():
            self.network = build.build_network(run)
            table = build.graft(run, self.network)
            self.objective = build.build_objective(run, self.network)
            self.state = checkpoint.State(
                where, self.objective, self.objective.optimizer, run.keep)
        self.step = self.state.restore()
        self.eval_step = tf.function(self.objective.eval_step,
                                     reduce_retracing=True)
        self.infer = self._inference()
        folder.write_atomic(where / 'variables.txt',
                            weights.format_table(table) + '\n')
        counts = {kind: sum(row[2] == kind for row in table)
                  for kind in ('loaded', 'new', 'left')}
        print(f'{where}: ' + ', '.join(
            f'{n} variables {kind}' for kind, n in counts.items())
            + f' (table in variables.txt); step {self.step} of {run.steps}')
        self._open_logs()

    def _inference(self):
        """Returns what pictures and evaluation share, so traced only once."""
        if self.run.stage == 'segment':
            return evaluate.Predictor(self.network, self.run.evaluation,
                                      self.strategy)
        if self.run.stage == 'classify':
            return None
        restore = tf.function(self.objective.restore)
        return lambda batch: self.strategy.experimental_local_results(
            self.strategy.run(restore, args=(batch,)))[0]

    def run_to_end(self, test):
        """Trains, evaluates, writes weights and result; returns the result."""
        self._write_subset()
        run = self.run
        dataset = build.train_dataset(run, self.sources, self.step)
        drive = loop.Loop(self.objective, dataset, self.strategy,
                          self.state.step, run, self._log)
        value = None
        try:
            for target in milestones(run, self.step):
                drive.train_to(target)
                self.step = int(self.state.step.numpy())
                if loop.Interrupt.asked:
                    self.state.save()
                    raise errors.Preempted(
                        f'{self.where}: saved at step {self.step}')
                if _falls_on(target, run.eval_every, run.steps):
                    value = self._validate()
                if _falls_on(target, run.checkpoint_every, run.steps):
                    self.state.save()
            if value is None:  # The run was cut off behind its last step.
                value = self._last_value()
        finally:
            drive.close()
            self.writer.close()
        return self._finish(value, test)

    def measure_test(self):
        """Returns the entries of the result that are read off the test split.

        Empty where the first data set names none.
        """
        opened = build.open_sources(self.run, self.data_dir, 'test')
        if not opened:
            return {}
        measured = self._measure(opened[0])
        return {'test': measured.pop('value'), 'test_details': measured}

    def _open_logs(self):
        names = self.objective.metric_names
        self.metrics = folder.Table(
            self.where / 'metrics.csv', ['step', *names, *_RATES], self.step)
        self.validation = folder.Table(
            self.where / 'validation.csv', ['step', 'val'], self.step)
        self.writer = tf.summary.create_file_writer(
            str(self.where / 'tensorboard'))

    def _log(self, row):
        self.metrics.add(row)
        with self.writer.as_default(step=row['step']):
            for name, value in row.items():
                if name != 'step':
                    tf.summary.scalar(f'train/{name}', value)

    def _validate(self):
        """Returns the validation value of this step; None without a set."""
        if not self.val:
            return None
        value = self._measure(self.val[0])['value']
        self.validation.add({'step': self.step, 'val': value})
        with self.writer.as_default(step=self.step):
            tf.summary.scalar('val', value)
            pictures.summarise(self.run, self.infer, self.val[0])
        higher = self.run.stage != 'denoise'
        self.state.save_if_best(value, higher)
        print(f'{self.where.name}: step {self.step}, val {value:.4f}')
        return value

    def _last_value(self):
        """Returns what was validated at this step, or validates it now."""
        for row in folder.read_table(self.where / 'validation.csv'):
            if int(row['step']) == self.step:
                return float(row['val'])
        return self._validate()

    def _measure(self, source):
        if self.run.stage == 'segment':
            matrix = evaluate.evaluate(
                self.infer, pipelines.eval_dataset(source, 1),
                self.run.data[0].num_classes, source.num_examples, bar)
            summary = evaluate.summary(matrix)
            return {'value': summary['mean_iou'], **summary,
                    'confusion_matrix': matrix.tolist(),
                    'images': source.num_examples}
        return self._measure_batches(source)

    def _measure_batches(self, source):
        """Mean over a split's images of the objective's own metrics."""
        dataset = pipelines.eval_dataset(
            source, self.run.evaluation.batch_size, self.run.crop_size,
            add=build.noise_hook(self.run))
        totals, seen = {}, 0
        replicas = self.strategy.num_replicas_in_sync
        for batch in bar(dataset):
            count = len(batch['position'])
            shares = self.strategy.run(self.eval_step, args=(batch,))
            for name, share in shares.items():
                share = self.strategy.experimental_local_results(share)[0]
                totals[name] = (totals.get(name, 0.0) +
                                float(share) * replicas * count)
            seen += count
        if seen != source.num_examples:
            raise RuntimeError(f'{seen} images were evaluated, the split has '
                               f'{source.num_examples}')
        means = {name: total / seen for name, total in totals.items()}
        value = means['accuracy' if 'accuracy' in means else 'loss']
        return {'value': value, **means, 'images': seen}

    def _finish(self, value, test):
        result = {'stage': self.run.stage, 'val': value, 'test': None,
                  'steps': self.step}
        if test:
            result.update(self.measure_test())
        shown = build.open_sources(self.run, self.data_dir, 'test') or self.val
        if shown:
            pictures.write_samples(self.run, self.infer, shown[0],
                                   self.where)
        ids = pipelines.global_ids(self.sources)
        result.update(
            images=len(ids), subset_sha256=fractions.manifest(ids)['sha256'],
            seconds=round(time.time() - self.started, 1),
            commit=folder.commit())
        self._export(result)
        folder.write_result(self.where, result)
        print(f'{self.where}: done' + ''.join(
            f', {k} {result[k]:.4f}' for k in ('val', 'test')
            if result[k] is not None))
        return result

    def _export(self, result):
        grid = build.position_grid(self.run)
        handover.write(
            self.where, self.network,
            {'stage': self.run.stage, 'steps': self.step,
             'data': [spec.name for spec in self.run.data],
             'init_encoder': self.run.init_encoder,
             'init_decoder': self.run.init_decoder,
             'position_grid': list(grid), 'commit': result['commit'],
             'spec': json.loads(specs.to_json(self.run))})

    def _write_subset(self):
        if not (self.run.label_count or self.run.label_fraction):
            return  # The ids of all of a large set take a pass over it.
        ids = pipelines.global_ids(self.sources)
        folder.write_atomic(
            self.where / 'subset.json',
            json.dumps({'seed': build.subset_seed(self.run),
                        **fractions.manifest(ids), 'ids': sorted(ids)},
                       indent=1))


def milestones(run, step):
    """Returns the steps after `step` at which the loop comes out to act."""
    stops = {run.steps}
    for every in (run.eval_every, run.checkpoint_every):
        if every:
            stops.update(range(every, run.steps, every))
    return sorted(stop for stop in stops if stop > step)


def bar(iterable):
    """Shows that an evaluation goes on; it leaves no line behind."""
    return tqdm.tqdm(iterable, desc='evaluate', leave=False, mininterval=1.0)


def _falls_on(step, every, last):
    return step == last or bool(every and step % every == 0)
