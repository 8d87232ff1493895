"""`Tracing`: what a run tree knows of whoever makes spans of it; nothing, unless somebody does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:  # for their names only: a tree has its tracing, which is told of its runs
    from tinyagents_graph.place import Place, RunTree
    from tinyagents_graph.run import Run

__all__ = ["Entered", "Tracer", "Tracing", "enter", "trace_trees", "tracing_of"]


class Entered(Protocol):
    """A piece of code that is under way as part of a span."""

    def leave(self) -> None:
        """It is over; called in the task that entered it."""
        ...


class Tracing(Protocol):
    """Makes spans of the events of one tree.

    The events are all that it needs. What stands here is what events cannot do: a span has to be
    current while code runs that has spans of its own.
    """

    def begin(self, run: Run) -> Mapping[str, Any]:
        """A run of the tree begins, or begins again.

        Returns:
            What its first event tells.
        """
        ...

    def enter(self, place: Place, call_id: str, about: Any = None) -> Entered:
        """Code of a call begins, in the task that calls this.

        Args:
            place: The call of a tool, the visit of a node; or the run, for one of its model calls.
            call_id: Id of the call, empty for a node.
            about: What is called: the tool, or the agent at work that asks its model.
        """
        ...

    def headers(self) -> Mapping[str, str]:
        """W3C headers that name what is current, for a server that is about to be called."""
        ...


Tracer: TypeAlias = "Callable[[RunTree], Tracing]"

# At most one: two that follow the same tree could not both be the current one.
_tracer: list[Tracer] = []


def trace_trees(tracer: Tracer | None) -> None:
    """From now on every tree that begins in this process is traced; with `None` none is."""
    _tracer[:] = [] if tracer is None else [tracer]


class _Nowhere:
    """What is entered where nothing is traced."""

    __slots__ = ()

    def leave(self) -> None:
        """Nothing was entered."""


_nowhere = _Nowhere()


def enter(place: Place, call_id: str, about: Any = None) -> Entered:
    """Code of a call begins; arguments as of `Tracing.enter`."""
    tracing = place.run.tree.tracing
    return _nowhere if tracing is None else tracing.enter(place, call_id, about)


def tracing_of(tree: RunTree) -> Tracing | None:
    """The tracing for a new tree."""
    return _tracer[0](tree) if _tracer else None
