"""gs:// paths with the methods of pathlib.Path, by TensorFlow's own client.

TensorFlow's errors end here, in an OSError that names the path and gives
Google's answer in one line. TensorFlow is imported when the first object is
read or written, not before.
"""

from collections.abc import Iterator
import contextlib
import errno
import fnmatch
import functools
import io
import os
import pathlib
import posixpath
import re
import socket
import types
from typing import IO, Any

from etils.epath import gpath

# Without credentials the client asks Google's metadata server ten times,
# which only a machine in Google's cloud has, before it goes on without.
_ON_GOOGLE = pathlib.Path('/sys/class/dmi/id/product_name')
_METADATA_SERVER = 'metadata.google.internal'
_BUFFER, _PART = 2 ** 20, 2 ** 24  # Bytes.


class BucketPath(gpath.PosixGPath):
    """A path such as gs://bucket/folder/file.

    Every method that reads or writes raises OSError: FileNotFoundError,
    PermissionError, ..., with `filename` and `strerror`. What is written is
    one whole object, or is not there. Of epath's class only the handling of
    names is used: its reading and writing lets TensorFlow's errors through.
    """

    def stat(self) -> types.SimpleNamespace:
        """Returns st_size in bytes, st_mtime in seconds, is_directory."""
        with answers(self):
            found = _tf().io.gfile.stat(str(self))
        return types.SimpleNamespace(
            st_size=found.length, st_mtime=found.mtime_nsec / 1e9,
            is_directory=found.is_directory)

    def exists(self) -> bool:
        try:
            self.stat()
            return True
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        # TensorFlow's own isdir takes a denial for "no".
        try:
            return self.stat().is_directory
        except FileNotFoundError:
            return False

    def is_file(self) -> bool:
        try:
            return not self.stat().is_directory
        except FileNotFoundError:
            return False

    def iterdir(self) -> Iterator['BucketPath']:
        if not self.is_dir():
            raise FileNotFoundError(errno.ENOENT, 'there is no such folder',
                                    str(self))
        with answers(self):
            names = _tf().io.gfile.listdir(str(self))  # Folders end in '/'.
        return iter([self / name for name in names if name.strip('/')])

    def glob(self, pattern: str) -> Iterator['BucketPath']:
        # TensorFlow's own glob lists whatever lies below, at any depth.
        first, _, rest = pattern.partition('/')
        if '**' in first:
            raise ValueError(f'{pattern}: a bucket is not searched in depth')
        for child in self._named(first):
            if not rest:
                yield child
            elif child.is_dir():
                yield from child.glob(rest)

    def _named(self, pattern):
        if not set(pattern) & set('*?['):
            return [self / pattern] * (self / pattern).exists()
        try:
            return [child for child in self.iterdir()
                    if fnmatch.fnmatchcase(child.name, pattern)]
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def open(self, mode: str = 'r', encoding: str | None = None,
             newline: str | None = None) -> Iterator[IO]:
        """Opens for reading: 'r', or 'rb', which is read in parts."""
        if mode == 'r':
            yield io.TextIOWrapper(io.BytesIO(self.read_bytes()),
                                   encoding or 'utf-8', newline=newline)
        elif mode == 'rb':
            with answers(self), _tf().io.gfile.GFile(str(self), 'rb') as file:
                yield io.BufferedReader(_Reader(file), _BUFFER)
        else:
            raise ValueError(f'mode {mode!r}: objects are written whole')

    def read_bytes(self) -> bytes:
        with self.open('rb') as file:
            return file.read()

    def read_text(self, encoding: str | None = None,
                  errors: str | None = None) -> str:
        data = io.BytesIO(self.read_bytes())
        return io.TextIOWrapper(data, encoding or 'utf-8', errors).read()

    def write_bytes(self, data: bytes) -> int:
        with answers(self), _tf().io.gfile.GFile(str(self), 'wb') as file:
            file.write(data)
        return len(data)

    def write_text(self, data: str, encoding: str | None = None,
                   errors: str | None = None) -> int:
        return self.write_bytes(data.encode(encoding or 'utf-8',
                                            errors or 'strict'))

    def upload(self, file: str | os.PathLike) -> None:
        """Writes a local file as this object."""
        with answers(self):
            _tf().io.gfile.copy(os.fspath(file), str(self), overwrite=True)

    def mkdir(self, mode: int | None = None, parents: bool = False,
              exist_ok: bool = False) -> None:
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, 'it exists', str(self))
        with answers(self):
            # Its makedirs never ends where there is no such bucket.
            _tf().io.gfile.mkdir(str(self))

    def replace(self, target: str | os.PathLike) -> 'BucketPath':
        with answers(self):
            _tf().io.gfile.rename(str(self), os.fspath(target), overwrite=True)
        return BucketPath(target)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with answers(self):
                _tf().io.gfile.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self, missing_ok: bool = False) -> None:
        try:
            with answers(self):
                _tf().io.gfile.rmtree(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def resolve(self, strict: bool = False) -> 'BucketPath':
        """Returns the path without '..', which would be names of objects."""
        bucket, *parts = self.parts[2:]
        name = posixpath.normpath('/' + '/'.join(parts))
        return BucketPath(f'gs://{bucket}{name}')


class _Reader(io.RawIOBase):
    """A GFile open for reading, with the manners of a file of Python's."""

    def __init__(self, file: Any):
        super().__init__()
        self._file, self._size, self._at = file, file.size(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = (0, self._at, self._size)[whence] + offset
        if at < 0:
            raise OSError(errno.EINVAL, 'before the start of the file')
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b''.join(iter(lambda: self._read(_PART), b''))

    def _read(self, count):
        if self._at > self._size:
            return b''
        self._file.seek(self._at)
        # Not cut at the size: the object may have been written anew since.
        data = self._file.read(count)
        self._at += len(data)
        return data


@contextlib.contextmanager
def answers(path: object) -> Iterator[None]:
    """Turns TensorFlow's errors into OSErrors of `path`."""
    try:
        yield
    except _tf().errors.OpError as error:
        raise os_error(error, str(path)) from error


def os_error(error: Exception, path: str = '') -> OSError:
    """Returns an error of TensorFlow as an OSError.

    Args:
      error: a tf.errors.OpError.
      path: what was read or written; '' takes it from the error's text.

    Returns:
      FileNotFoundError, PermissionError, ...; TimeoutError where Google was
      asked again and again, and may answer later.
    """
    named = re.search(r'gs://[^\s\'",]+', str(error))
    return OSError(_number(error), _answer(error),
                   path or (named[0] if named else 'gs://'))


def _answer(error):
    """Returns what Google said, on one line."""
    text = ' '.join(str(error.message).split())
    code = re.search(r'HTTP response code (\d+)', text)
    said = (re.search(r'"message": ?"((?:[^"\\]|\\.)*)"', text)
            or re.search(r'<Message>(.*?)</Message>', text))
    if code and said:
        return f'Google answers {code[1]}: {said[1].rstrip(".")}'
    curl = re.search(r"libcurl code \d+ meaning '(.*?)'", text)
    if curl:
        return f'Google cannot be reached: {curl[1]}'
    return f'Google answers: {text}'


def _number(error):
    """Returns the errno of an error of TensorFlow."""
    kinds = _tf().errors
    for kind, number in (
            (kinds.NotFoundError, errno.ENOENT),
            (kinds.PermissionDeniedError, errno.EACCES),
            (kinds.UnauthenticatedError, errno.EACCES),
            (kinds.AlreadyExistsError, errno.EEXIST),
            (kinds.AbortedError, errno.ETIMEDOUT),  # After ten attempts.
            (kinds.UnavailableError, errno.ETIMEDOUT),
            (kinds.DeadlineExceededError, errno.ETIMEDOUT)):
        if isinstance(error, kind):
            return number
    return errno.EIO


@functools.cache
def _tf() -> Any:
    """Returns TensorFlow, its client of gs:// prepared."""
    if 'NO_GCE_CHECK' not in os.environ and not _is_on_google():
        os.environ['NO_GCE_CHECK'] = 'true'
    # What other machines wrote must be seen at once, not after seconds.
    os.environ.setdefault('GCS_STAT_CACHE_MAX_AGE', '0')
    import tensorflow
    return tensorflow


def _is_on_google():
    """Whether this machine is in Google's cloud: has its metadata server."""
    try:
        if 'Google' in _ON_GOOGLE.read_text():
            return True
        socket.getaddrinfo(_METADATA_SERVER, 80)
        return True
    except OSError:
        return False
