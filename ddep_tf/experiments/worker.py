"""A worker of pool.Pool, as it runs in its own process. No TF."""

from collections.abc import Callable
import multiprocessing
from multiprocessing import connection
import os
import signal
import sys
import threading
import traceback

from ddep_tf import errors, files
from ddep_tf.experiments import executors
from ddep_tf.experiments import shares as shares_lib
from ddep_tf.runtime import stop_signal

LOG = 'log.txt'
# Errors of which the parent needs the kind; any other is a failed run.
_KINDS = (errors.UserError, errors.TrainingStopped, errors.Preempted,
          errors.WorkerLost)

# Called in the worker once; returns what executes its jobs.
Make = Callable[[stop_signal.StopSignal], executors.Do]


def work(parent: connection.Connection, make: Make,
         share: shares_lib.Share, grace: float) -> None:
    """Executes what the parent sends, until the connection is closed.

    The parent sends a Job or (function, args), and gets None, or the error as
    `_sent` has it. `grace`: as of StopSignal.
    """
    shares_lib.take(share)
    os.environ['TQDM_DISABLE'] = '1'  # The parent has the only bar.
    threading.Thread(target=_follow_parent, daemon=True).start()
    _redirect(os.devnull, 1)
    stop = stop_signal.StopSignal(grace)
    do = _make_or_raise(make, stop)
    try:
        while not stop.asked:
            message = parent.recv()
            stop.install()  # Until then there is no state to save.
            parent.send(_answer(do, message))
    except (EOFError, OSError):
        pass  # The parent has closed the connection, or is gone.


def _make_or_raise(make: Make, stop: stop_signal.StopSignal) -> executors.Do:
    """Returns `make(stop)`, or a function that raises its UserError."""
    try:
        return make(stop)
    except errors.UserError as error:
        reason = error

    def do(job):
        raise reason
    return do


def _answer(do: executors.Do, message) -> Exception | None:
    try:
        if isinstance(message, executors.Job):
            run_dir = files.path(message.run_dir)
            run_dir.mkdir(parents=True, exist_ok=True)
            with files.appending(run_dir / LOG) as log:
                _redirect(log, 1, 2)
                _do_in_log(do, message)
        else:
            function, args = message
            function(*args)
        return None
    except Exception as error:
        return _sent(error)


def _sent(error):
    """Returns an error as the parent raises it, which has no TensorFlow."""
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror, error.filename)
    text = str(error) or type(error).__name__
    return next((kind for kind in _KINDS if isinstance(error, kind)),
                RuntimeError)(text)


def _do_in_log(do, job):
    """Executes a job; all that is said of it is in the log when it ends, of
    which a bucket then gets what is there."""
    try:
        do(job)
    except Exception as error:
        if not isinstance(error, _KINDS):
            traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _redirect(path: str | os.PathLike, *descriptors: int) -> None:
    """Appends stdout (1) or stderr (2) to a file, for C++ as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(path, 'ab') as file:
        for descriptor in descriptors:
            os.dup2(file.fileno(), descriptor)


def _follow_parent() -> None:
    """Asks this process to stop once its parent is gone, even if killed."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
