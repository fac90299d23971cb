"""Executes the runs of an experiment one after the other. No TF.

`pool.Pool` executes several at a time.
"""

import abc
from collections.abc import Callable, Sequence
import dataclasses
import gc
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from ddep_tf import errors
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.runtime import stop_signal, tracking

if TYPE_CHECKING:
    import tensorflow as tf

# What the exit code of a run's own process means.
_ERRORS = {2: errors.UserError, 3: errors.TrainingStopped,
           75: errors.WorkerLost, 143: errors.Preempted}


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to execute.

    Attributes:
      planned: the run as planned.
      actual: the run with its chosen rates.
      run_dir: its run folder.
      test: whether it is evaluated on the test split.
    """
    planned: plan_lib.PlannedRun
    actual: plan_lib.PlannedRun
    run_dir: str
    test: bool


Do = Callable[[Job], object]
Outcome = tuple[Job, Exception | None]


class Executor(abc.ABC):
    """Executes jobs; a context manager that ends what is still running.

    Attributes:
      slots: the number of jobs at a time.
    """
    slots = 1

    def __enter__(self) -> 'Executor':
        return self

    @abc.abstractmethod
    def __exit__(self, *_: object) -> None:
        """Ends what is running, after it has saved its state."""

    @abc.abstractmethod
    def prepare(self, count: int, total: int) -> None:
        """Gets ready.

        Args:
          count: number of jobs there are to execute.
          total: number of runs of the plan, finished ones included.
        """

    @abc.abstractmethod
    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Calls a function where jobs are executed; raises what it raises."""

    @abc.abstractmethod
    def start(self, job: Job) -> None:
        """Starts a job; the caller never has more than `slots` at a time."""

    @abc.abstractmethod
    def outcomes(self, seconds: float) -> list[Outcome]:
        """Waits until a job has ended, but no longer than `seconds`.

        Returns:
          The jobs that have ended since the last call, with their errors.
        """

    @abc.abstractmethod
    def show(self, running: Sequence[str], done: int, total: int) -> None:
        """Shows which runs are running, and how many of them are done."""

    @abc.abstractmethod
    def say(self, line: str) -> None:
        """Prints a line."""


class Serial(Executor):
    """Executes each job as soon as it is started.

    Args:
      do: executes a job.
    """

    def __init__(self, do: Do):
        self._do = do
        self._outcomes: list[Outcome] = []

    def __exit__(self, *_: object) -> None:
        self._outcomes.clear()

    def prepare(self, count: int, total: int) -> None:
        pass

    def call(self, function: Callable[..., object], *args: Any) -> None:
        function(*args)

    def start(self, job: Job) -> None:
        error = None
        try:
            self._do(job)
        except Exception as caught:
            error = caught
        self._outcomes.append((job, error))

    def outcomes(self, seconds: float) -> list[Outcome]:
        found, self._outcomes = self._outcomes, []
        return found

    def show(self, running: Sequence[str], done: int, total: int) -> None:
        if running:
            print(f'--- {running[-1]} ({done} of {total} done)', flush=True)

    def say(self, line: str) -> None:
        print(line, flush=True)


def in_process(operative: str, data_dir: str | os.PathLike,
               strategy: 'tf.distribute.Strategy',
               stop: stop_signal.StopSignal | None = None,
               track: tracking.Tracking | None = None,
               data_service: str = '') -> Serial:
    """Returns an executor that trains in this process.

    Args:
      operative: the operative gin config as text.
      data_dir: root folder of the data.
      strategy: tf.distribute.Strategy.
      stop: StopSignal; None never stops.
      track: where the runs are followed; None is nowhere.
      data_service: as of `train.train`.
    """
    return Serial(trainer(operative, data_dir, strategy, stop, track,
                          data_service))


def trainer(operative: str, data_dir: str | os.PathLike,
            strategy: 'tf.distribute.Strategy',
            stop: stop_signal.StopSignal | None,
            track: tracking.Tracking | None = None,
            data_service: str = '') -> Do:
    """Returns a function that trains a job. Arguments as of `in_process`."""
    from ddep_tf.runtime import input_checks
    from ddep_tf.training import train
    checks = input_checks.InputChecks()

    def do(job):
        train.train(job.actual.run, operative, job.run_dir, data_dir, strategy,
                    job.test, stop, checks, track, data_service)
        gc.collect()  # A network refers to itself, and would stay for long.
    return do


def make_trainer(import_tensorflow: Callable[[], None], operative: str,
                 data_dir: str | os.PathLike, strategy: str,
                 stop: stop_signal.StopSignal,
                 track: tracking.Tracking | None = None,
                 data_service: str = '') -> Do:
    """As `trainer`, for a process that has not imported TensorFlow.

    Args:
      import_tensorflow: called first.
      operative, data_dir, stop, track, data_service: as of `in_process`.
      strategy: name of the strategy, as of `--strategy`.
    """
    import_tensorflow()
    from ddep_tf.runtime import strategy as strategies
    return trainer(operative, data_dir, strategies.get_strategy(strategy),
                   stop, track, data_service)


def by_command(command: Sequence[str]) -> Serial:
    """Returns an executor that gives each run a process of its own.

    Args:
      command: starts the experiment; `--only` is added.
    """
    def do(job):
        name = job.planned.name
        code = _run(command=[*command, f'--only={name}'])
        if code:
            raise _ERRORS.get(code, RuntimeError)(
                f'the run {name} ended with exit code {code}')
    return Serial(do)


def _run(command: Sequence[str]) -> int:
    """Runs a command, passes SIGTERM on to it, and returns its exit code."""
    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM,
                               lambda *_: process.terminate())
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
