"""Trains one RunSpec in its run folder, from data to weights and result."""

import json
import os
import pathlib
import time
from typing import Any

import tensorflow as tf

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.data import pipelines, subsets
from ddep_tf.evaluation import evaluator as evaluator_lib
from ddep_tf.evaluation import samples
from ddep_tf.models import weights
from ddep_tf.objectives import base
from ddep_tf.runtime import (
    build,
    handover,
    input_checks,
    inputs,
    process,
    run_folder,
    stop_signal,
)
from ddep_tf.runtime import strategy as strategies
from ddep_tf.training import checkpoint, loop, optimizer

# Measured anew by a run that is resumed; the other columns are not.
_RATES = ('learning_rate', 'step_seconds', 'images_per_second')
# Of a summary writer: in a bucket, each flush writes the whole file anew. So
# it is left to the checkpoints.
_SELDOM = {'max_queue': 10 ** 6, 'flush_millis': 10 ** 9}


def train(run: specs.RunSpec, operative: str, run_dir: str | os.PathLike,
          data_dir: str | os.PathLike, strategy: tf.distribute.Strategy,
          test: bool = True, stop: stop_signal.StopSignal | None = None,
          checks: input_checks.InputChecks | None = None) -> dict[str, Any]:
    """Trains a run to its end, or from where it was cut off.

    Args:
      run: RunSpec.
      operative: the operative gin config as text.
      run_dir: the run folder; created, or resumed if it holds the same spec.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      test: whether to evaluate on the test split at the end. A run that
        finished without is evaluated now.
      stop: ends the training between two steps once it is asked; None never
        does.
      checks: what has been read of the data before; None reads it.

    Returns:
      dict of the result, as in `result.json`.

    Raises:
      UserError: bad input, found before any training.
      TrainingStopped: a non-finite loss; the last good state remains.
      Preempted: `stop` was asked; the state was saved.
    """
    strategies.check_batch(run.global_batch_size, strategy)
    run_dir = run_folder.open_run(run_dir, run, operative)
    done = run_folder.finished_result(run_dir, run, test)
    if done:
        print(f'{run_dir}: done before')
        return done
    process.set_up(run.seed, run.eager, deterministic=not run.jit_compile)
    if run.jit_compile:
        # XLA has no deterministic gradient of max pooling, and refuses it.
        print('RunSpec.jit_compile: compiled by XLA, without the guarantee of '
              'deterministic operations')
    with process.releasing_graphs():
        result = run_folder.read_result(run_dir)
        if not result:
            return _open(run, run_dir, data_dir, strategy, stop,
                         checks).run_to_end(test)
        result.update(_as_test(evaluator_lib.measure_run(
            run, run_dir, data_dir, 'test', strategy)))
        run_folder.write_result(run_dir, result)
        return result


def describe(run: specs.RunSpec, data_dir: str | os.PathLike,
             strategy: tf.distribute.Strategy) -> str:
    """Returns the plan of a run and its table of variables, as text."""
    strategies.check_batch(run.global_batch_size, strategy)
    sources = inputs.open_inputs(run, data_dir, ('train',))['train']
    with strategy.scope():
        network = build.build_network(run)
    rows = build.graft(run, network)
    images = ', '.join(f'{s.num_examples} of {d.name}'
                       for s, d in zip(sources, run.data, strict=True))
    return '\n'.join([
        f'stage      {run.stage}',
        f'images     {images}',
        f'steps      {run.steps} of {run.global_batch_size} images, '
        f'{run.crop_size[0]} x {run.crop_size[1]}',
        f'replicas   {strategy.num_replicas_in_sync}',
        f'parameters {network.count_params():,}',
        weights.format_table(rows)])


def milestones(run: specs.RunSpec, step: int) -> list[int]:
    """Returns the steps after `step` at which to validate or save."""
    stops = {run.steps}
    for every in (run.eval_every, run.checkpoint_every):
        if every:
            stops.update(range(every, run.steps, every))
    return sorted(stop for stop in stops if stop > step)


class TrainingRun:
    """A run while it trains.

    Args:
      run: RunSpec.
      run_dir: the run folder, open.
      opened: {split: list of sources}.
      objective: with a built optimizer.
      state: State, restored.
      strategy: tf.distribute.Strategy.
      stop: StopSignal.
      started: time.time() at which the run would have started, had it never
        been cut off.
    """

    def __init__(self, run: specs.RunSpec, run_dir: pathlib.Path,
                 opened: input_checks.Inputs, objective: base.Objective,
                 state: checkpoint.State, strategy: tf.distribute.Strategy,
                 stop: stop_signal.StopSignal, started: float):
        self.run, self.run_dir, self.inputs = run, run_dir, opened
        self.objective, self.state = objective, state
        self.strategy, self.stop = strategy, stop
        self.evaluator = evaluator_lib.Evaluator(run, objective, strategy)
        self._started = started

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return int(self.state.step.numpy())

    def run_to_end(self, test: bool) -> dict[str, Any]:
        """Trains, evaluates, writes weights and result; returns the result."""
        with input_checks.explained(self.inputs):
            self._open_logs()
            try:
                value = self._train()
            finally:
                self._close_logs()
            return self._finish(value, test)

    def _train(self):
        """Trains to the last step; returns the validation value there."""
        run = self.run
        dataset = inputs.train_dataset(run, self.inputs['train'], self.step)
        drive = loop.Loop(self.objective, dataset, self.strategy,
                          self.state.step, run, self.stop, self._log)
        value = None
        try:
            for target in milestones(run, self.step):
                drive.train_to(target)
                if self.stop.asked:
                    self._save()
                    raise errors.Preempted(
                        f'{self.run_dir}: saved at step {self.step}')
                if _falls_on(target, run.eval_every, run.steps):
                    value = self._validate()
                if _falls_on(target, run.checkpoint_every, run.steps):
                    self._save()
        finally:
            drive.close()
        if value is None:  # The run was cut off after its last step.
            value = self._last_value()
        return value

    def _save(self):
        """Saves the state, after the logs: none may lack what led to it."""
        self.metrics.flush()
        self.validation.flush()
        self.writer.flush()
        self.state.save(self._seconds())

    def _seconds(self):
        """Wall-clock time of this run, over all of its starts."""
        return time.time() - self._started

    def _open_logs(self):
        names = self.objective.metric_names
        self.metrics = files.CsvLog(
            self.run_dir / 'metrics.csv', ['step', *names, *_RATES],
            self.step)
        self.validation = files.CsvLog(
            self.run_dir / 'validation.csv', ['step', 'val'], self.step)
        folder = self.run_dir / 'tensorboard'
        self.writer = tf.summary.create_file_writer(
            str(folder), **(_SELDOM if files.is_bucket(folder) else {}))

    def _close_logs(self):
        self.metrics.flush()
        self.validation.flush()
        self.writer.close()

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
        value = self.evaluator.measure(source, single_scale=False)['value']
        self.validation.add({'step': self.step, 'val': value})
        with self.writer.as_default(step=self.step):
            tf.summary.scalar('val', value)
            samples.summarize(self.run, self.evaluator, source)
        self.state.save_if_best(value, self.objective.higher_is_better)
        print(f'{self.run_dir.name}: step {self.step}, val {value:.4f}')
        return value

    def _last_value(self):
        """Returns what was validated at this step, or validates it now."""
        for row in files.read_csv(self.run_dir / 'validation.csv'):
            if int(row['step']) == self.step:
                return float(row['val'])
        return self._validate()

    def _finish(self, value, test):
        result = {'stage': self.run.stage, 'val': value, 'test': None,
                  'steps': self.step}
        if test and self.inputs['test']:
            result.update(_as_test(self.evaluator.measure(
                self.inputs['test'][0])))
        shown = self.inputs['test'] or self.inputs['val']
        if shown:
            samples.write(self.run, self.evaluator, shown[0], self.run_dir)
        result.update(
            **_setting(self.run),
            images=sum(s.num_examples for s in self._labelled()),
            subset_sha256=self._write_subset(),
            seconds=round(self._seconds(), 1),
            commit=run_folder.commit(), versions=run_folder.versions())
        self._export(result)
        run_folder.write_result(self.run_dir, result)
        print(f'{self.run_dir}: done' + ''.join(
            f', {k} {result[k]:.4f}' for k in ('val', 'test')
            if result[k] is not None))
        return result

    def _export(self, result):
        network = self.objective.network
        handover.write(
            self.run_dir / run_folder.WEIGHTS, weights.export_arrays(network),
            {'stage': self.run.stage, 'steps': self.step,
             'data': [spec.name for spec in self.run.data],
             'init_encoder': self.run.init_encoder,
             'init_decoder': self.run.init_decoder,
             'position_grid': weights.position_grid(network),
             'commit': result['commit'],
             'spec': json.loads(spec_base.to_json(self.run))})

    def _labelled(self):
        """The sources whose labels are used, held out or not."""
        held = self.inputs['val'] if self.run.holdout else []
        return [*self.inputs['train'], *held]

    def _write_subset(self):
        """Lists the labelled subset; returns its sha256, '' of a whole set."""
        if not (self.run.label_count or self.run.label_fraction):
            return ''  # The ids of a large set would take a pass over it.
        ids = pipelines.global_ids(self._labelled())
        manifest = subsets.manifest(ids)
        files.write_json(
            self.run_dir / 'subset.json',
            {'seed': inputs.subset_seed(self.run), **manifest,
             'ids': sorted(ids)}, indent=1)
        return manifest['sha256']


def _open(run, run_dir, data_dir, strategy, stop, checks):
    """Returns the TrainingRun of a run folder, its last state restored."""
    started = time.time()
    opened = inputs.open_inputs(run, data_dir)
    (checks or input_checks.InputChecks()).check(opened, data_dir)
    with strategy.scope():
        network = build.build_network(run)
        table = build.graft(run, network)
        objective = build.build_objective(run, network)
        optimizer.add_optimizer(run, objective)
        state = checkpoint.State(run_dir, objective, run.keep)
    step = state.restore()
    files.write_text(run_dir / 'variables.txt',
                     weights.format_table(table) + '\n')
    counts = {kind: sum(row[2] == kind for row in table)
              for kind in ('loaded', 'new', 'left')}
    print(f'{run_dir}: ' + ', '.join(
        f'{n} variables {kind}' for kind, n in counts.items())
        + f' (table in variables.txt); step {step} of {run.steps}')
    # What a killed run did after its last save is lost, and not counted.
    return TrainingRun(run, run_dir, opened, objective, state, strategy,
                       stop or stop_signal.StopSignal(),
                       started - float(state.seconds.numpy()))


def _as_test(measured):
    """Returns what was measured on the test split as entries of a result."""
    return {'test': measured.pop('value'), 'test_details': measured}


def _setting(run):
    """Returns the fields of a run by which its tables are sorted."""
    return {'seed': run.seed, 'width': run.decoder.width_multiplier,
            'label_fraction': run.label_fraction,
            'label_count': run.label_count}


def _falls_on(step, every, last):
    return step == last or bool(every and step % every == 0)
