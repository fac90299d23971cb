"""From the labels of an export to classes with ids. No TF.

Names are kept, --map renames, merges or ignores; what values of masks mean is
never guessed.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from ddep_tf import errors, specs
from ddep_tf.data import labels as labels_lib
from ddep_tf.data.importing import contract

_SHOWN = 8  # Values in a message.


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of the output.

    Attributes:
      specs: in the order of their ids, from 0 on.
      ids: {key of a Label: id}; 255 is ignored.
      background: id of pixels without a label.
    """
    specs: tuple[specs.ClassSpec, ...]
    ids: Mapping[str, int]
    background: int


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """Returns {label: name} of texts LABEL=NAME. UserError for others."""
    result: dict[str, str] = {}
    for text in texts:
        source, equals, target = (part.strip()
                                  for part in text.rpartition('='))
        if not equals or not source or not target:
            raise errors.UserError(f'--map={text}: give LABEL=NAME, or '
                                   'LABEL=ignore')
        if result.setdefault(source, target) != target:
            raise errors.UserError(f'--map gives {source!r} two names: keep '
                                   'one of them')
    return result


def resolve(export: contract.Export, renamed: Mapping[str, str],
            background: str) -> Classes:
    """Returns the classes of an export.

    Args:
      export: contract.Export.
      renamed: {label: name}, as of `parse_map`.
      background: name of the class of pixels without a label, where the
        export has_background; 'ignore' ignores them.

    Raises:
      UserError: it is not clear what a label means, `renamed` names one that
        is not there, or there is no class, or more than 255.
    """
    found = {name for label in export.labels
             for name in (label.key, label.name)}
    for source in renamed:
        if source not in found:
            raise errors.UserError(
                f'--map: the export has no label {source!r}, but '
                f'{_listed(sorted(found - {""})) or "none"}: correct it')
    targets = {label.key: _target(label, renamed) for label in export.labels}
    _name_ids(targets, renamed)
    names = list(dict.fromkeys(name for name in targets.values()
                               if name != _IGNORED))
    if renamed and not any(label.name for label in export.labels):
        names = [name for name in dict.fromkeys(renamed.values())
                 if name in names]  # In the order of --map.
    first = contract.BACKGROUND
    if export.has_background and background != contract.IGNORE:
        first = background
        targets = {key: first if name == contract.BACKGROUND else name
                   for key, name in targets.items()}
        names = [first, *(n for n in names if n != contract.BACKGROUND)]
    names = list(dict.fromkeys(sorted(names, key=lambda name: name != first)))
    if not 2 <= len(names) <= specs.IGNORE_LABEL:
        raise errors.UserError(
            f'the export gives {len(names)} classes'
            + (f' ({names[0]})' if names else '')
            + f': 2 to {specs.IGNORE_LABEL} can be told apart')
    ids = {key: specs.IGNORE_LABEL if name == _IGNORED else names.index(name)
           for key, name in targets.items()}
    is_ignored = export.has_background and background == contract.IGNORE
    return Classes(
        tuple(specs.ClassSpec(id=number, name=name, color=color)
              for number, (name, color) in enumerate(zip(
                  names, _colors(names, targets, export.labels)))),
        ids, specs.IGNORE_LABEL if is_ignored else 0)


_IGNORED = object()  # No name: an export may call a class 'ignore'.


def _target(label, renamed):
    """Returns the name of a label's class, '' if it has none yet."""
    target = renamed.get(label.key, renamed.get(label.name or label.key))
    if target is not None:
        return _IGNORED if target == contract.IGNORE else target
    return _IGNORED if label.is_ignored else label.name


def _name_ids(targets, renamed):
    """Names the values of masks that have no name, if they are ids 0, 1, ...

    Raises:
      UserError: they are something else.
    """
    values = [key for key, name in targets.items() if name == '']
    if not values:
        return
    example = ' '.join(f'--map={value}=NAME' for value in values[:3])
    if renamed:
        raise errors.UserError(f'--map does not say what {_listed(values)} of '
                               f'the masks mean: add {example}')
    if any(value.startswith('#') for value in values):
        raise errors.UserError(
            f'the masks hold colors ({_listed(values)}): say what each means, '
            f'{example}')
    count = len(values)
    if len(targets) > count + 1 or values != [str(i) for i in range(count)]:
        raise errors.UserError(
            f'the masks hold the ids {_listed(values)}, which are not 0, 1, 2, '
            f'... without gaps: say what each means, {example}')
    if count == 1:
        raise errors.UserError(
            f'the masks hold {_listed(list(targets))} alone, where 255 would '
            'be ignored: say what each means, --map=0=background '
            '--map=255=NAME')
    targets.update({value: f'class {value}' for value in values})


def _listed(values):
    more = f' and {len(values) - _SHOWN} more' if len(values) > _SHOWN else ''
    return ', '.join(values[:_SHOWN]) + more


def _colors(names, targets, labels):
    """Returns distinct colors: the export's, or else those of VOC."""
    given: dict[str, str] = {}
    for label in labels:
        if label.color and label.color not in given.values():
            given.setdefault(targets[label.key], label.color)
    spare = ('#' + bytes(color.tolist()).hex()
             for color in labels_lib.voc_palette(256))
    taken = set(given.values())
    colors = []
    for name in names:
        color = given.get(name) or next(c for c in spare if c not in taken)
        taken.add(color)
        colors.append(color)
    return colors
