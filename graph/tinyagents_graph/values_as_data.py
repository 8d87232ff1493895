"""Values as plain JSON data, and back, by their type."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from pydantic_core import from_json, to_json

__all__ = ["adapter_for", "value_from_data", "value_to_data"]

_EXACTLY = ConfigDict(
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="strings",
    arbitrary_types_allowed=True,
)


def adapter_for(hint: Any) -> TypeAdapter[Any]:
    """What writes and reads values of a type."""
    try:
        return TypeAdapter(hint, config=_EXACTLY)
    except PydanticUserError:  # a model has a configuration of its own
        return TypeAdapter(hint)


def value_to_data(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A value as JSON data.

    Raises:
        ValueError: It cannot be written.
    """
    return from_json(adapter.dump_json(value, warnings=False))


def value_from_data(adapter: TypeAdapter[Any], data: Any) -> Any:
    """The value that data stands for.

    Raises:
        ValidationError: It stands for none of that type.
    """
    return adapter.validate_json(to_json(data), by_alias=True, by_name=True)
