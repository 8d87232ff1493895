"""Values of the state that no node can change behind the graph's back.

Lists, dicts and sets become subclasses of themselves that refuse to be changed, so that tasks can
share one state without a copy each. Rejected: tuples and mapping proxies (`state.items + [x]` and
`json.dumps` would fail), and a deep copy for each task (its cost grows with the state).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NoReturn, cast
from uuid import UUID

from pydantic import BaseModel

__all__ = [
    "FrozenDict",
    "FrozenList",
    "FrozenSet",
    "freeze",
    "is_loose",
    "joined",
    "merged",
    "thaw",
]

_ATOMS: frozenset[type] = frozenset((
    str, int, float, bool, bytes, complex, type(None), Decimal, UUID, range, type, frozenset,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
))  # fmt: skip


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(
        f"a {type(self).__bases__[0].__name__} of the state cannot be changed in place: return "
        "what is new from the node, {'key': ...}; or copy it first"
    )


class FrozenList(list[Any]):
    """A list that cannot be changed.

    Attributes:
        is_loose: Whether it holds objects that can still be changed. It is worked out once, for
            the state is looked at in every step.
    """

    __slots__ = ("is_loose",)
    is_loose: bool
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self),)

    def __deepcopy__(self, memo: Any) -> Any:
        return [deepcopy(each, memo) for each in self]


class FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed.

    Attributes:
        is_loose: As that of a list.
    """

    __slots__ = ("is_loose",)
    is_loose: bool
    clear = pop = popitem = setdefault = update = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)

    def __deepcopy__(self, memo: Any) -> Any:
        return {key: deepcopy(each, memo) for key, each in self.items()}


class FrozenSet(set[Any]):
    """A set that cannot be changed."""

    __slots__ = ()
    add = clear = discard = pop = remove = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse
    __iand__ = __ior__ = __isub__ = __ixor__ = _refuse

    def __reduce_ex__(self, protocol: Any) -> Any:
        return set, (set(self),)

    def __deepcopy__(self, memo: Any) -> Any:
        return thaw(self)


def freeze(value: Any) -> Any:
    """The same value, with its lists, dicts and sets frozen."""
    kind = cast("Any", type(value))
    if kind in _ATOMS:
        return value
    how = _FREEZERS.get(kind)
    return value if how is None else how(value)


_FREEZERS: Mapping[type, Callable[[Any], Any]] = {
    list: lambda value: _frozen_list(value),
    tuple: lambda value: tuple([freeze(each) for each in value]),
    dict: lambda value: _frozen_dict(value),
    set: FrozenSet,
    FrozenList: lambda value: value,
    FrozenDict: lambda value: value,
    FrozenSet: lambda value: value,
}


def _frozen_list(value: list[Any]) -> FrozenList:
    made = FrozenList([freeze(each) for each in value])
    made.is_loose = any(map(is_loose, made))
    return made


def _frozen_dict(value: dict[Any, Any]) -> FrozenDict:
    made = FrozenDict({key: freeze(each) for key, each in value.items()})
    made.is_loose = any(map(is_loose, made.values()))
    return made


_update: Callable[[dict[Any, Any], dict[Any, Any]], None] = cast("Any", dict).update


def joined(first: FrozenList, second: FrozenList) -> FrozenList:
    """Both, one after the other; without a look at every item, as a list grows step by step."""
    made = FrozenList(first + second)  # half the time of unpacking both
    made.is_loose = first.is_loose or second.is_loose
    return made


def merged(first: FrozenDict, second: FrozenDict) -> FrozenDict:
    """The entries of both, the second's where both have one; again without a look at each."""
    made = FrozenDict(first)
    _update(made, second)
    made.is_loose = first.is_loose or second.is_loose
    return made


def thaw(value: Any) -> Any:
    """The same value, with lists, dicts and sets that can be changed."""
    if isinstance(value, FrozenList):
        return [thaw(each) for each in value]
    if isinstance(value, FrozenDict):
        return {key: thaw(each) for key, each in value.items()}
    if isinstance(value, FrozenSet):
        return set(value)
    if type(value) is tuple:
        return tuple(thaw(each) for each in cast("tuple[Any, ...]", value))
    return value


def is_loose(value: Any) -> bool:
    """Whether a frozen value holds objects that a node could still change: it is given copies."""
    kind = cast("Any", type(value))
    if kind in _ATOMS or kind is FrozenSet or isinstance(value, (Enum, PurePath)):
        return False
    if kind is FrozenList or kind is FrozenDict:
        return cast("FrozenList | FrozenDict", value).is_loose
    if kind is tuple:
        return any(map(is_loose, value))
    if isinstance(value, BaseModel):
        is_frozen = value.model_config.get("frozen", False)
        return not is_frozen or any(is_loose(each) for _, each in value)
    if is_dataclass(value) and not isinstance(value, type):
        is_frozen = cast("Any", value).__dataclass_params__.frozen
        return not is_frozen or any(is_loose(getattr(value, each.name)) for each in fields(value))
    return True
