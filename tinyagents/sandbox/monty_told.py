"""What pydantic-monty tells, in our words: its errors, and its values that are no plain data."""

from __future__ import annotations

import re
from typing import Any

import pydantic_monty as monty

from tinyagents.sandbox.cell import CellError, ErrorKind, Frame, shorten
from tinyagents.sandbox.engine import Failed

__all__ = ["converted", "failure"]

_LIMITS = (
    "memory limit exceeded", "time limit exceeded", "suspension limit", "sleep limit",
    "exceeded its memory limit",
)  # fmt: skip
_MAX_MESSAGE = 10_000
_MAX_FRAMES = 20
_MAX_LINE = 500
_UNKNOWN = "The monty syntax parser does not yet support "
_NO_STOP = re.compile(r"external function '(\w+)' cannot suspend in this synchronous context")
_CALLED_BELOW = (
    "{}() was given to you and cannot be called inside of map, filter, sorted(key=…) or a method "
    "such as __repr__: use a comprehension or a loop"
)


def failure(error: monty.MontyError) -> Failed:
    """Why a cell failed, and whether its worker can go on."""
    if isinstance(error, (monty.MontySyntaxError, monty.MontyRuntimeError)):
        return _failure_of_code(error)
    if isinstance(error, monty.MontyCrashedError) and error.timed_out:
        return Failed(CellError("limit", "TimeoutError", "time limit exceeded"), is_lost=True)
    if isinstance(error, monty.MontyConversionError):
        return Failed(CellError("host", "TypeError", str(error)))
    return Failed(CellError("crash", "SandboxCrashed", str(error)), is_lost=True)


def _failure_of_code(error: monty.MontySyntaxError | monty.MontyRuntimeError) -> Failed:
    message = error.display("msg")
    first = error.display("type-msg")[: len(message) + 100]
    kind: ErrorKind = "syntax" if isinstance(error, monty.MontySyntaxError) else "code"
    name = first.partition(":")[0].strip() or type(error.exception()).__name__
    if message.startswith(_UNKNOWN):
        kind = "syntax"
        message = f"this sandbox's Python does not know {message.removeprefix(_UNKNOWN)}"
    elif (unstoppable := _NO_STOP.search(message)) is not None:
        message = _CALLED_BELOW.format(unstoppable[1])
    is_limit = name in ("MemoryError", "TimeoutError", "RuntimeError") and any(
        each in message for each in _LIMITS
    )
    if is_limit:
        kind = "limit"
        if "time limit" in message:  # without how long it took to notice
            message = "time limit exceeded"
    told = CellError(kind, name, shorten(message, _MAX_MESSAGE), _frames(error))
    return Failed(told, is_lost=is_limit)


def _frames(error: monty.MontySyntaxError | monty.MontyRuntimeError) -> tuple[Frame, ...]:
    found: list[Frame] = []
    for frame in error.traceback()[-_MAX_FRAMES:]:
        name = frame.function_name or ""
        width = frame.end_column - frame.column if frame.end_line == frame.line else 1
        found.append(
            Frame(
                frame.line,
                "" if name == "<module>" else name,
                (frame.source_line or "")[:_MAX_LINE],
                frame.column,
                width,
            )
        )
    return tuple(found)


def converted(value: Any) -> Any:
    """Plain data for a value that only exists in the sandbox: an instance's attributes, a name."""
    if isinstance(value, (monty.MontyClassProxy, monty.MontyClassTypeProxy)):
        attributes: Any = value.attributes
        return attributes if isinstance(value, monty.MontyClassProxy) else f"<class {value.name}>"
    if isinstance(value, monty.MontyStdTypeProxy):
        return f"<{value.kind} {value.name}>"
    return f"<{type(value).__name__}>"
