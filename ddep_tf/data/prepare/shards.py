"""Writes TFRecord shards so that a build that was killed goes on.

A shard stands under its name only when it is whole, and which examples are
in it depends on their ids alone. So an interrupted build that is started
again ends with the same bytes as one that ran through.
"""

import hashlib
import json
import os
import pathlib

_LOG = 'build.json'  # Of an unfinished build: what is in each whole shard.


def assign(ids, shard_examples):
    """Deals examples out to shards, in an order shuffled by hashed id.

    Args:
      ids: distinct str.
      shard_examples: about how many a shard shall hold.

    Returns:
      A list of lists of indices into `ids`, one a shard. An example taken
      away changes its own shard only, as long as their number stays.
    """
    count = max(1, -(-len(ids) // shard_examples))
    parts = [[] for _ in range(count)]
    keys = [hashlib.sha256(i.encode()).digest()[:16] for i in ids]
    for index in sorted(range(len(ids)), key=keys.__getitem__):
        parts[int.from_bytes(keys[index][-8:], 'big') % count].append(index)
    return parts


def write(folder, names, parts, ids, serialize, progress):
    """Writes the shards that are not there yet.

    Args:
      folder: for the shards; is made.
      names: of the shards' files.
      parts: as `assign` gives them.
      ids: of all examples.
      serialize: function of an index, returns a record's bytes.
      progress: a tqdm bar over the examples.
    """
    import tensorflow as tf
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = _read_log(folder)
    for name, part in zip(names, parts):
        held = hashlib.sha256('\n'.join(
            ids[i] for i in part).encode()).hexdigest()
        path = folder / name
        if not path.is_file() or log.get(name) != held:
            temporary = folder / f'{name}.incomplete'
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for index in part:
                    writer.write(serialize(index))
                    progress.update()
            os.replace(temporary, path)
            log[name] = held
            _write_log(folder, log)
        else:
            progress.update(len(part))


def finish(folder):
    """Ends a build: drops its log, and shards of an earlier plan."""
    for path in pathlib.Path(folder).glob('*.incomplete'):
        path.unlink()
    pathlib.Path(folder, _LOG).unlink(missing_ok=True)


def drop_others(folder, names):
    """Removes the shards of an unfinished build that had other names."""
    log = _read_log(folder)
    for name in set(log).difference(names):
        pathlib.Path(folder, name).unlink(missing_ok=True)


def _read_log(folder):
    try:
        return dict(json.loads(pathlib.Path(folder, _LOG).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write_log(folder, log):
    temporary = pathlib.Path(folder, f'{_LOG}.incomplete')
    temporary.write_text(json.dumps(log))
    os.replace(temporary, pathlib.Path(folder, _LOG))
