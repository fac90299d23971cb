"""Reads the next items while the last one is worked on. No TF."""

import collections
from collections.abc import Generator, Iterable
from concurrent import futures
from typing import TypeVar

Item = TypeVar('Item')
_END = object()


def read_ahead(items: Iterable[Item],
               count: int) -> Generator[Item, None, None]:
    """Yields items, which a thread takes from the iterable before they are
    asked for: up to `count` of them. What it raises is raised here."""
    iterator = iter(items)
    with futures.ThreadPoolExecutor(1) as thread:
        def ask():
            return thread.submit(next, iterator, _END)

        waiting = collections.deque(ask() for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(ask())
                yield item
        finally:
            for one in waiting:
                one.cancel()
            # A generator closes what it has opened, in its own thread.
            close = getattr(iterator, 'close', None)
            if close:
                thread.submit(close)
