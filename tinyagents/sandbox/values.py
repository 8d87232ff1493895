"""Values on their way over the wall: out of the sandbox they are hostile, into it they are plain.

A few bytes of code make a value that shares its parts so often that writing it out would take
longer than the universe lasts, or one so deep that looking at it overflows the host's stack. Such
a value is never handed on.
"""

from __future__ import annotations

import dataclasses
import datetime
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
_MAX_DIGITS = 4_200
_MAX_MESSAGE = 4_000
_MANY = frozenset({list, tuple, dict, set, frozenset})
_SETS = frozenset({set, frozenset})
_SMALL = frozenset({float, bool, complex, type(None)})
_ATOMS = (
    str, bytes, int, float, complex, datetime.date, datetime.time, datetime.timedelta,
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
    """A value out of the sandbox, as plain data that can be looked at and written out.

    Args:
        value: The value; nothing else may hold parts of it.
        max_chars: How many characters its texts may have, each counted as often as it would be
            written.
        convert: Makes plain data of one foreign value; called for what is none.

    Returns:
        The value, or a `Withheld` in its place.
    """
    if value is None or type(value) is float:
        return value
    try:
        size = _Size(max_chars, convert)
        size.add(value)
        return size.copied(value) if size.made else value
    except _TooMuch as error:
        return Withheld(type(value).__name__, str(error))


class _TooMuch(Exception):
    """A value is none to be handed on; its text says why."""


class _Size:
    """How large a value would be when written out, found without writing it out.

    What is shared is looked at once and counted as often as it occurs.

    Attributes:
        made: Foreign values by their `id`, each with the plain data that was made of it.
    """

    __slots__ = ("_convert", "_max_chars", "_seen", "made")

    def __init__(self, max_chars: int, convert: Callable[[Any], Any] | None) -> None:
        self._max_chars = max_chars
        self._convert = convert
        self._seen: dict[int, tuple[int, int, int]] = {}
        self.made: dict[int, tuple[Any, Any]] = {}

    def add(self, value: Any, depth: int = 0) -> tuple[int, int, int]:
        """Parts, characters and height of a value that stands at this depth."""
        if isinstance(value, _ATOMS):
            return 1, self._chars_of(value), 0
        if type(value) not in _MANY:
            self._check(1, 0, depth)
            return self.add(self._plain_of(value), depth + 1)
        known = self._seen.get(id(value))
        if known is None:
            self._check(1, 0, depth)
            known = self._seen[id(value)] = self._add_many(value, depth)
        parts, chars, height = known
        self._check(parts, chars, depth + height)
        return known

    def _add_many(self, value: Any, depth: int) -> tuple[int, int, int]:
        if type(value) is dict:
            return self._add_all([*value, *value.values()], depth)
        return self._add_all(value, depth)

    def _add_all(self, values: Any, depth: int) -> tuple[int, int, int]:
        kinds = set(map(type, values))
        if kinds <= _SMALL:
            return len(values) + 1, 0, 1
        if kinds == {int}:
            self._chars_of(max(values, key=abs))
            return len(values) + 1, 0, 1
        parts, chars, height = 1, 0, 0
        for each in values:
            more_parts, more_chars, its_height = self.add(each, depth + 1)
            parts += more_parts
            chars += more_chars
            height = max(height, its_height)
            self._check(parts, chars, depth)
        return parts, chars, height + 1

    def _check(self, parts: int, chars: int, depth: int) -> None:
        if parts > MAX_PARTS:
            raise _TooMuch(f"it has more than {MAX_PARTS:,} parts when written out")
        if chars > self._max_chars:
            raise _TooMuch("its texts are longer than the memory limit when written out")
        if depth > MAX_DEPTH:
            raise _TooMuch(f"it is nested more than {MAX_DEPTH} deep")

    def _chars_of(self, value: Any) -> int:
        if isinstance(value, (str, bytes)):
            self._check(1, len(value), 0)
            return len(value)
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise _TooMuch("it holds an integer of more than 4,200 digits")
        if isinstance(value, Decimal) and _digits(value) > _MAX_DIGITS:
            raise _TooMuch("it holds a decimal of more than 4,200 digits")
        return 0

    def _plain_of(self, value: Any) -> Any:
        if id(value) not in self.made:
            self.made[id(value)] = value, _foreign(value, self._convert)
        return self.made[id(value)][1]

    def copied(self, value: Any) -> Any:
        """A copy of what was looked at, with plain data for what is none."""
        if isinstance(value, _ATOMS):
            return value
        if type(value) is dict:
            pairs = cast("Mapping[Any, Any]", value).items()
            return {_key(self.copied(key)): self.copied(each) for key, each in pairs}
        if type(value) not in _MANY:
            return self.copied(self._plain_of(value))
        parts = [self.copied(each) for each in value]
        kind = cast("Any", type(value))
        return parts if kind is list else kind(map(_key, parts) if kind in _SETS else parts)


def _foreign(value: Any, convert: Callable[[Any], Any] | None) -> Any:
    if isinstance(value, tuple):  # a named one
        return tuple(cast("Iterable[Any]", value))
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {str(value)[:_MAX_MESSAGE]}"
    return f"<{type(value).__name__}>" if convert is None else convert(value)


def _digits(number: Decimal) -> int:
    return max(abs(number.adjusted()), len(number.as_tuple().digits)) if number.is_finite() else 0


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


def shown(value: Any, max_chars: int = 20_000) -> str:
    """A value as a model reads it: as Python writes it, but of bounded length whatever it is.

    Args:
        value: Any value.
        max_chars: How long about it may be; what comes after that is left out.
    """
    writer = _Writer(max_chars)
    writer.write(value, 0)
    return "".join(writer.parts)


class _Writer:
    """Writes a value until there is no more room: its cost does not depend on the value."""

    __slots__ = ("_room", "parts")

    def __init__(self, room: int) -> None:
        self._room = room
        self.parts: list[str] = []

    def write(self, value: Any, depth: int) -> None:
        """Write a value that stands at this depth."""
        brackets = _BRACKETS.get(type(value))
        if brackets is None or not value:
            self._put(_atom(value, self._room))
        elif depth > MAX_DEPTH or self._room <= 0:
            self._put("…")
        else:
            self._put(brackets[0])
            self._write_parts(value, depth + 1)
            self._put(",)" if brackets[0] == "(" and _is_single(value) else brackets[1])

    def _write_parts(self, value: Any, depth: int) -> None:
        is_dict = type(value) is dict
        for n, each in enumerate(cast("Iterable[Any]", value)):
            if n:
                self._put(", ")
            if self._room <= 0:
                self._put(f"… and {len(value) - n:,} more")
                return
            self.write(each, depth)
            if is_dict:
                self._put(": ")
                self.write(value[each], depth)

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._room -= len(text)


def _is_single(value: Any) -> bool:
    return len(value) == 1


_BRACKETS: Mapping[Any, tuple[str, str]] = {
    list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}"), set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}  # fmt: skip


def _atom(value: Any, room: int) -> str:
    if isinstance(value, (str, bytes)) and len(value) > max(room, _SHOWN_CHARS):
        kept = max(room, _SHOWN_CHARS)
        return f"{value[:kept]!r}… and {len(value) - kept:,} more"
    try:
        return repr(value)
    except Exception as error:  # an integer too long to be written, or code of somebody else
        return f"<{type(value).__name__} that cannot be written: {type(error).__name__}>"


_SHOWN_CHARS = 100
