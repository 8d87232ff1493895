"""`Tool` and `@tool`: a function a model may call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction, isgeneratorfunction
from typing import Any, Literal, TypeAlias, cast, overload

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, ToolError
from tinyagents.messages import Document, Image, Message, Text, UserPart, user_message, well_formed
from tinyagents.models.protocol import ToolSpec
from tinyagents.schema import IDEMPOTENCY_KEY, Signature, check_json, read_signature
from tinyagents_graph.threads import in_thread

__all__ = ["OnDoubt", "OnError", "Tool", "check_name", "render", "tool"]

OnDoubt: TypeAlias = Literal["tell", "ask"]
"""What becomes of a call of an irreversible tool of which nobody knows whether it happened: the
model is told so (`"tell"`), or the human is asked (`"ask"`)."""

OnError: TypeAlias = Literal["tell", "fail"] | Callable[[Exception], str]
"""What a tool's exception becomes: told to the model as a structured failure (`"tell"`), the
failure of the run (`"fail"`), or a text of your own for the model."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Tool:
    """A function a model may call.

    Usually made by `@tool`. The schema comes from the signature, descriptions from the docstring
    (Google, NumPy or Sphinx style). A first parameter annotated `RunContext` (or called `ctx`) is
    given the context and not shown to the model. A parameter called `idempotency_key` is not shown
    either: it is given `ctx.idempotency_key`. A plain function runs in a worker thread.

    Args:
        function: What to call, `async` or plain.
        name: What the model calls it by; the function's name if not given.
        description: What the model is told of it; from the docstring if not given.
        timeout_s: Seconds one try may take; then the model is told so. `None`: no limit of its own.
        retries: How often the function is tried again after an exception or a timeout.
        backoff_s: Seconds to wait before the first of these tries, doubled for each further one.
        sequential: Whether no other call of the same turn may run beside it.
        on_error: What an exception becomes once the retries are used up.
        max_result_chars: Longer results are cut in the middle for the model; the host keeps them
            whole in `ToolMessage.artifact`.
        strict: Whether the provider should enforce the schema where it can.
        reversible: `False` for what cannot be undone or must not happen twice: its intent is
            recorded before it starts, and after a crash in the middle it is in doubt, never
            silently run again.
        on_doubt: What becomes of a call that is in doubt, for `reversible=False`.
        signature: What the function takes, if its own signature does not say it.

    Raises:
        ConfigError: The name is no tool name, a parameter cannot be filled in by a model, or an
            option is none that is allowed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float | None = None,
        retries: int = 0,
        backoff_s: float = 0.0,
        sequential: bool = False,
        on_error: OnError = "tell",
        max_result_chars: int = 100_000,
        strict: bool = False,
        reversible: bool = True,
        on_doubt: OnDoubt = "tell",
        signature: Signature | None = None,
    ) -> None:
        self.name = check_name("tool", name or _name_of(function))
        _check_options(self.name, timeout_s, retries, backoff_s, max_result_chars, on_error)
        _check_doubt(self.name, reversible, on_doubt)
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            # Its body would run where its result is read: outside of its thread and time limit.
            raise ConfigError(f"tool {self.name!r} yields its results: return them in a list")
        signature = signature or read_signature(function, self.name)
        self.function = function
        self.description = signature.description if description is None else description
        self.parameters: Mapping[str, Any] = signature.parameters
        self.timeout_s = timeout_s
        self.retries = retries
        self.backoff_s = backoff_s
        self.sequential = sequential
        self.on_error = on_error
        self.max_result_chars = max_result_chars
        self.reversible = reversible
        self.on_doubt: OnDoubt = on_doubt
        self.spec = ToolSpec(self.name, self.description, self.parameters, strict)
        self._adapter = signature.adapter
        self.has_own_place = False
        self.makes_calls = False  # of other tools, in the middle of its own
        self.outlives_its_call = False
        self.is_of_tree = False  # it looks at other runs, or tells them something
        self.asks_leave = False
        self._takes_context = signature.takes_context
        self._takes_key = signature.takes_key
        self.is_plain = timeout_s is None and not retries
        self._is_async = iscoroutinefunction(function) or iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  # an object with an async __call__
        )

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check a model's arguments and coerce them to the declared types.

        Raises:
            pydantic.ValidationError: They do not fit.
        """
        return cast("dict[str, Any]", check_json(self._adapter, arguments))

    def call(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Awaitable[Any]:
        """Call the function once with checked arguments."""
        if self._takes_key:
            arguments = {**arguments, IDEMPOTENCY_KEY: ctx.idempotency_key}
        if not self._is_async:
            return self._call_in_thread(ctx, arguments)
        made: Awaitable[Any]
        if self._takes_context:
            made = self.function(ctx, **arguments)
        else:
            made = self.function(**arguments)
        return made

    @property
    def is_entered(self) -> bool:
        """Whether it is gone through again in a fork, for what is done in it are steps as well."""
        return self.has_own_place or self.makes_calls

    @property
    def tools_behind(self) -> Mapping[str, Tool]:
        """The tools that whoever it delegates to may use, by name."""
        return {}

    def recall(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> None:
        """A call that was made before, and whose result is known: it is not made again."""
        del arguments
        ctx.run.recall(ctx.path)

    def show(self, value: Any) -> str | tuple[UserPart, ...]:
        """What the model reads of a result.

        Raises:
            ToolError: It has no JSON; category `"unserialisable"`.
        """
        return render(value, self.name)

    def explain(self, error: Exception) -> Exception:
        """What to make of an exception of the function; for tools that know more about it."""
        return error

    async def _call_in_thread(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Any:
        given = (ctx,) if self._takes_context else ()
        value = await in_thread(partial(self.function, *given, **arguments))
        return await value if isawaitable(value) else value


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    retries: int = 0,
    backoff_s: float = 0.0,
    sequential: bool = False,
    on_error: OnError = "tell",
    max_result_chars: int = 100_000,
    strict: bool = False,
    reversible: bool = True,
    on_doubt: OnDoubt = "tell",
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, **options: Any
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a `Tool` of a function: `@tool`, or `@tool(timeout_s=5)` with any option of `Tool`."""
    if function is not None:
        return Tool(function, **options)
    return partial(Tool, **options)


def as_task(value: Any) -> Message:
    """What an agent is asked when it is given a value: text and parts as they are, else JSON.

    Raises:
        ToolError: It has no JSON; category `"unserialisable"`.
    """
    try:
        return user_message(value)
    except TypeError:
        return user_message(render(value))


def render(value: Any, tool: str = "") -> str | tuple[UserPart, ...]:
    """What a model reads of a value: text as it is, parts as parts, anything else as JSON.

    Args:
        value: What a tool returned.
        tool: Its name, for the error.

    Raises:
        ToolError: It has no JSON; category `"unserialisable"`.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, (Text, Image, Document)):
        return (value,)
    if isinstance(value, (list, tuple)) and value:
        items = cast("list[Any]", value)
        if all(isinstance(item, (Text, Image, Document)) for item in items):
            return tuple(items)
    try:
        if isinstance(value, BaseModel):
            return value.model_dump_json()
        return to_json(cast("Any", value)).decode()
    except (PydanticSerializationError, ValueError) as error:
        raise ToolError(
            tool,
            f"its result ({error}) cannot be shown to a model; "
            "return text, JSON-able data, a pydantic model, Text, Image or Document",
            category="unserialisable",
        ) from error


def shorten(content: str | tuple[UserPart, ...], most: int) -> str | tuple[UserPart, ...]:
    """`content` with each text in it cut to `most` characters; itself if none is longer."""
    if isinstance(content, str):
        return cut(content, most)
    if not any(isinstance(part, Text) and len(part.text) > most for part in content):
        return content
    return tuple(Text(cut(part.text, most)) if isinstance(part, Text) else part for part in content)


def cut(text: str, most: int) -> str:
    """`text` with its middle left out if it is longer than `most` characters."""
    if len(text) <= most:
        return text
    head, tail = most - most // 4, most // 4
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[… {left_out:,} characters left out …]\n{text[len(text) - tail :]}"


def check_name(what: str, name: str) -> str:
    """`name`, if a provider takes it as the name of a tool.

    Raises:
        ConfigError: It does not fit.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} name {name!r}: use 1 to 64 letters, digits, '_' or '-', as providers ask"
        )
    return name


def _name_of(function: Any) -> str:
    inner: Any = function.func if isinstance(function, partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _check_options(
    tool: str,
    timeout_s: float | None,
    retries: int,
    backoff_s: float,
    max_result_chars: int,
    on_error: object,
) -> None:
    wrong = ""
    if timeout_s is not None and not timeout_s > 0:
        wrong = f"timeout_s={timeout_s!r}: give seconds, more than 0, or None"
    elif retries < 0:
        wrong = f"retries={retries!r}: give a number from 0 on"
    elif not backoff_s >= 0:
        wrong = f"backoff_s={backoff_s!r}: give seconds, from 0 on"
    elif max_result_chars < 1:
        wrong = f"max_result_chars={max_result_chars!r}: give at least 1"
    elif on_error not in ("tell", "fail") and not callable(on_error):
        wrong = f"on_error={on_error!r}: give 'tell', 'fail' or a function of the exception"
    if wrong:
        raise ConfigError(f"tool {tool!r}: {wrong}")


def _check_doubt(tool: str, reversible: object, on_doubt: object) -> None:
    wrong = ""
    if not isinstance(reversible, bool):
        wrong = f"reversible={reversible!r}: give True or False"
    elif on_doubt not in ("tell", "ask"):
        wrong = f"on_doubt={on_doubt!r}: give 'tell' or 'ask'"
    elif reversible and on_doubt != "tell":
        wrong = f"on_doubt={on_doubt!r} is for reversible=False: no other call is ever in doubt"
    if wrong:
        raise ConfigError(f"tool {tool!r}: {wrong}")
