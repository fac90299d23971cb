"""How a report writes its files."""

from collections.abc import Iterator
import contextlib
import os
import pathlib

from ddep_tf import errors, files


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """As `files.replacing`, after making the folder.

    Raises:
      UserError: `path` cannot be written.
    """
    try:
        files.path(path).parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise errors.UserError(f'{path} cannot be written: {error.strerror}'
                               ) from None


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, UTF-8, whole or not at all. UserError as above."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode('utf-8'))
