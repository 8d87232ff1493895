"""From what a model wrote beside a tool's name to the tool's arguments."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["arguments_of"]

_FENCE = re.compile(r"\A(?P<marks>```+)[^\n`]*\n(?P<body>.*?)\n?[ \t]*(?P=marks)\Z", re.DOTALL)
_EMPTY = frozenset({"", "none", "null", "n/a", "{}", "()"})
_NO_DATA: Any = object()
_MOST_CHARS = 100_000


def arguments_of(text: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that a text stands for.

    It may be a JSON object, a Python dict, `name="value", …`, values in order, or, for a tool that
    needs one argument, that argument as it is.

    Args:
        text: What the model wrote.
        parameters: JSON Schema of the tool's arguments.

    Returns:
        The arguments, yet to be checked, none for an empty text; `None` if the text cannot be told
        apart into them.
    """
    fence = _FENCE.match(text.strip())
    text = (fence["body"] if fence is not None else text).strip()
    fields: Mapping[str, Any] = parameters.get("properties", {})
    needed: Sequence[str] = parameters.get("required", ())
    if not text or (text.lower() in _EMPTY and not needed):
        return {}
    data = _data(text)
    if isinstance(data, dict) and _is_meant(cast("dict[str, Any]", data), fields, needed):
        return cast("dict[str, Any]", data)
    if (named := _written_out(text, fields, needed)) is not None:
        return named
    only = needed[0] if len(needed) == 1 else next(iter(fields)) if len(fields) == 1 else None
    is_broken = data is _NO_DATA and text[:1] == "{" and len(fields) > 1
    if only is None or is_broken:
        return None
    return {only: _value(text, data, fields[only])}


def _is_meant(data: Mapping[str, Any], fields: Mapping[str, Any], needed: Sequence[str]) -> bool:
    """Whether an object is all arguments, and not the only one."""
    if len(fields) != 1 and len(needed) != 1:
        return True
    return not data or any(name in fields for name in data)


def _data(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    if text[:1] in "{[(\"'" and len(text) < _MOST_CHARS:
        return _literal(text)
    return _NO_DATA


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NO_DATA


def _value(text: str, data: Any, schema: Mapping[str, Any]) -> Any:
    """One argument as it is: text for what takes text, else data if it is data."""
    if _takes_text(schema):
        return data if isinstance(data, str) else text
    return text if data is _NO_DATA else data


def _takes_text(schema: Mapping[str, Any]) -> bool:
    options = schema.get("anyOf")
    if options:
        return any(_takes_text(option) for option in options)
    return schema.get("type", "string") == "string" and "$ref" not in schema


def _written_out(
    text: str, fields: Mapping[str, Any], needed: Sequence[str]
) -> dict[str, Any] | None:
    """Arguments as they stand in a call in Python: by name, or in order."""
    if len(text) >= _MOST_CHARS:
        return None
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(call, ast.Call):
        return None
    if len(call.args) > len(fields) or any(each.arg not in fields for each in call.keywords):
        return None
    if not call.keywords and (len(call.args) < 2 or len(needed) < 2):
        return None  # a text with a comma in it
    try:
        given = dict(zip(fields, map(ast.literal_eval, call.args), strict=False))
        return given | {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
