"""The errors that a launcher turns into an exit code; the first line of any."""


class UserError(ValueError):
    """The user's mistake: its one line says what, where, and how to mend it.

    A ValueError, so that callers of the public API catch what they expect.
    Launchers print the line without a traceback and exit with code 2.
    """


class TrainingStopped(RuntimeError):
    """Training stopped itself, on a non-finite loss. Launchers exit with 3."""


class NotReady(RuntimeError):
    """What a run needs is not finished yet. Launchers exit with 4."""


class RunsFailed(RuntimeError):
    """Runs of an experiment failed, the others are done. Exit code 1."""


class Preempted(RuntimeError):
    """A signal stopped the run after its state was saved. Exit code 143."""


class WorkerLost(RuntimeError):
    """Another worker of the run, or its TPU, is gone. Exit code 75."""


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says; its type if it says
    nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()
