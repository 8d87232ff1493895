"""`SinkSource`: the trees of an event sink of this process, to look at while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from tinyagents_graph import Event, EventSink
from tinyagents_graph.events import RunStatus
from tinyagents_graph.journal.protocol import AskRecord, TreeRecord
from tinyagents_graph.journal.standing import ENDED, ask_changes, standing_after

__all__ = ["SinkSource"]


class _Tree:
    """The events of one tree, and what is asked in it."""

    def __init__(self, event: Event) -> None:
        self.events: list[Event] = []
        self.first = event.seq  # not 0 if the sink has dropped what was before
        self.asks: dict[str, AskRecord] = {}
        self.status: RunStatus = "running"
        self.usage: dict[str, object] = {}

    def keep(self, event: Event) -> None:
        if event.seq != self.first + len(self.events):
            return  # known: it was both among the past and told
        self.events.append(event)
        # A run waits while this is done: of most events there is no more to know.
        if event.kind.startswith(("run.", "ask.")):
            self._stand(event)

    def _stand(self, event: Event) -> None:
        if standing := standing_after([event]):
            self.status, self.usage = standing[0], dict(standing[1])
        for change, each in ask_changes([event]):
            ask_id = str(each.data["ask_id"])
            if change == "raised":
                root = each.origin.root_run_id
                record = AskRecord(root, ask_id, each.path, each.data, each.time)
                self.asks[ask_id] = record
            else:
                self.asks.pop(ask_id, None)

    def record(self, run_id: str) -> TreeRecord:
        begun, last = self.events[0], self.events[-1]
        nothing: Mapping[str, Any] = {}
        told = next((each.data for each in self.events if each.kind == "run.started"), nothing)
        return TreeRecord(
            run_id,
            str(told.get("name", run_id)),
            self.status,
            str(told.get("task", "")),
            {},
            self.first + len(self.events),
            0,
            "" if self.status in ENDED else "this process",
            0.0,
            begun.time,
            last.time,
            None,
            self.usage,
        )


class SinkSource:
    """What a sink has published, and publishes. It keeps all of it, as long as the viewer is there.

    Args:
        sink: The sink.
    """

    def __init__(self, sink: EventSink) -> None:
        self._lock = threading.Lock()
        self._trees: dict[str, _Tree] = {}
        early: list[Event] = []
        self._hear: Callable[[Event], None] = early.append
        self.close = sink.subscribe(lambda event: self._hear(event))
        for event in list(sink.events):
            self._keep(event)
        self._hear = self._keep
        for event in early:
            self._keep(event)

    def _keep(self, event: Event) -> None:
        with self._lock:
            tree = self._trees.get(event.root_run_id)
            if tree is None:
                tree = self._trees[event.root_run_id] = _Tree(event)
            tree.keep(event)

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        """The events of a tree from `seq` `since` on.

        Raises:
            LookupError: There is no such tree.
        """
        with self._lock:
            tree = self._trees.get(run_id)
            if tree is None:
                raise LookupError(f"the sink has no run {run_id!r}")
            start = max(since - tree.first, 0)
            return tree.events[start : None if most is None else start + most]

    async def find(self, run_id: str) -> TreeRecord | None:
        """The tree with this id."""
        with self._lock:
            tree = self._trees.get(run_id)
            return None if tree is None else tree.record(run_id)

    async def trees(
        self, *, status: RunStatus | None = None, most: int | None = None
    ) -> list[TreeRecord]:
        """The trees, the one that began last first."""
        with self._lock:
            found = [tree.record(run_id) for run_id, tree in reversed(self._trees.items())]
        return [each for each in found if status in (None, each.status)][:most]

    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        """The questions to the human that wait."""
        with self._lock:
            trees = list(self._trees.items())
            return [
                ask for root, tree in trees if run_id in (None, root) for ask in tree.asks.values()
            ]

    async def load(self, name: str) -> str | None:
        """Nothing is saved by name in a sink."""
        return None
