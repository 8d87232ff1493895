"""What a journal lists of a tree, as it follows from the tree's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from tinyagents_graph.events import Event
from tinyagents_graph.interruptible import RunStatus

__all__ = ["AskChange", "ask_changes", "standing_after"]

AskChange: TypeAlias = Literal["raised", "settled"]

_ENDS: Mapping[str, RunStatus] = {
    "run.completed": "completed", "run.failed": "failed", "run.cancelled": "cancelled",
    "run.paused": "paused",
}  # fmt: skip


def standing_after(events: Iterable[Event]) -> tuple[RunStatus, Mapping[str, Any]] | None:
    """How the root stands after these events, and what its tree has used.

    Returns:
        `None` if they say nothing about it.
    """
    found: tuple[RunStatus, Mapping[str, Any]] | None = None
    for event in events:
        if event.origin.parent_run_id is not None or not event.kind.startswith("run."):
            continue
        status: RunStatus = _ENDS.get(event.kind, "running")
        if event.data.get("status") == "limited":
            status = "limited"
        found = status, event.data.get("tree_usage") or {}
    return found


def ask_changes(events: Iterable[Event]) -> Iterable[tuple[AskChange, Event]]:
    """What these events tell of questions to the human: `ask_id` is in the event's data."""
    for event in events:
        if event.kind == "ask.raised" and event.data.get("to", "human") == "human":
            yield "raised", event
        elif event.kind in ("ask.answered", "ask.expired"):
            yield "settled", event
