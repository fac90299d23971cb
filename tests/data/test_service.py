"""Batches of a tf.data service on loopback: a dispatcher and two workers."""

import collections
import itertools
import socket
import time

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import parallel, pipelines, readers, service
from ddep_tf.data.sources import factory

from source_cases import open_source, png, write

VALUES = dict(name='own', source='tfrecord', num_classes=99)
COUNT = 24


@pytest.fixture(scope='module')
def served():
    """The address of a dispatcher, its workers, and itself, to keep it."""
    kinds = tf.data.experimental.service
    dispatcher = kinds.DispatchServer()
    address = dispatcher.target.partition('://')[2]
    workers = [kinds.WorkerServer(kinds.WorkerConfig(address))
               for _ in range(2)]
    return address, workers, dispatcher


@pytest.fixture
def source(tmp_path):
    for start in range(0, COUNT, 6):
        write(tmp_path / f'train-{start:02d}.tfrecord', [
            {'image': png(np.full((16, 16, 3), i, np.uint8)), 'label': i,
             'id': f'x{i}'.encode()} for i in range(start, start + 6)])
    return open_source(VALUES, 'train', tmp_path)


@pytest.mark.parametrize('most', [1, 4])
def test_workers_make_whole_epochs_of_examples(served, source, monkeypatch,
                                               most):
    tf.config.experimental.enable_op_determinism()  # As launchers do.
    monkeypatch.setattr(readers, 'BLOCK_BYTES', 4000)
    address, workers, _ = served
    dataset = pipelines.train_dataset(
        [source], crop_size=(8, 8), global_batch_size=4, seed=1,
        max_readers=most, data_service=address)
    batches = list(itertools.islice(dataset.as_numpy_iterator(), 48))
    for batch in batches:
        assert batch['image'].shape == (4, 8, 8, 3)
        np.testing.assert_array_equal(batch['position'], batch['label'])
    seen = collections.Counter(
        int(p) for batch in batches for p in batch['position'])
    # Eight epochs of two workers, each perhaps within one.
    assert set(seen) == set(range(COUNT)) and max(seen.values()) <= 10
    assert all(worker._num_tasks() for worker in workers)
    assert len({tuple(batch['position']) for batch in batches}) > 24


def test_workers_take_the_cores_that_they_have(source, monkeypatch):
    """And not as many threads as the machine that trains has."""
    served = []

    def distributed(dataset, address):
        served.append(dataset)
        return dataset
    monkeypatch.setattr(service, 'distributed', distributed)
    here = pipelines.train_dataset(
        [source], crop_size=(8, 8), global_batch_size=4, seed=0,
        data_service='localhost:1')
    assert [dataset.options().threading.private_threadpool_size
            for dataset in (*served, here)] == [None, parallel.cores()]


def test_what_a_service_cannot_read_is_refused(served):
    address, *_ = served
    shapes = factory.open_source(specs.DatasetSpec(
        name='shapes', source='shapes', num_classes=6), 'train', '', 'class')
    with pytest.raises(errors.UserError, match="'shapes'.*by Python"):
        service.check(address, [shapes])


def test_an_address_of_another_server_is_said_at_once(served, source,
                                                      monkeypatch):
    _, workers, _ = served
    monkeypatch.setattr(service, 'WAIT_SECONDS', 30.0)
    with pytest.raises(errors.UserError, match='is no dispatcher'):
        service.check(workers[0]._address, [source])


@pytest.mark.quick
@pytest.mark.parametrize('address', [
    'nonsense', '5050', ':5050', 'host:', 'host:0', 'host:99999',
    'http://host:5050', 'host:50x'])
def test_a_malformed_address_is_refused(address):
    with pytest.raises(errors.UserError, match='HOST:PORT'):
        service.check(address, [])
    with pytest.raises(errors.UserError, match='HOST:PORT'):
        service.await_dispatcher(address)


def test_a_service_that_does_not_answer_is_not_waited_for_forever(
        served, source, monkeypatch):
    service.check(served[0], [source])
    kinds = tf.data.experimental.service
    lonely = kinds.DispatchServer()
    address = lonely.target.partition('://')[2]
    with monkeypatch.context() as patch, socket.socket() as nobody:
        patch.setattr(service, 'WAIT_SECONDS', 1.0)
        nobody.bind(('localhost', 0))
        with pytest.raises(errors.UserError, match='no dispatcher answers'):
            service.check(f'localhost:{nobody.getsockname()[1]}', [source])
        with pytest.raises(errors.UserError, match='no worker answers'):
            service.check(address, [source])
        with pytest.raises(errors.UserError, match='no dispatcher answers'):
            service.await_dispatcher(f'localhost:{nobody.getsockname()[1]}')
    service.await_dispatcher(address)
    worker = kinds.WorkerServer(kinds.WorkerConfig(address))
    service.check(address, [source])  # What waited can end.
    del worker


def test_a_service_whose_workers_are_lost_is_named_while_it_is_waited_for(
        monkeypatch, capsys):
    kinds = tf.data.experimental.service
    dispatcher = kinds.DispatchServer(kinds.DispatcherConfig(
        worker_timeout_ms=1000))
    address = dispatcher.target.partition('://')[2]
    monkeypatch.setattr(service, 'WAIT_SECONDS', 5.0)
    said = ''

    def wait_for(what):
        nonlocal said
        end = time.monotonic() + 60
        while what not in said:
            assert time.monotonic() < end, said
            time.sleep(0.1)
            said += capsys.readouterr().out
    worker = kinds.WorkerServer(kinds.WorkerConfig(address))
    with service.watched(address):
        time.sleep(8)
        assert not capsys.readouterr().out
        worker._stop()
        wait_for(f'--data_service={address}: no worker answers: the training')
        worker = kinds.WorkerServer(kinds.WorkerConfig(address))
        wait_for(f'--data_service={address}: a worker answers again')
    assert said.count('\n') == 2
    del worker
