"""`Runnable`: what can be opened as a run, so that others can delegate to it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from tinyagents.state import AgentRun
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place

__all__ = ["Runnable"]


@runtime_checkable
class Runnable(Protocol):
    """An agent, as those see it who delegate to it: they need not know how it works.

    Attributes:
        name: What parents know it by.
        description: What a parent's model is told of it.
    """

    @property
    def name(self) -> str:
        """What parents know it by."""
        ...

    @property
    def description(self) -> str:
        """What a parent's model is told of it."""
        ...

    def open(
        self,
        task: Any,
        *,
        place: Place | None = None,
        path: str | None = None,
        deps: Any = None,
        history: Any = (),
        sink: Any = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
    ) -> AgentRun:
        """Prepare a run without starting it; see `Agent.open`."""
        ...
