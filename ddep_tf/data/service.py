"""Batches that a tf.data service makes: a dispatcher and workers elsewhere.

Each worker makes whole epochs of its own, and gives what is ready. So the
order is no function of the seed, and a run that is resumed begins an epoch.
"""

from collections.abc import Iterator, Sequence
import contextlib
import queue
import re
import threading

import tensorflow as tf

from ddep_tf import errors, servers
from ddep_tf.data.sources import base

# For the dispatcher, then for a worker, and between two looks at a service.
WAIT_SECONDS = 60.0


def check(address: str, sources: Sequence[base.Source]) -> None:
    """Waits until a service answers, and sees that it can read the sources.

    Args:
      address: 'HOST:PORT' of the dispatcher.
      sources: that it will read.

    Raises:
      UserError: the address is malformed, a source is read by this process's
        Python, or no dispatcher or no worker answers.
    """
    for source in sources:
        if source.needs_python:
            raise errors.UserError(
                f'--data_service: {source.title}: is read by Python, which no '
                'other process can: leave the flag out, or take TFRecord '
                'files, TFDS or a folder of 8-bit gray masks')
    await_dispatcher(address)
    _await_worker(address)


def await_dispatcher(address: str) -> None:
    """Waits until a dispatcher answers, as a worker of it should first.

    Raises:
      UserError: the address is malformed, or no dispatcher answers.
    """
    _check_form(address)
    error = servers.wait(address, WAIT_SECONDS)
    if error:
        raise errors.UserError(
            f'--data_service={address}: no dispatcher answers ({error}): '
            'start python launch/data_service.py there')


def distributed(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Returns the data set as the workers of a service make it.

    Args:
      dataset: endless; its epochs, a tf.data.Dataset.range, are dealt out.
      address: as of `check`.
    """
    service = tf.data.experimental.service
    return dataset.apply(service.distribute(
        processing_mode=service.ShardingPolicy.DYNAMIC,
        service=f'grpc://{address}', compression=None))


@contextlib.contextmanager
def errors_named(address: str) -> Iterator[None]:
    """Turns what a worker of a service cannot read into a UserError; ''
    leaves errors as they are."""
    try:
        yield
    except tf.errors.OpError as error:
        if not address or not base.is_unreadable(error):
            raise
        raise errors.UserError(
            f'--data_service={address}: a worker cannot read an example that '
            f'can be read here ({errors.first_line(error)}): give it the data '
            'under the same path, and the same version') from error


@contextlib.contextmanager
def watched(address: str) -> Iterator[None]:
    """Says when a service stops answering, and when it answers again:
    TensorFlow waits for it without an end or a word.

    Args:
      address: as of `check`; '' watches nothing.
    """
    ended = threading.Event()
    if address:
        threading.Thread(target=_watch, args=(address, ended),
                         daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(address, ended):
    """Asks at most one question at a time, however long it is not answered."""
    answers, is_silent = _ask(address), False
    while not ended.wait(WAIT_SECONDS):
        was_silent = is_silent
        try:
            is_silent = answers.get_nowait() is not None
            answers = _ask(address)
        except queue.Empty:
            is_silent = True
        if is_silent and not was_silent:
            print(f'--data_service={address}: no worker answers: the training '
                  'waits until one does', flush=True)
        elif was_silent and not is_silent:
            print(f'--data_service={address}: a worker answers again',
                  flush=True)


def _ask(address):
    """Returns a queue that gets None once a worker answers, or an OpError."""
    answers: queue.SimpleQueue[tf.errors.OpError | None] = queue.SimpleQueue()

    def ask():
        try:
            # Without an end: what a lost worker has of one never comes.
            next(iter(distributed(tf.data.Dataset.range(1).repeat(), address)))
            answers.put(None)
        except tf.errors.OpError as error:
            answers.put(error)
    # One that is never answered ends with the process.
    threading.Thread(target=ask, daemon=True).start()
    return answers


def _check_form(address):
    found = re.fullmatch(r'(\[[0-9a-fA-F:]+\]|[^:/\s]+):(\d{1,5})', address)
    if not found or not 0 < int(found[2]) < 2 ** 16:
        raise errors.UserError(f'--data_service={address}: give HOST:PORT of '
                               'the dispatcher, such as 10.0.0.5:5050')


def _await_worker(address):
    """TensorFlow itself would wait without an end or a word."""
    try:
        error = _ask(address).get(timeout=WAIT_SECONDS)
    except queue.Empty:
        raise errors.UserError(
            f'--data_service={address}: no worker answers: start python '
            f'launch/data_service.py --data_service={address} on each machine '
            'that shall read') from None
    if error:
        raise errors.UserError(
            f'--data_service={address}: is no dispatcher of this version of '
            f'TensorFlow ({errors.first_line(error)}): check the '
            'address') from error
