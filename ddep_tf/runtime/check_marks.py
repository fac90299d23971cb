"""Notes in the user's cache which data was read through before. No TF.

A note is that of a source, and holds good as long as its files have the sizes
and times that they had, and the versions of what read them are the same.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import hashlib
import pathlib
from typing import Any

from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.runtime import run_folder

_FORM = 1  # Of what a check looks at: a higher one checks again.


@dataclasses.dataclass(frozen=True)
class Mark:
    """The note of a source.

    Attributes:
      path: its file; None where none can be kept.
      content: what it says.
    """
    path: pathlib.Path | None
    content: dict[str, Any]

    @property
    def is_set(self) -> bool:
        """Whether the source was noted as checked, as it is now."""
        if not self.path:
            return False
        try:
            return files.read_json(self.path) == self.content
        except errors.UserError:
            return False

    def set(self) -> None:
        """Notes that the source is checked, if the cache can be written."""
        if not self.path:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(self.path, self.content)


def mark_of(title: str, identity: str, data_files: Sequence[str]) -> Mark:
    """Returns the note of a source, set or not; before the source is read.

    Args:
      title: of the source.
      identity: what determines the source: its data_dir, spec and examples.
      data_files: that it is read from, local or gs://; () of what is drawn.
    """
    if not data_files:
        return Mark(None, {})
    try:
        stamps = list(zip(data_files, files.stamps(data_files)))
        folder = _folder()
    except (OSError, RuntimeError):  # What is missing the check will name.
        return Mark(None, {})
    name = _digest([identity, image_files.max_pixels()])
    return Mark(folder / f'{name}.json', {
        'data': title, 'files': len(stamps), 'state': _digest(stamps),
        'form': _FORM, 'versions': run_folder.versions()})


def _folder():
    return files.cache_folder() / 'checked'


def _digest(value):
    return hashlib.sha256(repr(value).encode(errors='surrogateescape')
                          ).hexdigest()
