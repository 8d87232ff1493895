"""What an event is called, so that it is found again when the code that published it runs again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["identity", "is_of_resuming"]

_IDS = ("call_id", "ask_id", "steer_id", "key", "path", "step", "node", "name")
_NAMING = frozenset({str, int, type(None)})


def identity(kind: str, path: str, data: Mapping[str, Any]) -> tuple[Any, ...]:
    """The name of an event: its kind, the path of its run, and what it says it is about."""
    # Of what a user's own event says, only what can name something.
    names = [value if type(value) in _NAMING else None for value in map(data.get, _IDS)]
    return (kind, path, *names)


def is_of_resuming(data: Mapping[str, Any]) -> bool:
    """Whether an event tells that a body runs again: each time is another one."""
    return data.get("reason") == "resumed"
