"""Gives the system back memory that nothing uses any more. No TF."""

from collections.abc import Iterator
import contextlib
import ctypes
import re
import sys

from ddep_tf import files

_DONTNEED = 4  # MADV_DONTNEED of Linux, on every processor.
_LIBRARY = re.compile(r'([0-9a-f]+)-([0-9a-f]+) r-.p .* /.*\.so[.0-9]*$')


def give_back() -> None:
    """Gives back what was freed, where the C library keeps it, and the pages of
    libraries: loading TensorFlow reads 400 MB of them, and tracing a large
    network leaves 100 MB that are free. Elsewhere than on Linux it does
    nothing.
    """
    if not sys.platform.startswith('linux'):
        return
    system = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # Of others than glibc.
        system.malloc_trim(0)
    for start, size in _unchanged():
        # What is still needed is read again from the file, as at first.
        system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size),
                       _DONTNEED)


def _unchanged() -> Iterator[tuple[int, int]]:
    """Yields (address, bytes) of what is mapped of libraries, cannot be
    written to, and is as it is in the file."""
    try:
        lines = files.path('/proc/self/smaps').read_text().splitlines()
    except OSError:  # Some containers have none.
        return
    library = None
    for line in lines:
        if re.match('[0-9a-f]+-', line):
            library = _LIBRARY.match(line)
        elif library and line.split() == ['Anonymous:', '0', 'kB']:
            start, end = (int(text, 16) for text in library.groups())
            yield start, end - start
