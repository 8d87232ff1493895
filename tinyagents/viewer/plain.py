"""`as_json`: whatever a journal has, as JSON that a browser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import PydanticSerializationError, to_json

__all__ = ["as_json", "outcome_of"]


def as_json(value: Any) -> bytes:
    """JSON of plain data, of which half a character, or a number that is none, is left out.

    A journal takes both, as Python's JSON does; no browser does.
    """
    try:
        return to_json(value, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError, RecursionError):
        # Half a character, or nested too deeply for the quick writer.
        return json.dumps(_whole(value), default=str).encode()


def _whole(value: Any) -> Any:
    """The same, with a mark where half a character was, and nothing for a number that is none."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        facts = cast("Mapping[Any, Any]", value)
        return {_whole(str(name)): _whole(each) for name, each in facts.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in cast("Sequence[Any]", value)]
    return value


def outcome_of(data: Mapping[str, Any], most: int) -> str:
    """What came of a run, by the data of its last event: as text, of at most so many characters."""
    error: Any = data.get("error")
    if data.get("status") == "limited":
        return f"reached {data.get('limit')}"
    if isinstance(error, Mapping):
        said = cast("Mapping[str, Any]", error)
        return f"{said.get('type')}: {said.get('message')}"
    found = data.get("reason") or data.get("output")
    if found is None or isinstance(found, str):
        return (found or "")[:most]
    return as_json(found).decode()[:most]
