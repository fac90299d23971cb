"""Finds examples that cannot be used, and names them."""

from collections.abc import Iterator, Mapping
import contextlib
import itertools
import os

import tensorflow as tf

from ddep_tf import errors, files
from ddep_tf.data.sources import base, factory
from ddep_tf.runtime import check_marks, progress
from ddep_tf.runtime import workers as workers_lib

# Larger splits are not read through before the training: ImageNet would take
# hours. Their damaged examples are looked for when a step meets one.
READ_AT_MOST = 5000
Inputs = Mapping[str, list[factory.Source]]


class InputChecks:
    """Reads the examples of runs before they train, each source once.

    Runs that share one object share what it has read: an experiment reads its
    data once, not once per run. What a process has read without a fault, later
    ones on the same machine do not read again unless a file has changed.
    """

    def __init__(self):
        self._read = set()

    def check(self, inputs: Inputs, data_dir: str | os.PathLike,
              workers: workers_lib.Workers) -> None:
        """Reads every example of the smaller splits.

        Args:
          inputs: {split: list of sources} of a run.
          data_dir: root folder of the data.
          workers: all have to call this. The chief reads, the others wait.

        Raises:
          UserError: naming the first example that cannot be used.
        """
        with workers.together():
            if workers.is_chief:
                for source in itertools.chain.from_iterable(inputs.values()):
                    self._check(source, data_dir)

    def _check(self, source, data_dir):
        identity = (str(files.path(data_dir).resolve()), source.identity)
        if source.num_examples > READ_AT_MOST or identity in self._read:
            return
        mark = check_marks.mark_of(source.title, repr(identity), source.files)
        if not mark.is_set:
            source.check(_bar)
            mark.set()
        self._read.add(identity)


@contextlib.contextmanager
def explained(inputs: Inputs) -> Iterator[None]:
    """Turns what fails because of an example into a UserError naming it."""
    try:
        yield
    except tf.errors.OpError as error:
        if not base.is_unreadable(error):
            raise
        print(f'{errors.first_line(error)}\nperhaps an example cannot be read: '
              'looking for it ...', flush=True)
        for source in itertools.chain.from_iterable(inputs.values()):
            source.check(_bar)
        raise


def _bar(examples):
    return progress.bar(examples, 'read the data')
