"""What a journal lists of a tree, as it follows from the tree's events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.journal.protocol import TreeRecord

__all__ = ["ENDED", "AskChange", "ask_changes", "prunable", "standing_after", "why_not_next"]

AskChange: TypeAlias = Literal["raised", "settled"]

ENDED: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled", "limited"})
"""How a tree stands that nobody has to go on with."""

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


def why_not_next(run_id: str, n_events: int, events: Sequence[Event]) -> str:
    """Why these events do not follow on the `n_events` that a tree has; empty if they do."""
    if not events:
        return "there are no events to keep"
    for due, event in enumerate(events, n_events):
        if event.seq != due:
            return f"run {run_id!r} goes on with seq {due}, and this event has seq {event.seq}"
        if event.origin.root_run_id != run_id:
            return f"{event.id} is of another tree than {run_id!r}"
    return ""


def prunable(
    records: Iterable[TreeRecord],
    now: float,
    *,
    older_than_s: float | None,
    keep: int | None,
    status: Collection[RunStatus],
) -> list[str]:
    """The ids of the trees that `prune` may drop; whether one of them is held is not looked at.

    Args:
        records: All trees, the one that was opened last first.
        now: The time, in seconds since the epoch.
        older_than_s: Only those to which nothing was appended for so long, in seconds.
        keep: How many of those that stand like this to keep, the ones that were opened last.
        status: Only those that stand like this.
    """
    found = [record for record in records if record.status in status][keep or 0 :]
    if older_than_s is not None:
        found = [record for record in found if record.updated < now - older_than_s]
    return [record.run_id for record in found]
