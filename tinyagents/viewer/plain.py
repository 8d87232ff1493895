"""`as_json`: whatever a journal has, as JSON that a browser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import PydanticSerializationError, to_json

__all__ = ["as_json"]


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
