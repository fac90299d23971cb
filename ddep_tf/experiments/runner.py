"""Runs a plan: skips what is done, resumes what was cut off."""

import dataclasses
import gc
import json
import pathlib
import signal
import subprocess
import time

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.data import labels
from ddep_tf.experiments import ledger as ledger_lib
from ddep_tf.experiments import plan, tables
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.runtime import input_checks, inputs, run_folder
from ddep_tf.training import train

# What the exit code of a run's own process says.
_ERRORS = {2: errors.UserError, 3: errors.TrainingStopped,
           143: errors.Preempted}
_POLL_SECONDS = 30  # Between looks at what other machines have finished.


class Experiment:
    """The plan, and what is done of it.

    Args:
      spec: ExperimentSpec.
      stages: {variant: {stage: RunSpec}}.
      operative: the operative gin config as text.
      run_dir: folder of the experiment.
      data_dir: root folder of the data.
      runner: (planned, its folder, test) -> None: does one run of the plan.
        `in_process` and `by_command` make one.

    Raises:
      UserError: the folder is of another experiment, or cannot be made.
    """

    def __init__(self, spec, stages, operative, run_dir, data_dir, runner):
        self.spec, self.operative = spec, operative
        self._data_dir = data_dir
        self.exp_dir = pathlib.Path(run_dir)
        self.plan = plan.Plan(spec, stages, run_dir, data_dir)
        self.ledger = ledger_lib.Ledger(self.plan)
        self._runner = runner
        template = next(iter(stages.values())).get(specs.SEGMENT)
        self.label_set = template and labels.for_spec(template.data[0])
        if self.plan.at_level(plan.SWEEP) and not (
                spec.holdout or template.data[0].val_split):
            raise errors.UserError(
                'ExperimentSpec.learning_rates and weight_decays need images '
                'to choose on: set ExperimentSpec.holdout, or '
                'DatasetSpec.val_split')
        self._open(stages)

    def run(self, shard=None, wait=0.0):
        """Does the runs that are not done, each after what it needs.

        A run that fails is noted, and what needs it is left; the others go
        on.

        Args:
          shard: (index, count): only this part of the runs; None is all.
          wait: minutes to wait for a run's needs that others do.

        Raises:
          UserError: before anything runs, where a label setting cannot be had
            or two of them are the same images; or what a run raises.
          RunsFailed, TrainingStopped: after all others, naming the runs that
            failed; the latter where the loss of each was not finite.
          NotReady: after all others, of runs whose needs are not done.
        """
        if not self._is_started():  # What goes on was checked before.
            self._check_settings()
        names = self.plan.shard(*shard) if shard else self.plan.runs
        waiting = []
        for planned in self.plan.runs.values():
            if planned.name not in names or self.ledger.is_done(planned):
                continue
            if self.ledger.is_stopped(planned.name):
                continue
            if not self._wait_for_needs(planned, wait):
                waiting.append(planned.name)
                continue
            self._attempt(planned)
            self.write()
        self.write()
        self._raise_failures(names)
        if waiting:
            raise errors.NotReady(
                f'{len(waiting)} runs wait for others that are not done, such '
                f'as {waiting[0]}: start again when they are, or give --wait')

    def run_one(self, name, wait=0.0):
        """Does one run of the plan, again if it failed before.

        Args:
          name: of the run.
          wait: minutes to wait for what it needs.

        Raises:
          NotReady: what it needs is not done.
          UserError: no such run; or what the run raises.
        """
        planned = self.plan.find(name)
        if not self._wait_for_needs(planned, wait):
            raise errors.NotReady(
                f'{name} needs {self._missing(planned)[0]}, which is not '
                'done: run it first, or give --wait=MINUTES')
        self.ledger.clear_failure(name)
        self._do(planned)

    def write(self):
        """Writes the tables of all that is done, whoever did it."""
        tables.write(self.ledger, self.exp_dir, self.label_set)

    def _attempt(self, planned):
        """Does a run; notes its failure and goes on."""
        done = sum(map(self.ledger.is_done, self.plan.runs.values()))
        print(f'--- {planned.name} ({done} of {len(self.plan.runs)} done)',
              flush=True)
        try:
            self.ledger.clear_failure(planned.name)
            self._do(planned)
        except errors.TrainingStopped as error:
            self.ledger.note_failure(planned.name, error, stopped=True)
            print(f'{planned.name}: {error}', flush=True)
        except (errors.UserError, errors.Preempted):
            raise  # They concern all runs.
        except Exception as error:  # A full memory, a lost device.
            self.ledger.note_failure(planned.name, error, stopped=False)
            print(f'{planned.name} failed: {error}', flush=True)

    def _do(self, planned):
        actual = self.ledger.as_run(planned)
        if actual is None:
            raise errors.TrainingStopped(
                'no learning rate and weight decay of the grid trained to '
                'its end')
        # A grid is compared on its validation: test is for what is chosen.
        test = planned.level != plan.SWEEP
        self._runner(planned, actual, self.plan.run_dir(actual.name), test)
        self.ledger.forget(actual.name)

    def _missing(self, planned):
        return [name for name in planned.needs
                if not self.ledger.is_settled(name)]

    def _wait_for_needs(self, planned, minutes):
        """Returns whether all that a run needs is done, waiting if asked."""
        end, told = time.monotonic() + 60 * minutes, False
        while missing := self._missing(planned):
            if any(self.ledger.failure(name) for name in missing) or (
                    time.monotonic() >= end):
                return False
            if not told:
                print(f'{planned.name} waits for {", ".join(missing)}',
                      flush=True)
            told = True
            time.sleep(min(_POLL_SECONDS, max(end - time.monotonic(), 0.1)))
        return True

    def _raise_failures(self, names):
        failed = {name: self.ledger.failure(name) for name in names
                  if not self.ledger.is_settled(name)}
        failed = {name: found for name, found in failed.items() if found}
        if not failed:
            return
        kind = (errors.TrainingStopped if all(
            found['stopped'] for found in failed.values())
            else errors.RunsFailed)
        raise kind(f'{len(failed)} of {len(self.plan.runs)} runs failed: '
                   + '; '.join(f'{name} ({found["reason"]})'
                               for name, found in failed.items())
                   + ': --only=NAME runs one of them again')

    def _check_settings(self):
        """Hours of pretraining go before the first labels are read."""
        tuned = self.plan.finetuning()
        if not tuned:
            return
        opened = inputs.open_labelled(
            inputs.with_all_labels(tuned[0].run), self._data_dir)
        known, seen = {}, set()
        for planned in tuned:
            key = planned.setting, planned.run.holdout
            if key in seen:
                continue
            seen.add(key)
            labelled = inputs.take_labels(planned.run, opened)
            inputs.hold_out(planned.run, labelled)
            images = labelled[0].num_examples
            if known.setdefault(images, planned.setting) != planned.setting:
                raise errors.UserError(
                    f'the label settings {known[images]} and '
                    f'{planned.setting} are the same {images} images: take '
                    'one out of ExperimentSpec.label_counts and '
                    'label_fractions')

    def _is_started(self):
        return any(map(run_folder.is_started, self.exp_dir.glob('runs/*')))

    def _open(self, stages):
        plan_file = self.exp_dir / 'plan.json'
        if self._is_started() and _read_plan(plan_file) != (self.spec, stages):
            raise errors.UserError(
                f'--run_dir {self.exp_dir} holds another experiment or another '
                'version of this one: choose another folder')
        try:
            (self.exp_dir / 'subsets').mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.UserError(f'--run_dir {self.exp_dir} cannot be made: '
                                   f'{error.strerror}') from error
        files.write_text(plan_file, _plan_text(self.spec, stages))
        files.write_text(self.exp_dir / 'operative.gin', self.operative)


def _plan_text(spec, stages):
    return json.dumps({'spec': dataclasses.asdict(spec), 'stages': {
        variant: {name: dataclasses.asdict(run)
                  for name, run in templates.items()}
        for variant, templates in stages.items()}}, indent=2)


def _read_plan(path):
    """Returns what `_plan_text` was given, None of another form.

    Fields that an earlier version did not have are at their defaults.
    """
    found = files.read_json(path)
    try:
        return (spec_base.from_dict(spec_lib.ExperimentSpec, found['spec']),
                {variant: {name: spec_base.from_dict(specs.RunSpec, run)
                           for name, run in templates.items()}
                 for variant, templates in found['stages'].items()})
    except (errors.UserError, AttributeError, KeyError, TypeError):
        return None


def in_process(operative, data_dir, strategy, stop=None):
    """Returns a runner that trains here, so that TensorFlow starts once.

    Args:
      operative: the operative gin config as text.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      stop: StopSignal; None never stops.
    """
    checks = input_checks.InputChecks()

    def do(planned, actual, run_dir, test):
        del planned
        train.train(actual.run, operative, run_dir, data_dir, strategy, test,
                    stop, checks)
        gc.collect()  # A network refers to itself: it would stay for long.
    return do


def by_command(command):
    """Returns a runner that gives each run a process of its own.

    Args:
      command: list of str that starts the experiment; `--only` is added.
    """
    def do(planned, actual, run_dir, test):
        if run_folder.finished_result(run_dir, actual.run, test):
            return
        code = _wait([*command, f'--only={planned.name}'])
        if code:
            raise _ERRORS.get(code, RuntimeError)(
                f'the run {planned.name} ended with exit code {code}')
    return do


def _wait(command):
    """Runs a command, hands SIGTERM on to it, and returns its exit code."""
    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM,
                               lambda *_: process.terminate())
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
