"""A request to stop that is looked at when it is safe to. No TF."""

import signal


class StopSignal:
    """Whether the process was asked to stop; the loop looks between steps.

    Attributes:
      asked: set by SIGTERM after `install`, or by the caller.
      grace: seconds from the request to the kill: half of them to notice it,
        the others to save the state.

    Args:
      grace: as above; 30 is what clouds give a machine that they take back.
    """

    def __init__(self, grace: float = 30.0):
        self.asked = False
        self.grace = grace

    def install(self) -> 'StopSignal':
        """Makes SIGTERM set `asked`; returns self."""
        def ask(signum, frame):
            del signum, frame
            self.asked = True
        signal.signal(signal.SIGTERM, ask)
        return self
