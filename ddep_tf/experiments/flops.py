"""Floating point operations of a network, counted from its graph.

A multiply-add counts as 2. Counted are convolutions, depthwise convolutions
and matrix products (dense layers, attention, the interpolation of the position
embedding) in the traced graph, forward and backward, if the result depends on
them. As is usual, the padding of a convolution counts like its pixels.

Not counted: norms, activations, softmax, pooling, resizing, losses, biases,
kernel standardization, the optimizer, and what a step computes again in place
of keeping it.
"""

import collections
from collections.abc import Callable, Iterable, Sequence
import math
from typing import Any

import keras
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.models import layers
from ddep_tf.objectives import base
from ddep_tf.runtime import build, process

_CALLS = ('PartitionedCall', 'StatefulPartitionedCall')
_BRANCHES = ('If', 'StatelessIf', 'Case', 'StatelessCase', 'While',
             'StatelessWhile')


class _Collector(keras.optimizers.Optimizer):
    """Keeps the gradients of a train step, and updates nothing."""

    def __init__(self):
        super().__init__(learning_rate=0.0, name='collector')
        self.gradients: list[tf.Tensor] = []

    def apply(self, grads, trainable_variables=None):
        self.gradients = [g for g in grads if g is not None]


def measure(run: specs.RunSpec) -> tuple[int, int, int, int]:
    """Traces a run's network and train step with one image.

    Args:
      run: RunSpec.

    Returns:
      (parameters, trained parameters, forward FLOPs, train FLOPs); the FLOPs
      are those of one image of run.crop_size. The train step is the
      objective's, without the optimizer's update.
    """
    # In a graph of its own, no variable is allocated or initialized.
    with (process.releasing_graphs(), layers.keeping_all(),
          tf.Graph().as_default()):
        network = build.build_network(run)
        objective = build.build_objective(run, network)
        loss, gradients = _trace(objective, objective.batch_signature(run, 1))
        return (_size(network.variables),
                _size(objective.trained_variables),
                flops([loss]), flops([loss, *gradients]))


def flops(tensors: Iterable[tf.Tensor]) -> int:
    """Returns the FLOPs of the operations that graph tensors depend on.

    Raises:
      NotImplementedError: there are some in a branch or a loop, so that the
        number depends on the data.
    """
    return sum(by_type(tensors).values())


def by_type(tensors: Iterable[tf.Tensor]) -> dict[str, int]:
    """Returns {operation type: FLOPs}, whose sum is `flops`."""
    totals: collections.Counter[str] = collections.Counter()
    for op in _reachable(tensors):
        if op.type in _COUNTS:
            totals[op.type] += _COUNTS[op.type](op)
        elif op.type in _CALLS:
            name = op.get_attr('f').name
            # TensorFlow has no public way to a function's graph by its name.
            inner = op.graph._get_function(name).graph
            totals.update(by_type(inner.outputs))
        elif op.type in _BRANCHES and _counts_inside(op):
            raise NotImplementedError(f'{op.name} is a {op.type}: how often '
                                      'it runs is not known')
    return dict(totals)


def _counts_inside(op: tf.Operation) -> bool:
    """Whether a branch or loop holds operations that count."""
    names = [function.name for value in op.node_def.attr.values()
             for function in (value.func, *value.list.func) if function.name]
    return any(by_type(op.graph._get_function(name).graph.outputs)
               for name in names)


def _trace(objective: base.Objective, batch: dict[str, tf.TensorSpec]) -> Any:
    """Returns (loss, gradients) of a train step, as graph tensors.

    The loss depends on the forward pass alone, so one trace serves both.
    """
    collector = objective.optimizer = _Collector()

    def step(batch):
        metrics = objective.train_step(batch)
        return metrics['loss'], collector.gradients

    traced = tf.function(step, autograph=False).get_concrete_function(batch)
    return traced.graph.structured_outputs


def _size(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _reachable(tensors: Iterable[tf.Tensor]) -> set[tf.Operation]:
    """Returns the operations that the values of tensors depend on.

    Control inputs are not followed: an assignment on the way is not a value.
    """
    found: set[tf.Operation] = set()
    waiting = [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs]
    return found


# Below, `kernel` is the shape of a kernel and `outputs` that of the result.
Rule = Callable[[Sequence[int], Sequence[int]], int]


def _conv(kernel: Sequence[int], outputs: Sequence[int]) -> int:
    # A kernel is [height, width, inputs of a group, outputs].
    rows, columns, inputs, _ = kernel
    return 2 * math.prod(outputs) * rows * columns * inputs


def _depthwise(kernel: Sequence[int], outputs: Sequence[int]) -> int:
    return 2 * math.prod(outputs) * kernel[0] * kernel[1]


def _forward(rule: Rule) -> Callable[[tf.Operation], int]:
    return lambda op: rule(op.inputs[1].shape, op.outputs[0].shape)


def _to_input(rule: Rule) -> Callable[[tf.Operation], int]:
    # Inputs: sizes of the result, kernel, gradient of the output.
    return lambda op: rule(op.inputs[1].shape, op.inputs[2].shape)


def _to_filter(rule: Rule) -> Callable[[tf.Operation], int]:
    # Inputs: image, sizes of the result, gradient of the output.
    return lambda op: rule(op.outputs[0].shape, op.inputs[2].shape)


def _matmul(op: tf.Operation) -> int:
    transposed = op.get_attr(
        'transpose_a' if op.type == 'MatMul' else 'adj_x')
    inner = op.inputs[0].shape[-2 if transposed else -1]
    return 2 * math.prod(op.outputs[0].shape) * inner


def _einsum(op: tf.Operation) -> int:
    if len(op.inputs) < 2:  # It permutes or sums, and multiplies nothing.
        return 0
    equation = op.get_attr('equation').decode().split('->')[0].split(',')
    sizes = {label: size for labels, tensor in zip(equation, op.inputs)
             for label, size in zip(labels, tensor.shape, strict=True)}
    return 2 * math.prod(sizes.values())


_COUNTS = {
    'Conv2D': _forward(_conv),
    'Conv2DBackpropInput': _to_input(_conv),
    'Conv2DBackpropFilter': _to_filter(_conv),
    'DepthwiseConv2dNative': _forward(_depthwise),
    'DepthwiseConv2dNativeBackpropInput': _to_input(_depthwise),
    'DepthwiseConv2dNativeBackpropFilter': _to_filter(_depthwise),
    'MatMul': _matmul, 'BatchMatMul': _matmul, 'BatchMatMulV2': _matmul,
    'BatchMatMulV3': _matmul, 'Einsum': _einsum,
}
