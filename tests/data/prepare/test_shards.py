"""Builds that were interrupted, and what is in their shards."""

import pathlib

import pytest
import tensorflow as tf

from ddep_tf import files
from ddep_tf.data.prepare import imagenet21k, masks, shards

import layouts
from prepare_cases import MAKERS, build, contents, decoded, opened


@pytest.mark.parametrize('name', MAKERS)
@pytest.mark.parametrize('stop', [1, 4, 5])
def test_a_killed_build_ends_with_the_same_files(tmp_path, monkeypatch, name,
                                                 stop):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    for root in (whole, killed):
        MAKERS[name](root)
    expected = contents(build(name, whole))
    folder = pathlib.Path(str(build_folder(name, whole)).replace(
        'whole', 'killed'))
    with monkeypatch.context() as patched:
        kill_at(patched, name, stop)
        with pytest.raises(KeyboardInterrupt):
            build(name, killed)
    half = contents(folder)
    # What stands under its own name is whole.
    kept = {n for n in half if n in expected}
    assert all(half[n] == expected[n] for n in kept)
    assert kept or stop < 5
    assert not {'dataset_info.json', 'train.index.json'} & set(half)
    times = {n: (folder / n).stat().st_mtime_ns for n in kept}
    build(name, killed)
    assert contents(folder) == expected
    assert times == {n: (folder / n).stat().st_mtime_ns for n in kept}


def build_folder(name, root):
    return (root / 'imagenet21k' if name == 'imagenet21k' else
            root / 'tfds' / name / masks.VERSION)


def kill_at(patched, name, stop):
    """Ends the process's build at the record of that number."""
    module = imagenet21k if name == 'imagenet21k' else masks
    original, calls = module._record, []

    def record(*args):
        calls.append(args)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return original(*args)
    patched.setattr(module, '_record', record)


@pytest.mark.parametrize('name', MAKERS)
def test_bytes_are_the_same_in_every_process(tmp_path, name):
    """Protobuf orders a map differently from process to process."""
    MAKERS[name](tmp_path)
    folder = build(name, tmp_path)
    records = tf.data.TFRecordDataset(sorted(
        str(path) for path in folder.iterdir() if 'tfrecord' in path.name))
    for record in records.as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        assert example.SerializeToString(deterministic=True) == record


def test_a_plan_of_other_shards_leaves_none_behind(tmp_path, monkeypatch):
    layouts.ade20k_folder(tmp_path)
    with monkeypatch.context() as patched:
        kill_at(patched, 'ade20k', 5)
        with pytest.raises(KeyboardInterrupt):
            build('ade20k', tmp_path, shard_examples=1)
    folder = build('ade20k', tmp_path, shard_examples=3)
    names = sorted(n for n in contents(folder) if 'tfrecord' in n)
    assert names == ['ade20k-train.tfrecord-00000-of-00001',
                     'ade20k-validation.tfrecord-00000-of-00001']


def test_tfds_opens_a_set_with_an_empty_shard(tmp_path):
    layouts.ade20k_folder(tmp_path, count=8)
    folder = build('ade20k', tmp_path, shard_examples=1)
    sizes = [path.stat().st_size for path in folder.glob('*-train.*')]
    assert len(sizes) == 8 and min(sizes) == 0
    source = opened('ade20k', tmp_path, 'train_split')
    assert len(decoded(source)) == 8
    assert sorted(decoded(source.subset(source.ids[3:5]))) == sorted(
        source.ids[3:5])


def test_shards_depend_on_the_ids_alone():
    ids = [f'a{i}' for i in range(1000)]
    parts = shards.assign(ids, 100)
    assert sorted(sum(parts, [])) == list(range(1000)) and len(parts) == 10
    assert all(60 < len(part) < 140 for part in parts)
    turned = shards.assign(ids[::-1], 100)
    assert [[ids[i] for i in part] for part in parts] == [
        [ids[::-1][i] for i in part] for part in turned]
    # Not sorted within a shard either.
    assert parts[0] != sorted(parts[0])


def test_finish_removes_what_a_killed_build_left(tmp_path):
    (tmp_path / 'train-0.tfrecord.incomplete').touch()  # Of earlier releases.
    killed = files.replacing(tmp_path / 'train-1.tfrecord')
    killed.__enter__()  # And never left: as SIGKILL would have it.
    (tmp_path / 'train-2.tfrecord').write_bytes(b'whole')
    assert len(list(tmp_path.iterdir())) == 3
    shards.finish(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['train-2.tfrecord']
