"""Dialects: how a model's reply becomes calls, and how their results go back to it.

A `Dialect` is what an agent is given; `speech` makes it know the agent's tools. The loop knows the
`Speech` only. `native` uses the provider's own tool calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from tinyagents.messages import AssistantMessage, Message, ToolCall, ToolMessage
from tinyagents.models.protocol import ModelRequest, ToolSpec
from tinyagents.output import OutputPlan
from tinyagents.tools import Tool

__all__ = ["NATIVE", "Dialect", "Native", "Reading", "Speech"]


class Reading(NamedTuple):
    """What a reply says.

    A named tuple and not a frozen class: one is made in every turn.

    Attributes:
        message: The reply as it stands in the transcript.
        calls: What it asks for.
        answer: Without calls, the answer; `None` for the message's text.
        mistake: Without calls, what the model is told if it is no answer either.
        remark: What the model is told besides the results.
        thinking: What it thought aloud.
    """

    message: AssistantMessage
    calls: tuple[ToolCall, ...] = ()
    answer: str | None = None
    mistake: str = ""
    remark: str = ""
    thinking: str = ""


# What `Reading(…)` does, without the Python function that a named tuple puts around it.
_new_reading: Callable[[type[Reading], tuple[Any, ...]], Reading] = cast("Any", tuple).__new__


class Speech(Protocol):
    """A dialect as it is spoken with one agent's model.

    Attributes:
        prompt: What stands in the system prompt behind the agent's instructions; maybe empty.
        tools: The agent's tools by name, with those that the dialect adds.
    """

    prompt: str
    tools: Mapping[str, Tool]

    def offer(self, tools: Iterable[Tool]) -> tuple[ToolSpec, ...]:
        """What the provider is told of these tools."""
        ...

    def put(self, request: ModelRequest) -> ModelRequest:
        """The request as this dialect puts it."""
        ...

    def read(self, message: AssistantMessage, call_id: str) -> Reading:
        """What a reply says.

        Args:
            message: The reply.
            call_id: Id of the model call, of which the ids of calls are made that have none.
        """
        ...

    def tell(self, results: Sequence[ToolMessage], remark: str) -> Sequence[Message]:
        """The messages that tell the model what came of its calls."""
        ...


class Dialect(Protocol):
    """A way of speaking with models about tools."""

    @property
    def name(self) -> str:
        """What it is called in a journal."""
        ...

    def output(self, output_type: Any, *, native: bool) -> OutputPlan:
        """How the final answer is held to a type.

        Args:
            output_type: What the agent was given.
            native: Whether the model's provider enforces a schema.
        """
        ...

    def speech(self, tools: Mapping[str, Tool], output: OutputPlan) -> Speech:
        """The dialect as it is spoken with an agent that has these tools."""
        ...


class _NativeSpeech:
    prompt = ""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self.tools = tools

    def offer(self, tools: Iterable[Tool]) -> tuple[ToolSpec, ...]:
        return tuple([tool.spec for tool in tools])

    def put(self, request: ModelRequest) -> ModelRequest:
        return request

    def read(self, message: AssistantMessage, call_id: str) -> Reading:
        return _new_reading(Reading, (message, message.tool_calls, None, "", "", ""))

    def tell(self, results: Sequence[ToolMessage], remark: str) -> Sequence[Message]:
        return results


class Native:
    """The provider's own tool calls, as they are."""

    name = "native"

    def output(self, output_type: Any, *, native: bool) -> OutputPlan:
        """By the provider's schema if it enforces one, else by a tool."""
        return OutputPlan(output_type, native=native)

    def speech(self, tools: Mapping[str, Tool], output: OutputPlan) -> Speech:
        """Nothing is said that the provider does not say by itself."""
        return _NativeSpeech(tools)


NATIVE = Native()
