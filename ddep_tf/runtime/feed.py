"""Batches of this process, for devices of others."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ddep_tf.runtime import strategy as strategies
from ddep_tf.runtime import workers as workers_lib


class Feed:
    """Makes each batch in this process and sends every replica its part.

    A strategy's own distributed data sets are made anew on each host, which
    has neither this process's Python functions nor its files or its memory.

    Args:
      strategy: tf.distribute.Strategy.
      dataset: tf.data of global batches, dicts of tensors [B, ...] whose B
        divides over the replicas.
    """

    def __init__(self, strategy: tf.distribute.Strategy,
                 dataset: tf.data.Dataset):
        self._strategy = strategy
        self._dataset = dataset

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = iter(self._dataset)
        while (batch := self._next(batches)) is not None:
            yield batch

    def _next(self, batches):
        replicas = self._strategy.num_replicas_in_sync
        # The caller may be in the scope of the other hosts.
        with tf.device(strategies.THIS_HOST):
            batch = next(batches, None)
            parts = batch and {name: tf.split(tensor, replicas)
                               for name, tensor in batch.items()}
        return parts and (
            self._strategy.experimental_distribute_values_from_function(
                lambda context: {
                    name: part[context.replica_id_in_sync_group]
                    for name, part in parts.items()}))


def loop(step: Callable[[Any], None]) -> Callable[[Iterator, tf.Tensor], None]:
    """Returns a loop that calls `step` on each of so many batches of a
    Feed."""
    def run(batches, num_steps):
        for _ in range(int(num_steps)):
            step(next(batches))
    return run


Distributed: TypeAlias = tf.distribute.DistributedDataset | Feed


def distribute(strategy: tf.distribute.Strategy,
               make: Callable[[int, int, int], tf.data.Dataset],
               global_batch_size: int, anywhere: bool) -> Distributed:
    """Returns what gives the replicas their parts of the batches.

    Args:
      strategy: tf.distribute.Strategy.
      make: returns the part of a host, infinite, from the index of the host,
        their number, and the size of the batches.
      global_batch_size: over all replicas.
      anywhere: whether the data set can be made on any host.

    Returns:
      A Feed, or a tf.distribute.DistributedDataset.
    """
    if anywhere or not strategies.is_remote(strategy):
        return strategy.distribute_datasets_from_function(
            lambda context: make(
                context.input_pipeline_id, context.num_input_pipelines,
                context.get_per_replica_batch_size(global_batch_size)))
    return Feed(strategy, make(0, 1, global_batch_size))


def to_all(strategy: tf.distribute.Strategy,
           part: Callable[[int], Any]) -> Any:
    """Sends each replica what `part` returns of its index among all; a single
    one gets tensors as they are."""
    if strategy.num_replicas_in_sync == 1:
        return tf.nest.map_structure(tf.constant, part(0))
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.nest.map_structure(
            tf.constant, part(context.replica_id_in_sync_group)))


def run(strategy: tf.distribute.Strategy, function: Callable[[Any], Any],
        part: Callable[[int], Any]) -> Any:
    """Returns what a function, run on each replica, gives of its own part.

    Args:
      strategy: tf.distribute.Strategy.
      function: a tf.function of what `to_all` returns.
      part: as of `to_all`.
    """
    inputs = to_all(strategy, part)
    with strategies.on_host(strategy):
        return function(inputs)


def from_all(strategy: tf.distribute.Strategy, value: Any) -> np.ndarray:
    """Returns what all replicas, of all workers, hold of a value, stacked.

    Every worker has to call it. Shapes are the same on all replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if workers(strategy) > 1:
        joined = strategy.gather(value, 0).numpy()
        return joined.reshape(replicas, -1, *joined.shape[1:])
    return np.stack(list(of_worker(strategy, value)))


def of_worker(strategy: tf.distribute.Strategy,
              value: Any) -> Iterator[np.ndarray]:
    """Yields what each replica of this worker holds of a value; each is
    fetched when it is asked for."""
    for part in strategy.experimental_local_results(value):
        yield part.numpy()


def workers(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that each run a part of the replicas."""
    return workers_lib.Workers(strategy).count
