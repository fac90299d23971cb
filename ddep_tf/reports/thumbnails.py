"""Pictures of a report's page: photographs and masks as data URIs."""

import base64
import colorsys
import io
import os
import re

import numpy as np
from PIL import Image

from ddep_tf import specs
from ddep_tf.reports.html_elements import element

# Wide enough for a tile at twice the pixels; larger files would only weigh.
WIDEST = 544
# Below, blocks are shown as they are: a blurred 64-pixel mask misleads.
SMALL = 160


def samples(folder, run, kinds):
    """Returns {example id: {kind: path}} of a run's sample pictures.

    Args:
      folder: of the experiment.
      run: its name, the folder below `runs`.
      kinds: endings before .png, such as 'image'.
    """
    samples_dir = os.path.join(folder, 'runs', run, 'samples')
    found = {}
    if not os.path.isdir(samples_dir):
        return found
    pattern = re.compile(rf'(.+)_({"|".join(kinds)})\.png')
    for name in sorted(os.listdir(samples_dir)):
        match = pattern.fullmatch(name)
        if match:
            example, kind = match.groups()
            found.setdefault(example, {})[kind] = os.path.join(
                samples_dir, name)
    return found


def photo(path, alt, caption):
    """Returns a figure of an RGB file."""
    def read():
        with Image.open(path) as image:
            image = image.convert('RGB')
        image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        return image
    return _tile(path, read, alt, caption, None)


def mask(path, palette, alt, caption):
    """Returns a figure of a train-id file in the palette's colours.

    Ignored pixels are transparent: a chequered ground shows through, which
    no class can be mistaken for.
    """
    def read():
        with Image.open(path) as image:
            if image.mode not in ('L', 'P'):
                raise ValueError('not a single-channel picture')
            train_ids = np.asarray(image, np.uint8)
        return _coloured(train_ids, palette)
    return _tile(path, read, alt, caption, 'mask')


def row(tiles):
    """Returns tiles side by side; in twos or threes on narrow screens."""
    narrow = 3 if len(tiles) == 3 else 2
    return element('div', *tiles, class_='row',
                   style=f'--tiles: {len(tiles)}; --narrow: {narrow}')


def legend(class_names, palette):
    """Returns the list of classes with their colours."""
    colours = full_palette(palette)
    items = [element('li', element('span', style='background: rgb({}, {}, {})'
                                   .format(*colours[index])), name)
             for index, name in enumerate(class_names)]
    items.append(element('li', element('span', class_='ignored'),
                         'ignored: not counted'))
    return element('ul', *items, class_='legend')


def file_uri(path):
    """Returns a PNG file as a data URI."""
    with open(path, 'rb') as file:
        return _uri(file.read(), 'png')


def full_palette(palette):
    """Returns [256, 3] uint8: the palette, and colours for ids beyond it."""
    colours = [tuple(colour) for colour in palette]
    for index in range(len(colours), 256):
        # Steps of the golden ratio: neighbouring ids differ in hue.
        shade = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9)
        colours.append(tuple(round(255 * part) for part in shade))
    return np.array(colours[:256], np.uint8)


def _coloured(train_ids, palette):
    """Returns [H, W] uint8 train ids as a palette picture, 255 transparent."""
    image = Image.fromarray(train_ids, 'L')
    if image.width > WIDEST:
        height = round(image.height * WIDEST / image.width)
        image = image.resize((WIDEST, height), Image.Resampling.NEAREST)
    image.putpalette(full_palette(palette).tobytes())
    image.info['transparency'] = specs.IGNORE_LABEL
    return image


def _tile(path, read, alt, caption, class_):
    try:
        image = read()
    except (OSError, ValueError) as error:
        # A run that is writing just now must not take the page with it.
        shown = element('div', f'{os.path.basename(path)} cannot be read: '
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
    # JPEG would smooth the noise of small crops and the edges of masks.
    if image.mode == 'P' or max(image.size) <= 256:
        image.save(data, 'PNG', optimize=True)
        return _uri(data.getvalue(), 'png')
    image.save(data, 'JPEG', quality=88)
    return _uri(data.getvalue(), 'jpeg')


def _uri(data, kind):
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
