"""Images and masks to measure speed on: drawn, not read, of natural sizes."""

from collections.abc import Sequence
import os

import numpy as np
from PIL import Image

from ddep_tf import files

_GRAIN = 8  # Side of the blocks of color, pixels.
_NOISE = 10  # Deviation, of 255: files are as large as those of photos.


def bindings(classes: int) -> list[str]:
    """Returns the gin bindings that name the images of `write` as data.

    Args:
      classes: of the masks.
    """
    fields = {'name': 'generated', 'source': 'folder', 'path': '',
              'image_dir': 'images/{split}', 'label_dir': 'masks/{split}',
              'val_split': 'val', 'num_classes': classes}
    return ['RunSpec.data = (@generated/DatasetSpec(),)',
            *(f'generated/DatasetSpec.{name} = {value!r}'
              for name, value in fields.items())]


def write(folder: str | os.PathLike, split: str, count: int,
          size: Sequence[int], classes: int) -> None:
    """Writes JPEGs, with masks beside them.

    Args:
      folder: root folder of the data.
      split: 'train' or 'val'.
      count: number of images.
      size: (height, width) of each.
      classes: of the masks.
    """
    rng = np.random.default_rng(0)
    for kind in ('images', 'masks'):
        files.path(folder, kind, split).mkdir(parents=True)
    for i in range(count):
        image = _blocks(rng.integers(256, size=(*_cells(size), 3)), size)
        image = image + rng.normal(0, _NOISE, image.shape)
        mask = _blocks(rng.integers(classes, size=_cells(size)), size)
        for kind, ending, array in (('images', 'jpg', image),
                                    ('masks', 'png', mask)):
            path = files.path(folder, kind, split, f'{i:04d}.{ending}')
            with path.open('wb') as file:
                Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)).save(
                    file, 'JPEG' if ending == 'jpg' else 'PNG', quality=90)


def _cells(size):
    return tuple(-(-side // _GRAIN) for side in size)


def _blocks(cells, size):
    """Enlarges each cell to a block of pixels; cuts to `size`."""
    height, width = size
    return cells.repeat(_GRAIN, 0).repeat(_GRAIN, 1)[:height, :width]
