"""What the processes that train one run together tell each other."""

from collections.abc import Iterator
import contextlib

import numpy as np
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.runtime import strategy as strategies

# What TensorFlow raises once another worker, a TPU or its host is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError,
         tf.errors.CancelledError)


class Workers:
    """The workers of a strategy; most strategies have one, which agrees with
    itself.

    Attributes:
      count: number of processes.
      index: of this process, from 0.
      is_chief: whether this process writes the run folder.

    Args:
      strategy: tf.distribute.Strategy.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.index, self.count = 0, 1
        resolver = strategy.cluster_resolver
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and (
                resolver and resolver.cluster_spec().jobs):
            members = _members(resolver.cluster_spec())
            self.index = members.index((resolver.task_type, resolver.task_id))
            self.count = len(members)
        self.is_chief = self.index == 0

    def exchange(self, *numbers: float) -> np.ndarray:
        """Tells all workers some numbers, and waits for theirs.

        Every worker has to call it, with as many numbers.

        Returns:
          [count, len(numbers)] float64, a row per worker.
        """
        if self.count == 1:
            return np.array([numbers], np.float64)
        table = np.zeros((self.count, len(numbers)), np.float64)
        table[self.index] = numbers
        replicas = self._strategy.num_replicas_in_sync // self.count

        def share(context):
            # The first replica of a worker speaks for it.
            speaks = context.replica_id_in_sync_group % replicas == 0
            return tf.constant(table if speaks else np.zeros_like(table))
        shares = self._strategy.experimental_distribute_values_from_function(
            share)
        return self._strategy.reduce('SUM', shares, axis=None).numpy()

    def any(self, flag: bool) -> bool:
        """Returns whether the flag of any worker is set."""
        return bool(self.exchange(flag).any())

    def wait(self) -> None:
        """Waits until all workers are here."""
        self.exchange(0)

    def check_equal(self, number: float, what: str) -> None:
        """Raises UserError, on all workers, unless they have one number.

        Args:
          number: of this worker.
          what: names it.
        """
        found = self.exchange(number)[:, 0]
        differing = np.flatnonzero(found != found[0])
        if differing.size:
            raise errors.UserError(
                f'worker {differing[0]} has another {what} than worker 0: '
                'start all workers with the same flags, files and version')

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Goes on after the block only if it raised no error on any worker.

        Raises:
          UserError: of the block; or, on the other workers, that one has it.
        """
        error = None
        try:
            yield
        except errors.UserError as caught:
            error = caught
        failed = np.flatnonzero(self.exchange(error is not None)[:, 0])
        if error:
            raise error
        if failed.size:
            raise errors.UserError(f'worker {failed[0]} cannot go on: its own '
                                   'output says why')


@contextlib.contextmanager
def losses_named() -> Iterator[None]:
    """Raises WorkerLost for TensorFlow's errors of a lost worker or TPU."""
    try:
        yield
    except tf.errors.OpError as error:
        lost = loss(error)
        if not lost:
            raise
        raise errors.WorkerLost(
            f'a worker or TPU was lost ({lost}): start all workers again, to '
            'go on from the last saved state') from error


def loss(error: tf.errors.OpError) -> str:
    """Returns what an error of TensorFlow says of a lost worker or TPU, in one
    line; '' if it means something else, or a bucket that does not answer."""
    # Of a host that is gone, its next use may say anything.
    host = strategies.silent_host()
    if host:
        return f'{host} does not answer'
    if not isinstance(error, _LOST) or 'gs://' in str(error.message):
        return ''
    return errors.first_line(error)


def _members(cluster):
    """Returns (type, index) of all workers, the chief first."""
    kinds = [kind for kind in ('chief', 'worker') if kind in cluster.jobs]
    return [(kind, index) for kind in kinds
            for index in range(cluster.num_tasks(kind))]
