"""A run folder belongs to one start at a time. No TF.

On a disk the kernel says who holds it: its lock on `holder.json` ends with the
process. In a bucket, and on a disk without locks, the holder writes the time
into that file again and again; one that no longer does has ended.
"""

from collections.abc import Iterator
import contextlib
import errno
import json
import os
import pathlib
import socket
import threading
import time
from typing import Any
import uuid

from ddep_tf import errors, files

try:
    import fcntl
except ImportError:  # Not on Windows.
    fcntl = None  # type: ignore[assignment]

NAME = 'holder.json'
RENEW_SECONDS = 15.0  # Google Cloud limits writes of an object to one a second.
STALE_SECONDS = 60.0  # Without a renewal, after which a holder has ended.
_POLL_SECONDS = 1.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def claimed(run_dir: str | os.PathLike) -> Iterator['Claim']:
    """Holds a run folder while the block runs.

    A holder that ended without letting go, since it was killed or its machine
    was lost, is replaced, and a line says so.

    Args:
      run_dir: the run folder; it exists.

    Yields:
      The Claim, which tells whether another process took over.

    Raises:
      UserError: another process holds the folder.
    """
    path = files.path(run_dir) / NAME
    claim = _lock(path) if fcntl and not files.is_bucket(path) else None
    claim = claim or _Renewed(path)
    try:
        yield claim
    finally:
        claim.release()


class Claim:
    """What holds a run folder."""

    def check(self) -> None:
        """Raises UserError if another process has taken the folder over."""

    def release(self) -> None:
        """Lets go of the folder."""


class _Locked(Claim):
    """Holds a folder by the kernel's lock on an open file."""

    def __init__(self, path: pathlib.Path, file):
        self._path, self._file = path, file

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._file.close()


def _lock(path: pathlib.Path) -> Claim | None:
    """Returns a claim by lock; None where the file system has no locks."""
    while True:
        file = path.open('a+', encoding='utf-8')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(path, file):  # Its holder was just letting go.
                file.close()
                continue
        except OSError as error:
            file.seek(0)
            held = _parse(file.read())
            file.close()
            if error.errno in _NO_LOCKS:
                return None
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise _refusal(path, held) from None
            raise
        file.seek(0)
        if held := _parse(file.read()):
            _say_taken_over(path, held)
        file.truncate(0)
        file.write(json.dumps(_me()))
        file.flush()
        return _Locked(path, file)


def _is_at(path, file):
    """Whether an open file is still the one that its path names."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


class _Renewed(Claim):
    """Holds a folder by a file that says when it was last written."""

    def __init__(self, path):
        self._path = path
        self._me = _me()
        self._taken_by: dict[str, Any] | None = None
        self._ended = threading.Event()
        _wait_until_free(path, self._me)
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def check(self) -> None:
        if self._taken_by:
            raise _refusal(self._path, self._taken_by)

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        if not self._taken_by:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _renew(self):
        while not self._ended.wait(RENEW_SECONDS):
            # Where the network fails for a while, the next renewal may do.
            with contextlib.suppress(OSError, errors.UserError):
                held = _read(self._path)
                if held and held['id'] != self._me['id']:
                    self._taken_by = held
                    return
                _write(self._path, self._me)


def _wait_until_free(path, me):
    """Writes `me` once nobody renews the file; UserError if somebody does."""
    held, seen = _read(path), time.monotonic()
    if held and not _has_ended(held):
        print(f'{path.parent}: {_who(held)} holds it; waiting for '
              f'{STALE_SECONDS:.0f} s to see whether it is alive', flush=True)
        # By the change of the file: clocks of two machines may differ.
        while time.monotonic() < seen + STALE_SECONDS:
            time.sleep(_POLL_SECONDS)
            now = _read(path)
            if now is None:  # It let go.
                held = None
                break
            if now != held:
                raise _refusal(path, now)
    if held:
        _say_taken_over(path, held)
    _write(path, me)
    # A bucket has no lock: of two that write at a time the last one stays.
    time.sleep(2 * _POLL_SECONDS)
    now = _read(path)
    if now and now['id'] != me['id']:
        raise _refusal(path, now)


def _has_ended(held):
    """Whether a holder was a process of this machine that is gone."""
    if not held['machine'] or held['machine'] != _machine():
        return False
    return not files.path('/proc', str(held['pid'])).exists()


def _me():
    return {'id': uuid.uuid4().hex, 'host': socket.gethostname(),
            'machine': _machine(), 'pid': os.getpid(), 'since': _now()}


def _machine():
    """Returns what processes share that see each other's ids, '' if unknown:
    one start of one machine, and in it one container."""
    try:
        boot = files.path('/proc/sys/kernel/random/boot_id').read_text()
        return boot.strip() + os.readlink('/proc/self/ns/pid')
    except OSError:
        return ''


def _now():
    return time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())


def _write(path, me):
    files.write_json(path, {**me, 'renewed': _now()})


def _read(path):
    """Returns who is written in the file, None if nobody is."""
    try:
        return _parse(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None


def _parse(text):
    try:
        held = json.loads(text)
    except ValueError:
        return None
    return held if isinstance(held, dict) and 'id' in held else None


def _who(held):
    if not held:
        return 'another process'
    return (f'process {held["pid"]} on {held["host"]}, since '
            f'{held["since"]},')


def _refusal(path, held):
    return errors.UserError(
        f'--run_dir {path.parent}: {_who(held)} is using it: let it end, or '
        'choose another folder')


def _say_taken_over(path, held):
    print(f'{path.parent}: {_who(held)} ended without letting go: taken over',
          flush=True)
