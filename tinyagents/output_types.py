"""What an answer has to be: a Python type that pydantic knows, or a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from itertools import islice
from typing import Any, Protocol, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from tinyagents.errors import ConfigError, ModelRetry
from tinyagents.schema import check_json, describe_invalid, json_schema
from tinyagents.tools import cut

__all__ = ["BySchema", "ByType", "Misfit", "OutputType", "output_type_of"]

_MOST_LINES = 20
_MOST_CHARS = 300


class Misfit(ModelRetry):
    """Data is not what it has to be.

    Attributes:
        lines: What is wrong with it, one line for each place.
    """

    def __init__(self, lines: tuple[str, ...]) -> None:
        self.lines = lines
        super().__init__("; ".join(lines))


class OutputType(Protocol):
    """What an answer has to be."""

    schema: dict[str, Any]

    def check(self, data: Any) -> Any:
        """The value that parsed JSON holds.

        Raises:
            Misfit: It does not fit.
            ModelRetry: It cannot be looked at.
        """
        ...

    def dump(self, value: Any) -> Any:
        """A value as plain JSON data."""
        ...


def output_type_of(given: Any) -> OutputType:
    """What an agent was given as `output_type`, which is not `str`.

    Raises:
        ConfigError: It is no JSON Schema, or has none.
    """
    return BySchema(cast("Any", given)) if isinstance(given, Mapping) else ByType(given)


class ByType:
    """A type that pydantic can validate.

    Raises:
        ConfigError: It has no JSON Schema.
    """

    __slots__ = ("_adapter", "schema")

    def __init__(self, output_type: Any) -> None:
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(output_type)
            self.schema = json_schema(self._adapter)
        except Exception as error:
            raise ConfigError(f"output_type={output_type!r} has no JSON Schema: {error}") from error

    def check(self, data: Any) -> Any:
        """The value of the type that parsed JSON holds."""
        try:
            return check_json(self._adapter, data)
        except ValidationError as error:
            raise Misfit(describe_invalid(error)) from error

    def dump(self, value: Any) -> Any:
        """A value as plain JSON data."""
        return self._adapter.dump_python(value, mode="json", warnings=False, fallback=str)


class BySchema:
    """A JSON Schema, of the draft that it names, or 2020-12; a value is the data itself.

    What it refers to has to stand in it: nothing is fetched.

    Raises:
        ConfigError: It is no JSON Schema.
    """

    __slots__ = ("_validator", "schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Not with the module: the library and its own take 40 ms, and most agents need none of it.
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry

        self.schema = deepcopy(dict(schema))
        kind: Any = validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except SchemaError as error:
            place = "/".join(map(str, error.absolute_path)) or "the whole"
            raise ConfigError(
                f"output_type={cut(repr(schema), _MOST_CHARS)} is no JSON Schema: "
                f"{place}: {error.message}"
            ) from error
        # With a registry of its own, for without one the library asks the network.
        self._validator: Any = kind(self.schema, registry=cast("Any", Registry)())

    def check(self, data: Any) -> Any:
        """The data, if it fits."""
        from referencing.exceptions import Unresolvable

        try:
            data = to_jsonable_python(data, fallback=str)
            found: list[Any] = list(islice(self._validator.iter_errors(data), _MOST_LINES))
        except (RecursionError, ValueError):
            raise ModelRetry("this is nested too deeply; give less at once") from None
        except Unresolvable as error:
            raise ConfigError(f"output_type refers to {error.ref!r}, which is not in it") from error
        if found:
            raise Misfit(tuple(map(_line, found)))
        return data

    def dump(self, value: Any) -> Any:
        """A value as plain JSON data."""
        return to_jsonable_python(value, fallback=str)


def _line(error: Any) -> str:
    place = ".".join(map(str, error.absolute_path)) or "(the whole)"
    return f"{place}: {cut(error.message, _MOST_CHARS)}"
