"""Runs a plan: skips what is done, resumes what was cut off. No TF."""

import math
import time
from typing import Any

from ddep_tf import errors, specs
from ddep_tf.data import labels
from ddep_tf.experiments import executors, exp_folder, reuse, tables
from ddep_tf.experiments import ledger as ledger_lib
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.runtime import stop_signal

# Between looks at what other machines have finished, and at `stop`.
_POLL_SECONDS, _STOP_SECONDS = 30, 0.5
# A run that failed is tried again within this by Kubernetes, which waits for
# up to 6 minutes before it does.
_RETRIED_WITHIN = 15 * 60  # Seconds.
# Of the time, what the tables take at most while runs are made.
_TABLES_SHARE = 0.05
# Errors that concern all runs.
_OF_ALL = (errors.UserError, errors.Preempted, errors.WorkerLost)


class Experiment:
    """The plan, and what is done of it.

    Args:
      spec: ExperimentSpec.
      templates: {variant: {stage: RunSpec}}.
      operative: the operative gin config as text.
      exp_dir: folder of the experiment.
      data_dir: root folder of the data.
      executor: executes the runs; see executors.py and pool.py.
      stop: StopSignal; None never stops.
      finished: runs of other experiments, of which those that are the same
        are taken over; None trains all.

    Raises:
      UserError: the folder holds another experiment, or cannot be created;
        or rates are to be chosen and nothing is there to choose them on.
    """

    def __init__(self, spec: spec_lib.ExperimentSpec,
                 templates: plan_lib.Templates, operative: str, exp_dir: str,
                 data_dir: str, executor: executors.Executor,
                 stop: stop_signal.StopSignal | None = None,
                 finished: reuse.Finished | None = None):
        self.plan = plan_lib.Plan(spec, templates, exp_dir, data_dir)
        self.ledger = ledger_lib.Ledger(self.plan)
        self._data_dir = data_dir
        self._executor = executor
        self._stop = stop or stop_signal.StopSignal()
        self._finished = finished or reuse.Finished(())
        self._running: dict[str, plan_lib.PlannedRun] = {}
        self._done: set[str] = set()  # Names, as far as this process knows.
        self._next_writing = -math.inf  # As of time.monotonic.
        template = next(iter(templates.values())).get(specs.SEGMENT)
        self._label_set = labels.for_spec(template.data[0]) if (
            template) else None
        for planned in self.plan.at_level(plan_lib.SWEEP):
            if not (spec.holdout or planned.run.data[0].val_split):
                raise errors.UserError(
                    'a grid of ExperimentSpec.learning_rates, weight_decays '
                    'and encoder_factors needs images to choose on: set '
                    'ExperimentSpec.holdout, or DatasetSpec.val_split')
        self.exp_dir = exp_folder.open_experiment(
            exp_dir, spec, templates, operative)

    def run(self, shard: tuple[int, int] | None = None,
            wait: float = 0.0) -> None:
        """Executes the runs that are not done, each after those it needs.

        A failure is noted and the other runs go on, except for those that
        need the failed one.

        Args:
          shard: (index, count): only this part of the runs; None is all.
          wait: minutes to wait for needed runs that other machines do.

        Raises:
          UserError: before any run, a label setting cannot be had or equals
            another one; or what a run raises.
          Preempted: `stop` was asked.
          RunsFailed, TrainingStopped: after all others, naming the runs that
            failed; the latter if the loss of each became non-finite.
          NotReady: after all others, runs are left whose needs are not done.
        """
        chosen = self.plan.shard(*shard) if shard else self.plan.runs
        names = [name for name in self.plan.runs if name in chosen]
        self._done = self.ledger.done()
        pending = [self.plan.find(name) for name in names
                   if not (name in self._done or self.ledger.is_stopped(name))]
        self._running.clear()
        with self._executor:
            self._executor.prepare(len(pending), self.plan.count())
            self._check_label_settings()
            self._do_all(pending, wait)
        self.write()
        self._raise_failures(names)
        if pending:
            raise errors.NotReady(
                f'{len(pending)} runs wait for others that are not done, such '
                f'as {pending[0].name}: start again when they are, or give '
                '--wait')

    def run_one(self, name: str, wait: float = 0.0) -> None:
        """Executes one run of the plan, again if it failed before, and writes
        the tables of all that is done.

        Args:
          name: of the run.
          wait: minutes to wait for the runs it needs.

        Raises:
          NotReady: a run it needs is not done.
          UserError: there is no such run; or what the run raises.
        """
        planned = self.plan.find(name)
        if not self._wait_for_needs([planned], wait, _RETRIED_WITHIN):
            need = self.ledger.missing(planned)[0]
            failed = self.ledger.obstacles([need])
            reason = f' ({failed[0]["reason"]})' if failed else ''
            raise errors.NotReady(
                f'{name} needs {need}, which is not done{reason}: run it '
                'first, or give --wait=MINUTES')
        self.ledger.clear_failure(name)
        try:
            job = self._job(planned)
            if not self._take(job):
                self._execute(job)
        except _OF_ALL:
            raise
        except Exception as error:
            self._note(planned, error)  # Those that need it are not to wait.
            self.write()
            raise
        self.write()

    def _execute(self, job):
        with self._executor:
            self._executor.prepare(1, self.plan.count())
            self._executor.start(job)
            while not (outcomes := self._executor.outcomes(_POLL_SECONDS)):
                pass
        (_, error), = outcomes
        self.ledger.forget(job.actual.name)
        if error:
            raise error

    def write(self) -> None:
        """Writes the tables of all that is done, whoever did it."""
        begin = time.monotonic()
        self.ledger.refresh()
        self._done = self.ledger.done()
        tables.write(self.ledger, self.exp_dir, self._label_set, self._done)
        end = time.monotonic()
        self._next_writing = end + (end - begin) / _TABLES_SHARE

    def _write_in_time(self):
        """Writes the tables unless that took a while and was done just now: of
        hundreds of runs in a bucket it takes minutes."""
        if time.monotonic() >= self._next_writing:
            self.write()

    def _do_all(self, pending, wait):
        """Executes `pending`, and leaves in it the runs that cannot start."""
        while pending or self._running:
            if self._stop.asked and not self._running:
                raise errors.Preempted('stopped between two runs')
            self._start_ready(pending)
            if self._running:
                for job, error in self._executor.outcomes(_POLL_SECONDS):
                    self._settle(job, error)
            elif pending and not self._wait_for_needs(pending, wait):
                return

    def _start_ready(self, pending):
        for planned in list(pending):
            if len(self._running) >= self._executor.slots:
                return
            if not self.ledger.is_to_do(planned):  # Another machine did it.
                pending.remove(planned)
                self._done.add(planned.name)
            elif not self.ledger.missing(planned):
                pending.remove(planned)
                self._start(planned)

    def _start(self, planned):
        self.ledger.clear_failure(planned.name)
        try:
            job = self._job(planned)
        except errors.TrainingStopped as error:
            self._note(planned, error)
            return
        if self._take(job):
            return
        self._running[planned.name] = planned
        self._show()
        self._executor.start(job)

    def _job(self, planned):
        actual = self.ledger.as_run(planned)
        if actual is None:
            raise errors.TrainingStopped(
                'no learning rate and weight decay of the grid trained to '
                'its end')
        # Runs of a grid are compared on val; test is for the chosen one.
        return executors.Job(planned, actual, self.plan.run_dir(actual.name),
                             test=planned.level != plan_lib.SWEEP)

    def _take(self, job):
        """Takes a job's run over from another experiment; returns whether."""
        source = self._finished.take(job.actual.run, job.run_dir, job.test,
                                     self._sleep)
        if source is None:
            return False
        self.ledger.forget(job.actual.name)
        self._done.add(job.planned.name)
        self._executor.say(f'{job.planned.name} is there: {source}')
        return True

    def _settle(self, job, error):
        del self._running[job.planned.name]
        self.ledger.forget(job.actual.name)
        if isinstance(error, _OF_ALL):
            raise error
        if error:
            self._note(job.planned, error)
        else:
            self._done.add(job.planned.name)
        self._show()
        self._write_in_time()

    def _note(self, planned, error):
        noted = self.ledger.failure(planned.name)  # By a process of its own.
        if not noted:
            self.ledger.note_failure(
                planned.name, error, isinstance(error, errors.TrainingStopped))
        reason = noted['reason'] if noted else error
        self._executor.say(f'{planned.name} failed: {reason}')

    def _show(self):
        self._executor.show(list(self._running), len(self._done),
                            len(self.plan.runs))

    def _wait_for_needs(self, runs, minutes, retried_within=0):
        """Waits until one of `runs` has what it needs; returns whether.

        It does not wait for a run that failed, once that is known for
        `retried_within` seconds, nor for one whose loss was not finite.
        """
        now = whole_since = time.monotonic()
        end, announced = now + 60 * minutes, False
        while all(missing := [self.ledger.missing(run) for run in runs]):
            now = time.monotonic()
            failures = list(map(self.ledger.obstacles, missing))
            if not all(failures):
                whole_since = now
            is_retried = now - whole_since < retried_within
            hopeful = [names for names, found in zip(missing, failures)
                       if not found or is_retried and not any(
                           failure['stopped'] for failure in found)]
            if not hopeful or now >= end:
                return False
            if not announced:
                self._executor.say('waiting for ' + ', '.join(hopeful[0]))
            announced = True
            self._sleep(min(_POLL_SECONDS, max(end - time.monotonic(), 0.1)))
        return True

    def _sleep(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._stop.asked:
                raise errors.Preempted('stopped while waiting for other runs')
            time.sleep(min(_STOP_SECONDS, seconds))

    def _raise_failures(self, names):
        failed = {name: found for name in names
                  if not self.ledger.is_settled(name)
                  and (found := self.ledger.failure(name))}
        if not failed:
            return
        kind = (errors.TrainingStopped if all(
            found['stopped'] for found in failed.values())
            else errors.RunsFailed)
        raise kind(f'{len(failed)} of {len(self.plan.runs)} runs failed: '
                   + '; '.join(f'{name} ({found["reason"]})'
                               for name, found in failed.items())
                   + ': --only=NAME runs one of them again')

    def _check_label_settings(self):
        finetuning = self.plan.finetuning()
        if finetuning and not exp_folder.is_started(self.exp_dir):
            self._executor.call(_check, finetuning, self._data_dir)


def _check(*args: Any) -> None:
    """Calls label_settings.check, which imports TensorFlow."""
    from ddep_tf.experiments import label_settings
    label_settings.check(*args)
