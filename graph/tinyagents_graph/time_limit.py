"""`time_limit`: how long a piece of a run's work may take, without the time of pauses."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeAlias

import anyio

from tinyagents_graph.clock import Clock
from tinyagents_graph.events import Event
from tinyagents_graph.pausing import lock, subtree

if TYPE_CHECKING:
    from tinyagents_graph.place import RunTree
    from tinyagents_graph.run import Run

__all__ = ["time_limit"]

_PAUSES = ("run.paused", "run.resumed")
_COMMANDS = ("steer.received", "steer.applied")
_Look: TypeAlias = Callable[[], object]


@contextmanager
def time_limit(
    seconds: float | None,
    run: Run,
    stands_still: Callable[[], object] | None = None,
    *,
    at: str = "",
) -> Generator[anyio.CancelScope]:
    """As `anyio.move_on_after`, but its time stands still while the run is paused.

    Rejected: a list of timers on the run, for whoever pauses it to stop. The events of the tree
    already say when somebody is paused, and only few calls have a limit.

    Args:
        seconds: How long the block may take; `None` for ever.
        run: Whose work it is.
        stands_still: Asked whenever the run is paused or goes on, instead of the run's status.
        at: Path of the call it is for; a child that takes its place may be paused by itself.
    """
    with anyio.CancelScope() as scope:
        if seconds is None:
            yield scope
            return
        clock = Clock(seconds, run.path, None)
        is_still = stands_still or (lambda: run.status == "paused")

        def look() -> None:
            if is_still():
                clock.stop()
                scope.deadline = inf
            else:
                clock.go_on()
                scope.deadline = anyio.current_time() + clock.own_remaining_s

        # A pause may come from any thread, whose context knows nothing of this event loop.
        look_here = partial(clock.loop.call, partial(copy_context().run, look))
        timers, paths = _timers_of(run.tree), {run.path, at or run.path}
        timers.add(look_here, paths)
        try:
            look()
            yield scope
        finally:
            timers.remove(look_here, paths)


class _Timers:
    """The limits under way in a tree, by the paths of the runs whose pauses stop them.

    They have one listener together. Rejected: one each, for every event asks every listener, and a
    run among a thousand that have limits would pay for all of them.
    """

    __slots__ = ("_at", "_tree", "_unsubscribe")

    def __init__(self, tree: RunTree) -> None:
        self._tree = tree
        self._at: dict[str, dict[_Look, None]] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def add(self, look: _Look, paths: Iterable[str]) -> None:
        with lock:
            if self._unsubscribe is None:
                self._unsubscribe = self._tree.sink.subscribe(
                    self._on_event, kinds=(*_PAUSES, *_COMMANDS), under=self._tree.root_run_id
                )
            for path in paths:
                self._at.setdefault(path, {})[look] = None

    def remove(self, look: _Look, paths: Iterable[str]) -> None:
        with lock:
            for path in paths:
                del self._at[path][look]
                if not self._at[path]:
                    del self._at[path]
            if not self._at and self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def _on_event(self, event: Event) -> None:
        # Under the lock, so that a command that another thread sends has done what it does.
        with lock:
            looks = [look for at in self._concerned(event) for look in at]
        for look in looks:
            look()

    def _concerned(self, event: Event) -> list[dict[_Look, None]]:
        if event.kind in _PAUSES:
            return [self._at[event.path]] if event.path in self._at else []
        # A run that counts as paused because it asks publishes no pause from outside, nor its end.
        if event.data["command"] not in ("pause", "resume"):
            return []
        top = self._tree.find(event.data["to"])
        below = subtree(top) if top is not None else ()
        return [self._at[run.path] for run in below if run.path in self._at]


def _timers_of(tree: RunTree) -> _Timers:
    with lock:
        if tree.timers is None:
            tree.timers = _Timers(tree)
        timers: _Timers = tree.timers
        return timers
