"""How long the runs of a tree were at work, by its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tinyagents_graph.events import Event

__all__ = ["seconds_at_work"]


def seconds_at_work(events: Iterable[Event]) -> Mapping[str, float]:
    """How long each run was at work, its pauses and the time without a process left out.

    Args:
        events: The events of one tree, all of them.

    Returns:
        Seconds, by path. A clock that was put back counts as one that stood still.
    """
    used: defaultdict[str, float] = defaultdict(float)
    since: dict[str, float] = {}
    last = 0.0
    for event in events:
        kind, path = event.kind, event.origin.path
        if kind in ("run.started", "run.resumed"):
            since[path] = event.time
        elif kind.startswith("run.") and path in since:
            used[path] += max(event.time - since.pop(path), 0)
        elif kind == "checkpoint.restored":  # until the last event before, they were at work
            for each, start in since.items():
                used[each] += max(last - start, 0)
                since[each] = event.time
        last = event.time
    for each, start in since.items():
        used[each] += max(last - start, 0)
    return used
