"""Trains one RunSpec in its run folder, from data to weights and result."""

import functools
import json
import os
import time
from typing import Any

import tensorflow as tf

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.data import pipelines, service, subsets
from ddep_tf.evaluation import evaluator as evaluator_lib
from ddep_tf.evaluation import per_image, samples
from ddep_tf.models import weights
from ddep_tf.objectives import base
from ddep_tf.runtime import (
    build,
    class_weights,
    feed,
    handover,
    input_checks,
    inputs,
    place,
    process,
    run_folder,
    stop_signal,
    tracking,
)
from ddep_tf.runtime import strategy as strategies
from ddep_tf.runtime import workers as workers_lib
from ddep_tf.training import checkpoint, logs, loop, optimizer

_ASKED = 'asked to stop'
_SERVED = 'data_service.json'  # Of a run with examples of a tf.data service.


def train(run: specs.RunSpec, operative: str, run_dir: str | os.PathLike,
          data_dir: str | os.PathLike, strategy: tf.distribute.Strategy,
          test: bool = True, stop: stop_signal.StopSignal | None = None,
          checks: input_checks.InputChecks | None = None,
          track: tracking.Tracking | None = None,
          data_service: str = '') -> dict[str, Any]:
    """Trains a run to its end, or from where it was cut off.

    Args:
      run: RunSpec.
      operative: the operative gin config as text.
      run_dir: the run folder; created, or resumed if it holds the same spec.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      test: whether to evaluate on the test split at the end. A run that
        finished without is evaluated now.
      stop: ends the training between two steps once it, or that of another
        worker, is asked; None never does.
      checks: what has been read of the data before; None reads it.
      track: where the run is followed beside its own logs; None is nowhere.
      data_service: HOST:PORT of the dispatcher of a tf.data service that makes
        the batches; '' makes them here, in an order that is that of the seed.

    Returns:
      dict of the result, as in `result.json`.

    Raises:
      UserError: bad input, found before any training; another process uses
        the run folder; or a state cannot be written.
      TrainingStopped: a non-finite loss; the last good state remains.
      Preempted: `stop` was asked; the state was saved.
      WorkerLost: another worker, or the TPU, is gone.
    """
    strategies.check_batch(run.global_batch_size, strategy, run.accumulate)
    workers = workers_lib.Workers(strategy)
    with workers_lib.losses_named(), place.opened(
            run, operative, run_dir, workers) as folder:
        done = folder.result(run, test)
        if done:
            print(f'{run_dir}: done before')
            return done
        return _train_in(folder, run, data_dir, strategy, test,
                         stop or stop_signal.StopSignal(), checks,
                         track if workers.is_chief else None, data_service)


def _train_in(folder, run, data_dir, strategy, test, stop, checks, track,
              data_service):
    """Trains a run in its open folder, or tests it if it is trained."""
    process.set_up_training(run, strategy)
    with process.releasing_graphs():
        result = folder.as_chief_finds(run_folder.read_result(folder.run_dir))
        if result:
            images = per_image.PerImage(run.evaluation.extremes)
            result.update(_as_test(evaluator_lib.measure_run(
                run, folder.run_dir, data_dir, 'test', strategy, images.see,
                look=lambda: _look(folder, stop))))
            images.write(folder.own_dir)
            run_folder.write_result(folder.own_dir, result)
            with tracking.followed(track, run, folder.run_dir) as tracker:
                tracker.finish(result)
        else:
            _open(run, folder, data_dir, strategy, stop, checks,
                  data_service).run_to_end(test, track)
        return folder.wait_for_result()


def describe(run: specs.RunSpec, data_dir: str | os.PathLike,
             strategy: tf.distribute.Strategy) -> str:
    """Returns the plan of a run and its table of variables, as text."""
    strategies.check_batch(run.global_batch_size, strategy, run.accumulate)
    build.check_trainable(run, strategy, is_new=True)
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
      folder: Place of the run.
      opened: {split: list of sources}.
      objective: with a built optimizer.
      state: State, restored.
      strategy: tf.distribute.Strategy.
      stop: StopSignal.
      started: time.time() at which the run would have started, had it never
        been cut off.
      data_service: as of `train`.
    """

    def __init__(self, run: specs.RunSpec, folder: place.Place,
                 opened: input_checks.Inputs, objective: base.Objective,
                 state: checkpoint.State, strategy: tf.distribute.Strategy,
                 stop: stop_signal.StopSignal, started: float,
                 data_service: str):
        self.run, self.folder, self.inputs = run, folder, opened
        self.objective, self.state = objective, state
        self.strategy, self.stop = strategy, stop
        self.evaluator = evaluator_lib.Evaluator(
            run, objective, strategy, lambda: _look(folder, stop))
        self._started = started
        self._data_service = data_service

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return int(self.state.step.numpy())

    def run_to_end(self, test: bool,
                   track: tracking.Tracking | None = None) -> None:
        """Trains, evaluates, and writes weights and result.

        Args:
          test: whether to evaluate on the test split.
          track: where the run is followed; None is nowhere.

        Raises:
          Preempted: a worker was asked to stop; the state was saved.
        """
        with service.errors_named(self._data_service), \
                service.watched(self._data_service), \
                input_checks.explained(self.inputs), \
                tracking.followed(track, self.run,
                                  self.folder.run_dir) as tracker:
            self.logs = logs.Logs(self.folder, self.objective.metric_names,
                                  self.step, tracker)
            try:
                value = self._train()
                tracker.finish(self._finish(value, test))
            except errors.Preempted:
                self._save()
                raise errors.Preempted(f'{self.folder.run_dir}: saved at step '
                                       f'{self.step}') from None
            finally:
                self.logs.close()

    def _train(self):
        """Trains to the last step; returns the validation value there."""
        run = self.run
        sources = inputs.decoded_once(run, self.inputs['train'], self.step,
                                      self._data_service)
        dataset = feed.distribute(
            self.strategy,
            functools.partial(inputs.train_dataset, run, sources, self.step,
                              data_service=self._data_service),
            run.global_batch_size, inputs.are_portable(sources))
        drive = loop.Loop(self.objective, dataset, self.strategy,
                          self.state.step, run, self.stop,
                          self.folder.workers, self._log)
        try:
            # The run may have been cut off while it validated.
            value = self._last_value()
            for target in milestones(run, self.step):
                if drive.train_to(target):
                    raise errors.Preempted(_ASKED)
                if _falls_on(target, run.eval_every, run.steps):
                    value = self._validate()
                if _falls_on(target, run.checkpoint_every, run.steps):
                    self._save()
        finally:
            drive.close()
        return value

    def _save(self):
        """Saves the state, after the logs: none may lack what led to it."""
        start = time.monotonic()
        self.folder.claim.check()
        self.logs.flush()
        self.state.save(self._seconds())
        took = time.monotonic() - start
        if took > self.stop.grace / 2:
            print(f'saving the state took {took:.0f} s, more than half of '
                  f'--grace={self.stop.grace:g}: raise it if the machine '
                  'gives more time, or a stopped run may lose its last steps')

    def _seconds(self):
        """Wall-clock time of this run, over all of its starts."""
        return time.time() - self._started

    def _log(self, row):
        self.logs.add(row)

    def _validate(self):
        """Returns the validation value of this step; None without a set."""
        if not self.inputs['val']:
            return None
        source, = self.inputs['val']
        value = self.evaluator.measure(source, single_scale=False)['value']
        self.logs.add_validation(self.step, value)
        with self.logs.writer.as_default(step=self.step):
            samples.summarize(self.run, self.evaluator, source)
        self.state.save_if_best(value, self.objective.higher_is_better)
        print(f'{self.folder.run_dir.name}: step {self.step}, val '
              f'{value:.4f}')
        return value

    def _last_value(self):
        """Returns what was validated at this step, or validates it now; None
        if this is no step to validate at."""
        if not self.step or not _falls_on(self.step, self.run.eval_every,
                                          self.run.steps):
            return None
        value = self.logs.validated(self.step)
        if value is None:
            return self._validate()
        # What was found the best may not have been saved as such since.
        self.state.save_if_best(value, self.objective.higher_is_better)
        return value

    def _finish(self, value, test):
        """Evaluates, writes weights and result, and returns the result."""
        result = {'stage': self.run.stage, 'val': value, 'test': None,
                  'steps': self.step}
        if test and self.inputs['test']:
            images = per_image.PerImage(self.run.evaluation.extremes)
            result.update(_as_test(self.evaluator.measure(
                self.inputs['test'][0], images.see)))
            images.write(self.folder.own_dir)
        shown = self.inputs['test'] or self.inputs['val']
        if shown:
            samples.write(self.run, self.evaluator, shown[0],
                          self.folder.own_dir)
        result.update(
            **_setting(self.run),
            images=sum(s.num_examples for s in self._labelled()),
            subset_sha256=self._write_subset(),
            seconds=round(self._seconds(), 1),
            commit=run_folder.commit(), versions=run_folder.versions(),
            # Files of runs without it are as they always were.
            **({'data_service': True}
               if (self.folder.run_dir / _SERVED).exists() else {}))
        self.folder.claim.check()
        self._export(result)
        run_folder.write_result(self.folder.own_dir, result)
        print(f'{self.folder.run_dir}: done' + ''.join(
            f', {k} {result[k]:.4f}' for k in ('val', 'test')
            if result[k] is not None))
        return result

    def _export(self, result):
        network = self.objective.network
        handover.write(
            self.folder.own_dir / run_folder.WEIGHTS,
            weights.export_arrays(network),
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
            self.folder.own_dir / 'subset.json',
            {'seed': inputs.subset_seed(self.run), **manifest,
             'ids': sorted(ids)}, indent=1)
        return manifest['sha256']


def _open(run, folder, data_dir, strategy, stop, checks, data_service):
    """Returns the TrainingRun of a run folder, its last state restored."""
    started = time.time()
    build.check_trainable(run, strategy,
                          not run_folder.is_started(folder.run_dir))
    with folder.workers.together():
        opened = inputs.open_inputs(run, data_dir)
    (checks or input_checks.InputChecks()).check(opened, data_dir,
                                                 folder.workers)
    for split, sources in opened.items():
        # Of other counts they would not take as many steps together.
        for source in sources:
            folder.workers.check_equal(
                source.num_examples, f'number of images in the {split} split')
    with folder.workers.together():
        run = class_weights.resolved(run, opened['train'])
        if data_service:
            service.check(data_service, opened['train'])
    with strategy.scope():
        network = build.build_network(run)
        with folder.workers.together():
            table = build.graft(run, network)
        objective = build.build_objective(run, network)
        optimizer.add_optimizer(run, objective)
        state = checkpoint.State(folder.run_dir, objective, run.keep,
                                 folder.own_dir)
    step = _restore(state, folder.workers)
    build.skip_draws(network, step * run.accumulate)
    files.write_text(folder.own_dir / 'variables.txt',
                     weights.format_table(table) + '\n')
    counts = {kind: sum(row[2] == kind for row in table)
              for kind in ('loaded', 'new', 'left')}
    print(f'{folder.run_dir}: ' + ', '.join(
        f'{n} variables {kind}' for kind, n in counts.items())
        + f' (table in variables.txt); step {step} of {run.steps}')
    if data_service:
        print(f'{folder.run_dir}: --data_service={data_service} gives the '
              'examples in another order each time: the run cannot be '
              'repeated bit for bit')
        files.write_json(folder.own_dir / _SERVED, {'at_step': step,
                                                    'by': data_service})
    # What a killed run did after its last save is lost, and not counted.
    return TrainingRun(run, folder, opened, objective, state, strategy,
                       stop, started - float(state.seconds.numpy()),
                       data_service)


def _restore(state, workers):
    """Restores the chief's state on all workers; returns its step."""
    # First the chief, which sets damaged states aside.
    for turn in (workers.is_chief, not workers.is_chief):
        with workers.together():
            if turn:
                state.restore()
    step = int(state.step.numpy())
    workers.check_equal(step, 'last state in the run folder')
    return step


def _look(folder, stop):
    """Raises Preempted if a worker was asked to stop."""
    if folder.workers.any(stop.asked):
        raise errors.Preempted(_ASKED)


def _as_test(measured):
    """Returns what was measured on the test split as entries of a result."""
    return {'test': measured.pop('value'), 'test_details': measured}


def _setting(run):
    """Returns the fields of a run that its result repeats."""
    return {'seed': run.seed, 'width': run.decoder.width_multiplier,
            'label_fraction': run.label_fraction,
            'label_count': run.label_count,
            # Files of runs without any are as they always were.
            **({'class_weights': list(run.loss.class_weights)}
               if run.loss.class_weights else {})}


def _falls_on(step, every, last):
    return step == last or bool(every and step % every == 0)
