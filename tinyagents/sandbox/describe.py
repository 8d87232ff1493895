"""A function as a model reads it: signature and docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["describe"]


def describe(name: str, function: Callable[..., Any]) -> str:
    """The signature and docstring of a function.

    Args:
        name: What the code calls it by.
        function: The function; annotations stay as they are written.
    """
    try:
        signature = str(inspect.signature(function))
    except (TypeError, ValueError):  # some that are written in C do not say
        signature = "(...)"
    head = f"def {name}{signature}:"
    written = inspect.getdoc(function)
    if not written:
        return f"{head}\n    ..."
    lines = f'"""{written}"""' if "\n" not in written else f'"""{written}\n"""'
    body = "\n".join(f"    {line}".rstrip() for line in lines.splitlines())
    return f"{head}\n{body}"
