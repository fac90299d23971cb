"""Typed frozen dataclasses, to JSON and back. No TensorFlow.

gin and JSON pass values on without knowing their types: `Spec` checks them.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import json
import math
import numbers
import types
import typing
from typing import Any

from ddep_tf import errors

SpecType = typing.TypeVar('SpecType', bound='Spec')


def is_count(value: Any) -> bool:
    """Returns whether `value` is a whole number above 0, and not a bool."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and int(value) > 0


def require(value: Any, allowed: Iterable, name: str) -> None:
    """Raises UserError unless `value`, called `name`, is one of `allowed`."""
    if value not in allowed:
        raise errors.UserError(
            f'{name} must be one of {", ".join(map(str, allowed))}, '
            f'got {value!r}')


@dataclasses.dataclass(frozen=True)
class Spec:
    """Checks the types of its fields, which gin and JSON do not know."""

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            name = f'{type(self).__name__}.{field.name}'
            value = _typed(hints[field.name], getattr(self, field.name), name)
            object.__setattr__(self, field.name, value)

    def require(self, name: str, *allowed: str) -> None:
        """Raises UserError unless the field `name` is one of `allowed`."""
        require(getattr(self, name), allowed, f'{type(self).__name__}.{name}')

    def require_positive(self, *names: str) -> None:
        """Raises UserError unless these fields, or their items, are above 0."""
        self._require_each(names, lambda value: value > 0, 'above 0')

    def require_non_negative(self, *names: str) -> None:
        """Raises UserError unless these fields, or their items, are at least
        0."""
        self._require_each(names, lambda value: value >= 0, 'at least 0')

    def _require_each(self, names, holds, condition):
        for name in names:
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if not holds(value):
                    raise errors.UserError(f'{type(self).__name__}.{name} must '
                                           f'be {condition}, got {value}')


def to_json(spec: Spec) -> str:
    """Returns the spec as indented JSON, the same text every time."""
    return json.dumps(dataclasses.asdict(spec), indent=2, sort_keys=True)


def from_dict(cls: type[SpecType], values: Mapping[str, Any]) -> SpecType:
    """Builds a spec of class `cls` from what `to_json` wrote.

    Fields that are missing take their defaults.

    Raises:
      UserError: a field is unknown to this version, one without a default is
        missing, or `values` is no mapping.
    """
    if not isinstance(values, Mapping):
        raise errors.UserError(f'{cls.__name__} must be an object of its '
                               f'fields, got {values!r:.60}')
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise errors.UserError(f'{cls.__name__} has no field {unknown[0]!r}: '
                               'was it written by another version?')
    missing = [field.name for field in dataclasses.fields(cls)
               if field.name not in values
               and field.default is dataclasses.MISSING
               and field.default_factory is dataclasses.MISSING]
    if missing:
        raise errors.UserError(f'{cls.__name__} lacks the field {missing[0]!r}')
    return cls(**{k: _from_json(hints[k], v) for k, v in values.items()})


def _typed(hint, value, name):
    """Returns `value` as type `hint`: 1 becomes a float, a list a tuple."""
    if isinstance(hint, types.UnionType):  # A word, or numbers.
        word, other = typing.get_args(hint)
        return _typed(word if isinstance(value, str) else other, value, name)
    if isinstance(hint, types.GenericAlias):
        return _typed_items(typing.get_args(hint), value, name)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        if hint is int and (isinstance(value, numbers.Integral)
                            or float(value).is_integer()):
            return int(value)
        if hint is float:
            return _finite(value, name)
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    kind = {int: 'a whole number', float: 'a number', str: 'a string in quotes',
            bool: 'True or False'}.get(hint, f'a {hint.__name__}')
    raise errors.UserError(f'{name} must be {kind}, got {value!r}')


def _finite(value, name):
    with contextlib.suppress(OverflowError):  # A whole number may be too large.
        if math.isfinite(value):
            return float(value)
    raise errors.UserError(f'{name} must be finite, got {value!r:.60}')


def _typed_items(kinds, value, name):
    if not isinstance(value, (tuple, list)):
        raise errors.UserError(f'{name} must be a tuple, such as ({value!r},), '
                               f'got {value!r}')
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise errors.UserError(f'{name} must have {len(kinds)} entries, got '
                               f'{value!r}')
    return tuple(_typed(kind, item, name)
                 for kind, item in zip(kinds, value, strict=True))


def _from_json(hint, value):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value)
    if isinstance(hint, types.GenericAlias) and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_from_json(item, v) for v in value)
    return value
