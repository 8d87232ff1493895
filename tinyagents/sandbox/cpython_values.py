"""Values on the line between the `"cpython"` engine and its host: JSON, with tags.

Both sides import it, so it knows nothing but Python.
"""

from __future__ import annotations

from typing import Any

__all__ = ["TooMuch", "decode", "encode"]

_MAX_DEPTH = 100
_MAX_REPR = 10_000
# Python refuses to write integers of more than 4,300 digits.
_MAX_BITS = 14_000


class TooMuch(ValueError):
    """A value that cannot leave; its text says why."""


def encode(value: Any, most_parts: float = float("inf")) -> Any:
    """A value as JSON, with a tag where JSON has no such type.

    Raises:
        TooMuch: It has more parts than that, each counted as often as it is written, or is too
            deep.
    """
    return _Encoder(most_parts).encode(value, 0)


class _Encoder:
    def __init__(self, room: float) -> None:
        self._most = self._room = room

    def encode(self, value: Any, depth: int) -> Any:
        self._take(1)
        if value is None or isinstance(value, (bool, float, str)):
            return value
        if isinstance(value, int):
            return _whole_number(value)
        if depth > _MAX_DEPTH:
            raise TooMuch(f"it is nested more than {_MAX_DEPTH} deep")
        if isinstance(value, list):
            return self._all(value, depth)
        if isinstance(value, dict):
            return {"t": "dict", "v": [self._all(pair, depth) for pair in _pairs(value)]}
        for kind in (tuple, set, frozenset):
            if isinstance(value, kind):
                return {"t": kind.__name__, "v": self._all(value, depth)}
        if isinstance(value, (bytes, bytearray)):
            return {"t": "bytes", "v": value.hex()}
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Any:
        if hasattr(value, "tolist"):  # an array, or a number that is one
            size = getattr(value, "size", 0)
            self._take(size if isinstance(size, int) else 0)  # before its list is made
            return self.encode(value.tolist(), depth + 1)
        if hasattr(value, "__dataclass_fields__"):
            fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
            return self.encode(fields, depth)
        if _is_of_the_code(value):
            return self.encode(_attributes(value), depth)
        return repr(value)[:_MAX_REPR]

    def _all(self, values: Any, depth: int) -> list[Any]:
        return [self.encode(each, depth + 1) for each in values]

    def _take(self, parts: int) -> None:
        self._room -= parts
        if self._room < 0:
            raise TooMuch(f"it has more than {self._most:,} parts when written out")


def _is_of_the_code(value: Any) -> bool:
    """Whether this is an instance of a class of the code's own: no enum, and no exception."""
    kind = value.__class__
    is_plain = type(kind) is type and not isinstance(value, BaseException)
    return is_plain and kind.__module__ == "__main__" and hasattr(value, "__dict__")


def _attributes(value: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = value.__dict__
    return {**attributes}


def _whole_number(value: int) -> int:
    if value.bit_length() > _MAX_BITS:
        raise TooMuch("it holds an integer of more than 4,200 digits")
    return value


def _pairs(values: Any) -> Any:
    return values.items()


def decode(data: Any) -> Any:
    """The value that `encode` wrote.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: It wrote no such thing.
    """
    if isinstance(data, list):
        return _decoded(data)
    return _untagged(data) if isinstance(data, dict) else data


def _untagged(data: Any) -> Any:
    kind, parts = data["t"], data["v"]
    if kind == "dict":
        return {decode(key): decode(each) for key, each in parts}
    if kind == "bytes":
        return bytes.fromhex(parts)
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](_decoded(parts))


def _decoded(parts: Any) -> list[Any]:
    return [decode(each) for each in parts]
