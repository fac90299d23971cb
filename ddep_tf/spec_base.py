"""Frozen dataclasses held to their types, as JSON and back. No TensorFlow.

gin and JSON hand over values without knowing their types: `Spec` checks them.
"""

import dataclasses
import json
import numbers
import types
import typing

from ddep_tf import errors


def is_count(value):
    """Returns whether `value` is a whole number above 0, and no bool."""
    return (isinstance(value, numbers.Integral) and value > 0
            and not isinstance(value, bool))


def require(value, allowed, name):
    """UserError unless `value` is one of `allowed`; `name` is the field's."""
    if value not in allowed:
        raise errors.UserError(
            f'{name} must be one of {", ".join(map(str, allowed))}, '
            f'got {value!r}')


def positive(value, name, zero=False):
    """UserError unless `value` is above 0, or 0 where `zero` allows it."""
    if not value > 0 and not (zero and value == 0):
        raise errors.UserError(
            f'{name} must be {"at least" if zero else "above"} 0, got {value}')


@dataclasses.dataclass(frozen=True)
class Spec:
    """Holds its fields to their types: gin and JSON know no better."""

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            name = f'{type(self).__name__}.{field.name}'
            value = _typed(hints[field.name], getattr(self, field.name), name)
            object.__setattr__(self, field.name, value)


def _typed(hint, value, name):
    """Returns `value` as of type `hint`: 1 is a float, a list is a tuple."""
    if isinstance(hint, types.GenericAlias):
        return _typed_items(typing.get_args(hint), value, name)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint is float and number:
        return float(value)
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    kind = {int: 'a whole number', float: 'a number', str: 'a string in quotes',
            bool: 'True or False'}.get(hint, f'a {hint.__name__}')
    raise errors.UserError(f'{name} must be {kind}, got {value!r}')


def _typed_items(kinds, value, name):
    if not isinstance(value, (tuple, list)):
        raise errors.UserError(f'{name} must be a tuple, such as ({value!r},), '
                               f'got {value!r}')
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise errors.UserError(f'{name} must have {len(kinds)} entries, got '
                               f'{value!r}')
    return tuple(_typed(*pair, name) for pair in zip(kinds, value))


def to_json(spec):
    """Returns the spec as indented JSON, stable from run to run."""
    return json.dumps(dataclasses.asdict(spec), indent=2, sort_keys=True)


def from_dict(cls, values):
    """Builds a spec of class `cls` from what `to_json` wrote.

    Raises:
      UserError: a field is unknown to this version.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise errors.UserError(f'{cls.__name__} has no field {unknown[0]!r}: '
                               'was it written by another version?')
    return cls(**{k: _from_json(hints[k], v) for k, v in values.items()})


def _from_json(hint, value):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value)
    if isinstance(hint, types.GenericAlias) and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_from_json(item, v) for v in value)
    return value
