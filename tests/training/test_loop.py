"""How often the loop looks at a request to stop; its steps are stand-ins."""

import time
import types

import pytest
import tensorflow as tf

from ddep_tf.runtime import stop_signal, workers
from ddep_tf.training import loop

STEP_SECONDS = 0.01


class _Trainer:
    """Stands for Trainer: a step takes STEP_SECONDS, its loss is its number.

    `chunks` has the numbers of steps between two looks.
    """
    chunks: list[int] = []

    def __init__(self, objective, dataset, strategy, step, jit_compile):
        del objective, dataset, strategy, jit_compile
        self._step, self._sum = step, 0.0

    def reset_metrics(self):
        self._sum = 0.0

    def train(self, count):
        self.chunks.append(int(count))
        time.sleep(STEP_SECONDS * int(count))
        for _ in range(int(count)):
            self._step.assign_add(1)
            self._sum += float(self._step.numpy())
        return {'loss': self._sum}


@pytest.fixture
def train(make_run, monkeypatch):
    """Returns a function that trains to a step; it returns what was logged
    and whether it was asked to stop."""
    monkeypatch.setattr(loop, 'Trainer', _Trainer)
    monkeypatch.setattr(_Trainer, 'chunks', [])
    objective = types.SimpleNamespace(optimizer=types.SimpleNamespace(
        schedule=lambda step: 0.0, iterations=tf.Variable(1)))

    def run(target, stop, log_every=100):
        rows = []
        spec = make_run('denoise', steps=1000, log_every=log_every)
        drive = loop.Loop(
            objective, None, None, tf.Variable(0, dtype=tf.int64), spec, stop,
            workers.Workers(tf.distribute.get_strategy()), rows.append)
        try:
            return rows, drive.train_to(target)
        finally:
            drive.close()
    return run


def test_a_look_comes_within_half_of_the_grace(train):
    rows, asked = train(200, stop_signal.StopSignal(grace=0.2))
    assert not asked and sum(_Trainer.chunks) == 200
    assert _Trainer.chunks[0] == 1  # How long a step takes is not known yet.
    # 10 steps take half of the grace; sleeping takes longer than it is told.
    assert max(_Trainer.chunks) <= 0.1 / STEP_SECONDS
    assert len(_Trainer.chunks) < 60
    # Rows are means over `log_every` steps, whenever it looked.
    assert [(row['step'], row['loss']) for row in rows] == [
        (100, 50.5), (200, 150.5)]


def test_with_time_enough_it_looks_when_it_logs(train):
    train(200, stop_signal.StopSignal(grace=60), log_every=50)
    assert _Trainer.chunks == [1, 49, 50, 50, 50]


def test_a_request_ends_it_at_the_next_look(train):
    class Asked(stop_signal.StopSignal):
        """Asked for once 25 steps have been taken."""
        @property
        def asked(self):
            return sum(_Trainer.chunks) >= 25

        @asked.setter
        def asked(self, value):
            pass
    rows, asked = train(200, Asked(grace=0.2))
    assert asked and 25 <= sum(_Trainer.chunks) < 25 + 10
    step = sum(_Trainer.chunks)
    assert [(row['step'], row['loss']) for row in rows] == [
        (step, (step + 1) / 2)]


class _Adding:
    """Stands for an objective whose loss is the sum of its numbers."""
    metric_names = ('loss',)
    first_bad_step = tf.constant(-1)

    def train_step(self, batch):
        return {'loss': tf.reduce_sum(batch)}


def test_replicas_keep_their_shares_until_they_are_read(two):
    with two.scope():
        step = tf.Variable(
            0, dtype=tf.int64, trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    dataset = two.experimental_distribute_dataset(
        tf.data.Dataset.range(1, 13, output_type=tf.float32).batch(4))
    trainer = loop.Trainer(_Adding(), dataset, two, step)
    assert trainer.train(tf.constant(2)) == {'loss': 36.0}
    assert int(step.numpy()) == 2
    shares = two.experimental_local_results(trainer._totals['loss'])
    assert [float(share) for share in shares] == [14.0, 22.0]
    trainer.reset_metrics()
    assert trainer.train(tf.constant(1)) == {'loss': 42.0}
    assert int(step.numpy()) == 3
