"""Floating point operations of a network, counted from its graph.

A multiply-add counts as 2. Counted are convolutions, depthwise convolutions
and matrix products (dense layers, attention, the interpolation of the position
embedding), forward and backward, as the traced graph holds them. A
convolution's padding counts like its pixels, as is usual. An operation that
the results do not depend on is not counted.

Not counted: norms, activations, softmax, pooling, resizing, losses, biases,
kernel standardisation and the optimizer.
"""

import collections
import math

import keras
import tensorflow as tf

from ddep_tf.runtime import build

_CALLS = ('PartitionedCall', 'StatefulPartitionedCall')
_BRANCHES = ('If', 'StatelessIf', 'Case', 'StatelessCase', 'While',
             'StatelessWhile')


class _Collector(keras.optimizers.Optimizer):
    """Takes the gradients and changes nothing: what a backward pass gives."""

    def __init__(self):
        super().__init__(learning_rate=0.0, name='collector')
        self.gradients = []

    def apply(self, grads, trainable_variables=None):
        self.gradients = [g for g in grads if g is not None]


def measure(run):
    """Traces a run's network and train step with one image.

    Args:
      run: RunSpec.

    Returns:
      (parameters, trained parameters, forward FLOPs, train FLOPs), ints; the
      FLOPs are of one image of run.crop_size. The train step is the
      objective's own, without the optimizer's update.
    """
    # In a graph of its own no variable takes memory or a draw of its values.
    with tf.Graph().as_default():
        network = build.build_network(run)
        objective = build.build_objective(run, network)
        loss, gradients = _trace(objective, objective.batch_signature(run, 1))
        return (_size(network.variables),
                _size(objective.trained_variables),
                flops([loss]), flops([loss, *gradients]))


def flops(tensors):
    """Returns the FLOPs of what graph tensors depend on, an int.

    Raises:
      NotImplementedError: it branches or loops, so that no number holds.
    """
    return sum(by_type(tensors).values())


def by_type(tensors):
    """Returns {operation type: FLOPs} of what `flops` adds up."""
    totals = collections.Counter()
    for op in _reachable(tensors):
        if op.type in _COUNTS:
            totals[op.type] += _COUNTS[op.type](op)
        elif op.type in _CALLS:
            name = op.get_attr('f').name
            inner = op.graph._get_function(name).graph  # pylint: disable=protected-access
            totals.update(by_type(inner.outputs))
        elif op.type in _BRANCHES:
            raise NotImplementedError(f'{op.name} is a {op.type}: how often '
                                      'it runs is not known')
    return dict(totals)


def _trace(objective, batch):
    """Returns the tensors of a train step: its loss, and its gradients.

    The loss depends on the forward pass alone, so one trace serves both.
    """
    collector = objective.optimizer = _Collector()

    def step(batch):
        metrics = objective.train_step(batch)
        return metrics['loss'], collector.gradients

    traced = tf.function(step, autograph=False).get_concrete_function(batch)
    return traced.graph.structured_outputs


def _size(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def _reachable(tensors):
    """Returns the operations whose values the tensors are made of.

    Control inputs are left out: what is assigned on the way is no part of it.
    """
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs]
    return found


def _conv(kernel, pixels):
    # A kernel is [height, width, inputs of a group, outputs].
    rows, columns, inputs, _ = kernel
    return 2 * math.prod(pixels) * rows * columns * inputs


def _depthwise(kernel, pixels):
    return 2 * math.prod(pixels) * kernel[0] * kernel[1]


def _forward(rule):
    return lambda op: rule(op.inputs[1].shape, op.outputs[0].shape)


def _to_input(rule):
    # Inputs: sizes of the result, kernel, gradient of the output.
    return lambda op: rule(op.inputs[1].shape, op.inputs[2].shape)


def _to_filter(rule):
    # Inputs: image, sizes of the result, gradient of the output.
    return lambda op: rule(op.outputs[0].shape, op.inputs[2].shape)


def _matmul(op):
    transposed = op.get_attr(
        'transpose_a' if op.type == 'MatMul' else 'adj_x')
    inner = op.inputs[0].shape[-2 if transposed else -1]
    return 2 * math.prod(op.outputs[0].shape) * inner


def _einsum(op):
    """Products of two tensors; with one there is nothing to multiply."""
    if len(op.inputs) < 2:
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
