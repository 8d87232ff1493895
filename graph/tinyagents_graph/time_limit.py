"""`time_limit`: how long a piece of a run's work may take, without the time of pauses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import anyio

from tinyagents_graph.clock import Clock
from tinyagents_graph.events import Event

if TYPE_CHECKING:
    from tinyagents_graph.run import Run

__all__ = ["time_limit"]

_TOLD_BY = ("run.paused", "run.resumed", "steer.applied")


@contextmanager
def time_limit(
    seconds: float | None, run: Run, stands_still: Callable[[], object] | None = None
) -> Generator[anyio.CancelScope]:
    """As `anyio.move_on_after`, but its time stands still while the run is paused.

    Rejected: a list of timers on the run, for whoever pauses it to stop. The events of the tree
    already say when somebody is paused, and only few calls have a limit.

    Args:
        seconds: How long the block may take; `None` for ever.
        run: Whose work it is.
        stands_still: Asked whenever somebody is paused or goes on, instead of the run's status.
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
        look_here = partial(copy_context().run, look)

        def on_event(_: Event) -> None:
            clock.loop.call(look_here)

        tree = run.tree
        unsubscribe = tree.sink.subscribe(on_event, kinds=_TOLD_BY, under=tree.root_run_id)
        try:
            look()
            yield scope
        finally:
            unsubscribe()
