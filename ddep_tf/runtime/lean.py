"""Imports without what is imported along and not used. No TF."""

from collections.abc import Iterator
import contextlib
import sys

# Keras takes them where there are any, for parts that nothing here uses. They
# take a second to import, and 200 MB.
_UNUSED = ('cv2', 'matplotlib', 'pandas', 'pyarrow', 'sklearn')


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Has modules that are imported in the block go without these packages.
    After it, they can be imported as always."""
    hidden = [name for name in _UNUSED if name not in sys.modules]
    # What Python itself takes for "there is none".
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
