"""The errors of both floors in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinyagents_graph.errors import (
    BudgetExceeded,
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    EventsLost,
    JournalError,
    LimitExceeded,
    RecordedError,
    RunCancelled,
    RunConflict,
    Signal,
    TinyAgentsError,
)

if TYPE_CHECKING:
    from tinyagents.result import Result

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "DelegationCycle",
    "DepthExceeded",
    "EventsLost",
    "InvalidOutput",
    "JournalError",
    "LimitExceeded",
    "ModelError",
    "ModelRetry",
    "NoAnswer",
    "RecordedError",
    "RunCancelled",
    "RunConflict",
    "SandboxError",
    "Signal",
    "TinyAgentsError",
    "ToolError",
]


class ModelError(TinyAgentsError):
    """A model call failed.

    Attributes:
        provider: Who answered, for example `"openai"`.
        model: Model name as the provider knows it.
        status: HTTP status, or `None` when there was no HTTP answer.
        retryable: Whether the same request may succeed later.
        request_id: The provider's id of the request, for its support.
        retry_after_s: Seconds the provider asked to wait, from its `Retry-After` header.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        retryable: bool = False,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.status = status
        self.retryable = retryable
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        who = ":".join(part for part in (provider, model) if part)
        facts = [f"status {status}"] if status is not None else []
        facts += [f"request {request_id}"] if request_id else []
        where = f" ({', '.join(facts)})" if facts else ""
        super().__init__(f"{who}: {message}{where}" if who else f"{message}{where}")


class ToolError(TinyAgentsError):
    """A tool call failed in a way its run could not tell the model.

    Attributes:
        tool: Name of the tool.
        call_id: Id of the call.
        category: One word for the situation: `"raised"`, `"timeout"`, `"unknown_tool"`,
            `"invalid_arguments"`, `"unserialisable"`, `"limit"`, `"cancelled"` or `"delegate"`.
        details: More facts for the model, as plain JSON data.
    """

    def __init__(
        self,
        tool: str,
        message: str,
        *,
        category: str = "raised",
        call_id: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.tool = tool
        self.call_id = call_id
        self.category = category
        self.details: Mapping[str, Any] = details or {}
        super().__init__(f"tool {tool!r}: {message}")


class ModelRetry(TinyAgentsError):
    """Raised by a tool (or an output check) to tell the model what to do differently."""


class NoAnswer(TinyAgentsError):
    """None of the attempts gave an answer that will do.

    Attributes:
        path: The run that made them.
        results: What there is of each attempt that began, in their order.
    """

    def __init__(self, path: str, why: str, results: Sequence[Result[Any]]) -> None:
        self.path = path
        self.results = tuple(results)
        ends = ", ".join(f"{each.path} {each.status}" for each in results) or "none began"
        super().__init__(f"{path}: {why} ({ends})")


class SandboxError(TinyAgentsError):
    """A sandbox cannot be had, or cannot do what is asked; a failing cell never raises it."""


class InvalidOutput(TinyAgentsError):
    """The model's final answer never fitted `output_type`, or there was none.

    Attributes:
        text: What the model said last.
        errors: What was wrong with it, one line each.
    """

    def __init__(self, message: str, *, text: str, errors: tuple[str, ...] = ()) -> None:
        self.text = text
        self.errors = errors
        super().__init__(message)
