"""Brings the export of an annotation tool into the layout of a folder set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np
import tqdm

from ddep_tf import errors, files
from ddep_tf.data import class_files
from ddep_tf.data.importing import (
    classes,
    coco,
    contract,
    cvat,
    images,
    label_studio,
    labelme,
    mask_files,
    names,
    splits,
    write,
)

READERS: Mapping[str, contract.Reader] = {
    'coco': coco.read, 'labelme': labelme.read, 'cvat': cvat.read,
    'label_studio': label_studio.read, 'voc': mask_files.read_voc,
    'masks': mask_files.read_plain}
_IS_IMAGE = {'cvat': mask_files.is_photo, 'voc': mask_files.is_photo,
             'label_studio': label_studio.is_photo}
EMPTY = ('unlabelled', 'background')


@dataclasses.dataclass(frozen=True)
class Options:
    """What is imported, and how.

    Attributes:
      kind: one of READERS.
      input: file or folder of the export.
      images: folder of the images; None takes the export's own.
      output: folder, new or empty.
      renamed: {label: name}; the name 'ignore' ignores.
      background: name of the class of pixels that no shape covers.
      empty: what an image is in which nothing was labelled, one of EMPTY.
      exif: one of write.EXIF_VIEWS.
      mask_suffix: how the names of plain masks end.
      resplit: splits anew what the export has split.
      group_by: regular expression; see splits.group_of.
      val, test, seed: see splits.by_hash.
      skip_bad: leaves out what cannot be used, and lists it.
    """
    kind: str
    input: pathlib.Path
    output: pathlib.Path
    images: pathlib.Path | None = None
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    background: str = contract.BACKGROUND
    empty: str = EMPTY[0]
    exif: str = ''
    mask_suffix: str = '.png'
    resplit: bool = False
    group_by: str = ''
    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    skip_bad: bool = False


def import_labels(options: Options) -> list[str]:
    """Writes images/SPLIT, masks/SPLIT, classes.json and sources.csv.

    Images without labels go to images/unlabelled. The folder is written whole
    or not at all.

    Args:
      options: Options.

    Returns:
      Lines that say what was done.

    Raises:
      UserError: something cannot be used, or what it means is not clear.
    """
    if not options.input.exists():
        raise errors.UserError(f'--input {options.input}: no such file or '
                               'folder')
    if options.input.suffix.lower() in ('.zip', '.tar', '.gz'):
        raise errors.UserError(f'--input {options.input}: unpack it, and name '
                               'the folder')
    root = _image_root(options)
    if root.resolve() in options.output.resolve().parents:
        raise errors.UserError(
            f'--output {options.output} lies in {root}, where its images would '
            "be taken for the export's: name a folder beside it")
    faults = contract.Faults(options.skip_bad)
    tally = contract.Tally()
    with files.new_folder(options.output) as folder:
        index = images.ImageIndex(root, _image_test(options))
        export = READERS[options.kind](contract.Request(
            options.input, index, faults, options.mask_suffix))
        found = classes.resolve(export, options.renamed, options.background)
        items = _all_items(export, index, options.empty, faults)
        kept, planned, held = _plan(items, options, faults)
        written = _write(planned, folder, found, options, tally, faults)
        class_files.write(folder / class_files.NAME, found.specs)
        write.write_sources(folder / 'sources.csv', written)
    notes = [*export.notes, *_notes(tally)]
    if held:
        notes.append('unlabelled images that were left out, since --group_by '
                     f'finds them in groups of val or test: {held}')
    if kept:
        notes.append("the splits are the export's own")
        if not any(w.planned.split == 'val' for w in written):
            notes.append('none of them is val, to validate on: --resplit makes '
                         'one')
    return list(_summary(found, written, notes, faults.lines))


def _image_root(options):
    """Returns the folder below which the images are looked for."""
    if options.images:
        return options.images
    root = options.input if options.input.is_dir() else options.input.parent
    if options.kind == 'masks':
        if not (root / 'images').is_dir():
            raise errors.UserError(f'--input {root} holds no folder images: '
                                   'give --images=FOLDER')
        return root / 'images'
    if not options.input.is_dir() and root.name == 'annotations':
        return root.parent  # As COCO itself is unpacked.
    return root


def _image_test(options) -> Callable[[pathlib.PurePath], bool]:
    """Returns a function that tells images from masks beside them."""
    suffix = options.mask_suffix.lower()
    if options.kind == 'masks':
        root = _image_root(options).resolve()
        masks = mask_files.plain_folder(options.input).resolve()
        if suffix not in images.SUFFIXES:
            masks = root  # Such a name is a mask's anywhere.
        elif root not in masks.parents:
            return lambda path: True
        return lambda path: not (path.name.lower().endswith(suffix)
                                 and masks in (root / path).parents)
    return _IS_IMAGE.get(options.kind, lambda path: True)


def _all_items(export, index, empty, faults):
    """Returns the images of the export, then the others, as they are used."""
    by_name: dict[str, contract.Item] = {}
    for item in export.items:
        with faults.left_out():
            other = by_name.setdefault(item.image.name, item)
            if other is not item:
                raise errors.UserError(f'{item.where} and {other.where} are '
                                       f'both of the image {item.image.name}: '
                                       'remove one')
    for image in index:
        by_name.setdefault(image.name, contract.Item(image, str(image.path)))
    if not by_name:
        raise errors.UserError(f'{index.root} holds no image '
                               f'({", ".join(images.SUFFIXES)})')
    return [dataclasses.replace(item, labels=None)
            if item.labels and item.labels.is_empty and empty == EMPTY[0]
            else item for item in by_name.values()]


def _plan(items: Sequence[contract.Item], options: Options,
          faults: contract.Faults) -> tuple[bool, list[write.Planned], int]:
    """Returns (whether splits are kept, the images of the output, how many
    unlabelled ones are left out, which are of one group with others that a
    model is measured on)."""
    taken: dict[str, contract.Item] = {}
    chosen = []
    for item in items:
        file_id = names.file_id(item.image.name)
        with faults.left_out():
            other = taken.setdefault(names.collision_key(file_id), item)
            if other is not item:
                raise errors.UserError(
                    f'the images {other.image.path} and {item.image.path} '
                    f'would both be called {file_id}: rename one of them')
            chosen.append((item, file_id))
    labelled = [(item, file_id) for item, file_id in chosen if item.labels]
    if not labelled:
        raise errors.UserError(f'--input {options.input}: no image has labels'
                               + ('' if options.empty == EMPTY[1] else
                                  '; --empty=background takes those in which '
                                  'nothing was drawn as labelled'))
    of_split = [item.split for item, _ in labelled]
    kept = not options.resplit and splits.kept(
        of_split, [item.image.name for item, _ in labelled])
    groups = {file_id: splits.group_of(options.group_by, item.image.name,
                                       required=item.labels is not None)
              if options.group_by and not kept else file_id
              for item, file_id in chosen}
    if not kept:
        of_split = splits.by_hash(
            [groups[file_id] for _, file_id in labelled],
            options.val, options.test, options.seed)
    split_of = {file_id: split
                for (_, file_id), split in zip(labelled, of_split)}
    measured = {groups[file_id] for file_id, split in split_of.items()
                if split != 'train'}
    planned = [write.Planned(
        item, file_id, split_of.get(file_id, splits.UNLABELLED))
        for item, file_id in chosen
        if file_id in split_of or groups[file_id] not in measured]
    return kept, planned, len(chosen) - len(planned)


def _write(planned, folder, found, options, tally, faults):
    written = []
    for one in tqdm.tqdm(planned, desc='import', unit='image'):
        with faults.left_out():
            written.append(write.write_image(
                one, folder, found.ids, found.background, options.exif, tally,
                faults))
    return written


def _notes(tally: contract.Tally) -> Iterator[str]:
    if tally.overlap_pixels:
        yield ('pixels under shapes of several classes, of which the later '
               f'counts: {tally.overlap_pixels:,}, images with such pixels: '
               f'{tally.overlap_images}')
    if tally.clipped:
        yield f'shapes that were cut at the border: {tally.clipped}'
    if tally.hidden:
        yield f'shapes that cover the center of no pixel: {tally.hidden}'
    if tally.turned:
        yield f'images saved without their EXIF turn: {tally.turned}'
    if tally.converted:
        yield f'images saved as PNG: {tally.converted}'


def _summary(found: classes.Classes, written: Sequence[write.Written],
             notes: Sequence[str], faults: Sequence[str]) -> Iterator[str]:
    for split in (*splits.SPLITS, splits.UNLABELLED):
        count = sum(w.planned.split == split for w in written)
        if count:
            yield f'{split}: {_images(count)}'
    pixels = [w.pixels for w in written if w.pixels is not None]
    sums = np.sum(pixels, 0) if pixels else np.zeros(256, np.int64)
    for one in found.specs:
        count = sum(bool(p[one.id]) for p in pixels)
        yield (f'class {one.id}, {one.name}: in {_images(count)}, '
               f'{100 * sums[one.id] / max(sums.sum(), 1):.2f} % of the pixels')
    if sums[255]:
        yield f'ignored: {100 * sums[255] / sums.sum():.2f} % of the pixels'
    yield from notes
    if faults:
        yield f'left out, {len(faults)}:'
        yield from faults


def _images(count):
    return f'{count:,} image{"s" * (count != 1)}'
