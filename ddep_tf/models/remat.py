"""Blocks that are computed again in the backward pass: less memory, for more
operations.

keras.RematScope fails around layers with a custom gradient, such as Upsample.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import itertools
import re
from typing import Any

import keras
import tensorflow as tf

from ddep_tf import errors

# Residual units, transformer blocks, inverted bottlenecks, decoder blocks.
_BLOCK = re.compile(r'(block\d+\.unit\d+|Transformer\.encoderblock_\d+|'
                    r'lite\.blocks\.\d+|block\d+|entry)\.')
_ROOT = ('conv_root', 'gn_root', 'root_relu', 'root_pool')  # Of a ResNet.


@dataclasses.dataclass(frozen=True)
class _Part:
    """Neighboring layers of a model, as a model of their own."""
    block: str  # '' where they are no block.
    inputs: Sequence[keras.KerasTensor]
    outputs: Sequence[keras.KerasTensor]
    model: keras.Model


class Recomputed:
    """Computes what a functional model does, keeping of each block only what
    goes into it.

    Layers that draw or count as they are called must not be in a block.

    Args:
      model: functional model. Its layers are shared; it stays as it is.

    Raises:
      UserError: a layer of a block draws.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._parts = list(_parts(model))

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """As the model. Only its gradients take another way."""
        flatten = keras.tree.flatten
        values = {id(symbol): value for symbol, value in zip(
            flatten(self._model.input), flatten(inputs), strict=True)}
        for part in self._parts:
            found = _run(part, training,
                         [values[id(symbol)] for symbol in part.inputs])
            values.update(zip(map(id, part.outputs), found, strict=True))
        return keras.tree.map_structure(lambda symbol: values[id(symbol)],
                                        self._model.output)


def _run(part, training, inputs):
    def compute(*tensors):  # Positional: recompute_grad takes nothing else.
        return part.model(list(tensors), training=training)
    called = tf.recompute_grad(compute) if part.block else compute
    # One tensor comes back as it is, several in a list.
    return keras.tree.flatten(called(*inputs))


def _block_of(operation):
    if operation.name in _ROOT:
        return 'root'
    found = _BLOCK.match(operation.name)
    return found[1] if found else ''


def _inputs(operation):
    # By the base class: a model that is a layer of another one has its own
    # properties, of its inside.
    return keras.tree.flatten(keras.Operation.input.fget(operation))


def _outputs(operation):
    return keras.tree.flatten(keras.Operation.output.fget(operation))


def _check_draws(operations):
    for each in operations:
        if hasattr(each, 'seed_generator'):
            raise errors.UserError(
                f'RunSpec.remat needs an encoder without dropout: {each.name} '
                'would draw anew as its block is computed again')


def _parts(model) -> Iterator[_Part]:
    operations = [each for each in model.operations
                  if not isinstance(each, keras.layers.InputLayer)]
    wanted = {id(symbol) for symbol in keras.tree.flatten(model.output)}
    for block, group in itertools.groupby(operations, _block_of):
        inside = list(group)
        if block:
            _check_draws(inside)
        made = {id(symbol): symbol for each in inside
                for symbol in _outputs(each)}
        read = {id(symbol): symbol for each in inside
                for symbol in _inputs(each)}
        used = wanted | {id(symbol) for each in operations
                         if each not in inside for symbol in _inputs(each)}
        inputs = [read[key] for key in read if key not in made]
        outputs = [made[key] for key in made if key in used]
        yield _Part(block, inputs, outputs, keras.Model(inputs, outputs))
