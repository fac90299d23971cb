"""Images side by side: groups of one shape, a group for each replica."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any, TypeVar

import numpy as np

from ddep_tf import specs
from ddep_tf.evaluation import tiles

Arrays = dict[str, np.ndarray]
T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Group:
    """Images of one shape, that are segmented at once.

    Attributes:
      images: each [H, W, 3] float32 in [-1, 1].
      label_size: (height, width) of the result.
      labels: each [h, w] integers, train ids, 255 ignored; () without.
    """
    images: Sequence[np.ndarray]
    label_size: tuple[int, ...]
    labels: Sequence[np.ndarray] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """(height, width) of the images."""
        if not len(self.images):
            return 1, 1
        return tuple(np.shape(self.images[0])[:2])


# For a replica that is left without images in the last round.
_NONE = Group((), (1, 1))


def groups(dataset: Iterable[Mapping[str, Any]],
           batch_size: int) -> Iterator[Group]:
    """Yields groups of up to so many neighbors of one shape.

    Args:
      dataset: examples, 'image' [H, W, 3] float32 in [-1, 1] and 'label'
        [h, w] int32, tensors.
      batch_size: images of a group at most.
    """
    waiting: list[tuple] = []  # (image, label, their shapes)

    def group():
        images, labels, _ = zip(*waiting)
        return Group(images, labels[0].shape, labels)

    for example in dataset:
        shapes = example['image'].shape, example['label'].shape
        if waiting and (shapes != waiting[0][2] or
                        len(waiting) == batch_size):
            yield group()
            waiting = []
        waiting.append((np.asarray(example['image']),
                        np.asarray(example['label']), shapes))
    if waiting:
        yield group()


def in_turn(found: Iterable[T], replicas: int) -> Iterator[list[T]]:
    """Returns lists of an item for each replica; the last may be shorter."""
    iterator = iter(found)  # Nothing here holds on to what was given out.
    return iter(lambda: list(itertools.islice(iterator, replicas)), [])


def inputs(spec: specs.EvalSpec, single_scale: bool, found: Sequence[Group],
           replicas: int, static: bool, batch: int = 0) -> list[Arrays]:
    """Returns what each replica's `program.Program` takes.

    Their shapes are the same, as high as the highest group's and as wide as the
    widest's: larger canvases take memory, but no more operations of the
    network.

    Args:
      spec: EvalSpec.
      single_scale: as of the Program.
      found: groups, up to one for each replica.
      replicas: their number.
      static: whether programs are compiled for fixed shapes, so that these
        should be few.
      batch: images to which each replica's are filled up; 0 is as many as
        the largest group has.

    Raises:
      ValueError: there are more groups than replicas.
    """
    if len(found) > replicas:
        raise ValueError(f'{len(found)} groups for {replicas} replicas')
    found = [*found, *(replicas - len(found)) * [_NONE]]
    batch = batch or max(len(group.images) for group in found)
    least = 256 if static else 1
    canvas = _canvas([group.size for group in found], (least, least))
    label_canvas = _canvas([group.label_size for group in found],
                           (least, least) if static else tiles.BLOCK)
    parts = [tiles.of_image(spec, group.size, group.label_size, single_scale)
             for group in found]
    count = (tiles.most(spec, canvas, single_scale) if static else
             max(len(part.table) for part in parts))
    longest = [max(shares.shape[1] for shares in axis) for axis in zip(
        *((part.row_shares, part.column_shares) for part in parts))]
    return [{
        'image': _filled((batch, *canvas, 3), np.float32, 0, group.images),
        'label': _filled((batch, *label_canvas), np.uint8, specs.IGNORE_LABEL,
                         group.labels),
        'size': np.array(group.size, np.int32),
        'label_size': np.array(group.label_size, np.int32),
        'ends': np.array(part.ends, np.int32),
        'table': _grown(part.table, (count, len(tiles.FIELDS))),
        'row_shares': _grown(part.row_shares, (count, longest[0])),
        'column_shares': _grown(part.column_shares, (count, longest[1])),
    } for group, part in zip(found, parts, strict=True)]


def _canvas(sizes, multiples):
    return tuple(-(-max(sides) // multiple) * multiple
                 for sides, multiple in zip(zip(*sizes), multiples))


def _filled(shape, dtype, value, arrays):
    """Returns an array that holds others, in their upper left corners."""
    result = np.full(shape, value, dtype)
    for place, array in zip(result, arrays):
        place[:array.shape[0], :array.shape[1]] = array
    return result


def _grown(array, shape):
    return np.pad(array, [(0, length - have) for length, have in zip(
        shape, array.shape)])
