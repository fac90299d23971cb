"""Shapes of annotation tools, painted as pixels. NumPy only.

The pixel of column c and row r covers [c, c + 1) x [r, r + 1): a shape covers
it if its center (c + 0.5, r + 0.5) lies inside. A polygon that crosses itself
is filled by the even-odd rule, as COCO's own code does.
"""

import abc
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from ddep_tf import errors

Bounds = tuple[float, float, float, float]


class TooFewPoints(errors.UserError):
    """A polygon without an area: the rest of the image can be used."""


@dataclasses.dataclass(frozen=True)
class Patch:
    """A part of a mask.

    Attributes:
      top, left: row and column of its first pixel in the image.
      pixels: [h, w] bool, within the image.
    """
    top: int
    left: int
    pixels: np.ndarray


class Shape(abc.ABC):
    """A shape in the coordinates of an image, x to the right, y down."""

    @property
    @abc.abstractmethod
    def bounds(self) -> Bounds:
        """(left, top, right, bottom)."""

    @abc.abstractmethod
    def draw(self, height: int, width: int) -> Patch:
        """Returns the pixels of an image of this size that it covers."""

    def _window(self, height, width):
        """Returns (top, left, h, w) of the pixels that it may cover."""
        # Cut first: coordinates may be larger than any integer type.
        left, right = (math.floor(min(max(x, 0), width))
                       for x in self.bounds[::2])
        top, bottom = (math.floor(min(max(y, 0), height))
                       for y in self.bounds[1::2])
        return (top, left, min(bottom + 1, height) - top,
                min(right + 1, width) - left)


class Polygon(Shape):
    """A closed polygon.

    Args:
      points: n pairs (x, y), at least three.

    Raises:
      UserError: a coordinate is no finite number.
      TooFewPoints: there are fewer than three.
    """

    def __init__(self, points: Sequence[Sequence[Any]]):
        self._points = finite(points)
        if len(self._points) < 3:
            raise TooFewPoints(f'is a polygon of {len(self._points)} points, '
                               'not three or more')

    @property
    def bounds(self):
        return (*self._points.min(0).tolist(), *self._points.max(0).tolist())

    def draw(self, height, width):
        top, left, h, w = self._window(height, width)
        # Each edge flips all pixels to the right of where it crosses a row.
        flips = np.zeros((h, w + 1), np.int32)
        starts = self._points - (left + 0.5, top + 0.5)
        for (x0, y0), (x1, y1) in zip(starts, np.roll(starts, -1, 0)):
            first, last = (math.ceil(min(max(y, 0), h))
                           for y in sorted((y0, y1)))
            rows = np.arange(first, last)
            if rows.size:
                x = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
                columns = np.ceil(np.clip(x, 0, w)).astype(int)
                flips[rows, columns] += 1  # A row occurs once in `rows`.
        return Patch(top, left, flips.cumsum(1)[:, :w] % 2 == 1)


def box(left: Any, top: Any, width: Any, height: Any,
        rotation: Any = 0, pivot: tuple[float, float] = (0.5, 0.5)) -> Polygon:
    """Returns a box.

    Args:
      left, top, width, height: before the rotation.
      rotation: degrees, clockwise as one sees it.
      pivot: fixed point of the rotation, as a fraction of width and height.

    Raises:
      UserError: one of them is no finite number.
    """
    (left, top), (width, height), (angle, _) = finite(
        [(left, top), (width, height), (rotation, 0)])
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x0, y0 = left + pivot[0] * width, top + pivot[1] * height
    offsets = [((fx - pivot[0]) * width, (fy - pivot[1]) * height)
               for fx, fy in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return Polygon([(x0 + cos * dx - sin * dy, y0 + sin * dx + cos * dy)
                    for dx, dy in offsets])


class Ellipse(Shape):
    """An ellipse.

    Args:
      center: (x, y).
      radii: along its own axes, (x, y).
      rotation: degrees, clockwise as one sees it.

    Raises:
      UserError: one of them is no finite number.
    """

    def __init__(self, center: Sequence[Any], radii: Sequence[Any],
                 rotation: Any = 0):
        self._center, self._radii, (angle, _) = finite(
            [center, radii, (rotation, 0)])
        self._radii = np.abs(self._radii)
        self._cos = math.cos(math.radians(angle))
        self._sin = math.sin(math.radians(angle))

    @property
    def bounds(self):
        (x, y), (rx, ry) = self._center.tolist(), self._radii.tolist()
        half_width = math.hypot(rx * self._cos, ry * self._sin)
        half_height = math.hypot(rx * self._sin, ry * self._cos)
        return x - half_width, y - half_height, x + half_width, y + half_height

    def draw(self, height, width):
        top, left, h, w = self._window(height, width)
        x = np.arange(w) + left + 0.5 - self._center[0]
        y = (np.arange(h) + top + 0.5 - self._center[1])[:, np.newaxis]
        along = self._cos * x + self._sin * y
        across = self._cos * y - self._sin * x
        rx, ry = self._radii
        # Not divided: a radius may be 0.
        return Patch(top, left, (along * ry) ** 2 + (across * rx) ** 2
                     < (rx * ry) ** 2)


class Bitmap(Shape):
    """Pixels.

    Args:
      pixels: [h, w] bool.
      left, top: where the first one lies in the image, whole numbers.
    """

    def __init__(self, pixels: np.ndarray, left: int = 0, top: int = 0):
        self._pixels, self._left, self._top = pixels, left, top

    @property
    def bounds(self):
        h, w = self._pixels.shape
        return self._left, self._top, self._left + w, self._top + h

    def draw(self, height, width):
        top, left = max(self._top, 0), max(self._left, 0)
        inside = self._pixels[top - self._top:max(height - self._top, 0),
                              left - self._left:max(width - self._left, 0)]
        return Patch(top, left, inside)


def finite(points: Any) -> np.ndarray:
    """Returns [n, 2] float64. UserError for what is no finite number."""
    try:
        array = np.array(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        array = np.full((1, 2), np.nan)
    # A square beyond what a float holds would be taken for no area.
    if not (np.abs(array) < 1e12).all():
        raise errors.UserError('has a coordinate that is no finite number')
    return array
