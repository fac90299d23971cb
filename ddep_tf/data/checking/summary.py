"""Tables of what a folder holds."""

import numpy as np

from ddep_tf import specs
from ddep_tf.data.checking.findings import Findings

Rows = list[list[str]]


def split_rows(found: Findings) -> Rows:
    """Returns a table of the splits: how many images, and of which sizes."""
    rows = [['split', 'images', 'masks', 'smallest', 'largest', 'ignored']]
    for split in found.splits:
        images = found.of_split(split)
        masks = found.masks_of(split)
        by_area = sorted((image.size for image in images),
                         key=lambda size: size[0] * size[1])
        rows.append([split, f'{len(images):,}', f'{len(masks):,}',
                     *('{} x {}'.format(*size)
                       for size in (by_area[0], by_area[-1])),
                     _share(masks, specs.IGNORE_LABEL, of_all=True)])
    return rows


def class_rows(found: Findings) -> Rows:
    """Returns a table of the classes: how many images of each split hold it,
    and which share of its pixels it has; [] if the classes are not known."""
    if found.label_set is None:
        return []
    masks = {split: found.masks_of(split) for split in found.splits}
    splits = [split for split in found.splits if masks[split]]
    rows = [['id', 'class', *(head for split in splits
                              for head in (f'{split} images', 'pixels'))]]
    for name, source_id in zip(found.label_set.class_names,
                               found.label_set.source_ids.tolist()):
        row = [str(source_id), name]
        for split in splits:
            count = sum(bool(pixels[source_id]) for pixels in masks[split])
            row += [f'{count:,}', _share(masks[split], source_id)]
        rows.append(row)
    return rows


def _share(masks: list[np.ndarray], source_id: int,
           of_all: bool = False) -> str:
    """Returns the share of an id, of all pixels or of those that count."""
    pixels = np.sum([np.zeros(256, np.int64), *masks], 0)
    total = pixels.sum() - (0 if of_all else pixels[specs.IGNORE_LABEL])
    return f'{100 * pixels[source_id] / total:.2f} %' if total else ''
