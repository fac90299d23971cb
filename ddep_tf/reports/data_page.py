"""The HTML page of a folder that was checked: one file that loads nothing."""

from collections.abc import Iterator, Sequence
import os

import numpy as np

from ddep_tf.data import image_files, labels
from ddep_tf.data.checking import findings as findings_lib
from ddep_tf.data.checking import summary
from ddep_tf.reports import thumbnails
from ddep_tf.reports.html_elements import Html, details, element, page, table

_TWINS = 12  # Pairs that are shown.
_MANY = 40  # Lines, or classes, that are shown unfolded.


def build_page(found: findings_lib.Findings, data_dir: str | os.PathLike,
               samples: int) -> str:
    """Returns the page as a string.

    Args:
      found: Findings.
      data_dir: the folder, for the title.
      samples: images of each split that are shown.
    """
    title = f'The images of {data_dir}'
    return page(title, element('h1', title), *_status(found), *_tables(found),
                *_pictures(found, samples), *_twins(found))


def _status(found) -> Iterator[Html]:
    count = len(found.problems)
    text = (f'{count} problem{"s" * (count > 1)} to solve before training'
            if count else 'ready to train on')
    yield element('p', element('span', text, class_='status'
                               + ' partial' * bool(count)))
    for head, lines in (('Problems', found.problems),
                        ('Worth a look', found.warnings)):
        if lines:
            yield element('h2', head)
            yield _list(lines[:_MANY])
        if len(lines) > _MANY:
            yield details(f'{len(lines) - _MANY} more', _list(lines[_MANY:]))


def _list(lines: Sequence[str]) -> Html:
    return element('ul', *(element('li', line) for line in lines),
                   class_='lines')


def _tables(found) -> Iterator[Html]:
    if not found.images:
        return
    yield element('h2', 'What the folder holds')
    yield table(summary.split_rows(found), 'Images, and the sizes of the '
                'smallest and the largest')
    rows = summary.class_rows(found)
    if rows:
        shown = table(rows, 'Images that hold a class, and its share of the '
                      'pixels that are not ignored', names=True)
        yield details('Classes', shown, open_=len(rows) <= _MANY)


def _pictures(found, samples: int) -> Iterator[Html]:
    for split in found.splits:
        images = _chosen(found.of_split(split), samples)
        if not images:
            continue
        yield element('h2', f'Images of {split}')
        if images[0].mask is None or found.label_set is None:
            for start in range(0, len(images), 4):
                yield thumbnails.row([_photo(image) for image in
                                      images[start:start + 4]])
            continue
        yield thumbnails.legend(found.label_set.class_names,
                                found.label_set.palette)
        for start in range(0, len(images), 2):
            yield thumbnails.row([
                tile for image in images[start:start + 2]
                for tile in (_photo(image), _overlay(image, found.label_set))])


def _chosen(images: Sequence[findings_lib.Checked],
            count: int) -> list[findings_lib.Checked]:
    """Returns images that together hold as many classes as can be, those of
    rare ones first."""
    left, seen = list(images), np.zeros(256, bool)
    chosen: list[findings_lib.Checked] = []
    frequency = np.sum([np.zeros(256, int), *(
        image.pixels > 0 for image in images if image.pixels is not None)], 0)
    # What a class is worth that no image shows yet.
    worth = 1 / np.maximum(frequency, 1)
    while left and len(chosen) < count:
        best = max(left, key=lambda image: 0 if image.pixels is None else (
            worth[(image.pixels > 0) & ~seen].sum()))
        left.remove(best)
        chosen.append(best)
        if best.pixels is not None:
            seen |= best.pixels > 0
    return chosen


def _photo(image: findings_lib.Checked) -> Html:
    return thumbnails.photo(str(image.image), f'photograph {image.id}',
                            f'{image.split}/{image.id}')


def _overlay(image, label_set: labels.LabelSet) -> Html:
    train_ids = label_set.table[image_files.read_mask(image.mask)]
    names = [label_set.class_names[i] for i in np.unique(train_ids)
             if 0 <= i < label_set.num_classes]
    shown = np.where(train_ids < 0, labels.IGNORE, train_ids).astype(np.uint8)
    return thumbnails.overlay(
        str(image.image), shown, label_set.palette.tolist(),
        f'{image.id} with its classes', ', '.join(names) or 'no class')


def _twins(found) -> Iterator[Html]:
    if not found.twins:
        return
    yield element('h2', 'Images of two splits that look alike')
    yield element('p', f'{len(found.twins)} pairs, of which '
                  f'{min(len(found.twins), _TWINS)} are shown.')
    for start in range(0, min(len(found.twins), _TWINS), 2):
        yield thumbnails.row([_photo(image) for pair in
                              found.twins[start:min(start + 2, _TWINS)]
                              for image in pair])
