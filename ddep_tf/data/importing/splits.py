"""Which images train, validate and test. No TF.

An export's own splits are kept. Otherwise a hash of each image's group
decides, so that it stays where it is when images are added.
"""

from collections.abc import Mapping, Sequence
import hashlib
import re

from ddep_tf import errors

SPLITS = ('train', 'val', 'test')
UNLABELLED = 'unlabelled'
_ALIASES = {'train': 'train', 'training': 'train', 'val': 'val',
            'valid': 'val', 'validation': 'val', 'test': 'test',
            'testing': 'test'}
_SEEDS = 1000  # That are tried for a suggestion.


def of_word(word: str) -> str:
    """Returns the split that a word names, '' if it names none."""
    return _ALIASES.get(word.strip().lower(), '')


def of_stem(stem: str) -> str:
    """Returns the split in a file's name, such as instances_train2017."""
    found = {of_word(word) for word in re.split('[^a-z]+', stem.lower())}
    found.discard('')
    return found.pop() if len(found) == 1 else ''


def of_folders(name: str) -> str:
    """Returns the split that the folders of an image are called by."""
    found = {of_word(part.rstrip('0123456789'))
             for part in name.split('/')[:-1]}
    found.discard('')
    return found.pop() if len(found) == 1 else ''


def kept(splits: Sequence[str], names: Sequence[str]) -> bool:
    """Returns whether labelled images have splits that can be kept.

    A single split is none: nothing would be left to validate on.

    Args:
      splits: of each image, '' for none.
      names: of the images, for the message.

    Raises:
      UserError: some have one and others do not.
    """
    if len(set(splits) - {''}) < 2:
        return False
    if '' in splits:
        raise errors.UserError(
            f'{names[splits.index("")]} has no split, but other labelled '
            'images have one: give --resplit to split all of them anew')
    return True


def group_of(pattern: str, name: str, required: bool = True) -> str:
    """Returns the group of an image, its own name if it has none.

    Args:
      pattern: regular expression; its first group, or else its whole match,
        is the group.
      name: of the image, with folders.
      required: refuse an image without a group.

    Raises:
      UserError: it is no regular expression, or does not match.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise errors.UserError(f'--group_by {pattern!r} is no regular '
                               f'expression: {error}') from None
    if not match and not required:
        return name
    if not match:
        raise errors.UserError(f'--group_by {pattern!r} matches nothing in '
                               f'{name!r}: write one that matches all images')
    return match.group(1 if match.re.groups else 0) or ''


def by_hash(groups: Sequence[str], val: float, test: float,
            seed: int) -> list[str]:
    """Returns the split of each image.

    Args:
      groups: of each image; those of one group stay together.
      val, test: fractions of the groups, about.
      seed: another one gives other splits.

    Raises:
      UserError: a split that is wanted stays empty, or the fractions leave
        none to train on.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise errors.UserError('--val and --test are fractions that leave '
                               f'images to train on, got {val:g} and {test:g}')
    wanted = {'train'} | {name for name, part in (('val', val), ('test', test))
                          if part}
    found = _draw(groups, val, test, seed)
    missing = sorted(wanted.difference(found.values()))
    if missing:
        seeds = (other for other in range(_SEEDS) if not wanted.difference(
            _draw(groups, val, test, other).values()))
        other = next(seeds, None) if len(found) >= len(wanted) else None
        instead = (f'--seed={other} gives each split some' if other is not None
                   else 'label more images, or set --val and --test to what '
                   'you need, 0 is none')
        raise errors.UserError(
            f'none of the {len(found)} labelled images (or groups of '
            f'--group_by) falls into {" and ".join(missing)}: {instead}')
    return [found[group] for group in groups]


def _draw(groups, val, test, seed) -> Mapping[str, str]:
    """Returns {group: split}."""
    result = {}
    for group in groups:
        digest = hashlib.sha256(f'{seed}:{group}'.encode()).digest()
        place = int.from_bytes(digest[:8], 'big') / 2 ** 64
        result[group] = ('test' if place < test else
                         'val' if place < test + val else 'train')
    return result
