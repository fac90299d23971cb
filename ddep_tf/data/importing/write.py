"""Writes imported images and masks in the layout that the sources read."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib

import numpy as np
from PIL import Image

from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.data.importing import contract

EXIF_VIEWS = ('', 'upright', 'stored')
_ENDINGS = {'JPEG': '.jpg', 'MPO': '.jpg', 'PNG': '.png'}  # MPO: of phones.
_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')
_SIDEWAYS = 5  # From this EXIF orientation on, width and height change places.


@dataclasses.dataclass(frozen=True)
class Planned:
    """An image of the output.

    Attributes:
      item: contract.Item.
      id: stem of its files.
      split: name of its folder.
    """
    item: contract.Item
    id: str
    split: str


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written of an image.

    Attributes:
      planned: Planned.
      pixels: [256] int64, how many of each id its mask has; None without one.
    """
    planned: Planned
    pixels: np.ndarray | None


def write_image(planned: Planned, folder: pathlib.Path,
                ids: Mapping[str, int], background: int, exif: str,
                tally: contract.Tally, faults: contract.Faults) -> Written:
    """Writes an image, and its mask if it has labels.

    Args:
      planned: Planned.
      folder: of the output.
      ids, background: as of contract.Annotation.paint.
      exif: which view the labels fit where that cannot be seen: one of
        EXIF_VIEWS.
      tally: counts what is done.
      faults: of shapes that cannot be painted.

    Raises:
      UserError: the image or its labels cannot be used.
    """
    labels = planned.item.labels
    path = planned.item.image.path
    image_files.check_image(path)
    target = folder / 'images' / planned.split / planned.id
    target.parent.mkdir(parents=True, exist_ok=True)
    mask = None
    try:
        with image_files.opened(path) as image:
            view = _checked_view(planned.item, image, exif)
            if labels:  # First, so that no image stays without its mask.
                mask = labels.paint(ids, background, view.size, tally, faults)
            if view is image and image.format in _ENDINGS:
                target.with_name(
                    target.name + _ENDINGS[image.format]).write_bytes(
                        path.read_bytes())
            else:
                _save(view, image.format or '', target, tally)
    except image_files.BROKEN as error:
        if isinstance(error, errors.UserError):
            raise
        raise image_files.unreadable(path, error) from None
    if mask is None:
        return Written(planned, None)
    target = folder / 'masks' / planned.split / f'{planned.id}.png'
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(target)
    return Written(planned, np.bincount(mask.ravel(), minlength=256))


def write_sources(path: pathlib.Path, written: Sequence[Written]) -> None:
    """Writes which file each image was."""
    files.write_text(path, files.csv_text(
        ('split', 'id', 'source'),
        [{'split': w.planned.split, 'id': w.planned.id,
          'source': w.planned.item.image.name} for w in written]))


def _checked_view(item, image, exif):
    """Returns the image as it was labelled, decoded. UserError if it cannot
    be used."""
    image.load()
    path = item.image.path
    if image.mode not in _MODES:
        raise errors.UserError(f'the image {path} has values of the kind '
                               f'{image.mode}, not of 8 bits: save it with 8, '
                               'scaled to the intended range')
    size = item.labels.size if item.labels else None
    view = _view(item, image, size, exif, item.labels is not None)
    if size and size != view.size:
        raise errors.UserError(
            f'{item.where} is of {size[0]} x {size[1]} pixels, its image '
            f'{path} of {view.width} x {view.height}: take the image that was '
            'labelled')
    return view


def _view(item: contract.Item, image: Image.Image,
          size: tuple[int, int] | None, exif: str,
          has_labels: bool) -> Image.Image:
    """Returns the image itself, or the view of it that the labels fit.

    Raises:
      UserError: an EXIF tag turns it, and either view may be meant.
    """
    turn = image_files.orientation(image)
    if turn == 1:
        return image
    chosen = exif if has_labels else 'upright'
    if not chosen and size and turn >= _SIDEWAYS and (
            image.width != image.height):
        chosen = 'stored' if size == image.size else 'upright'
    if not chosen:
        raise errors.UserError(
            f'the image {item.image.path} has EXIF orientation {turn}, and its '
            'labels fit the turned and the stored pixels: see which in the '
            'tool, and give --exif=upright or --exif=stored')
    # Without the tag, so that nothing turns it again.
    if chosen == 'upright':
        return image_files.upright(image)
    return Image.fromarray(np.asarray(image.convert('RGB')))


def _save(view, file_format, target, tally):
    """Saves what cannot be copied, without EXIF."""
    view.info.pop('exif', None)
    if file_format in ('JPEG', 'MPO'):
        tally.turned += 1
        view.save(f'{target}.jpg', quality=95, subsampling=0)
        return
    tally.turned += file_format == 'PNG'
    tally.converted += file_format != 'PNG'
    if view.mode in ('CMYK', 'YCbCr'):
        view = view.convert('RGB')
    view.save(f'{target}.png')
