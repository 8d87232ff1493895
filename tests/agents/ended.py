"""A run driven to its end, well or not, with its events checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinyagents import Agent, Event, EventSink, Result, ToolMessage
from tinyagents.testing import check_tree, outline

__all__ = ["Ended", "end", "failure_of"]


@dataclass(frozen=True)
class Ended:
    """What is left of a run.

    Attributes:
        result: Its result; of a failed run the partial one.
        error: What it raised, if it did.
        events: All events of its sink, which were balanced and without gaps.
    """

    result: Result[Any]
    error: Exception | None
    events: Sequence[Event]

    @property
    def lines(self) -> list[str]:
        return outline(self.events)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of a kind, in order."""
        return [dict(event.data) for event in self.events if event.kind == kind]

    @property
    def told(self) -> list[ToolMessage]:
        """What the model was told of its calls, in order."""
        return [m for m in self.result.messages if isinstance(m, ToolMessage)]


async def end(agent: Agent[Any, Any], task: Any = "go", **options: Any) -> Ended:
    """Run `agent` and return what is left, whatever happens, once its events are in order."""
    sink: EventSink = options.setdefault("sink", EventSink())
    error: Exception | None = None
    try:
        result: Result[Any] = await agent.run(task, **options)
    except Exception as raised:
        error = raised
        result = cast("Any", raised).result
    assert isinstance(result, Result), "a failed run keeps its partial result"
    check_tree(sink.events)
    return Ended(result, error, list(sink.events))


def failure_of(message: ToolMessage) -> dict[str, Any]:
    """The structured failure that a model is told."""
    assert message.failed
    told = json.loads(message.text)
    assert told["ok"] is False
    return cast("dict[str, Any]", told["error"])
