"""What a user sees of work that takes a while."""

import tqdm


def bar(iterable, what, unit='image'):
    """Shows how far an iterable over `unit`s is; leaves no line behind."""
    return tqdm.tqdm(iterable, desc=what, unit=unit, leave=False,
                     mininterval=1.0)
