"""Label subsets: nested, seeded, and independent of the files' order."""

import collections
from collections.abc import Iterable
import hashlib
import math
import numbers

from ddep_tf import errors


def label_subset(example_ids: Iterable[str], fraction: float | None = None,
                 seed: int = 0, count: int | None = None) -> list[str]:
    """Chooses the examples whose labels are used.

    Ids are ranked by the SHA-256 of `seed:id` and the first ones are taken.
    So a smaller subset lies inside every larger one of the same seed, and
    neither the order of the ids nor the machine matters.

    Args:
      example_ids: n distinct ids.
      fraction: in (0, 1]; floor(fraction * n + 0.5) ids are taken.
      seed: another one gives another choice.
      count: the number of ids in place of a fraction, in [1, n].

    Returns:
      The chosen ids, sorted.

    Raises:
      UserError: not exactly one of fraction and count is given, it is out of
        range, it leaves no id, or an id occurs twice.
    """
    ids = [str(example_id) for example_id in example_ids]
    twice = [i for i, times in collections.Counter(ids).items() if times > 1]
    if twice:
        raise errors.UserError(f'label_subset: the id {twice[0]!r} occurs '
                               'twice: ids must be distinct')
    if (fraction is None) == (count is None):
        raise errors.UserError('label_subset: give exactly one of fraction '
                               f'and count, got {fraction!r} and {count!r}')
    if fraction is not None:
        count = subset_size(fraction, len(ids))
    elif not isinstance(count, numbers.Integral) or (
            not 1 <= count <= len(ids)):
        raise errors.UserError('label_subset: count must be a whole number '
                               f'from 1 to {len(ids)}, got {count!r}')
    ranked = sorted(ids, key=lambda i: (_digest(f'{seed}:{i}'), i))
    return sorted(ranked[:count])


def subset_size(fraction: float, total: int) -> int:
    """Returns how many of `total` examples a fraction is, rounded half up.

    Raises:
      UserError: it is outside (0, 1], or leaves none.
    """
    if not isinstance(fraction, numbers.Real) or not 0 < fraction <= 1:
        raise errors.UserError('label_subset: fraction must lie in (0, 1], '
                               f'got {fraction!r}')
    count = math.floor(float(fraction) * total + 0.5)
    if not count:
        raise errors.UserError(
            f'label_subset: fraction {fraction} of {total} examples leaves '
            'none: raise the fraction, or give a count')
    return count


def manifest(ids: Iterable[str]) -> dict[str, int | str]:
    """Returns what identifies a subset in tables.

    Args:
      ids: the subset's ids.

    Returns:
      {'count': int, 'sha256': hex digest of the sorted ids, one per line}.
    """
    ids = sorted(ids)
    return {'count': len(ids), 'sha256': _digest('\n'.join(ids))}


def _digest(text):
    return hashlib.sha256(text.encode('utf-8')).hexdigest()
