"""Examples that are decoded and resized once, and then held in memory."""

from collections.abc import Callable, Sequence
import dataclasses
import functools

import tensorflow as tf

from ddep_tf.data import parallel
from ddep_tf.data.sources import base

# The most that decoded examples take. Several runs may share a machine.
HOLD_BYTES = 2 ** 29
_PART = 256  # Tensors that are appended to a list one by one.
_SAMPLE = 16  # So many examples tell how much all of them will take.

Prepare = Callable[[base.Source, base.Tensors], base.Tensors]


def held(sources: Sequence[base.Source],
         prepare: Prepare) -> list[base.Source] | None:
    """Decodes all examples of some sources, if they fit into HOLD_BYTES.

    Args:
      sources: any.
      prepare: function (source, record) that decodes and resizes as the
        source's spec says, by TensorFlow ops.

    Returns:
      A DecodedSource of each; or None, where they do not fit, or one of the
      examples is damaged: whoever reads it as it is will say so.
    """
    left = HOLD_BYTES
    found: list[base.Source] = []
    for source in sources:
        try:
            examples = _decoded(source, prepare, left)
        except tf.errors.OpError:
            return None
        if examples is None:
            return None
        left -= sum(map(_nbytes, examples))
        found.append(DecodedSource(source, examples))
    return found


class DecodedSource(base.Source):
    """The examples of another source, decoded and resized.

    Args:
      source: where they come from.
      examples: all of them, in order.
    """

    def __init__(self, source: base.Source, examples: Sequence[base.Tensors]):
        super().__init__(
            dataclasses.replace(source.spec, scale=1.0, short_side=0),
            source.split, source.decodes)
        # An epoch's order depends on it, by the size of the shuffle's buffer.
        self.record_bytes = source.record_bytes
        self._source = source
        self._length = len(examples)
        self._fields = {name: _TensorList([e[name] for e in examples])
                        for name in examples[0]}

    def records(self) -> tf.data.Dataset:
        return base.make_index_records(self._indices())

    def decode(self, record: base.Tensors) -> base.Tensors:
        return {name: tensors.get(record['class_or_index'])
                for name, tensors in self._fields.items()}

    def _count(self) -> int:
        return self._length

    def _list_ids(self) -> list[str]:
        return self._source.ids


class _TensorList:
    """Tensors of one dtype, of which a function of tf.data takes one without
    a copy and without a side effect.

    Args:
      tensors: one or more, of one rank.
    """

    def __init__(self, tensors: Sequence[tf.Tensor]):
        self._dtype = tensors[0].dtype
        first = tensors[0].shape
        # Images have 3 channels; their sides differ.
        self._shape = [None] * min(first.rank, 2) + [*first[2:]]
        with tf.device('CPU:0'):  # Not on an accelerator.
            # An operation copies all references of the list it appends to.
            parts = [self._list(tensors[i:i + _PART])
                     for i in range(0, len(tensors), _PART)]
            self._handle = functools.reduce(
                lambda a, b: tf.raw_ops.TensorListConcatLists(
                    input_a=a, input_b=b, element_dtype=self._dtype), parts)

    def get(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the tensor of an index, scalar."""
        tensor = tf.raw_ops.TensorListGetItem(
            input_handle=self._handle, index=tf.cast(index, tf.int32),
            element_shape=[-1 if n is None else n for n in self._shape],
            element_dtype=self._dtype)
        return tf.ensure_shape(tensor, self._shape)

    def _list(self, tensors):
        handle = tf.raw_ops.EmptyTensorList(
            element_shape=-1, max_num_elements=-1, element_dtype=self._dtype)
        for tensor in tensors:
            handle = tf.raw_ops.TensorListPushBack(
                input_handle=handle, tensor=tensor)
        return handle


def _decoded(source, prepare, most):
    """Returns the examples of a source, or None if they take more bytes, or
    are fewer than it says."""
    dataset = base.untuned(source.records().map(
        lambda record: prepare(source, record),
        num_parallel_calls=parallel.cores(), deterministic=True))
    examples: list[base.Tensors] = []
    taken = 0
    for example in dataset:
        examples.append(example)
        taken += _nbytes(example)
        total = (taken / _SAMPLE * source.num_examples
                 if len(examples) == _SAMPLE else taken)
        if total > most:
            return None
    return examples if len(examples) == source.num_examples else None


def _nbytes(example):
    return sum(tensor.shape.num_elements() * tensor.dtype.size
               for tensor in example.values())
