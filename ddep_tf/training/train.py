"""Trains one RunSpec in its run folder, from data to weights and result."""

import json
import time
import warnings

import keras
import tensorflow as tf

from ddep_tf import errors, files, spec_base
from ddep_tf.data import pipelines, subsets
from ddep_tf.evaluation import evaluator, samples
from ddep_tf.models import weights
from ddep_tf.runtime import build, handover, input_checks, run_folder
from ddep_tf.runtime import inputs as inputs_lib
from ddep_tf.runtime import strategy as strategies
from ddep_tf.training import checkpoint, loop, optimizer

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
      test: whether to evaluate on the test split at the end; of a run that
        was finished without, this is made up for.

    Returns:
      dict of the result, as in `result.json`.

    Raises:
      UserError: bad input; before anything was trained.
      TrainingStopped: a non-finite loss; the last good state stays.
      Preempted: SIGTERM came; the state was saved.
    """
    strategies.check_batch(run.global_batch_size, strategy)
    where = run_folder.open_run(run_dir, run, operative)
    done = finished(run, where, test)
    if done:
        print(f'{where}: done before')
        return done
    result = run_folder.read_result(where)
    if not result:
        return Session(run, where, data_dir, strategy).run_to_end(test)
    result.update(as_test(evaluator.measure_run(run, where, data_dir, 'test',
                                              strategy)))
    run_folder.write_result(where, result)
    return result


def as_test(measured):
    """Returns what was measured on the test split as entries of a result."""
    return {'test': measured.pop('value'), 'test_details': measured}


def finished(run, run_dir, test=True):
    """Returns the result of a run as a dict if nothing is left to do.

    None where it was not finished, or not tested although its first set names
    a test split and `test` asks for it.
    """
    result = run_folder.read_result(run_dir)
    untested = result and test and run.data[0].test_split and (
        result['test'] is None)
    return None if untested else result


def describe(run, data_dir, strategy):
    """Returns the plan of a run and its table of variables, as text."""
    strategies.check_batch(run.global_batch_size, strategy)
    sources = inputs_lib.open_inputs(run, data_dir, ('train',))['train']
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
        _set_eager(run.eager)
        # Collecting what went before takes seconds, and a large network's
        # memory needs it.
        keras.backend.clear_session(free_memory=not run.eager)
        keras.utils.set_random_seed(run.seed)
        self.run, self.where, self.strategy = run, where, strategy
        started = time.time()
        self.inputs = inputs_lib.open_inputs(run, data_dir)
        input_checks.check_inputs(self.inputs, data_dir)
        with strategy.scope():
            self.network = build.build_network(run)
            table = build.graft(run, self.network)
            self.objective = build.build_objective(run, self.network)
            optimizer.add_optimizer(run, self.objective)
            self.state = checkpoint.State(
                where, self.objective, self.objective.optimizer, run.keep)
        self.step = self.state.restore()
        # What a killed run did after its last save is lost, and not counted.
        self.started = started - float(self.state.seconds.numpy())
        self.meter = evaluator.Meter(run, self.objective, strategy)
        files.write_text(where / 'variables.txt',
                            weights.format_table(table) + '\n')
        counts = {kind: sum(row[2] == kind for row in table)
                  for kind in ('loaded', 'new', 'left')}
        print(f'{where}: ' + ', '.join(
            f'{n} variables {kind}' for kind, n in counts.items())
            + f' (table in variables.txt); step {self.step} of {run.steps}')
        self._open_logs()

    def run_to_end(self, test):
        """Trains, evaluates, writes weights and result; returns the result."""
        with input_checks.explained(self.inputs):
            value = self._train()
            return self._finish(value, test)

    def _train(self):
        """Trains to the last step; returns the validation value there."""
        run = self.run
        dataset = build.train_dataset(run, self.inputs['train'], self.step)
        drive = loop.Loop(self.objective, dataset, self.strategy,
                          self.state.step, run, self._log)
        value = None
        try:
            for target in milestones(run, self.step):
                drive.train_to(target)
                self.step = int(self.state.step.numpy())
                if loop.Interrupt.asked:
                    self.state.save(self._seconds())
                    raise errors.Preempted(
                        f'{self.where}: saved at step {self.step}')
                if _falls_on(target, run.eval_every, run.steps):
                    value = self._validate()
                if _falls_on(target, run.checkpoint_every, run.steps):
                    self.state.save(self._seconds())
            if value is None:  # The run was cut off behind its last step.
                value = self._last_value()
        finally:
            drive.close()
            self.writer.close()
        return value

    def _seconds(self):
        """Wall-clock of this run so far, over all of its starts."""
        return time.time() - self.started

    def _open_logs(self):
        names = self.objective.metric_names
        self.metrics = files.CsvLog(
            self.where / 'metrics.csv', ['step', *names, *_RATES], self.step)
        self.validation = files.CsvLog(
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
        if not self.inputs['val']:
            return None
        source, = self.inputs['val']
        value = self.meter.measure(source, single_scale=False)['value']
        self.validation.add({'step': self.step, 'val': value})
        with self.writer.as_default(step=self.step):
            tf.summary.scalar('val', value)
            samples.summarise(self.run, self.meter.infer, source)
        higher = self.run.stage != 'denoise'
        self.state.save_if_best(value, higher)
        print(f'{self.where.name}: step {self.step}, val {value:.4f}')
        return value

    def _last_value(self):
        """Returns what was validated at this step, or validates it now."""
        for row in files.read_csv(self.where / 'validation.csv'):
            if int(row['step']) == self.step:
                return float(row['val'])
        return self._validate()

    def _finish(self, value, test):
        result = {'stage': self.run.stage, 'val': value, 'test': None,
                  'steps': self.step}
        if test and self.inputs['test']:
            result.update(as_test(self.meter.measure(self.inputs['test'][0])))
        shown = self.inputs['test'] or self.inputs['val']
        if shown:
            samples.write_samples(self.run, self.meter.infer, shown[0],
                                   self.where)
        result.update(
            **_setting(self.run),
            images=sum(s.num_examples for s in self._labelled()),
            subset_sha256=self._write_subset(),
            seconds=round(self._seconds(), 1),
            commit=run_folder.commit(), versions=run_folder.versions())
        self._export(result)
        run_folder.write_result(self.where, result)
        print(f'{self.where}: done' + ''.join(
            f', {k} {result[k]:.4f}' for k in ('val', 'test')
            if result[k] is not None))
        return result

    def _export(self, result):
        handover.write(
            self.where / run_folder.WEIGHTS,
            weights.export_arrays(self.network),
            {'stage': self.run.stage, 'steps': self.step,
             'data': [spec.name for spec in self.run.data],
             'init_encoder': self.run.init_encoder,
             'init_decoder': self.run.init_decoder,
             'position_grid': weights.position_grid(self.network),
             'commit': result['commit'],
             'spec': json.loads(spec_base.to_json(self.run))})

    def _labelled(self):
        """The sources whose labels are used, held out or not."""
        held = self.inputs['val'] if self.run.holdout else []
        return [*self.inputs['train'], *held]

    def _write_subset(self):
        """Lists the labelled subset; returns its sha256, '' of a whole set."""
        if not (self.run.label_count or self.run.label_fraction):
            return ''  # The ids of all of a large set take a pass over it.
        ids = pipelines.global_ids(self._labelled())
        manifest = subsets.manifest(ids)
        files.write_text(
            self.where / 'subset.json',
            json.dumps({'seed': inputs_lib.subset_seed(self.run), **manifest,
                        'ids': sorted(ids)}, indent=1))
        return manifest['sha256']


def _set_eager(eager):
    if eager:  # TensorFlow warns, for every map, that tf.data stays as it is.
        warnings.filterwarnings('ignore', message='.*run_functions_eagerly')
    tf.config.run_functions_eagerly(eager)


def _setting(run):
    """Returns what of a run its tables are sorted by."""
    return {'seed': run.seed, 'width': run.decoder.width_multiplier,
            'label_fraction': run.label_fraction,
            'label_count': run.label_count}


def milestones(run, step):
    """Returns the steps after `step` at which the loop comes out to act."""
    stops = {run.steps}
    for every in (run.eval_every, run.checkpoint_every):
        if every:
            stops.update(range(every, run.steps, every))
    return sorted(stop for stop in stops if stop > step)


def _falls_on(step, every, last):
    return step == last or bool(every and step % every == 0)
