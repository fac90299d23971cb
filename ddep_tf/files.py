"""Every path and every write: whole files or none, JSON, CSV logs. No TF."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import io
import json
import os
import pathlib
import tempfile
from typing import Any

from ddep_tf import errors

PART = '.part'  # How the name of a file ends that is being written.


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Writes a file whole or not at all; what is there stays until the end.

    Yields:
      The path to write to, in the same folder: it takes the place of `path`
      when the block ends, and is removed when the block raises.

    Raises:
      OSError: the file cannot be written; its `filename` is `path`.
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f'.{path.name}.', suffix=PART)
        os.close(handle)
        temporary = pathlib.Path(name)
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        # Not of a file that the block reads.
        named = os.path.basename(error.filename or '')
        if not named or named.startswith(f'.{path.name}.'):
            error.filename = os.fspath(path)
        raise
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file whole or not at all. OSError as `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, UTF-8, whole or not at all. OSError as above."""
    write_bytes(path, text.encode('utf-8'))


def write_json(path: str | os.PathLike, value: Any, indent: int = 2) -> None:
    """Writes a JSON file whole or not at all. OSError as above."""
    write_text(path, json.dumps(value, indent=indent))


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Raises:
      UserError: the file cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise errors.UserError(f'{path} cannot be read ({error}): restore it, '
                               'or choose another folder') from error
    if not isinstance(value, dict):
        raise errors.UserError(f'{path} holds no JSON object: restore it, or '
                               'choose another folder')
    return value


def csv_text(columns: Sequence[str], rows: Iterable[Mapping]) -> str:
    """Returns rows as CSV text below a head; other keys of a row are left
    out, None is blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction='ignore',
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: str | os.PathLike) -> list[dict[str, str]]:
    """Returns the whole rows of a CSV file, [] if there is no such file."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        # A row that was cut off lacks its last columns.
        return [row for row in csv.DictReader(file)
                if None not in row.values()]


class CsvLog:
    """A CSV file that grows by one row at a time, cut back on resuming.

    Args:
      path: of the file.
      columns: of each row; one of them is 'step'.
      resume_step: rows up to this step are kept, later ones dropped.
    """

    def __init__(self, path: str | os.PathLike, columns: Sequence[str],
                 resume_step: int):
        self._path = pathlib.Path(path)
        self._columns = list(columns)
        kept = [row for row in read_csv(path)
                if int(row['step']) <= resume_step]
        write_text(self._path, csv_text(self._columns, kept))

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row, a mapping that has every column."""
        with self._path.open('a', encoding='utf-8', newline='') as file:
            csv.writer(file, lineterminator='\n').writerow(
                [row[column] for column in self._columns])
