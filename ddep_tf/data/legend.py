"""A picture of the classes' names beside their colors. No TF."""

from collections.abc import Sequence
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FONT, _FONT_SIZE = 'DejaVu Sans', 16  # Comes with matplotlib.
_ROW, _GAP, _MOST_ROWS = 26, 8, 40  # Pixels, pixels, classes of a column.
_LONGEST = 40  # Characters of a name.
_TEXT, _EDGE = '#24292f', '#8a929c'


def draw(class_names: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """Draws a legend.

    Args:
      class_names: C names, in the order of the train ids.
      palette: [C, 3] uint8 RGB.

    Returns:
      [H, W, 3] uint8.
    """
    from matplotlib import font_manager  # 0.3 s, for those who draw one.
    font = ImageFont.truetype(font_manager.findfont(_FONT), _FONT_SIZE)
    names = [_short(name) for name in class_names]
    rows = min(len(names), _MOST_ROWS)
    column = 3 * _GAP + _ROW + math.ceil(max(map(font.getlength, names)))
    image = Image.new('RGB', (column * math.ceil(len(names) / rows) + _GAP,
                              rows * _ROW + 2 * _GAP), 'white')
    painter = ImageDraw.Draw(image)
    for index, (name, color) in enumerate(zip(names, palette.tolist())):
        left = _GAP + index // rows * column
        top = _GAP + index % rows * _ROW
        painter.rectangle((left, top + 3, left + _ROW, top + _ROW - 3),
                          tuple(color), _EDGE)
        painter.text((left + _ROW + _GAP, top + _ROW / 2), name, _TEXT, font,
                     anchor='lm')
    return np.asarray(image)


def _short(name):
    name = ' '.join(name.split())  # A text of two lines has no length.
    return name if len(name) <= _LONGEST else f'{name[:_LONGEST - 1]}…'
