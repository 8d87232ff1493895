"""`Visits`: what a tree's past knows of the visits of a graph's nodes, besides how they ended."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from tinyagents_graph.events import Event
from tinyagents_graph.frozen import frozen

__all__ = ["OF_GRAPHS", "Tries", "Visits"]

OF_GRAPHS = frozenset(
    {"graph.step.started", "graph.step.completed", "node.completed", "node.failed", "node.retried",
     "route.selected", "checkpoint.saved", "ask.raised", "ask.answered", "ask.expired"}
)  # fmt: skip
"""Kinds of events that may tell of graphs."""

_NO_STEP = -1


@frozen
class Tries:
    """The tries of a visit that failed.

    Attributes:
        n: How many.
        seq: Of the event by which the last one was given up.
        counts: How many children of each name the body had started by then.
    """

    n: int
    seq: int
    counts: Mapping[str, int]


class Visits:
    """What graphs of a tree did before, by the path of their runs.

    Attributes:
        asked: The questions that were raised at a visit, by its address.
        dropped: Ids of the questions that expired.
        graphs: What a run said that its graph looked like, by the run's path.
        snapshots: The last snapshot of a run, by the run's path.
        answered: In which superstep a question was answered, by its id.
    """

    def __init__(self) -> None:
        self.asked: defaultdict[str, list[Event]] = defaultdict(list)
        self.dropped: set[str] = set()
        self.snapshots: dict[str, Event] = {}
        self.graphs: defaultdict[str, list[Event]] = defaultdict(list)
        self.answered: dict[str, int] = {}
        self._ends: defaultdict[str, list[Event]] = defaultdict(list)
        self._chosen: defaultdict[tuple[str, str, str | None], deque[Event]] = defaultdict(deque)
        self._results: dict[tuple[str, str], Event] = {}
        self._step: dict[str, int] = {}
        self._tries: dict[str, Tries] = {}

    def read(self, event: Event) -> None:
        """Take note of an event of one of these kinds."""
        kind, data, path = event.kind, event.data, event.origin.path
        if kind == "graph.step.started":
            self._step[path] = data["step"]
        elif kind == "graph.step.completed":
            if "error" in data:
                self._step[path] = data["step"] - 1  # it begins once more
        elif kind == "node.completed" or (kind == "node.failed" and "handed_on" in data):
            self._ends[path].append(event)
        elif kind == "route.selected":
            self._chosen[path, data["node"], data["path"]].append(event)
        elif kind == "node.retried" and "attempt" in data:
            tries = Tries(data["attempt"], event.seq, data.get("counts") or {})
            self._tries[data["path"]] = tries
        elif kind == "checkpoint.saved":
            self._read_saved(event)
        elif kind.startswith("ask."):
            self._read_ask(event)

    def _read_saved(self, event: Event) -> None:
        data = event.data
        if "value" in data:
            self._results[data["path"], data["name"]] = event
        elif "graph_hash" in data:
            self.graphs[event.origin.path].append(event)
        elif "tasks" in data:
            self.snapshots[event.origin.path] = event

    def _read_ask(self, event: Event) -> None:
        ask_id = event.data["ask_id"]
        if event.kind == "ask.raised":
            if "path" in event.data:
                self.asked[event.data["path"]].append(event)
        elif event.kind == "ask.expired":
            self.dropped.add(ask_id)
        else:
            self.answered[ask_id] = self._step.get(event.origin.path, _NO_STEP) + 1
            self._ends[event.origin.path].append(event)

    def ends(self, path: str) -> Sequence[Event]:
        """How visits of a run ended and its questions were answered, in that order."""
        return self._ends.get(path, ())

    def take_chosen(self, path: str, node: str, visit: str | None) -> Event | None:
        """What the next router behind a visit has chosen."""
        known = self._chosen.get((path, node, visit))
        return known.popleft() if known else None

    def result(self, visit: str, name: str) -> Event | None:
        """What came of a step in the body of a node."""
        return self._results.get((visit, name))

    def tries(self, visit: str) -> Tries | None:
        """The tries of a visit that failed, if any did."""
        return self._tries.get(visit)
