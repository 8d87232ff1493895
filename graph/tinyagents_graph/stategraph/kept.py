"""Runs of graphs that are kept in a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from tinyagents_graph.errors import RunConflict
from tinyagents_graph.journal import keeping
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.running import execute_graph, paused
from tinyagents_graph.stategraph.state import Values
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stategraph.writings import kept_values, values_of

__all__ = ["Begin", "KeptGraph", "about_input"]

Begin = Callable[[Values, str, EventSink], GraphRun]


def about_input(graph: Prepared, input: Any) -> dict[str, Any]:
    """What is kept of a run that begins with an input.

    Raises:
        GraphError: It is no state, or cannot be kept.
    """
    schema = graph.schema
    values = schema.begin({} if input is None else input)
    return {"input": fingerprint(input), **kept_values(schema, values)}


class KeptGraph(keeping.Kept[GraphRun, GraphResult[Any]]):
    """A root run of a graph that is kept in a journal.

    Args:
        begin: Makes the run, with what is not kept: `deps`, limits.
        graph: The graph.
        journal: Where it is kept.
        about: What `about_input` makes of its input; `None` to go on with one that has begun.
        run_id: Id of the run; made up if not given.
        sink: Who gets its events, those of the past included.
    """

    def __init__(
        self,
        begin: Begin,
        graph: Prepared,
        journal: Journal,
        *,
        about: Mapping[str, Any] | None,
        run_id: str | None = None,
        sink: EventSink | None = None,
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
        self._graph = graph
        self._begin = begin
        self._now = about

    def begin(self, ledger: Ledger) -> GraphRun:
        """Prepare the run, with the state that it began with.

        Raises:
            RunConflict: It began with another input.
            GraphError: That is no state of the graph any more.
        """
        then, now = ledger.about, self._now
        if now is not None and then.get("input") != now["input"]:
            raise RunConflict(
                f"run {self.run_id!r}",
                "it began with another input; give another run_id, or resume it",
            )
        values = values_of(self._graph.schema, then)
        return self._begin(values, self.run_id, self.sink)

    def execute(self, work: GraphRun) -> Awaitable[GraphResult[Any]]:
        """Run it to its result."""
        return execute_graph(work)

    def paused(self, work: GraphRun, asks: Sequence[InboxAsk]) -> GraphResult[Any]:
        """What there is of it while it waits for answers."""
        return paused(work, asks)
