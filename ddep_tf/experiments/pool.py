"""Executes several runs of an experiment at a time. No TF.

A worker is a process that imports TensorFlow once, and then executes one run
after another on its share of the machine. What a run prints goes to `log.txt`
in its folder.
"""

from collections.abc import Callable, Sequence
import contextlib
import multiprocessing
from multiprocessing import connection
import signal
from typing import Any

import tqdm

from ddep_tf import errors, files
from ddep_tf.experiments import executors
from ddep_tf.experiments import shares as shares_lib
from ddep_tf.experiments import worker as worker_lib
from ddep_tf.runtime import stop_signal

_SHOWN_LINES = 10  # Of the log of a run that failed.
_POLL_SECONDS = 0.5  # Between looks at `stop`.


class Pool(executors.Executor):
    """Executes jobs in workers.

    Args:
      slots: the number of jobs at a time.
      make: called in each worker with its StopSignal, it returns the function
        that executes a job. It is pickled: a function of a module, or a
        partial of one.
      stop: StopSignal that ends the jobs.
    """

    def __init__(self, slots: int, make: worker_lib.Make,
                 stop: stop_signal.StopSignal):
        self.slots = slots
        self._make = make
        self._stop = stop
        self._workers: list[_Worker] = []
        self._bar: tqdm.tqdm | None = None

    def __exit__(self, *_: object) -> None:
        try:
            for worker in self._workers:
                worker.stop()
            for worker in self._workers:
                worker.process.join()
        finally:
            # A second Ctrl-C, while they save their state, ends them at once.
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            self._workers.clear()
            if self._bar is not None:
                self._bar.close()

    def prepare(self, count: int, total: int) -> None:
        # A second start, with fewer jobs, computes with as many threads.
        shares = shares_lib.shares(min(self.slots, total))[:count]
        if shares:
            print(f'starting {len(shares)} workers ...', flush=True)
        self._workers = [_Worker(self._make, share, self._stop.grace)
                         for share in shares]

    def call(self, function: Callable[..., object], *args: Any) -> None:
        if not self._workers:  # There is no job to be called for.
            return
        self._workers[0].send(None, (function, args))
        while not (outcomes := self.outcomes(_POLL_SECONDS)):
            pass
        (_, error), = outcomes
        if error:
            raise error

    def start(self, job: executors.Job) -> None:
        idle = next(w for w in self._workers if not w.is_busy)
        idle.send(job, job)

    def outcomes(self, seconds: float) -> list[executors.Outcome]:
        """As of Executor. Preempted if `stop` is asked."""
        busy = [worker for worker in self._workers if worker.is_busy]
        ready: list = []
        while not ready and seconds > 0:
            if self._stop.asked:
                raise errors.Preempted('stopped: running runs have saved '
                                       'their state')
            ready = connection.wait([w.connection for w in busy],
                                    min(seconds, _POLL_SECONDS))
            seconds -= _POLL_SECONDS
        return [self._outcome(w) for w in busy if w.connection in ready]

    def _outcome(self, worker):
        job, error = worker.job, worker.receive()
        if not worker.is_alive:
            index = self._workers.index(worker)
            self._workers[index] = _Worker(self._make, worker.share,
                                           self._stop.grace)
        if job and error and not isinstance(
                error, (errors.UserError, errors.Preempted)):
            self._show_log(files.path(job.run_dir, worker_lib.LOG))
        return job, error

    def _show_log(self, path):
        if not path.exists():
            return
        self.say(f'the end of {path}:')
        lines = path.read_text('utf-8', 'replace').splitlines()
        for line in lines[-_SHOWN_LINES:]:
            self.say(f'  {line}')

    def show(self, running: Sequence[str], done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm.tqdm(total=total, unit='run', initial=done)
        self._bar.n = done
        self._bar.set_postfix_str(', '.join(running))

    def say(self, line: str) -> None:
        tqdm.tqdm.write(line)


class _Worker:
    """A worker as its parent sees it.

    Attributes:
      job: the job it executes, None for a function.
      is_busy: whether its answer is awaited.
      is_alive: False once its process was found to have ended.
    """

    def __init__(self, make: worker_lib.Make, share: shares_lib.Share,
                 grace: float):
        self.share = share
        self.job: executors.Job | None = None
        self.is_busy = False
        self.is_alive = True
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=worker_lib.work, args=(theirs, make, share, grace),
            daemon=True)
        # Ctrl-C reaches all processes of a terminal; this one handles it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()  # Else the connection would outlive the worker.

    def send(self, job: executors.Job | None, message: object) -> None:
        """Sends a Job or (function, args)."""
        self.job, self.is_busy = job, True
        with contextlib.suppress(OSError):  # `receive` finds out.
            self.connection.send(message)

    def receive(self) -> Exception | None:
        """Returns the error of what was sent, None if it was executed."""
        self.is_busy = False
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.is_alive = False
            self.process.join()
            return RuntimeError(_reason(self.process.exitcode))

    def stop(self) -> None:
        """Asks it to end: at once if idle, else after saving its state."""
        self.process.terminate()
        self.connection.close()


def _reason(exit_code: int | None) -> str:
    if exit_code and exit_code < 0:
        return f'its process was ended by {signal.Signals(-exit_code).name}'
    return f'its process ended with exit code {exit_code}'
