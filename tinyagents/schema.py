"""From a Python signature to the JSON Schema a model is told, and back to checked arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NotRequired, Required, cast, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError

__all__ = ["Signature", "describe_invalid", "json_schema", "read_signature"]


class _Untitled(GenerateJsonSchema):
    """JSON Schema without the titles pydantic makes up: they are tokens that tell a model nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def get_title_from_name(self, name: str) -> str:
        return ""


class Signature:
    """What a function takes, as a model may fill it in.

    Attributes:
        parameters: JSON Schema of the arguments.
        description: What the function's docstring says before its sections.
        takes_context: Whether its first parameter is the `RunContext`.
        adapter: Checks and coerces arguments.
    """

    __slots__ = ("adapter", "description", "parameters", "takes_context")

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        parameters: Mapping[str, Any],
        description: str,
        takes_context: bool,
    ) -> None:
        self.adapter = adapter
        self.parameters = parameters
        self.description = description
        self.takes_context = takes_context


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read what `function` takes.

    Args:
        function: The function behind a tool.
        name: The tool's name, for messages.

    Raises:
        ConfigError: A parameter cannot be filled in by a model; the message names it.
    """
    hints = _hints(function, name)
    parameters = list(inspect.signature(function).parameters.values())
    takes_context = bool(parameters) and _is_context(parameters[0], hints)
    description, texts = _read_docstring(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    for parameter in parameters[takes_context:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"tool {name!r}: parameter {parameter} cannot be filled in by name; "
                "give the function plain parameters"
            )
        fields[parameter.name] = _field(parameter, hints.get(parameter.name, Any), texts)
    arguments = TypedDict(name, fields)  # type: ignore[operator]  # made from a signature
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(arguments)
        schema = json_schema(adapter)
    except Exception as error:
        raise ConfigError(f"tool {name!r}: its parameters have no JSON Schema: {error}") from error
    return Signature(adapter, schema, description, takes_context)


def json_schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON Schema of what `adapter` accepts, as short as it can be."""
    schema = adapter.json_schema(schema_generator=_Untitled)
    return cast("dict[str, Any]", _without_titles(schema))


def describe_invalid(error: ValidationError) -> tuple[str, ...]:
    """What is wrong, one line for each place, in words a model can act on."""
    lines: list[str] = []
    for detail in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in detail["loc"]) or "(the whole)"
        got = "" if detail["type"] == "missing" else f" (got {_short(detail['input'])})"
        lines.append(f"{place}: {detail['msg']}{got}")
    return tuple(lines)


def _field(parameter: inspect.Parameter, hint: Any, texts: Mapping[str, str]) -> Any:
    extra: dict[str, Any] = {}
    if parameter.default is not parameter.empty and _is_plain(parameter.default):
        extra["default"] = parameter.default
    text = texts.get(parameter.name)
    if text or extra:
        hint = Annotated[hint, Field(description=text or None, json_schema_extra=extra or None)]
    return Required[hint] if parameter.default is parameter.empty else NotRequired[hint]


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(
            f"tool {name!r}: its annotations cannot be read ({error}); "
            "they must name types that exist at module level"
        ) from error


def _is_context(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    hint = hints.get(parameter.name)
    if hint is None:
        return parameter.name == "ctx"
    return hint is RunContext or get_origin(hint) is RunContext


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    if not text:
        return "", {}
    import docstring_parser

    parsed = docstring_parser.parse(text)
    parts = (parsed.short_description, parsed.long_description)
    described = {p.arg_name: p.description.strip() for p in parsed.params if p.description}
    return "\n\n".join(part for part in parts if part), described


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        return {k: _without_titles(v) for k, v in node.items() if not (k == "title" and v == "")}
    if isinstance(schema, list):
        return [_without_titles(inner) for inner in cast("list[Any]", schema)]
    return schema


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

