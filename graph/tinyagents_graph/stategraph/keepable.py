"""Values as a journal keeps them: plain JSON data from which the very same values come back.

What is JSON already stands there as it is, and comes back without a look at its type. The rest is
written as its type says, read once to see that it comes back, and marked as typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from math import isfinite, isnan
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter

from tinyagents_graph.stategraph.freezing import FrozenDict, FrozenList
from tinyagents_graph.values_as_data import value_from_data, value_to_data

__all__ = ["dump", "fingerprint", "is_plain"]


def is_plain(value: Any) -> bool:
    """Whether a value is JSON that comes back as it is."""
    kind = cast("Any", type(value))
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is float:
        return isfinite(value)
    if kind is FrozenList or kind is list:
        return all(map(is_plain, value))
    if kind is FrozenDict or kind is dict:
        return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    return False


def dump(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A value as JSON data.

    Raises:
        ValueError: It would come back as something else, or not at all.
    """
    plain = value_to_data(adapter, value)
    again = value_from_data(adapter, plain)
    if not _is_same(again, value):
        raise ValueError(f"it would come back as {again!r:.100}")
    return plain


def fingerprint(value: Any) -> str:
    """What tells a value from a changed one, in 16 digits; the same in every process."""
    return blake2b(_canonical(value).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _canonical(value: Any) -> str:
    """A value as text, whatever order its entries have."""
    if isinstance(value, BaseModel):
        return _canonical(vars(value))
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value).items()
        told = sorted(f"{_canonical(key)}:{_canonical(each)}" for key, each in entries)
        return f"{{{','.join(told)}}}"
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(map(_canonical, cast('set[Any]', value))))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_canonical, cast('Sequence[Any]', value)))}]"
    if is_dataclass(value) and not isinstance(value, type):
        return _canonical({each.name: getattr(value, each.name) for each in fields(value)})
    # An object that says no more than where it is, is not told from another one of its type.
    is_silent = cast("Any", type(value)).__repr__ is object.__repr__
    return type(value).__name__ if is_silent else repr(value)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types, however deep one looks."""
    if isinstance(one, BaseModel):
        # What a node was given of the state is of a subclass that refuses to be changed.
        return isinstance(other, type(one)) and _is_same(vars(one), vars(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            _is_same(each, other[key]) for key, each in cast("Mapping[Any, Any]", one).items()
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        first, second = cast("Sequence[Any]", one), cast("Sequence[Any]", other)
        return (
            isinstance(one, list) is isinstance(other, list)
            and len(first) == len(second)
            and all(map(_is_same, first, second))
        )
    if isinstance(one, set | frozenset):
        return bool(cast("Any", one) == other)
    return type(cast("Any", one)) is type(other) and _is_same_atom(one, other)


def _is_same_atom(one: Any, other: Any) -> bool:
    if is_dataclass(one) and not isinstance(one, type):
        names = [each.name for each in fields(one)]
        return all(_is_same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, float) and isnan(one):
        return isnan(other)
    return bool(one == other)
