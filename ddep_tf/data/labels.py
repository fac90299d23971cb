"""Label sets: how the ids of a mask become train ids, names and colors.

NumPy only. Train ids are 0..C-1; loss and metrics ignore 255.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from ddep_tf import errors, specs
from ddep_tf.data import label_tables as tables

IGNORE = specs.IGNORE_LABEL


@dataclasses.dataclass(frozen=True, eq=False)
class LabelSet:
    """The classes of a data set.

    Attributes:
      name: shown in tables.
      class_names: C names, in the order of the train ids.
      palette: [C, 3] uint8, RGB.
      train_ids: the train id (or 255) of each source id 0..len-1.
    """
    name: str
    class_names: tuple[str, ...]
    palette: np.ndarray
    train_ids: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes, not counting the ignored label."""
        return len(self.class_names)

    @property
    def source_ids(self) -> np.ndarray:
        """[C] uint8: the id of each train id in mask files."""
        return np.array([self.train_ids.index(train_id)
                         for train_id in range(self.num_classes)], np.uint8)

    @property
    def table(self) -> np.ndarray:
        """[256] int32: train id of each source id; 255 ignored, -1 refused."""
        table = np.full(256, -1, np.int32)
        table[:len(self.train_ids)] = self.train_ids
        table[IGNORE] = IGNORE
        return table


def label_set(name: str) -> LabelSet:
    """Returns the LabelSet of that name. UserError if there is none."""
    if not isinstance(name, str) or name not in _SETS:
        raise errors.UserError(f'no label set is called {name!r}: choose one '
                               f'of {", ".join(_SETS)}')
    return _made(name)


@functools.cache
def _made(name: str) -> LabelSet:
    class_names, palette, train_ids = _SETS[name]()
    palette.setflags(write=False)
    return LabelSet(name, tuple(class_names), palette, tuple(train_ids))


def generic(num_classes: int, name: str = 'generic') -> LabelSet:
    """Returns a LabelSet whose train ids are the ids in the masks.

    Args:
      num_classes: in [1, 255].
      name: shown in tables.

    Raises:
      UserError: num_classes is out of range.
    """
    if not 1 <= num_classes <= IGNORE:
        raise errors.UserError(f'{name}: num_classes must be 1 to {IGNORE}, '
                               f'got {num_classes}: set it, or give a folder '
                               'of masks a classes.json')
    return LabelSet(name, tuple(f'class {i}' for i in range(num_classes)),
                    voc_palette(num_classes), tuple(range(num_classes)))


def for_spec(spec: specs.DatasetSpec) -> LabelSet:
    """Returns the LabelSet of the masks of a DatasetSpec.

    Raises:
      UserError: the set is unknown, or does not have `spec.num_classes`
        classes.
    """
    if spec.classes:
        return _of_classes(spec.name or 'own', spec.classes)
    name = spec.label_set
    if not name and spec.source == 'shapes':
        name = 'shapes'
    if not name:
        return generic(spec.num_classes, spec.name or 'generic')
    found = label_set(name)
    if found.num_classes != spec.num_classes:
        raise errors.UserError(
            f'DatasetSpec.num_classes is {spec.num_classes}, but the label '
            f'set {name!r} has {found.num_classes} classes: set it to that')
    return found


def _of_classes(name: str, classes: Sequence[specs.ClassSpec]) -> LabelSet:
    """Returns the LabelSet of classes, train ids in their order."""
    train_ids = [-1] * (1 + max(c.id for c in classes))  # -1 is refused.
    for train_id, found in enumerate(classes):
        train_ids[found.id] = train_id
    return LabelSet(name, tuple(c.name for c in classes),
                    _colors(' '.join(c.color[1:] for c in classes)),
                    tuple(train_ids))


def map_labels(label_ids: npt.ArrayLike, name: str) -> np.ndarray:
    """Maps the ids of a mask to train ids.

    Args:
      label_ids: integers of any shape, such as a mask's uint8.
      name: of a label set: camvid (0..11, 11 is void), cityscapes
        (labelIds 0..33; -1 is 255 in a file), cityscapes_train_ids (0..18),
        ade20k (0..150, 0 is other), pascal_context_59, pascal_context_60
        (0..59, 0 is background, then as in 59_labels.txt), the same with
        _mmseg (alphabetical, as mmsegmentation writes them), shapes (0..5),
        nuclei (0..2).

    Returns:
      uint8 of the same shape: train ids, 255 ignored. 255 stays 255.

    Raises:
      UserError: the set is unknown, or an id lies outside it.
    """
    table = label_set(name).table
    label_ids = np.asarray(label_ids)
    if label_ids.dtype.kind not in 'ui':
        raise errors.UserError('map_labels: label_ids must be integers, got '
                               f'{label_ids.dtype}')
    within = (label_ids >= 0) & (label_ids < len(table))
    mapped = table[np.where(within, label_ids, 0)]
    wrong = ~within | (mapped < 0)
    if wrong.any():
        raise errors.UserError(
            f'map_labels: the id {label_ids[wrong].flat[0]} is outside the '
            f'label set {name!r} (0 to {len(label_set(name).train_ids) - 1}, '
            f'and {IGNORE})')
    return mapped.astype(np.uint8)


def paint(ids: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paints train ids [H, W] uint8 as [H, W, 3] uint8; ignored is black."""
    table = np.zeros((256, 3), np.uint8)
    table[:len(palette)] = palette
    return table[ids]


def voc_palette(num_classes: int) -> np.ndarray:
    """Returns the colors of the Pascal VOC color map.

    The bits of an id, lowest first, go to red, green and blue in turn, where
    they fill the highest bits first.

    Args:
      num_classes: C, at most 256.

    Returns:
      [C, 3] uint8, all distinct, the first one black.
    """
    ids = np.arange(num_classes)
    palette = np.zeros((num_classes, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (
                (ids >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def _colors(text: str) -> np.ndarray:
    return np.array([list(bytes.fromhex(word)) for word in text.split()],
                    np.uint8)


def _camvid():
    return (tables.CAMVID_NAMES, _colors(tables.CAMVID_COLORS),
            [*range(11), IGNORE])


def _cityscapes():
    train_ids = [IGNORE] * tables.CITYSCAPES_NUM_LABEL_IDS
    for train_id, label_id in enumerate(tables.CITYSCAPES_LABEL_IDS):
        train_ids[label_id] = train_id
    return (tables.CITYSCAPES_NAMES, _colors(tables.CITYSCAPES_COLORS),
            train_ids)


def _cityscapes_train_ids():
    class_names, palette, _ = _cityscapes()
    return class_names, palette, range(len(class_names))


def _ade20k():
    return (tables.ADE20K_NAMES, _colors(tables.ADE20K_COLORS),
            [IGNORE, *range(150)])


def _pascal_context_59(class_names=tables.PASCAL_CONTEXT_NAMES):
    # Pascal Context has no colors of its own: the VOC color map is usual.
    return class_names, voc_palette(60)[1:], [IGNORE, *range(59)]


def _pascal_context_60(class_names=tables.PASCAL_CONTEXT_NAMES):
    return ('background', *class_names), voc_palette(60), range(60)


def _shapes():
    return (tables.SHAPES_NAMES, _colors(tables.SHAPES_COLORS),
            range(len(tables.SHAPES_NAMES)))


def _nuclei():
    return (tables.NUCLEI_NAMES, _colors(tables.NUCLEI_COLORS),
            range(len(tables.NUCLEI_NAMES)))


_ALPHABETICAL = tuple(sorted(tables.PASCAL_CONTEXT_NAMES))
# Class names, palette and train ids of each set.
_SETS: dict[str, Callable[[], tuple[
        Sequence[str], np.ndarray, Sequence[int]]]] = {
    'camvid': _camvid,
    'cityscapes': _cityscapes,
    'cityscapes_train_ids': _cityscapes_train_ids,
    'ade20k': _ade20k,
    'pascal_context_59': _pascal_context_59,
    'pascal_context_60': _pascal_context_60,
    'pascal_context_59_mmseg': lambda: _pascal_context_59(_ALPHABETICAL),
    'pascal_context_60_mmseg': lambda: _pascal_context_60(_ALPHABETICAL),
    'shapes': _shapes,
    'nuclei': _nuclei,
}
