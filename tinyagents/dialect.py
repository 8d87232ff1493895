"""Dialects: how a model's reply becomes calls, and how their results go back to it.

The loop knows this protocol only. `native` uses the provider's own tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tinyagents.messages import AssistantMessage, Message, ToolCall, ToolMessage
from tinyagents.models.protocol import ModelRequest

__all__ = ["NATIVE", "Dialect", "Native"]


class Dialect(Protocol):
    """A way of speaking with a model about tools."""

    name: str

    def put(self, request: ModelRequest) -> ModelRequest:
        """Say in the request which tools there are."""
        ...

    def read(self, message: AssistantMessage) -> tuple[ToolCall, ...]:
        """The calls that a reply asks for; none means that it is the answer."""
        ...

    def tell(self, results: Sequence[ToolMessage]) -> Sequence[Message]:
        """The messages that tell the model what came of its calls."""
        ...


class Native:
    """The provider's own tool calls, as they are."""

    name = "native"

    def put(self, request: ModelRequest) -> ModelRequest:
        """The request as it is: the provider's file translates its tools."""
        return request

    def read(self, message: AssistantMessage) -> tuple[ToolCall, ...]:
        """The reply's tool calls."""
        return message.tool_calls

    def tell(self, results: Sequence[ToolMessage]) -> Sequence[Message]:
        """The results as they are."""
        return results


NATIVE = Native()
