"""A request to stop that is looked at when it is safe to. No TF."""

import signal


class StopSignal:
    """Whether the process was asked to stop; the loop looks between steps.

    Attributes:
      asked: set by SIGTERM after `install`, or by the caller.
    """

    def __init__(self):
        self.asked = False

    def install(self) -> 'StopSignal':
        """Makes SIGTERM set `asked`; returns self."""
        def ask(signum, frame):
            del signum, frame
            self.asked = True
        signal.signal(signal.SIGTERM, ask)
        return self
