"""Middleware: plain objects with optional hooks, in a list, the first one outermost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from types import NoneType
from typing import Any, Protocol, TypeAlias

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, Signal
from tinyagents.messages import ToolCall, ToolMessage
from tinyagents.models.protocol import Model, ModelReply, ModelRequest

__all__ = ["AskModel", "Finish", "Hooks", "Middleware", "checked"]


class AskModel(Protocol):
    """What `Middleware.wrap_model` calls to go on."""

    async def __call__(self, request: ModelRequest, model: Model | None = None) -> ModelReply:
        """Ask the model (or another one) and retry by the agent's policy."""
        ...


class Finish(Signal):
    """Ends the run at once with an output. Raise it from a hook or a tool.

    Calls of the same turn that run beside it are finished first. It is no `Exception`, so
    nobody's `except Exception` swallows it.

    Attributes:
        output: The run's output, taken as it is.
    """

    def __init__(self, output: Any) -> None:
        self.output = output
        super().__init__(output)


class Middleware:
    """Does something around runs, model calls and tool calls. Override what you need.

    Any object with at least one of these methods will do; this class is for editors and type
    checkers. `before_*` hooks run in the order of the list, `after_*` hooks in reverse. A hook that
    raises fails the run.
    """

    async def before_run(self, ctx: RunContext[Any]) -> None:
        """The run has started; nothing has been asked yet."""

    async def after_run(self, ctx: RunContext[Any], output: Any) -> Any:
        """There is an output. Return another one to replace it, `None` to keep it.

        It is called once more if a command that comes meanwhile leads to another output.
        """

    async def before_model(
        self, ctx: RunContext[Any], request: ModelRequest
    ) -> ModelRequest | ModelReply | None:
        """Before a model call. Return a request to change it, a reply to skip the call."""

    async def wrap_model(
        self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
    ) -> ModelReply:
        """Around a model call: call `ask` never, once, or more often."""
        return await ask(request)

    async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> ModelReply | None:
        """After a model call. Return a reply to change it."""

    async def before_tool(
        self, ctx: RunContext[Any], call: ToolCall
    ) -> ToolCall | ToolMessage | str | None:
        """Before a call is checked. Return a call to change it, a message or text to skip it."""

    async def after_tool(
        self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage
    ) -> ToolMessage | None:
        """After a tool call, failed ones too. Return a message to change what the model reads."""

    async def on_error(self, ctx: RunContext[Any], error: BaseException) -> None:
        """The run fails or is cancelled by name; called once. What it raises becomes a note."""


Hook: TypeAlias = Callable[..., Awaitable[Any]]


_HOOKS = (
    "before_run", "after_run", "before_model", "wrap_model", "after_model", "before_tool",
    "after_tool", "on_error",
)  # fmt: skip


class Hooks:
    """The hooks of a list of middleware, ready to be called.

    Attributes:
        around_models: Whether any of them has to do with model calls.
    """

    __slots__ = ("around_models", *_HOOKS)

    before_run: tuple[Hook, ...]
    after_run: tuple[Hook, ...]
    before_model: tuple[Hook, ...]
    wrap_model: tuple[Hook, ...]
    after_model: tuple[Hook, ...]
    before_tool: tuple[Hook, ...]
    after_tool: tuple[Hook, ...]
    on_error: tuple[Hook, ...]

    def __init__(self, middleware: Sequence[object]) -> None:
        for name in _HOOKS:
            found = [hook for item in middleware if (hook := _hook(item, name)) is not None]
            if name.startswith("after_"):
                found.reverse()
            setattr(self, name, tuple(found))
        self.around_models = bool(self.before_model or self.wrap_model or self.after_model)
        for item in middleware:
            if isinstance(item, type) or not any(_hook(item, name) for name in _HOOKS):
                raise ConfigError(
                    f"middleware={item!r} has no hook: give an object with at least one of "
                    f"{', '.join(_HOOKS)}"
                )
            for name in _HOOKS:
                if not _is_async(hook := _hook(item, name)):
                    raise ConfigError(f"middleware: {hook!r} is no `async def`, as hooks are")


def _is_async(hook: object) -> bool:
    return hook is None or iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__)


def checked(value: Any, hook: Hook, *allowed: type[Any]) -> Any:
    """What a hook returned, if it may return that.

    Raises:
        ConfigError: It may not; the message names the hook.
    """
    if isinstance(value, allowed):
        return value
    name = getattr(hook, "__qualname__", repr(hook))
    kinds = " or ".join("None" if kind is NoneType else kind.__name__ for kind in allowed)
    raise ConfigError(f"{name} returned {value!r}: return {kinds}")


def _hook(item: object, name: str) -> Hook | None:
    """The object's own hook, not the empty one it inherits from `Middleware`."""
    if getattr(type(item), name, None) is getattr(Middleware, name):
        return None
    return getattr(item, name, None)
