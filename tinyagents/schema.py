"""From a Python signature to the JSON Schema a model is told, and back to checked arguments."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NotRequired, Required, cast, get_origin, get_type_hints

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, ModelRetry

_DATA = ("default", "const", "enum", "examples")
_NESTED = (dict, list)

__all__ = [
    "IDEMPOTENCY_KEY",
    "Signature",
    "check_json",
    "describe_invalid",
    "json_schema",
    "read_signature",
]

IDEMPOTENCY_KEY = "idempotency_key"
"""A parameter of this name is filled in by the framework, and the model does not see it."""


class _Untitled(GenerateJsonSchema):
    """JSON Schema without the titles pydantic makes up: tokens that tell a model nothing."""

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
        takes_key: Whether it has a parameter for the idempotency key.
        adapter: Checks and coerces arguments.
    """

    __slots__ = ("adapter", "description", "parameters", "takes_context", "takes_key")

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        parameters: Mapping[str, Any],
        description: str,
        takes_context: bool,
        takes_key: bool = False,
    ) -> None:
        self.adapter = adapter
        self.parameters = parameters
        self.description = description
        self.takes_context = takes_context
        self.takes_key = takes_key


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read what `function` takes.

    Args:
        function: The function behind a tool.
        name: The tool's name, for messages.

    Raises:
        ConfigError: A parameter cannot be filled in by a model, or is called `idempotency_key` and
            takes no text; the message names it.
    """
    parameters, hints = _parameters(function, name)
    takes_context = (
        bool(parameters)
        and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY
        and _is_context(parameters[0], hints)
    )
    written = inspect.getdoc(_written(function)) or inspect.getdoc(function)
    description, texts = _read_docstring(written or "")
    fields: dict[str, Any] = {}
    takes_key = False
    for parameter in parameters[takes_context:]:
        _refuse_unfillable(parameter, hints, name)
        if parameter.name == IDEMPOTENCY_KEY:
            _refuse_other_than_text(parameter, hints, name)
            takes_key = True
            continue
        fields[parameter.name] = _field(parameter, hints.get(parameter.name, Any), texts)
    try:
        adapter = _adapter(name, fields)
        schema = json_schema(adapter)
    except Exception as error:
        raise ConfigError(f"tool {name!r}: {_without_schema(fields, error)}") from error
    return Signature(adapter, schema, description, takes_context, takes_key)


def json_schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON Schema of what `adapter` accepts, as short as it can be."""
    schema = adapter.json_schema(schema_generator=_Untitled)
    return cast("dict[str, Any]", _without_titles(schema))


def check_json(adapter: TypeAdapter[Any], data: Any) -> Any:
    """The value of `adapter`'s type that parsed JSON holds; it shares nothing with `data`.

    Raises:
        pydantic.ValidationError: It does not fit.
        ModelRetry: It is nested too deeply to be looked at.
    """
    try:
        return adapter.validator.validate_python(_copied(data))
    except RecursionError:
        raise ModelRetry("this is nested too deeply; give less at once") from None
    except ValidationError as error:
        # A strict model takes a date or a tuple from JSON text, and from Python data only as such.
        try:
            return adapter.validator.validate_json(json.dumps(data))
        except (TypeError, ValueError, RecursionError):
            raise error from None


def _copied(data: Any) -> Any:
    """The same data, so that a tool which changes its arguments changes no transcript and event."""
    if isinstance(data, dict):
        return {
            name: _copied(value) if isinstance(value, _NESTED) else value
            for name, value in cast("dict[str, Any]", data).items()
        }
    if isinstance(data, list):
        return [_copied(value) for value in cast("list[Any]", data)]
    return data


def describe_invalid(error: ValidationError) -> tuple[str, ...]:
    """What is wrong, one line for each place, in words a model can act on."""
    lines: list[str] = []
    for detail in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in detail["loc"]) or "(the whole)"
        got = "" if detail["type"] == "missing" else f" (got {_short(detail['input'])})"
        lines.append(f"{place}: {detail['msg']}{got}")
    return tuple(lines)


def _adapter(name: str, fields: Mapping[str, Any]) -> TypeAdapter[Any]:
    # Type checkers want a literal here; this one is made from a signature.
    arguments: Any = cast("Any", TypedDict)(name, fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(arguments)


def _field(parameter: inspect.Parameter, hint: Any, texts: Mapping[str, str]) -> Any:
    said: dict[str, Any] = {}
    if parameter.default is not parameter.empty and _is_plain(parameter.default):
        said["json_schema_extra"] = {"default": parameter.default}
    if text := texts.get(parameter.name):
        said["description"] = text
    if said:
        hint = Annotated[hint, Field(**said)]
    return Required[hint] if parameter.default is parameter.empty else NotRequired[hint]


def _written(function: Callable[..., Any]) -> Any:
    """The function as it stands in the source, with its annotations and its docstring."""
    if isinstance(function, partial):
        return _written(cast("partial[Any]", function).func)
    return function if inspect.isroutine(function) else type(function).__call__


def _parameters(function: Any, name: str) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """The parameters that are open, and the annotations of all."""
    if not callable(function) or isinstance(function, type):
        raise ConfigError(f"tool {name!r}: {function!r} is no function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(_written(function), include_extras=True)
    except Exception as error:  # evaluating an annotation can raise anything
        raise ConfigError(
            f"tool {name!r}: its annotations cannot be read ({error}); "
            "they must name types that exist at module level"
        ) from error
    # What a partial has bound is the host's business: a key, a client. The model must not see it.
    bound = function.keywords if isinstance(function, partial) else ()
    return [each for each in parameters if each.name not in bound], hints


def _refuse_unfillable(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str) -> None:
    why = ""
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        why = "cannot be filled in by name; give the function plain parameters"
    elif hints.get(parameter.name) is not None and _is_context(parameter, hints):
        why = "is the RunContext, which comes first and is given by position"
    elif isinstance(parameter.default, FieldInfo):
        why = "has Field(...) as its default; write Annotated[type, Field(...)] = default"
    if why:
        called = parameter.replace(annotation=parameter.empty, default=parameter.empty)
        raise ConfigError(f"tool {name!r}: parameter '{called}' {why}")


def _refuse_other_than_text(
    parameter: inspect.Parameter, hints: Mapping[str, Any], name: str
) -> None:
    hint = hints.get(parameter.name, Any)
    try:
        # Strictly, for what would coerce the text is given no key, but what it made of it.
        TypeAdapter(hint).validate_python("0" * 32, strict=True)
    except (PydanticUserError, ValidationError) as error:
        raise ConfigError(
            f"tool {name!r}: parameter '{parameter}' is given the key of the call, which is a "
            "text: annotate it with str, or call it something else"
        ) from error


def _without_schema(fields: Mapping[str, Any], error: Exception) -> str:
    """Which parameter it is that pydantic has no JSON Schema for."""
    for name, hint in fields.items():
        try:
            json_schema(_adapter(name, {name: hint}))
        except Exception as this:
            return f"parameter {name!r} has no JSON Schema: {str(this).splitlines()[0]}"
    return f"its parameters have no JSON Schema: {error}"


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
        # Pydantic calls a class's schema by the class's name, and those are objects and enums.
        is_class = "properties" in node or "enum" in node
        return {
            key: value if key in _DATA else _without_titles(value)
            for key, value in node.items()
            if not (key == "title" and (value == "" or (is_class and isinstance(value, str))))
        }
    if isinstance(schema, list):
        return [_without_titles(inner) for inner in cast("list[Any]", schema)]
    return schema


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
