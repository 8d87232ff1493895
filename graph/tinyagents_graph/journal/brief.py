"""What has to be read of a long past, if a graph has written down how far it was."""

from __future__ import annotations

from collections.abc import Sequence

from tinyagents_graph.events import Event

__all__ = ["brief", "is_snapshot"]

_FEW = 1_000
# Who was there, what was asked and what was sent is known of all that ever was.
_ALWAYS = ("run.", "ask.", "steer.")


def is_snapshot(event: Event) -> bool:
    """Whether an event tells all of how far a graph was: nothing before it is looked up again."""
    return event.kind == "checkpoint.saved" and "tasks" in event.data


def brief(events: Sequence[Event]) -> Sequence[Event]:
    """The events that are looked at: all, or what came after the root's last snapshot."""
    if len(events) < _FEW:
        return events
    for at in range(len(events) - 1, -1, -1):
        last = events[at]
        if last.kind == "checkpoint.saved" and is_snapshot(last) and last.path == "root":
            before = [
                event
                for event in events[:at]
                if event.kind.startswith(_ALWAYS)
                or (event.kind == "checkpoint.saved" and "tasks" not in event.data)
            ]
            return [*before, *events[at:]]
    return events
