"""Finds examples that cannot be used, and names them."""

import contextlib
import itertools

import tensorflow as tf

from ddep_tf.runtime import progress

# Splits of more examples are not read through before the training: ImageNet
# would take hours. What is wrong there is looked for when a step meets it.
READ_AT_MOST = 5000

_known = set()  # Identities of what this process has read through.


def check_inputs(inputs, data_dir):
    """Reads every example of the smaller splits, once a process.

    Args:
      inputs: {split: list of sources} of a run.
      data_dir: root folder of the data.

    Raises:
      UserError: naming the first example that cannot be used.
    """
    for source in itertools.chain.from_iterable(inputs.values()):
        key = (str(data_dir), source.identity)
        if source.num_examples <= READ_AT_MOST and key not in _known:
            source.check(_bar)
            _known.add(key)


@contextlib.contextmanager
def explained(inputs):
    """Turns what fails for an example into a UserError that names it."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError,
            tf.errors.NotFoundError):
        print('an example cannot be read: looking for it ...', flush=True)
        for source in itertools.chain.from_iterable(inputs.values()):
            source.check(_bar)
        raise


def _bar(examples):
    return progress.bar(examples, 'read the data')
