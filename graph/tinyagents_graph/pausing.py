"""Pausing a run and all below it, in place; and what keeps steering in order.

A tree that nobody steers takes no lock. Whoever steers says so first (`RunTree.is_stirred`), and
then looks how a run stands; a run that begins or ends first changes how it stands, and then looks
whether anybody steers. So at least one of the two sees the other, and waits for it at the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for their names only: what is paused is above what pauses it
    from tinyagents_graph.place import RunTree
    from tinyagents_graph.run import Run

__all__ = ["exclusive", "inherit_pauses", "lock", "pause", "rest", "resume", "subtree", "unrest"]

lock = threading.RLock()
"""Steering from any thread is one thing at a time."""


@contextmanager
def exclusive(tree: RunTree) -> Generator[None]:
    """Steer, with nobody else doing so; what is published has its place, and is heard afterwards.

    A listener called under the lock could wait for an event loop that waits for the lock.
    """
    with tree.sink.unheard(), lock:
        yield


def pause(top: Run, reason: str) -> None:
    """Park a run and its descendants."""
    with exclusive(top.tree):
        for run in subtree(top):
            run.controls.pauses.setdefault(top.path, reason)
            rest(run, reason, by=top.path)


def resume(top: Run) -> bool:
    """Take back the pause of a run; descendants that were paused by themselves stay so.

    Returns:
        False if the run itself was not paused.
    """
    with exclusive(top.tree):
        was_paused = top.path in top.controls.pauses
        for run in subtree(top):
            if run.controls.pauses.pop(top.path, None) is not None:
                unrest(run)
    return was_paused


def rest(run: Run, reason: str, **about: Any) -> None:
    """From now on a run counts as paused, if it did not before; if it has begun, and goes on."""
    with exclusive(run.tree):
        if run.status == "running" and run.has_begun and run.is_open:
            run.status = "paused"
            run.stop_clock()
            run.emit("run.paused", {"reason": reason, **about})


def unrest(run: Run, *, is_ending: bool = False) -> None:
    """If nothing keeps a run paused any more, it goes on. Paused runs end as running ones."""
    with exclusive(run.tree):
        if run.status == "paused" and (is_ending or not run.controls.is_at_rest()):
            run.status = "running"
            run.start_clock()
            run.emit("run.resumed", {})
    run.controls.bell.ring()


def inherit_pauses(run: Run) -> None:
    """A run begins paused, if it was told so before it began, or if the run above is."""
    above = run.parent.controls if run.parent is not None and run.parent.is_steered else None
    if above is not None and above.pauses:
        run.controls.pauses.update(above.pauses)
    if run.is_steered and run.controls.pauses:
        by, reason = next(iter(run.controls.pauses.items()))
        rest(run, reason, by=by)


def subtree(run: Run) -> Iterator[Run]:
    """A run and its descendants that are alive."""
    yield run
    for child in list(run.children.values()):
        yield from subtree(child)
