"""Writes TFRecord shards so that a killed build can be continued.

A shard takes its name only when it is whole, and its contents depend on the
examples' ids alone. So an interrupted build that is started again ends with
the same bytes as one that ran through.
"""

from collections.abc import Callable, Iterable, Sequence
import hashlib
import os
import re

import tqdm

from ddep_tf import errors, files

_NUMBER = re.compile(r'\d{5}-of-\d{5}')
_LOG = 'build.json'  # Of an unfinished build: the contents of whole shards.


def assign(ids: Sequence[str], shard_examples: int) -> list[list[int]]:
    """Assigns examples to shards, in an order shuffled by hashed id.

    Args:
      ids: distinct ids.
      shard_examples: approximate number of examples per shard.

    Returns:
      Indices into `ids`, one list per shard. Removing an example changes its
      own shard only, as long as the number of shards stays the same.
    """
    count = max(1, -(-len(ids) // shard_examples))
    parts: list[list[int]] = [[] for _ in range(count)]
    keys = [hashlib.sha256(i.encode()).digest()[:16] for i in ids]
    for index in sorted(range(len(ids)), key=keys.__getitem__):
        parts[int.from_bytes(keys[index][-8:], 'big') % count].append(index)
    return parts


def write(folder: str | os.PathLike, names: Sequence[str],
          parts: Sequence[Sequence[int]], ids: Sequence[str],
          serialize: Callable[[int], bytes], progress: tqdm.tqdm) -> None:
    """Writes the shards that are missing.

    Args:
      folder: for the shards; created if it does not exist.
      names: file names of the shards.
      parts: as `assign` returns them.
      ids: of all examples.
      serialize: function of an index that returns a record's bytes.
      progress: a bar over the examples.
    """
    import tensorflow as tf
    folder = files.path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = _read_log(folder)
    for name, part in zip(names, parts):
        digest = hashlib.sha256('\n'.join(
            ids[i] for i in part).encode()).hexdigest()
        path = folder / name
        if path.is_file() and log.get(name) == digest:
            progress.update(len(part))
            continue
        with files.replacing(path) as temporary, tf.io.TFRecordWriter(
                str(temporary)) as writer:
            for index in part:
                writer.write(serialize(index))
                progress.update()
        log[name] = digest
        files.write_json(folder / _LOG, log)


def finish(folder: str | os.PathLike) -> None:
    """Ends a build: removes its log and what killed builds left behind."""
    folder = files.path(folder)
    # Earlier releases wrote to NAME.incomplete.
    for pattern in (f'.*{files.PART}', '*.incomplete'):
        for path in folder.glob(pattern):
            path.unlink()
    (folder / _LOG).unlink(missing_ok=True)


def drop_others(folder: str | os.PathLike, names: Iterable[str]) -> None:
    """Removes the shards of builds of other plans, which would be read beside
    those of `names`."""
    wanted = set(names)
    kinds = {_NUMBER.sub('', name) for name in wanted}
    for path in files.path(folder).glob('*-of-*'):
        if path.name not in wanted and _NUMBER.sub('', path.name) in kinds:
            path.unlink()


def _read_log(folder):
    try:
        return files.read_json(files.path(folder, _LOG))
    except errors.UserError:
        return {}
