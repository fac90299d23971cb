"""Every path and every write, local or gs://: whole files or none, JSON, CSV
logs. No TF before the first gs:// path is read or written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent import futures
import contextlib
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import tempfile
from typing import Any

from ddep_tf import errors

# Folders of the gin files that come along: of a checkout, and of a wheel.
_PACKAGE = pathlib.Path(__file__).resolve().parent
GIN_ROOTS = (_PACKAGE.parent / 'gin', _PACKAGE / 'gin_files')
PART = '.part'  # How the name of a file ends that is being written.
_QUESTIONS = 32  # At a time.
_BLOCK = 2 ** 20  # Bytes that are read at once.
_SCHEME = re.compile('([A-Za-z][A-Za-z0-9+.-]*)://|gs:')


def path(*parts: str | os.PathLike) -> pathlib.Path:
    """Returns the path of joined parts, local or in a bucket.

    Args:
      *parts: at least one; what stands before an absolute part, or one with a
        scheme, is dropped.

    Returns:
      A pathlib.Path or, of gs://, a path with the same methods.

    Raises:
      UserError: a scheme other than gs://, or no bucket is named.
    """
    texts = [os.fspath(part) for part in parts]
    start = max(i for i, text in enumerate(texts)
                if not i or text.startswith('/') or _SCHEME.match(text))
    first, *rest = texts[start:]
    if not _SCHEME.match(first):
        return pathlib.Path(first, *rest)
    if not re.match('gs://[^/]', first):
        raise errors.UserError(f'{first}: give a local path, or one of Google '
                               'Cloud Storage: gs://BUCKET/NAME')
    from ddep_tf import buckets
    return buckets.BucketPath(first, *rest).resolve()


def is_bucket(value: str | os.PathLike) -> bool:
    """Whether a path is one of gs://."""
    return os.fspath(value).startswith('gs://')


def printable(text: str) -> str:
    """Returns text with names of files in it that need not be UTF-8."""
    return text.encode(errors='backslashreplace').decode()


def same(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """Whether two paths are those of the same file or folder."""
    return path(one).resolve() == path(other).resolve()


@contextlib.contextmanager
def replacing(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Writes a file whole or not at all; what is there stays until the end.

    Yields:
      The local path to write to. When the block ends, the file takes the
      place of `target`; when it raises, it is removed.

    Raises:
      OSError: the file cannot be written; its `filename` is `target`.
    """
    target = path(target)
    replace = _uploaded if is_bucket(target) else _replaced
    with replace(target) as temporary:
        yield temporary


@contextlib.contextmanager
def _replaced(target):
    """As `replacing`, by a file of the same folder and a rename."""
    temporary = None
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f'.{target.name}.', suffix=PART)
        os.close(handle)
        temporary = pathlib.Path(name)
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, target)
    except OSError as error:
        # Not of a file that the block reads.
        named = os.path.basename(error.filename or '')
        if not named or named.startswith(f'.{target.name}.'):
            error.filename = os.fspath(target)
        raise
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _uploaded(target):
    """As `replacing`, by a file of this machine and one upload."""
    with tempfile.TemporaryDirectory(prefix='ddep_tf.') as folder:
        temporary = pathlib.Path(folder, target.name)
        temporary.touch()
        yield temporary
        target.upload(temporary)


@contextlib.contextmanager
def new_folder(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Writes a local folder whole or not at all.

    Yields:
      The folder to write to. When the block ends, it becomes `target`; when
      it raises, it is removed.

    Raises:
      UserError: `target` exists, and is no empty folder, or one that cannot
        be replaced.
    """
    target = path(target)
    if str(target) == '.':
        target = target.resolve()  # Which has a name, to take its place.
    if target.is_symlink() or target.exists() and (
            not target.is_dir() or any(target.iterdir())):
        raise errors.UserError(f'{target} is not empty: name a new folder')
    if target.is_dir():
        _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(
        dir=target.parent, prefix=f'.{target.name}.', suffix=PART))
    try:
        temporary.chmod(0o755)
        yield temporary
        if target.is_dir():
            target.rmdir()
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(target: str | os.PathLike, flag: str) -> pathlib.Path:
    """Makes a folder that may be there, with those above it, and returns it.

    Raises:
      UserError: it cannot be made; `flag` is the one that names it.
    """
    folder = path(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UserError(f'{flag} {folder} cannot be made: '
                               f'{error.strerror}') from error
    return folder


def _check_replaceable(folder):
    """UserError if an empty folder cannot give way to another."""
    if os.path.ismount(folder) or not os.access(folder.parent, os.W_OK):
        raise errors.UserError(f'{folder} cannot be replaced, since it is '
                               'mounted, or its parent not to be written: '
                               'name a new folder in it')


@contextlib.contextmanager
def appending(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields the local path to append to; a bucket's when the block ends."""
    target = path(target)
    if not is_bucket(target):
        yield target
        return
    before = target.read_bytes() if target.exists() else b''
    with tempfile.TemporaryDirectory(prefix='ddep_tf.') as folder:
        temporary = pathlib.Path(folder, target.name)
        temporary.write_bytes(before)
        try:
            yield temporary
        finally:
            write_bytes(target, temporary.read_bytes())


@contextlib.contextmanager
def local_copy(source: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields the local path of a file, for what reads no other; of a file in
    a bucket that of a copy, which is removed when the block ends."""
    source = path(source)
    if not is_bucket(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix='ddep_tf.') as folder:
        copy = pathlib.Path(folder, source.name)
        with source.open('rb') as file, copy.open('wb') as target:
            shutil.copyfileobj(file, target, _BLOCK)
        yield copy


def copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a file's content whole or not at all. OSError as `replacing`."""
    with local_copy(source) as local, replacing(target) as new:
        shutil.copyfile(local, new)


def write_bytes(target: str | os.PathLike, data: bytes) -> None:
    """Writes a file whole or not at all. OSError as `replacing`."""
    with replacing(target) as temporary:
        temporary.write_bytes(data)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Writes a text file, UTF-8, whole or not at all. OSError as above."""
    write_bytes(target, text.encode('utf-8'))


def write_json(target: str | os.PathLike, value: Any, indent: int = 2) -> None:
    """Writes a JSON file whole or not at all. OSError as above."""
    write_text(target, json.dumps(value, indent=indent))


def read_json(source: str | os.PathLike) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Raises:
      UserError: the file cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(path(source).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise errors.UserError(f'{source} cannot be read ({error}): restore '
                               'it, or choose another folder') from error
    if not isinstance(value, dict):
        raise errors.UserError(f'{source} holds no JSON object: restore it, '
                               'or choose another folder')
    return value


def sizes(sources: Sequence[str | os.PathLike]) -> list[int]:
    """Returns the sizes of files in bytes. OSError if one is missing."""
    return [size for size, _ in stamps(sources)]


def stamps(sources: Sequence[str | os.PathLike]) -> list[tuple[int, float]]:
    """Returns (bytes, seconds of the last change) of files. OSError if one is
    missing."""
    def stamp(source):
        found = path(source).stat()
        return found.st_size, found.st_mtime
    # A bucket answers in tens of milliseconds, and there may be thousands.
    with futures.ThreadPoolExecutor(_QUESTIONS) as threads:
        return list(threads.map(stamp, sources))


def cache_folder() -> pathlib.Path:
    """Returns the folder of what can be made again, below $XDG_CACHE_HOME, else
    ~/.cache. RuntimeError if there is no home."""
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return pathlib.Path(home).expanduser() / 'ddep_tf'


def require_local(value: str | os.PathLike, flag: str, instead: str) -> None:
    """Refuses a path of gs:// where only a local one works. UserError."""
    if is_bucket(path(value)):
        raise errors.UserError(f'{flag} {value} is in a bucket: {instead}')


def sha256(source: str | os.PathLike) -> str:
    """Returns the hex digest of a file's content. OSError if unreadable."""
    digest = hashlib.sha256()
    with path(source).open('rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def csv_text(columns: Sequence[str], rows: Iterable[Mapping]) -> str:
    """Returns rows as CSV text below a head; other keys of a row are left
    out, None is blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction='ignore',
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(source: str | os.PathLike) -> list[dict[str, str]]:
    """Returns the whole rows of a CSV file, [] if there is no such file."""
    try:
        data = path(source).read_bytes()
    except FileNotFoundError:
        return []
    text = io.StringIO(data.decode('utf-8'), newline='')
    # A row that was cut off lacks its last columns.
    return [row for row in csv.DictReader(text) if None not in row.values()]


class CsvLog:
    """A CSV file that grows by one row at a time, cut back on resuming.

    On a local disk each row is there at once. In a bucket, where an append
    writes the object anew, rows are held back until `flush`.

    Args:
      target: path of the file.
      columns: of each row; one of them is 'step'.
      resume_step: rows up to this step are kept, later ones dropped.
    """

    def __init__(self, target: str | os.PathLike, columns: Sequence[str],
                 resume_step: int):
        self._path = path(target)
        self._columns = list(columns)
        kept = [row for row in read_csv(target)
                if int(row['step']) <= resume_step]
        self._text = csv_text(self._columns, kept)  # Of a bucket's log.
        self._is_behind = False  # The bucket lacks the last rows.
        write_text(self._path, self._text)

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row, a mapping that has every column."""
        line = io.StringIO()
        csv.writer(line, lineterminator='\n').writerow(
            [row[column] for column in self._columns])
        if is_bucket(self._path):
            self._text += line.getvalue()
            self._is_behind = True
        else:
            with self._path.open('a', encoding='utf-8', newline='') as file:
                file.write(line.getvalue())

    def flush(self) -> None:
        """Writes what was held back; before a checkpoint, and at the end."""
        if self._is_behind:
            write_text(self._path, self._text)
            self._is_behind = False
