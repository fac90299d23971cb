"""The guides to the official data sets, by name. No TensorFlow.

Counts are those of the official splits. No data set is ever downloaded.
"""

import os

from ddep_tf import errors
from ddep_tf.data.prepare import (
    ade20k,
    cityscapes,
    imagenet21k,
    imagenet2012,
    pascal_context,
    published_weights,
)
from ddep_tf.data.prepare import guide as guide_lib

GUIDES: dict[str, guide_lib.Guide] = {
    **cityscapes.GUIDES, **ade20k.GUIDES, **pascal_context.GUIDES,
    **imagenet2012.GUIDES, **imagenet21k.GUIDES}


def guide(name: str) -> guide_lib.Guide:
    """Returns the Guide to a data set. UserError if there is none."""
    if name not in GUIDES:
        names = ', '.join([*GUIDES, *published_weights.FILES])
        raise errors.UserError(f'--set={name!r}: choose one of {names}')
    return GUIDES[name]


def text(name: str, data_dir: str | os.PathLike,
         manual_dir: str | os.PathLike) -> list[str]:
    """Returns the lines that tell how to get a data set."""
    found = guide(name)
    rows = [f'{name}: {found.page}', f'license: {found.license}',
            *(f'{number}. {step}' for number, step in
              enumerate(found.steps, 1)),
            *(f'split {split}: {" or ".join(f"{n:,}" for n in counts)} '
              'examples' for split, counts in found.counts.items())]
    return [row.format(data_dir=data_dir, manual_dir=manual_dir)
            for row in rows]
