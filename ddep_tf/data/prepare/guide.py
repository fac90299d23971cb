"""What a guide to a data set says, and what a builder is asked for. No TF."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib

from ddep_tf import errors


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """What a builder is asked for.

    Attributes:
      name: of the data set.
      data_dir: root folder of the data.
      manual_dir: folder of the archives that TFDS itself unpacks.
      counts: {split: numbers of examples} that the downloads must hold; None
        accepts any.
      shard_examples: approximate number of examples per file; None is about
        100 MB.
    """
    name: str
    data_dir: pathlib.Path
    manual_dir: pathlib.Path
    counts: Mapping[str, Sequence[int]] | None = None
    shard_examples: int | None = None


# Builds what is missing of a data set's files, and returns their folder.
Builder = Callable[[BuildRequest], pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Guide:
    """What a person needs to know to get a data set.

    Attributes:
      page: address of the official page.
      license: a note on it; what the page itself says counts.
      steps: lines: what to download, and where to put it. {data_dir} and
        {manual_dir} stand for the flags.
      counts: {split: numbers of examples of a complete set}.
      size: (height, width) of every image; () is any.
      decodes: the labels that are read with it, as for sources.open_source.
      builder: makes the files for training; None if the set is used as it
        unpacks.
    """
    page: str
    license: str
    steps: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    size: tuple[int, ...] = ()
    decodes: str = 'mask'
    builder: Builder | None = None


def count_problem(title: str, what: str, found: int,
                  counts: Sequence[int]) -> str:
    """Returns a message unless `found` is an official count, else ''.

    Args:
      title: of the set, for the message.
      what: the things counted, in the plural.
      found: the number found.
      counts: the official numbers.
    """
    if found in counts:
        return ''
    return (f'{title}: has {found:,} {what}, not '
            f'{" or ".join(f"{n:,}" for n in counts)}: unpack the archives '
            'again, or give --nocount_check')


def require_count(title: str, what: str, found: int,
                  counts: Sequence[int]) -> None:
    """UserError where `count_problem`, of the same arguments, finds one."""
    problem = count_problem(title, what, found, counts)
    if problem:
        raise errors.UserError(problem)
