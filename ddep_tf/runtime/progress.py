"""What a user sees of work that takes a while."""

import tqdm


def bar(iterable, what):
    """Shows how far an iterable over images is; leaves no line behind."""
    return tqdm.tqdm(iterable, desc=what, unit='image', leave=False,
                     mininterval=1.0)
