"""A tool as a function in Python: how a model reads it, and what its calls give the tool."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_type_hints

from tinyagents.tools import Tool

__all__ = ["arguments_in_order", "function_name", "told"]

_TYPES = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None",
    "object": "dict", "array": "list",
}  # fmt: skip
_MOST_OPTIONS = 12


def function_name(tool: str) -> str:
    """What code calls a tool by: its name, as far as that is one in Python."""
    name = re.sub(r"\W", "_", tool)
    if name[:1].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def told(tool: Tool) -> str:
    """Signature and docstring of a tool, as a model reads them."""
    schema = tool.parameters
    needed: Sequence[str] = schema.get("required", ())
    fields: Mapping[str, Any] = schema.get("properties", {})
    parameters = [_parameter(name, field, name in needed, schema) for name, field in fields.items()]
    head = f"def {function_name(tool.name)}({', '.join(parameters)}) -> {_returned(tool)}:"
    texts = {name: field.get("description", "") for name, field in fields.items()}
    lines = tool.description.strip().splitlines()
    if any(texts.values()):
        lines += ["", "Args:"]
        lines += [f"    {name}: {' '.join(text.split())}" for name, text in texts.items() if text]
    if not lines:
        return f"{head} ..."
    body = [f'"""{lines[0]}"""'] if len(lines) == 1 else [f'"""{lines[0]}', *lines[1:], '"""']
    return "\n".join([head, *(f"    {line}".rstrip() for line in body)])


def arguments_in_order(
    name: str, parameters: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name; what was not given is left to the tool.

    Args:
        name: What the code calls the tool by.
        parameters: JSON Schema of the tool's arguments, in the order of its signature.
        args: What was given by position.
        kwargs: What was given by name.

    Raises:
        TypeError: They cannot be told apart.
    """
    names = list(parameters.get("properties", {}))
    if len(args) > len(names):
        raise TypeError(
            f"{name}() takes {len(names)} positional argument{'' if len(names) == 1 else 's'} "
            f"but {len(args)} were given"
        )
    given = dict(zip(names, args, strict=False))
    for key, value in kwargs.items():
        if key in given:
            raise TypeError(f"{name}() got multiple values for argument {key!r}")
        given[key] = value
    return given


def _parameter(name: str, field: Mapping[str, Any], needed: bool, root: Mapping[str, Any]) -> str:
    said = f"{name}: {_type(field, root)}"
    if needed:
        return said
    # What stands behind a default that has no JSON is the tool's business.
    return f"{said} = {field['default']!r}" if "default" in field else f"{said} = ..."


def _type(field: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> str:
    if depth > 3:
        return "Any"
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return _of_object(root.get("$defs", {}).get(name, {}), root, depth)
    if "const" in field:
        return f"Literal[{field['const']!r}]"
    if "enum" in field:
        options = cast("list[Any]", field["enum"])[:_MOST_OPTIONS]
        return f"Literal[{', '.join(map(repr, options))}]"
    if either := field.get("anyOf") or field.get("oneOf"):
        return " | ".join(dict.fromkeys(_type(each, root, depth + 1) for each in either))
    kind = field.get("type")
    if isinstance(kind, list):
        return " | ".join(_TYPES.get(each, "Any") for each in cast("list[str]", kind))
    if kind == "array" and "items" in field:
        return f"list[{_type(field['items'], root, depth + 1)}]"
    if kind == "object":
        return _of_object(field, root, depth)
    return _TYPES.get(cast("str", kind), "Any")


def _of_object(field: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    """A dict, with its keys where they are known: there are no classes in the sandbox."""
    if field.get("type") != "object":
        return _type(field, root, depth + 1) if field else "Any"
    inner: Mapping[str, Any] = field.get("properties", {})
    if not inner:
        of = field.get("additionalProperties")
        known = isinstance(of, Mapping)
        return f"dict[str, {_type(cast('Any', of), root, depth + 1)}]" if known else "dict"
    keys = ", ".join(f"{key!r}: {_type(each, root, depth + 1)}" for key, each in inner.items())
    return f"{{{keys}}}"


def _returned(tool: Tool) -> str:
    """What a call gives: as the function says it, if it does."""
    if tool.has_own_place:
        output_type: Any = getattr(getattr(tool, "subagent", None), "output_type", str)
        return "str" if output_type in (str, None) else "dict"
    try:
        hint = get_type_hints(inspect.unwrap(tool.function)).get("return", Any)
    except (TypeError, NameError):
        return "Any"
    if hint is type(None):
        return "None"
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    fields: Any = getattr(hint, "model_fields", None) or getattr(hint, "__dataclass_fields__", None)
    if fields:
        return f"{{{', '.join(map(repr, fields))}}}"
    return re.sub(r"\b(?:typing|collections\.abc|datetime|\w+)\.(?=\w)", "", name)
