"""Runs whose devices are those of another process, as on a TPU slice."""

import dataclasses
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import configure, errors, files, specs
from ddep_tf.data.sources import stream_source
from ddep_tf.evaluation import predictor
from ddep_tf.runtime import feed, inputs
from ddep_tf.runtime import strategy as strategies
from ddep_tf.training import train

import commands
import remote_hosts

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Images are drawn by Python functions, which no other process has.
GIN = ['model/tiny.gin', 'data/shapes.gin', 'stage/segment.gin']
PARAMS = ['shapes/DatasetSpec.limit=2', 'segment/EvalSpec.tile=(64, 64)',
          *(f'segment/RunSpec.{text}' for text in (
              'steps=2', 'global_batch_size=2', 'crop_size=(32, 32)',
              'eval_every=0', 'eager=True'))]
RUN = [*(f'--gin_file={name}' for name in GIN),
       *(f'--gin_param={text}' for text in PARAMS)]


@pytest.mark.full
def test_a_run_trains_on_another_host_as_on_this_one(tmp_path):
    """Eager mode, of debug.gin for a trial in minutes, is left out."""
    with remote_hosts.serving() as ((host,), address):
        code, out, err = remote_hosts.run(
            address, ROOT / 'launch/finetune.py', *RUN,
            f'--run_dir={tmp_path / "remote"}')
        host.terminate()
        assert host.wait(timeout=30) == 0  # Its chips are free again.
    assert code == 0, err
    assert 'RunSpec.eager is left out' in out
    assert list((tmp_path / 'remote' / 'state').glob('ckpt-2.*'))
    run, operative = configure.load_run('segment', GIN, PARAMS)
    train.train(dataclasses.replace(run, eager=False), operative,
                tmp_path / 'local', '', strategies.get_strategy('one_device'))
    assert commands.losses(tmp_path / 'remote') == pytest.approx(
        commands.losses(tmp_path / 'local'), rel=1e-5)
    results = [files.read_json(tmp_path / name / 'result.json')
               for name in ('remote', 'local')]
    assert results[0]['test'] == pytest.approx(results[1]['test'])


@pytest.mark.full
def test_a_run_whose_host_is_gone_ends_with_75(tmp_path):
    with remote_hosts.serving() as ((host,), address):
        process = remote_hosts.start(
            address, ROOT / 'launch/finetune.py', *RUN,
            '--gin_param=segment/RunSpec.steps=100000',
            '--gin_param=RunSpec.checkpoint_every=5',
            f'--run_dir={tmp_path / "run"}')
        commands.wait_for(tmp_path / 'run/state/checkpoint', process)
        host.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 75, err
    assert 'a worker or TPU was lost' in err.splitlines()[-1]


def _far():
    """A strategy, as far as its devices are asked for."""
    return types.SimpleNamespace(
        num_replicas_in_sync=2,
        extended=types.SimpleNamespace(
            worker_devices=('/job:worker/replica:0/task:0/device:TPU:0',)))


def test_devices_of_this_process_are_not_remote():
    assert strategies.is_remote(_far())
    for strategy in (tf.distribute.OneDeviceStrategy('/cpu:0'),
                     strategies.get_strategy('mirrored'),
                     tf.distribute.get_strategy()):
        assert not strategies.is_remote(strategy)
        assert not strategies.takes_graphs_alone(strategy)
        before = tf.zeros(1).device
        with strategies.on_host(strategy):
            assert tf.zeros(1).device == before


def test_an_open_image_size_is_refused():
    with pytest.raises(errors.UserError, match='^EvalSpec.tile is not set'):
        predictor.Predictor(None, specs.EvalSpec(), _far())


def test_a_feed_gives_replicas_the_parts_of_a_distributed_data_set():
    strategy = strategies.get_strategy('mirrored')
    dataset = tf.data.Dataset.range(12).map(lambda i: {'a': i, 'b': -i}).batch(
        4)
    fed, own = (
        [[{name: part.numpy() for name, part in zip(batch, parts)}
          for parts in zip(*(strategy.experimental_local_results(v)
                             for v in batch.values()))] for batch in batches]
        for batches in (feed.Feed(strategy, dataset),
                        strategy.experimental_distribute_dataset(dataset)))
    assert len(fed) == 3
    for one, other in zip(fed, own, strict=True):
        for parts in zip(one, other, strict=True):
            for name in ('a', 'b'):
                np.testing.assert_array_equal(parts[0][name], parts[1][name])


class _Stream(stream_source.StreamSource):
    """Records of a folder, as far as their place is asked for."""

    def __init__(self, folder):
        super().__init__(specs.DatasetSpec(name='x'), 'train', 'nothing')
        self._folder, self._length = folder, 4
        self._ids = list('abcd')

    _examples = _image_and_label = _iterate_ids = None


_Stream.__abstractmethods__ = frozenset()


@pytest.mark.parametrize('folder, ids, portable', [
    ('gs://bucket/x', None, True), ('/data/x', None, False),
    ('gs://bucket/x', ['a'], False)])  # A subset is held in memory.
def test_hosts_read_a_bucket_by_themselves(folder, ids, portable):
    source = _Stream(folder)
    assert inputs.are_portable(
        [source.subset(ids) if ids else source]) == portable


def test_other_sources_are_read_by_the_driving_process(make_run):
    opened = inputs.open_inputs(make_run('segment'), '')['train']
    assert not inputs.are_portable(opened)
