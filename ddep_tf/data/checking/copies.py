"""Copies of an image across splits, exact ones and others that look alike."""

import itertools

from ddep_tf.data.checking import findings, looks

# Splits that train together: copies in both harm nothing.
_TOGETHER = ({'train', findings.UNLABELLED},)


def check(found: findings.Findings) -> None:
    """Adds copies of one file, and images that look alike, across splits."""
    for one, other in _same_bytes(found.images):
        line = f'{one.image} and {other.image} are the same file'
        if one.split == other.split:
            found.warnings.append(f'{line}: remove one')
        elif findings.UNLABELLED in (one.split, other.split):
            found.warnings.append(f'{line}: what denoises should not be '
                                  'measured on')
        else:
            found.problems.append(f'{line}, in two splits: scores would be of '
                                  'an image that was learnt; remove one')
    for name, other_name in itertools.combinations(found.splits, 2):
        if {name, other_name} in _TOGETHER:
            continue
        some, others = found.of_split(name), found.of_split(other_name)
        found.twins += [
            (some[i], others[j]) for i, j in looks.pairs(
                [image.look for image in some],
                [image.look for image in others])
            if some[i].sha256 != others[j].sha256]
    if found.twins:
        one, other = found.twins[0]
        found.warnings.append(
            f'images of two splits look alike (pairs: {len(found.twins)}), '
            f'such as {one.image} and {other.image}: if they are frames or '
            'tiles of one picture, keep them in one split '
            '(import_labels.py --group_by)')


def _same_bytes(images):
    """Yields pairs of the first image of some content and each later one."""
    first: dict[str, findings.Checked] = {}
    for image in images:
        other = first.setdefault(image.sha256, image)
        if other is not image and {other.split, image.split} not in _TOGETHER:
            yield other, image
