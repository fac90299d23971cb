"""What prediction writes of each image, and of all; nothing is replaced."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
import pathlib

import numpy as np

from ddep_tf import errors, files
from ddep_tf.data import image_files, labels, legend, photos


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An image and what a network says of it.

    Attributes:
      image: [H, W, 3] uint8.
      ids: [H, W] uint8, the train id of the most probable class.
      probabilities: [H, W, C] float32, or None where nothing takes them.
    """
    image: np.ndarray
    ids: np.ndarray
    probabilities: np.ndarray | None = None


def _write_ids(path, found, label_set):
    del label_set
    image_files.write_png(path, found.ids)


def _write_color(path, found, label_set):
    image_files.write_png(path, labels.paint(found.ids, label_set.palette))


def _write_palette(path, found, label_set):
    image_files.write_png(path, found.ids, label_set.palette)


def _write_overlay(path, found, label_set):
    colors = labels.paint(found.ids, label_set.palette)
    mixed = (found.image.astype(np.uint16) + colors) // 2
    image_files.write_png(path, mixed.astype(np.uint8))


def _write_label_ids(path, found, label_set):
    image_files.write_png(path, label_set.source_ids[found.ids])


def _write_probabilities(path, found, label_set):
    with (files.replacing(path) as temporary,
          temporary.open('wb') as file):
        np.savez_compressed(
            file, probabilities=found.probabilities.astype(np.float16),
            class_names=np.array(label_set.class_names))


Write = Callable[[pathlib.Path, Prediction, labels.LabelSet], None]
# What there is of each image, and how the names of its files end.
_OF_EACH: dict[str, tuple[str, Write]] = {
    'ids': ('.png', _write_ids),
    'colour': ('_colour.png', _write_color),
    'palette': ('_palette.png', _write_palette),
    'overlay': ('_overlay.png', _write_overlay),
    'label_ids': ('_label_ids.png', _write_label_ids),
    'probabilities': ('_probabilities.npz', _write_probabilities),
}
_OF_ALL = {'legend': 'legend.png', 'summary': 'summary.csv'}
KINDS = (*_OF_EACH, *_OF_ALL)
DEFAULT = ('ids', 'colour')


class PredictionFiles:
    """The files of a folder.

    Attributes:
      count: images that were written.

    Args:
      output_dir: the folder; made when the first file is written.
      kinds: of KINDS.
      label_set: LabelSet of the train ids.

    Raises:
      UserError: there is no such kind, or none is asked for.
    """

    def __init__(self, output_dir: str | os.PathLike, kinds: Sequence[str],
                 label_set: labels.LabelSet):
        for kind in kinds or ('',):
            if kind not in KINDS:
                raise errors.UserError(f'--write: {kind!r} is none of '
                                       f'{", ".join(KINDS)}')
        self.count = 0
        self._folder = files.path(output_dir)
        self._kinds = tuple(dict.fromkeys(kinds))
        self._label_set = label_set
        self._made: set[pathlib.Path] = set()
        self._rows: list[tuple] = []  # Name, width, height, [C] pixels.

    @property
    def takes_probabilities(self) -> bool:
        """Whether a file is written of a Prediction's probabilities."""
        return 'probabilities' in self._kinds

    def check(self, found: Sequence[photos.Photo]) -> None:
        """Checks that no file would replace an image or another file.

        Raises:
          UserError: one would.
        """
        resolved = functools.cache(lambda folder: folder.resolve())

        def place(path):  # A link is replaced, not what it leads to.
            return resolved(path.parent) / path.name
        taken: dict[pathlib.Path, pathlib.Path | str] = {}
        for photo in found:
            taken[place(photo.path)] = photo.path
            taken[photo.path.resolve()] = photo.path
        for kind in self._kinds:
            if kind in _OF_ALL:
                _take(place(self._of_all(kind)), f'--write={kind}', taken)
        for photo in found:
            if not photo.is_video:
                for _, target in self._files(photo.name):
                    _take(place(target), photo.path, taken)
        # The frames of a video have a folder of their own.
        taken |= {path.parent: other for path, other in taken.items()}
        for photo in found:
            if photo.is_video:
                _take(place(self._folder / photo.name), photo.path, taken)

    def write(self, name: pathlib.PurePath, found: Prediction) -> None:
        """Writes what is asked for of one image. OSError if it cannot."""
        for kind, target in self._files(name):
            if target.parent not in self._made:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(target.parent)
            _OF_EACH[kind][1](target, found, self._label_set)
        self.count += 1
        if 'summary' in self._kinds:
            pixels = np.bincount(found.ids.ravel(),
                                 minlength=self._label_set.num_classes)
            self._rows.append((
                files.printable(name.as_posix()), *found.ids.shape[::-1],
                pixels.astype(np.uint32)))

    def finish(self) -> None:
        """Writes what is asked for of all images. OSError if it cannot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if 'legend' in self._kinds:
            image_files.write_png(
                self._of_all('legend'), legend.draw(
                    self._label_set.class_names, self._label_set.palette))
        if 'summary' in self._kinds:
            files.write_text(self._of_all('summary'), _summary(
                self._label_set.class_names, self._rows))

    def _files(self, name):
        """Returns [(kind, path)] of an image's files."""
        return [(kind, self._folder / name.parent / (
            name.name + _OF_EACH[kind][0]))
            for kind in self._kinds if kind in _OF_EACH]

    def _of_all(self, kind):
        return self._folder / _OF_ALL[kind]


def _take(target, owner, taken):
    """Notes whose file a path will be. UserError if it is taken."""
    if target in taken:
        raise errors.UserError(f'{target} of {owner} would replace that of '
                               f'{taken[target]}: choose another --output_dir')
    taken[target] = owner


def _summary(class_names, rows):
    # A class may be called 'width'.
    columns = ['image', 'width', 'height',
               *(f'{name} pixels' for name in class_names)]
    return files.csv_text(columns, (
        dict(zip(columns, [*row[:3], *row[3]])) for row in rows))
