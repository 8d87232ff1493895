"""What the run above tells of a child: that it started, and how it ended."""

from __future__ import annotations

from typing import Any

from tinyagents_graph.errors import RunCancelled, describe
from tinyagents_graph.events import EventKind, Origin
from tinyagents_graph.run import Run

__all__ = ["tell_end", "tell_start"]


def tell_start(run: Run, teller: Origin | None, turn: int = 0) -> None:
    """A run takes its place in the tree, and the one that delegates to it says so.

    Args:
        run: The child.
        teller: The run in whose name the events are published; `None` for a root.
        turn: Which turn of a session it is; later ones are told as `subagent.reused` too.
    """
    run.enrol()
    if teller is not None:
        run.tree.publisher.emit("subagent.started", teller, run.about)
        if turn:
            run.tree.publisher.emit("subagent.reused", teller, {**run.about, "turn": turn})


def tell_end(run: Run, teller: Origin, error: BaseException | None) -> None:
    """A child has ended."""
    data: dict[str, Any] = {"name": run.name, "run_id": run.run_id, "path": run.path}
    kind: EventKind = "subagent.completed"
    if error is None:
        data["status"] = run.status
    elif isinstance(error, RunCancelled):
        kind, data["reason"] = "subagent.cancelled", error.reason
    elif isinstance(error, Exception):
        kind, data["error"] = "subagent.failed", describe(error)
    else:
        kind, data["reason"] = "subagent.cancelled", f"interrupted by {type(error).__name__}"
    run.tree.publisher.emit(kind, teller, data)
