"""Checks data sets that are there, and builds the files for training."""

import collections
from collections.abc import Iterator
import os
import pathlib

import tqdm

from ddep_tf import errors, files, specs
from ddep_tf.data.prepare import guide as guide_lib
from ddep_tf.data.prepare import official_sets
from ddep_tf.data.sources import base, factory


def check(name: str, spec: specs.DatasetSpec, data_dir: str | os.PathLike,
          count_check: bool = True,
          decode: bool = True) -> Iterator[tuple[bool, str]]:
    """Looks at every split of a data set.

    Args:
      name: key of official_sets.GUIDES.
      spec: its DatasetSpec.
      data_dir: root folder of the data.
      count_check: whether numbers and sizes must be the official ones.
      decode: whether every image and mask is read.

    Yields:
      (whether it is a problem, a line).
    """
    guide = official_sets.guide(name)
    for split, counts in guide.counts.items():
        try:
            source = factory.open_source(spec, split, data_dir, guide.decodes,
                                         strict=False)
        except errors.UserError as error:
            yield True, str(error)
            continue
        problems = 0
        for problem in _problems(source, counts if count_check else (),
                                 guide.size if count_check else (), decode):
            problems += 1
            yield True, problem
        if not problems:
            what = ('images and masks' if guide.decodes == base.MASK
                    else 'images')
            yield False, f'{name} {split}: {source.num_examples:,} {what} ok'


def build(name: str, data_dir: str | os.PathLike,
          manual_dir: str | os.PathLike, count_check: bool = True,
          shard_examples: int | None = None) -> pathlib.Path:
    """Builds a data set's files for training, or continues to build them.

    Args:
      name: key of official_sets.GUIDES.
      data_dir: root folder of the data.
      manual_dir: folder of the archives that TFDS itself unpacks.
      count_check: whether numbers must be the official ones.
      shard_examples: approximate number of examples per file; None is about
        100 MB.

    Returns:
      The folder of the files.

    Raises:
      UserError: there is nothing to build, or something is missing or broken.
    """
    for flag, folder in (('data_dir', data_dir), ('manual_dir', manual_dir)):
        files.require_local(
            folder, f'--{flag}', 'build on a local disk, then copy what was '
            'built (gcloud storage cp -r)')
    guide = official_sets.guide(name)
    if guide.builder is None:
        raise errors.UserError(f'{name} is used as it unpacks: there is '
                               'nothing to build; use --check')
    return guide.builder(guide_lib.BuildRequest(
        name, files.path(data_dir), files.path(manual_dir),
        guide.counts if count_check else None, shard_examples))


def _problems(source, counts, size, decode):
    """Yields a line for each problem; counts and size () accept any."""
    if counts:
        problem = guide_lib.count_problem(
            source.title, 'examples', source.num_examples, counts)
        if problem:
            yield problem
    if decode:
        yield from _content_problems(source, size)


def _content_problems(source, size):
    """Yields what is wrong with any example; size is (height, width)."""
    def inspect(example):
        found = tuple(example['image'].shape[:2])
        if size and found != size:
            return (f'has {found[1]} x {found[0]} pixels, not {size[1]} x '
                    f'{size[0]}: replace it')
        return ''

    yield from source.problems(lambda some: tqdm.tqdm(
        some, total=source.num_examples, desc=source.split, unit='image'),
        inspect)
    twice = [i for i, n in collections.Counter(source.ids).items() if n > 1]
    for name in twice:
        yield f'{source.title}: the id {name!r} occurs twice: build it again'
