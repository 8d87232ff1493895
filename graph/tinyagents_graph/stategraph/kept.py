"""Runs of graphs that are kept in a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic_core import to_json

from tinyagents_graph.errors import ConfigError, RunConflict
from tinyagents_graph.journal import keeping
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.lineage import Lineage, OnChange, shape_of
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.running import execute_graph, paused
from tinyagents_graph.stategraph.state import Values
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stategraph.writings import kept_values, values_of

__all__ = ["Begin", "KeptGraph", "about_input", "about_values"]

Begin = Callable[[Values, str, EventSink], GraphRun]


def about_input(graph: Prepared, declared: Declared, input: Any) -> dict[str, Any]:
    """What is kept of a run that begins with an input.

    Raises:
        GraphError: It is no state, or cannot be kept.
    """
    values = graph.schema.begin({} if input is None else input)
    return about_values(graph, declared, values, fingerprint(input))


def about_values(graph: Prepared, declared: Declared, values: Values, asked: str) -> dict[str, Any]:
    """What is kept of a run that begins with a state.

    Raises:
        GraphError: It cannot be kept.
    """
    facts = {"input": asked, "version": declared.version}
    return {**facts, **kept_values(graph.schema, values)}


class KeptGraph(keeping.Kept[GraphRun, GraphResult[Any]]):
    """A root run of a graph that is kept in a journal.

    Args:
        begin: Makes the run, with what is not kept: `deps`, limits.
        graph: The graph.
        declared: As it was declared.
        journal: Where it is kept.
        about: What `about_input` makes of its input; `None` to go on with one that has begun.
        run_id: Id of the run; made up if not given.
        sink: Who gets its events, those of the past included.
        rename: Nodes that have another name now, old: new.
        on_change: Whether it is gone on with although the graph is not what it was.
    """

    def __init__(
        self,
        begin: Begin,
        graph: Prepared,
        declared: Declared,
        journal: Journal,
        *,
        about: Mapping[str, Any] | None,
        run_id: str | None = None,
        sink: EventSink | None = None,
        rename: Mapping[str, str] | None = None,
        on_change: OnChange = "refuse",
    ) -> None:
        super().__init__(
            journal,
            name=graph.name,
            task="" if about is None else to_json(about["state"]).decode(),
            about=about,
            run_id=run_id,
            sink=sink,
            is_resumed=about is None,
        )
        if on_change not in get_args(OnChange):
            raise ConfigError(f"on_change={on_change!r}: give 'refuse' or 'continue'")
        self._graph = graph
        self._declared = declared
        self._rename = rename
        self._on_change: OnChange = on_change
        self._begin = begin
        self._now = about

    def begin(self, ledger: Ledger) -> GraphRun:
        """Prepare the run, with the state that it began with.

        Raises:
            RunConflict: It began with another input.
            GraphError: The graph is not what it was.
        """
        then, now = ledger.about, self._now
        if now is not None and then.get("input") != now["input"]:
            raise RunConflict(
                f"run {self.run_id!r}",
                "it began with another input; give another run_id, or resume it",
            )
        past = ledger.past
        shape, version = shape_of(self._declared), then["version"]
        records = past.visits.graphs["root"]
        lineage = Lineage(self._declared, shape, version, records, self._rename)
        asks = [event.data for event in past.open_asks.values() if event.path == "root"]
        lost = lineage.check(asks, self._on_change)
        values = values_of(self._graph.schema, lineage.migrated(then, "state", 0))
        work = self._begin(values, self.run_id, self.sink)
        work.lineage = lineage
        work.lost = lost
        return work

    def execute(self, work: GraphRun) -> Awaitable[GraphResult[Any]]:
        """Run it to its result."""
        return execute_graph(work)

    def paused(self, work: GraphRun, asks: Sequence[InboxAsk]) -> GraphResult[Any]:
        """What there is of it while it waits for answers."""
        return paused(work, asks)
