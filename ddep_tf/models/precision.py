"""The precision in which a network computes, by Keras' dtype policies.

Variables are float32 in all of them, and so are the loss and the gradients of
variables. Keras hands layers variables that are rounded to the policy's type:
those that need all digits ask for `autocast=False`, which are standardized
kernels, scales and offsets of norms, and position embeddings.
"""

from collections.abc import Iterator
import contextlib

import keras


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Has layers that are created in the block compute by a dtype policy.

    Args:
      name: one of specs.PRECISIONS.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
