"""Sets a process up so that what it computes can be computed again."""

from collections.abc import Iterator
import contextlib
import warnings

import keras
import tensorflow as tf
from tensorflow.python.framework import config as tf_config
from tensorflow.python.framework import ops

from ddep_tf import specs
from ddep_tf.runtime import strategy as strategies


def set_up(seed: int = 0, eager: bool = False,
           deterministic: bool = True) -> None:
    """Sets up what is global in TensorFlow and Keras; before every run.

    Args:
      seed: of Python, NumPy, TensorFlow and Keras.
      eager: run operation by operation.
      deterministic: have TensorFlow refuse or avoid operations whose results
        vary from run to run, so that a resumed run ends with the same bits as
        one that ran through.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    else:  # Of a run before, in the same process.
        tf_config.disable_op_determinism()
    if eager:  # TensorFlow warns, for every map, that tf.data stays graphs.
        warnings.filterwarnings('ignore', message='.*run_functions_eagerly')
    tf.config.run_functions_eagerly(eager)
    # The memory of the network before is needed, but collecting it takes
    # seconds, which is long beside a short eager run.
    keras.backend.clear_session(free_memory=not eager)
    keras.utils.set_random_seed(seed)


def set_up_training(run: specs.RunSpec,
                    strategy: tf.distribute.Strategy) -> None:
    """Sets up what is global before a run trains, as its spec asks for."""
    eager = run.eager and not strategies.takes_graphs_alone(strategy)
    if eager != run.eager:
        print('RunSpec.eager is left out: a TPU runs whole functions')
    if eager and run.jit_compile:
        print('RunSpec.jit_compile is left out: RunSpec.eager makes no graph '
              'to compile')
    deterministic = is_deterministic(run, strategy)
    compiled = run.jit_compile and not eager
    set_up(run.seed, eager, deterministic and not compiled)
    if compiled and deterministic:
        # XLA has no deterministic gradient of max pooling, and refuses it.
        print('RunSpec.jit_compile: compiled by XLA, without the guarantee of '
              'deterministic operations')


def is_deterministic(run: specs.RunSpec,
                     strategy: tf.distribute.Strategy) -> bool:
    """Whether TensorFlow has to watch over the determinism of a run.

    It costs nothing on a CPU. A TPU has no operation that varies, and XLA
    refuses to compile some for it that might on a GPU.
    """
    device = strategies.device_type(strategy)
    return device == 'CPU' or (device == 'GPU' and run.deterministic)


@contextlib.contextmanager
def releasing_graphs() -> Iterator[None]:
    """Lets go of the graphs that are traced in the block, once it has ended.

    TensorFlow registers custom gradients, such as that of an all-reduce, until
    the process ends. With each it keeps the graph it was traced in, a whole
    train step, and the variables which that captures. There is no public way
    to unregister one.
    """
    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            del registry[name]
