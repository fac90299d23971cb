"""What is given back, and that nothing else is."""

import ctypes
import mmap
import pathlib
import re
import subprocess
import sys

import pytest

from ddep_tf.runtime import memory

pytestmark = [pytest.mark.quick, pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='of Linux alone')]

_PAGES = 64
_CHILD = '''
import pathlib, re
import numpy as np
import scipy.linalg
from ddep_tf.runtime import memory

def pages():
    text = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'RssFile:\\s+(\\d+)', text)[1])

def solve():
    matrix = np.random.default_rng(0).normal(size=(50, 50))
    return scipy.linalg.inv(matrix).tobytes()

before, first = solve(), pages()
memory.give_back()
second = pages()
assert solve() == before
memory.give_back()
assert solve() == before
print(first, second)
'''


@pytest.fixture
def mapped(tmp_path):
    """Maps a file privately; returns (view, whether its pages are there)."""
    maps = []

    def open_map(name):
        path = tmp_path / name
        path.write_bytes(b'x' * mmap.PAGESIZE * _PAGES)
        with path.open('r+b') as file:
            view = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE)
        maps.append(view)
        assert set(view[::mmap.PAGESIZE]) == {ord('x')}
        return view, lambda: _resident(path)
    yield open_map
    for view in maps:
        view.close()


def _resident(path):
    with open('/proc/self/smaps', encoding='utf-8') as file:
        found = re.search(rf'{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB',
                          file.read())
    return int(found[1]) * 1024 == mmap.PAGESIZE * _PAGES


def _forbid_writing(view):
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    assert ctypes.CDLL(None).mprotect(
        ctypes.c_void_p(address), ctypes.c_size_t(len(view)),
        mmap.PROT_READ) == 0


@pytest.mark.parametrize('name', ['lib.so', 'lib.so.2.1', 'with blank.so'])
def test_pages_of_libraries_leave_and_come_back(mapped, name):
    view, resident = mapped(name)
    _forbid_writing(view)
    assert resident()
    memory.give_back()
    assert not resident()
    assert view[:] == b'x' * len(view) and resident()


def test_what_was_changed_or_may_be_or_is_no_library_stays(mapped):
    changed, writable, other = map(mapped, ('a.so', 'b.so', 'c.so.txt'))
    changed[0][5] = ord('y')  # As the loader changes tables of addresses.
    for view, _ in (changed, other):
        _forbid_writing(view)
    memory.give_back()
    assert changed[0][:7] == b'xxxxxyx'
    assert all(resident() for _, resident in (changed, writable, other))


def test_libraries_work_after_it():
    done = subprocess.run([sys.executable, '-c', _CHILD], capture_output=True,
                          text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert second < first / 2


def test_a_machine_that_tells_nothing_is_left_alone(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError
    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, 'read_text', refuse)
        memory.give_back()
