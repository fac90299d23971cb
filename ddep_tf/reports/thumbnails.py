"""The pictures of a report's page: photos and masks as data URIs."""

import base64
from collections.abc import Callable, Sequence
import colorsys
import io
import os

import numpy as np
from PIL import Image

from ddep_tf import files, specs
from ddep_tf.data import image_files
from ddep_tf.reports.html_elements import Html, details, element

Palette = Sequence[Sequence[int]]  # RGB of the classes, 0 to 255.

# A tile at two pixels per CSS pixel; more would only make the page heavier.
WIDEST = 544
# Up to this side, enlarged pixels stay sharp: a blurred 64-pixel mask misleads.
SMALL = 160
_MANY = 40  # Classes of a legend that is not folded.
_SQUARE = 8  # Pixels of a checker over ignored ones.


def photo(path: str, alt: str, caption: str) -> Html:
    """Returns a figure of an RGB file."""
    def read():
        with image_files.opened(path) as file:
            image = file.convert('RGB')
        image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        return image
    return _tile(path, read, alt, caption, None)


def mask(path: str, palette: Palette, alt: str, caption: str) -> Html:
    """Returns a figure of a file of train ids, in the palette's colors.

    Ignored pixels are transparent, and show a checkered background that
    cannot be mistaken for a class.
    """
    def read():
        with image_files.opened(path) as image:
            if image.mode not in ('L', 'P'):
                raise ValueError('not a single-channel picture')
            train_ids = np.asarray(image, np.uint8)
        return _colored(train_ids, palette)
    return _tile(path, read, alt, caption, 'mask')


def overlay(path: str, train_ids: np.ndarray, palette: Palette, alt: str,
            caption: str) -> Html:
    """Returns a figure of an RGB file with its classes shining through.

    Args:
      path: of the image.
      train_ids: [H, W] uint8; ignored pixels are checkered.
      palette: RGB of the classes.
      alt, caption: texts.
    """
    def read():
        with image_files.opened(path) as file:
            image = file.convert('RGB')
        image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        ids = np.asarray(Image.fromarray(train_ids).resize(
            image.size, Image.Resampling.NEAREST))
        y, x = np.indices(ids.shape) // _SQUARE
        checkers = np.where((x + y) % 2, 0xdd, 0x99)[..., np.newaxis]
        colors = np.where((ids == specs.IGNORE_LABEL)[..., np.newaxis],
                          checkers, full_palette(palette)[ids])
        mixed = (np.asarray(image, np.uint16) + colors) // 2
        return Image.fromarray(mixed.astype(np.uint8))
    return _tile(path, read, alt, caption, None)


def row(tiles: Sequence[Html], group: str | None = None) -> Html:
    """Returns tiles side by side; two or three per row on narrow screens.

    Args:
      tiles: figures.
      group: of rows that the page compares, what they have in common.
    """
    narrow = 3 if len(tiles) == 3 else 2
    return element('div', *tiles, class_='row', data_group=group,
                   style=f'--tiles: {len(tiles)}; --narrow: {narrow}')


def legend(class_names: Sequence[str], palette: Palette) -> Html:
    """Returns the list of classes with their colors, a long one folded."""
    colors = full_palette(palette)
    items = [element('li', element('span', style='background: rgb({}, {}, {})'
                                   .format(*colors[index])), name)
             for index, name in enumerate(class_names)]
    items.append(element('li', element('span', class_='ignored'),
                         'ignored: not counted'))
    shown = element('ul', *items, class_='legend')
    return shown if len(class_names) <= _MANY else details(
        f'Colors of the {len(class_names)} classes', shown)


def file_uri(path: str | os.PathLike) -> str:
    """Returns a PNG file as a data URI."""
    return _uri(files.path(path).read_bytes(), 'png')


def full_palette(palette: Palette) -> np.ndarray:
    """Returns [256, 3] uint8: the palette, and colors for ids beyond it."""
    colors = [tuple(color) for color in palette]
    for index in range(len(colors), 256):
        # Steps of the golden ratio give neighboring ids different hues.
        shade = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9)
        colors.append(tuple(round(255 * part) for part in shade))
    return np.array(colors[:256], np.uint8)


def _colored(train_ids: np.ndarray, palette: Palette) -> Image.Image:
    """Returns [H, W] uint8 train ids as a palette picture, 255 transparent."""
    image = Image.fromarray(train_ids, 'L')
    if image.width > WIDEST:
        height = round(image.height * WIDEST / image.width)
        image = image.resize((WIDEST, height), Image.Resampling.NEAREST)
    image.putpalette(full_palette(palette).tobytes())
    image.info['transparency'] = specs.IGNORE_LABEL
    return image


def _tile(path: str, read: Callable[[], Image.Image], alt: str, caption: str,
          class_: str | None) -> Html:
    try:
        image = read()
    except (OSError, ValueError) as error:
        # The run may be writing the file right now.
        shown = element('div', f'{files.path(path).name} cannot be read: '
                        f'{type(error).__name__}', class_='lost')
    else:
        small = max(image.size) <= SMALL
        classes = [class_, 'pixels' if small else None]
        shown = element(
            'img', src=_encoded(image), alt=alt, width=image.width,
            height=image.height,
            class_=' '.join(filter(None, classes)) or None)
    return element('figure', shown, element('figcaption', caption))


def _encoded(image):
    data = io.BytesIO()
    # JPEG would smooth the noise in small crops and the edges of masks.
    if image.mode == 'P' or max(image.size) <= 256:
        image.save(data, 'PNG', optimize=True)
        return _uri(data.getvalue(), 'png')
    image.save(data, 'JPEG', quality=88)
    return _uri(data.getvalue(), 'jpeg')


def _uri(data, kind):
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
