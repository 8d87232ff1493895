"""`Shadow`: what the visits of a graph's nodes saw, as it follows from a tree's events.

What a node sees is the state that its graph began with, and all that was written and chosen in the
supersteps before. So two visits saw the same if the same events lie before them: the state itself
need not be kept, nor compared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from tinyagents_graph.events import Event

__all__ = ["Shadow"]

# Of a visit's end, what others get to see of it.
_WRITTEN = (
    "update", "typed", "more", "goto", "also", "sends", "error", "to", "verdict", "value",
    "arguments",
)  # fmt: skip


class Shadow:
    """What visits saw, as fingerprints.

    Args:
        events: The events of a tree so far.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._saw: dict[tuple[str, str], str] = {}
        self._now: dict[str, str] = {}
        self._written: defaultdict[str, list[str]] = defaultdict(list)
        self._in_step: set[str] = set()
        self._given: dict[str, str] = {}
        for event in events:
            self.see(event)

    def see(self, event: Event) -> None:
        """Take in what happened next."""
        kind, path, data = event.kind, event.origin.path, event.data
        if kind == "tool.started":
            self._given[data["path"]] = _digest("", [json.dumps(data["arguments"], default=str)])
        elif kind == "run.started":
            if path == "root" or path in self._given:
                self._now[path] = self._given.get(path, path)
        elif path not in self._now:
            return
        elif kind == "node.started" and path in self._in_step:
            self._saw[path, data["path"]] = self._given[data["path"]] = self._now[path]
        elif kind in ("node.completed", "node.failed", "route.selected", "ask.answered"):
            name = f"{kind} {data.get('path')} {data.get('ask_id')}"
            told = {each: data[each] for each in _WRITTEN if each in data}
            self._written[path].append(f"{name} {json.dumps(told, sort_keys=True, default=str)}")
        elif kind.startswith("graph.step."):
            self._fold(path, is_in_step=kind.endswith(".started"))

    def _fold(self, path: str, *, is_in_step: bool) -> None:
        """What was written becomes the state; in what order is told by who wrote it, not when."""
        written = self._written.pop(path, None)
        if written:
            self._now[path] = _digest(self._now[path], sorted(written))
        (self._in_step.add if is_in_step else self._in_step.discard)(path)

    def saw(self, path: str, visit: str) -> str:
        """What a visit saw, in 16 digits; empty if that cannot be told.

        Args:
            path: The graph's run.
            visit: Address of the visit.
        """
        return self._saw.get((path, visit), "")

    def sees(self, path: str) -> str:
        """What a visit would see that began now."""
        return self._now.get(path, "") if path in self._in_step else ""


def _digest(before: str, told: Iterable[str]) -> str:
    digest = blake2b(before.encode(), digest_size=8)
    for each in told:
        digest.update(each.encode(errors="replace"))
        digest.update(b"\n")
    return digest.hexdigest()
