"""Servers of other machines: whether one answers, and waiting for it."""

import socket
import time

_TIMEOUT = 5.0  # Seconds, for one answer.


def refusal(address: str) -> Exception | None:
    """Returns why no server answers at 'HOST:PORT', None if one does."""
    host, _, port = address.rpartition(':')
    try:
        socket.create_connection((host.strip('[]'), int(port)),
                                 timeout=_TIMEOUT).close()
        return None
    except (OSError, ValueError) as error:
        return error


def wait(address: str, seconds: float) -> Exception | None:
    """Waits until a server answers, and prints once that it waits.

    Args:
      address: 'HOST:PORT'.
      seconds: to wait; it is asked at least once.

    Returns:
      Why it did not answer in this time, None if it did.
    """
    end = time.monotonic() + seconds
    told = False
    while error := refusal(address):
        if isinstance(error, ValueError) or time.monotonic() > end:
            return error  # Of what is no address, at once.
        if not told:
            print(f'waiting for {address} ({error}) ...', flush=True)
        told = True
        time.sleep(1)
    return None
