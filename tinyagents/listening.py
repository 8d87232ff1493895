"""Listeners of one agent: told of the events of its runs, and of all below them, while they run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from tinyagents_graph.events import Event
from tinyagents_graph.frozen import frozen
from tinyagents_graph.sink import EventSink, Listener

if TYPE_CHECKING:
    from tinyagents_graph.run import Run

__all__ = ["Listeners"]

_ENDS = frozenset({"run.completed", "run.failed", "run.cancelled", "run.paused"})


@frozen
class _Entry:
    listener: Listener
    kinds: Collection[str] | None


class Listeners:
    """Who is told of the events of an agent's runs.

    Args:
        entries: Who was so far.
        is_verbose: Whether the run tree is shown on the standard error stream as well.
    """

    __slots__ = ("_entries", "_has_any", "is_verbose")

    def __init__(self, entries: tuple[_Entry, ...] = (), *, is_verbose: bool = False) -> None:
        self._entries = entries
        self.is_verbose = is_verbose
        self._has_any = bool(entries) or is_verbose

    def add(self, listener: Listener, kinds: Collection[str] | None) -> None:
        """One more, for runs that begin from now on.

        Raises:
            ConfigError: There is no such kind, or the listener is a coroutine function.
        """
        EventSink().subscribe(listener, kinds=kinds)  # which says what is wrong with it
        self._entries = (*self._entries, _Entry(listener, kinds))
        self._has_any = True

    def take_over(self, other: Listeners) -> None:
        """Those of another agent, of which this one's is a copy, are told as well."""
        self._entries += other._entries
        self._has_any = self.is_verbose or bool(self._entries)

    def attend(self, run: Run) -> None:
        """Listen to a run that is about to begin, until it has told of its end.

        Not until its `async with` is left: in a tree that is kept, events are told once they are
        durable, which may be later.
        """
        if not self._has_any:
            return
        ledger = run.tree.ledger
        if ledger is not None and (ledger.is_silent or ledger.past.is_finished(run.path)):
            return  # there is nothing new to tell, and no end that would be told
        sink, leave = run.tree.sink, list[Callable[[], None]]()
        for entry in self._entries:
            leave.append(sink.subscribe(entry.listener, kinds=entry.kinds, under=run.run_id))
        if self.is_verbose and not _is_shown(run.parent):
            leave.append(sink.subscribe(_printer(), under=run.run_id))

        def see(event: Event) -> None:
            if event.run_id != run.run_id or (event.kind == "run.paused" and not _is_parked(run)):
                return
            for unsubscribe in leave:
                unsubscribe()

        leave.append(sink.subscribe(see, kinds=_ENDS, under=run.run_id))


def _is_parked(run: Run) -> bool:
    """Whether it has been left until there is an answer; else it only pauses in place."""
    return run.has_ended and run.status == "paused"


def _is_shown(run: Run | None) -> bool:
    while run is not None:
        plan = getattr(run.work, "plan", None)
        if plan is not None and plan.listeners.is_verbose:
            return True
        run = run.parent
    return False


def _printer() -> Listener:
    # Most agents are silent, and the console is a good part of what an import costs.
    import sys

    from tinyagents.console.lines import LineTrace
    from tinyagents.console.view import TreeView

    return LineTrace(sys.stderr, TreeView())
