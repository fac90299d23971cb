"""What a reader makes of an export, and how faults in it are met. No TF."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import pathlib
from typing import Protocol

import numpy as np

from ddep_tf import errors
from ddep_tf.data.importing import images, shapes

IGNORE = 'ignore'  # What --map and --background call ignored pixels.
BACKGROUND = 'background'


@dataclasses.dataclass(frozen=True)
class Label:
    """A class as an export has it.

    Attributes:
      key: what annotations call it: a name, or the value of a mask's pixels,
        such as '7' or '#ff0000'.
      name: of the class; '' where the export has values alone.
      color: '#rrggbb', '' where the export has none.
      is_ignored: whether its pixels are ignored unless --map says otherwise.
    """
    key: str
    name: str = ''
    color: str = ''
    is_ignored: bool = False


@dataclasses.dataclass(frozen=True)
class Region:
    """A shape of one class.

    Attributes:
      label: key of its Label.
      shape: shapes.Shape.
      where: its place in the export, for messages.
    """
    label: str
    shape: shapes.Shape
    where: str


@dataclasses.dataclass
class Tally:
    """What is counted while images and masks are written.

    Attributes:
      overlap_pixels: painted by two shapes of different classes.
      overlap_images: images with such pixels.
      clipped: shapes that reach beyond their image.
      hidden: shapes so small that they cover the center of no pixel.
      turned: images that were saved upright, as their EXIF tag says.
      converted: images that were saved as PNG.
    """
    overlap_pixels: int = 0
    overlap_images: int = 0
    clipped: int = 0
    hidden: int = 0
    turned: int = 0
    converted: int = 0


class Faults:
    """What is wrong with an export: the first fault ends the import, or all
    are counted and listed.

    Args:
      skip: list them.

    Attributes:
      lines: those of the faults so far.
    """

    def __init__(self, skip: bool):
        self._skip = skip
        self.lines: list[str] = []

    @contextlib.contextmanager
    def left_out(self) -> Iterator[None]:
        """What the block does is left out if it raises a UserError."""
        try:
            yield
        except errors.UserError as error:
            if not self._skip:
                raise
            self.lines.append(' '.join(str(error).split()))

    @contextlib.contextmanager
    def shape_at(self, where: str) -> Iterator[None]:
        """The block makes a shape, which is left out if it has no area.

        Args:
          where: its place in the export.

        Raises:
          UserError: for anything else that is wrong with it: without the
            shape, its pixels would count as background.
        """
        try:
            yield
        except shapes.TooFewPoints as error:
            with self.left_out():
                raise errors.UserError(f'{where} {error}: remove it, or give '
                                       '--skip_bad') from None
        except errors.UserError as error:
            raise errors.UserError(f'{where} {error}: correct it, or give '
                                   '--skip_bad') from None


class Annotation(Protocol):
    """The labels of one image."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the image as the export says; None if it does
        not."""

    @property
    def is_empty(self) -> bool:
        """Whether the image was opened and nothing in it was labelled."""

    def label_keys(self) -> set[str]:
        """Returns the keys of the Labels in it. UserError if unreadable."""

    def paint(self, ids: Mapping[str, int], background: int,
              size: tuple[int, int], tally: Tally,
              faults: Faults) -> np.ndarray:
        """Returns the mask.

        Args:
          ids: {key of a label: id}.
          background: id of the pixels that no shape covers.
          size: (width, height) of the image.
          tally: counts what is done.
          faults: of shapes that cannot be painted.

        Returns:
          [height, width] uint8.

        Raises:
          UserError: the labels cannot be read.
        """


@dataclasses.dataclass(frozen=True)
class Item:
    """An image of an export.

    Attributes:
      image: its file.
      where: its place in the export, for messages.
      labels: Annotation; None if it has none.
      split: 'train', 'val' or 'test'; '' if the export has none.
    """
    image: images.ImageFile
    where: str
    labels: Annotation | None = None
    split: str = ''


def keys_of(items: Iterable[Item]) -> list[str]:
    """Returns the keys of the Labels in them, sorted."""
    return sorted({key for item in items if item.labels
                   for key in item.labels.label_keys()})


@dataclasses.dataclass(frozen=True)
class Export:
    """What a reader found.

    Attributes:
      items: images that the export names; those of the folder that it does
        not name follow from the index.
      labels: the classes, in the order of their ids.
      has_background: whether pixels without a label are a class of their own,
        as where shapes are drawn; not in masks, which label every pixel.
      notes: lines about what was found, for the person.
    """
    items: Sequence[Item]
    labels: Sequence[Label]
    has_background: bool
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Request:
    """What a reader is given.

    Attributes:
      input: file or folder of the export.
      index: the images.
      faults: meets what is wrong.
      mask_suffix: how the names of plain masks end.
    """
    input: pathlib.Path
    index: images.ImageIndex
    faults: Faults
    mask_suffix: str = '.png'


class Reader(Protocol):
    """Reads the exports of one tool."""

    def __call__(self, request: Request) -> Export:
        """Returns the Export. UserError for what cannot be read."""


@dataclasses.dataclass(frozen=True)
class Regions:
    """An Annotation made of shapes; later ones are painted over earlier ones.

    Attributes:
      regions: in the order of painting.
      size: as of Annotation.
    """
    regions: Sequence[Region]
    size: tuple[int, int] | None = None

    @property
    def is_empty(self) -> bool:
        return not self.regions

    def label_keys(self) -> set[str]:
        return {region.label for region in self.regions}

    def paint(self, ids, background, size, tally, faults):
        width, height = size
        canvas = np.full((height, width), -1, np.int16)  # -1 is not covered.
        overlaps = 0
        for region in self.regions:
            with faults.left_out():
                overlaps += _paint(region, ids[region.label], canvas, tally)
        tally.overlap_pixels += overlaps
        tally.overlap_images += bool(overlaps)
        canvas[canvas < 0] = background
        return canvas.astype(np.uint8)


def _paint(region, label_id, canvas, tally):
    """Paints a region; returns how many pixels had another class before."""
    height, width = canvas.shape
    left, top, right, bottom = region.shape.bounds
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise errors.UserError(
            f'{region.where} ({region.label}) lies outside the image of '
            f'{width} x {height} pixels: correct it, or give --skip_bad')
    # A tool that rounds may put a border half a pixel too far.
    tally.clipped += min(left, top) < -0.5 or right > width + 0.5 or (
        bottom > height + 0.5)
    patch = region.shape.draw(height, width)
    tally.hidden += not patch.pixels.any()
    window = canvas[patch.top:, patch.left:][:patch.pixels.shape[0],
                                             :patch.pixels.shape[1]]
    covered = window[patch.pixels]
    window[patch.pixels] = label_id
    return int(((covered >= 0) & (covered != label_id)).sum())
