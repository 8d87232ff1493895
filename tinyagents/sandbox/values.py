"""Values on their way over the wall: out of the sandbox they are hostile, into it they are plain.

A few bytes of code make a value that shares its parts so often that writing it out would take
longer than the universe lasts, or one so deep that looking at it overflows the host's stack. Such
a value is never handed on.
"""

from __future__ import annotations

import dataclasses
import datetime
import reprlib
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from tinyagents_graph.frozen import frozen

__all__ = ["Withheld", "plain", "safe", "shown"]

MAX_DEPTH = 100
"""How deep a value may be that crosses the wall."""

MAX_PARTS = 1_000_000
"""How many parts a value may have, each counted as often as it would be written."""

# Python refuses to write integers of more than 4,300 digits.
_MAX_BITS = 14_000
_MAX_EXPONENT = 4_200
_ATOMS = (
    str, bytes, bool, float, complex, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, Decimal, PurePath, type(None), type(...),
)  # fmt: skip


@frozen
class Withheld:
    """A value that was not handed to the host, because it could do harm there.

    Attributes:
        type: Name of its type.
        why: What is wrong with it.
    """

    type: str
    why: str

    def __repr__(self) -> str:
        return f"<{self.type}, kept in the sandbox: {self.why}>"


def safe(value: Any, max_chars: int, convert: Callable[[Any], Any] | None = None) -> Any:
    """A value out of the sandbox, as plain data that shares nothing and can be written out.

    Args:
        value: The value.
        max_chars: How many characters its texts may have, each counted as often as it would be
            written.
        convert: Makes plain data of one foreign value; called for what is none.

    Returns:
        The value, or a `Withheld` in its place.
    """
    if value is None or type(value) is float:
        return value
    try:
        return _Walk(max_chars, convert).copy(value, 0)
    except _TooMuch as error:
        return Withheld(type(value).__name__, str(error))


class _TooMuch(Exception):
    """A value is none to be handed on; its text says why."""


class _Walk:
    __slots__ = ("_chars", "_convert", "_parts")

    def __init__(self, max_chars: int, convert: Callable[[Any], Any] | None) -> None:
        self._parts = MAX_PARTS
        self._chars = max_chars
        self._convert = convert

    def copy(self, value: Any, depth: int) -> Any:
        self._parts -= 1
        if self._parts < 0:
            raise _TooMuch(f"it has more than {MAX_PARTS:,} parts when written out")
        if depth > MAX_DEPTH:
            raise _TooMuch(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(value, int):
            if value.bit_length() > _MAX_BITS:
                raise _TooMuch("it holds an integer of more than 4,200 digits")
            return value
        if isinstance(value, _ATOMS):
            self._charge(value)
            return value
        return self._copy_of_many(value, depth + 1)

    def _charge(self, value: Any) -> None:
        if isinstance(value, Decimal) and abs(value.adjusted()) > _MAX_EXPONENT:
            raise _TooMuch("it holds a decimal of more than 4,200 digits")
        if isinstance(value, (str, bytes)):
            self._chars -= len(value)
            if self._chars < 0:
                raise _TooMuch("its texts are longer than the memory limit when written out")

    def _copy_of_many(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            pairs = cast("Mapping[Any, Any]", value).items()
            return {_key(self.copy(key, depth)): self.copy(each, depth) for key, each in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            parts = [self.copy(each, depth) for each in cast("Iterable[Any]", value)]
            if isinstance(value, list):
                return parts
            kind = cast("Any", value).__class__
            if isinstance(value, tuple):
                return kind(*parts) if hasattr(kind, "_fields") else tuple(parts)
            return kind(_key(part) for part in parts)
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {str(value)[:_SHOWN_CHARS]}"
        if self._convert is None:
            raise _TooMuch("it is of a type that the host does not know")
        return self.copy(self._convert(value), depth)


def _key(part: Any) -> Any:
    """A part of a set or a key: an instance that could be one in the sandbox is none here."""
    try:
        hash(part)
    except TypeError:
        return shown(part)
    return part


def plain(value: Any) -> Any:
    """A value of the host as plain data that a sandbox takes: models and dataclasses as dicts.

    Raises:
        TypeError: There is no data for it.
        ValueError: It is nested too deeply, or holds itself.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"a value nested more than {MAX_DEPTH} deep cannot enter the sandbox")
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name), depth + 1) for name in names}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {_plain(key, depth + 1): _plain(each, depth + 1) for key, each in pairs}
    if isinstance(value, (list, tuple, range, AbstractSet)):
        parts = [_plain(each, depth + 1) for each in cast("Iterable[Any]", value)]
        return (
            tuple(parts) if isinstance(value, tuple)
            else frozenset(parts) if isinstance(value, frozenset)
            else set(parts) if isinstance(value, AbstractSet)
            else parts
        )  # fmt: skip
    return _plain_other(value)


_AS_THEY_ARE = frozenset(
    {
        str, int, float, bool, bytes, complex, type(None), type(...), Decimal,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    }
)  # fmt: skip


def _plain_other(value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise TypeError(
            f"a value of type {type(value).__name__} cannot enter the sandbox: give plain data, "
            "a pydantic model or a dataclass"
        ) from error


_SHOWN_CHARS = 4_000


def shown(value: Any, max_chars: int = 20_000) -> str:
    """A value as a model reads it, of bounded length whatever it is."""
    if isinstance(value, str) and len(value) <= max_chars:
        return repr(value)
    written = reprlib.Repr()
    written.maxlevel = 8
    written.maxstring = written.maxother = written.maxlong = max(_SHOWN_CHARS, max_chars // 2)
    many = max(50, max_chars // 100)
    written.maxlist = written.maxtuple = written.maxdict = many
    written.maxset = written.maxfrozenset = many
    try:
        return written.repr(value)
    except (ValueError, RecursionError) as error:
        return f"<{type(value).__name__} that cannot be written: {type(error).__name__}>"
