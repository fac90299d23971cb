"""Looks at a folder of images and masks before anything trains. No TF.

What cannot be trained on is a problem; what may spoil a result is a warning.
"""

from collections.abc import Iterable, Iterator, Sequence
import hashlib
import os

import numpy as np
import tqdm

from ddep_tf import errors, files, specs
from ddep_tf.data import class_files, image_files, labels, parallel
from ddep_tf.data.checking import copies, looks
from ddep_tf.data.checking.findings import UNLABELLED, Checked, Findings
from ddep_tf.data.sources import folder_layout

_SHOWN = 20  # Ids of a message.
# Formats that other programs take for images, and a folder is not read for.
_OTHER_SUFFIXES = ('.bmp', '.gif', '.heic', '.tif', '.tiff', '.webp')


def check(spec: specs.DatasetSpec, data_dir: str | os.PathLike) -> Findings:
    """Reads every image and mask of a folder.

    Args:
      spec: DatasetSpec of the source 'folder', with its classes.
      data_dir: root folder of the data.

    Raises:
      UserError: there is no such folder.
    """
    if not files.path(data_dir).is_dir():
        raise errors.UserError(f'there is no folder {data_dir}: set '
                               '--data_dir to the folder of the data')
    found = Findings(None, [], [], [], [])
    unnamed = not (spec.label_set or spec.num_classes)
    if not unnamed:
        try:
            found.label_set = labels.for_spec(spec)
        except errors.UserError as error:
            found.problems.append(str(error))
    for split in _splits(spec, data_dir):
        _check_split(spec, split, data_dir, found)
    if unnamed:
        found.problems.append(_missing_classes(
            found, files.path(data_dir, spec.path, class_files.NAME)))
    _check_ids(found)
    found.problems += _unlearnable(found, spec)
    found.warnings += _other_views(found.images)
    copies.check(found)
    return found


def _splits(spec, data_dir):
    """Returns the splits that the spec names, and those that are there."""
    named = [spec.train_split, spec.val_split, spec.test_split]
    there = [name for name in ('test', UNLABELLED)
             if '{split}' in spec.image_dir and files.path(
                 data_dir, spec.path, spec.image_dir.replace('{split}', name)
             ).is_dir()]
    return list(dict.fromkeys(name for name in (*named, *there) if name))


def _check_split(spec, split, data_dir, found):
    title = f'split {split!r}'
    has_masks = split != UNLABELLED
    try:
        layout = folder_layout.FolderLayout(spec, split, data_dir, title,
                                            has_masks)
        images = layout.images()
        ids = layout.ids(images)
    except errors.UserError as error:
        found.problems.append(str(error))
        return

    def read(image, name):
        try:
            mask = layout.mask(image) if has_masks else None
            return _read(split, name, image, mask)
        except errors.UserError as error:
            return str(error)
    for one in parallel.in_order(lambda pair: read(*pair), zip(
            tqdm.tqdm(images, desc=split, unit='image'), ids)):
        (found.problems if isinstance(one, str) else found.images).append(one)
    found.warnings += _strays(layout, images, title, has_masks)


def _read(split, name, image, mask):
    """Returns a Checked. UserError if it cannot be used."""
    if mask is None:
        image_files.check_stored(image)
    else:
        image_files.check_pair(image, mask)
    data = image.read_bytes()
    try:
        with image_files.opened_bytes(data) as opened:
            opened.load()
            facts = opened.size, opened.mode, image_files.orientation(opened)
            look = looks.look_of(opened)
    except image_files.BROKEN as error:
        raise image_files.unreadable(image, error) from None
    pixels = None
    if mask is not None:
        ids = image_files.read_mask(mask)
        pixels = np.bincount(ids.ravel(), minlength=256)
    return Checked(split, name, image, mask, *facts,
                   hashlib.sha256(data).hexdigest(), look, pixels)


def _strays(layout, images, title, has_masks):
    """Yields warnings of files that nothing reads."""
    others = [path for path in sorted(layout.image_dir.rglob('*'))
              if path.suffix.lower() in _OTHER_SUFFIXES]
    if others:
        yield (f'{title}: files of formats that are not read: {len(others)}, '
               f'such as {others[0]}: save them as JPEG or PNG')
    if has_masks:
        wanted = {layout.mask_path(image) for image in images}
        alone = [path for path in sorted(layout.label_dir.rglob('*.png'))
                 if path not in wanted]
        if alone:
            yield (f'{title}: masks without an image, which are not used: '
                   f'{len(alone)}, such as {alone[0]}')


def _missing_classes(found, path):
    """Returns what to write into the file that names the classes."""
    ids = sorted({int(i) for image in found.images if image.pixels is not None
                  for i in np.flatnonzero(image.pixels)})
    shown = ', '.join(map(str, ids[:_SHOWN]))
    if len(ids) > _SHOWN:
        shown += f', ... ({len(ids)} ids)'
    held = (f' (ids in the masks: {shown}; {specs.IGNORE_LABEL} is ignored)'
            if ids else '')
    return (f'{path} is missing, which names the classes{held}: write '
            '{"classes": [{"id": 0, "name": "background", "color": "#000000"}, '
            '...]}')


def _check_ids(found):
    """Adds a problem for each mask with ids outside the classes."""
    if found.label_set is None:
        return
    refused = found.label_set.table < 0
    for image in found.images:
        wrong = np.flatnonzero(refused & (
            image.pixels > 0 if image.pixels is not None else False))
        if wrong.size:
            found.problems.append(
                f'the mask {image.mask} holds the id {wrong[0]} '
                f'({image.pixels[wrong[0]]:,} pixels), outside the '
                f'{found.label_set.num_classes} classes: correct the mask, or '
                f'add the class; {specs.IGNORE_LABEL} is ignored')


def _unlearnable(found: Findings, spec: specs.DatasetSpec) -> Iterator[str]:
    """Yields what keeps readable masks from teaching or measuring anything."""
    if found.label_set is None:
        return
    names = found.label_set.class_names
    if len(names) < 2:
        yield (f'{names[0]!r} is the only class: name what the other pixels '
               'are too')
    for split in found.splits:
        masks = found.masks_of(split)
        if not masks:
            continue
        pixels = np.sum(masks, axis=0)
        held = sorted({int(i) for i in found.label_set.table[pixels > 0]}
                      - {-1, specs.IGNORE_LABEL})
        if not held:
            yield (f'the masks of {split!r} hold no labelled pixel, but ids '
                   'that are ignored: correct them')
        elif len(held) == 1 < len(names) and split == spec.train_split:
            ignored = (f', beside {specs.IGNORE_LABEL}, which is ignored: if '
                       'it means a class, say so by launch/import_labels.py '
                       '--from=masks --map=ID=NAME'
                       if pixels[specs.IGNORE_LABEL] else ': label others too')
            yield (f'the masks of {split!r} hold one class, '
                   f'{names[held[0]]!r}{ignored}')


def _other_views(images: Sequence[Checked]) -> Iterator[str]:
    """Yields what is unusual about images, which is read all the same."""
    for what, some in (
            ('gray images, read as RGB of three equal channels',
             [i for i in images if i.mode in ('1', 'L', 'LA')]),
            ('images with a transparent channel, which is dropped',
             [i for i in images if i.mode in ('LA', 'PA', 'RGBA')]),
            ('images with an EXIF turn, which is not followed (save them '
             'upright if they lie on their side)',
             [i for i in images if i.turn != 1])):
        if some:
            yield f'{what}: {len(some)}, such as {some[0].image}'


def rare_classes(found: Findings, subset: Iterable[str] | None,
                 train_split: str, val_split: str, least: int) -> list[str]:
    """Returns a warning for each class that few images hold.

    Args:
      found: Findings.
      subset: ids of the labelled subset; None is all of the split.
      train_split, val_split: their names.
      least: images of the train split that a class should be in.
    """
    if found.label_set is None:
        return []
    chosen = None if subset is None else set(subset)
    train = [image for image in found.of_split(train_split)
             if chosen is None or image.id in chosen]
    val = found.of_split(val_split)
    where = f'{len(train)} labelled images of {train_split!r}'
    lines = []
    for train_id, name in enumerate(found.label_set.class_names):
        source_id = found.label_set.source_ids[train_id]
        in_train, in_val = (sum(bool(i.pixels[source_id]) for i in some
                                if i.pixels is not None)
                            for some in (train, val))
        if in_train < least:
            lines.append(f'the class {name!r} is in {in_train or "none"} of '
                         f'the {where}: label more of it, or merge it')
        elif val and not in_val:
            lines.append(f'the class {name!r} is in no image of '
                         f'{val_split!r}: nothing will be known of it')
    return lines
