"""Pausing a run and all below it, in place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for its name only: what is paused is above what pauses it
    from tinyagents_graph.run import Run

__all__ = ["begin_paused", "lock", "pause", "rest", "resume", "unrest"]

lock = threading.RLock()
"""Steering from any thread is one thing at a time."""


def pause(top: Run, reason: str) -> None:
    """Park a run and its descendants."""
    with lock:
        for run in _subtree(top):
            run.controls.pauses.setdefault(top.path, reason)
            rest(run, reason, by=top.path)


def resume(top: Run) -> None:
    """Take back the pause of a run; descendants that were paused by themselves stay so."""
    with lock:
        for run in _subtree(top):
            if run.controls.pauses.pop(top.path, None) is not None:
                unrest(run)


def rest(run: Run, reason: str, **about: Any) -> None:
    """From now on a run counts as paused, if it did not before; if it has begun."""
    if run.status == "running" and run.has_begun:
        run.status = "paused"
        run.stop_clock()
        run.emit("run.paused", {"reason": reason, **about})


def unrest(run: Run, *, is_ending: bool = False) -> None:
    """If nothing keeps a run paused any more, it goes on. Paused runs end as running ones."""
    if run.status == "paused" and (is_ending or not run.controls.is_at_rest()):
        run.status = "running"
        run.start_clock()
        run.emit("run.resumed", {})
    run.controls.bell.ring()


def _subtree(run: Run) -> Iterator[Run]:
    yield run
    for child in list(run.children.values()):
        yield from _subtree(child)


def begin_paused(run: Run) -> None:
    """A run begins paused, if it was told so before it began, or if the run above is."""
    above = run.parent.controls if run.parent is not None and run.parent.is_steered else None
    if above is not None and above.pauses:
        run.controls.pauses.update(above.pauses)
    if run.is_steered and run.controls.pauses:
        by, reason = next(iter(run.controls.pauses.items()))
        rest(run, reason, by=by)
