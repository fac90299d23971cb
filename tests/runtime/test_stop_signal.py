"""SIGTERM is a request that is looked at when it is safe to."""

import os
import signal

import pytest

from ddep_tf.runtime import stop_signal

pytestmark = pytest.mark.quick


def test_sigterm_asks_the_installed_object_alone():
    before = signal.getsignal(signal.SIGTERM)
    try:
        other = stop_signal.StopSignal()
        stop = stop_signal.StopSignal().install()
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked and not other.asked
    finally:
        signal.signal(signal.SIGTERM, before)
