"""Work that several threads do. No TensorFlow."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
import os
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


def core_ids() -> list[int]:
    """Returns the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # Not on macOS.
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(core_ids())


def in_order(function: Callable[[Item], Result],
             items: Iterable[Item]) -> Generator[Result, None, None]:
    """Yields `function(item)` of each item, in their order.

    A thread a core computes some items ahead: `function` has to bear that. It
    is worth it where most of its time is spent outside of Python.
    """
    threads = cores()
    ahead: deque[futures.Future[Result]] = deque()
    with futures.ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
