"""What a user sees of work that takes a while."""

from collections.abc import Iterable

import tqdm


def bar(iterable: Iterable, description: str, unit: str = 'image') -> tqdm.tqdm:
    """Shows the progress of an iterable over `unit`s; leaves no line."""
    return tqdm.tqdm(iterable, desc=description, unit=unit, leave=False,
                     mininterval=1.0)
