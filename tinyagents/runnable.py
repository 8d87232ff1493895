"""`Runnable`: what can be opened as a run, so that others can delegate to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from tinyagents.messages import Message
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place
from tinyagents_graph.run import Run

__all__ = ["Opened", "Runnable"]


class Opened(Protocol):
    """A run that is prepared, and not started, by what it was opened from.

    What is no agent's has a method `execute()` that runs it to its result.
    """

    @property
    def run(self) -> Run:
        """Its place in the tree."""
        ...

    @property
    def messages(self) -> Sequence[Message]:
        """What was said in it so far."""
        ...

    @property
    def turns(self) -> int:
        """How many steps it has taken."""
        ...

    @property
    def progress(self) -> str:
        """What it last reported of how far it is."""
        ...


@runtime_checkable
class Runnable(Protocol):
    """An agent or a graph, as those see it who delegate to it: they need not know how it works.

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
    ) -> Opened:
        """Prepare a run without starting it; see `Agent.open`."""
        ...
