"""What TensorFlow keeps of a forward pass for its gradient."""

from collections.abc import Callable
import math

import tensorflow as tf

_SAME_MEMORY = ('Identity', 'IdentityN', 'Reshape')
_NOT_KEPT = ('Const', 'Placeholder', 'ReadVariableOp')


def elements(compute: Callable[..., tf.Tensor], *inputs: tf.Tensor,
             variables=()) -> int:
    """Returns the number of elements that are kept of what is computed,
    beyond variables and `inputs` themselves, for the gradient of all."""
    @tf.function
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = compute(*inputs)
            loss = tf.reduce_sum(found * found, name='loss')
        return tape.gradient(loss, [*inputs, *variables])

    operations = step.get_concrete_function(*inputs).graph.get_operations()
    end = next(i for i, each in enumerate(operations) if each.name == 'loss')
    before = set(operations[:end + 1])
    kept = {_root(tensor).ref(): _root(tensor)
            for each in operations[end + 1:] for tensor in each.inputs
            if tensor.op in before}
    return sum(math.prod(each.shape) for each in kept.values()
               if each.op.type not in _NOT_KEPT)


def _root(tensor):
    """Returns the tensor whose memory it shares."""
    while tensor.op.type in _SAME_MEMORY:
        tensor = tensor.op.inputs[
            tensor.op.outputs.index(tensor)
            if tensor.op.type == 'IdentityN' else 0]
    return tensor
