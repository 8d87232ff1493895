"""Runs of graphs that are kept in a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic_core import to_json

from tinyagents_graph.errors import ConfigError, RunConflict
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal import keeping
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.lineage import Lineage, OnChange, Shape
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.running import execute_graph, paused
from tinyagents_graph.stategraph.state import Values
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stategraph.writings import kept_values, values_of

__all__ = ["Begin", "Definition", "KeptGraph"]

Begin = Callable[[Values, str, EventSink], GraphRun]
"""Makes a root run with a state, an id and a sink."""


@frozen
class Definition:
    """A graph, as its runs in a journal need it.

    Attributes:
        prepared: Laid out for running.
        declared: As it was declared.
        shape: What it looks like, to be told from another one.
    """

    prepared: Prepared
    declared: Declared
    shape: Shape

    def about(self, input: Any) -> dict[str, Any]:
        """What is kept of a run that begins with an input.

        Raises:
            GraphError: It is no state, or cannot be kept.
        """
        values = self.prepared.schema.begin({} if input is None else input)
        return self.about_state(values, fingerprint(input))

    def about_state(self, values: Values, asked: str, **more: Any) -> dict[str, Any]:
        """What is kept of a run that begins with a state.

        Raises:
            GraphError: It cannot be kept.
        """
        facts = {"input": asked, "version": self.declared.version, **more}
        return {**facts, **kept_values(self.prepared.schema, values)}

    def work(
        self,
        begin: Begin,
        ledger: Ledger,
        run_id: str,
        sink: EventSink,
        *,
        rename: Mapping[str, str] | None = None,
        on_change: OnChange = "refuse",
        is_whole: bool = False,
    ) -> GraphRun:
        """Prepare a run that a journal has.

        Args:
            begin: Makes the run.
            ledger: What is known of it.
            run_id: Its id.
            sink: Who gets its events.
            rename: Nodes that have another name now, old: new.
            on_change: Whether it is gone on with although the graph is not what it was.
            is_whole: Whether it is gone through from its beginning in any case.

        Raises:
            GraphError: The graph is not what it was when the run began.
            ConfigError: It is no run of a graph.
        """
        past, about = ledger.past, ledger.about
        if "state" not in about:
            raise ConfigError(f"run {run_id!r} is no run of a graph")
        records = past.visits.graphs["root"]
        lineage = Lineage(self.declared, self.shape, about["version"], records, rename)
        snapshot = past.visits.snapshots.get("root")
        if snapshot is not None and (is_whole or not lineage.can_read(snapshot)):
            ledger.past = past.whole()
        asks = [event.data for event in past.open_asks.values() if event.path == "root"]
        lost = lineage.check(asks, on_change)
        values = values_of(self.prepared.schema, lineage.migrated(about, "state", 0))
        work = begin(values, run_id, sink)
        work.lineage, work.lost = lineage, lost
        work.is_still = bool(about.get("is_still"))
        return work


class KeptGraph(keeping.Kept[GraphRun, GraphResult[Any]]):
    """A root run of a graph that is kept in a journal.

    Args:
        begin: Makes the run, with what is not kept: `deps`, limits.
        definition: The graph.
        journal: Where it is kept.
        about: What is kept of a new one; `None` to go on with one that has begun.
        run_id: Id of the run; made up if not given.
        sink: Who gets its events, those of the past included.
        rename: Nodes that have another name now, old: new.
        on_change: Whether it is gone on with although the graph is not what it was.
        is_new: Whether nobody may have begun it.
    """

    def __init__(
        self,
        begin: Begin,
        definition: Definition,
        journal: Journal,
        *,
        about: Mapping[str, Any] | None,
        run_id: str | None = None,
        sink: EventSink | None = None,
        rename: Mapping[str, str] | None = None,
        on_change: OnChange = "refuse",
        is_new: bool = False,
    ) -> None:
        super().__init__(
            journal,
            name=definition.declared.name,
            task="" if about is None else to_json(about["state"]).decode(),
            about=about,
            run_id=run_id,
            sink=sink,
            is_resumed=about is None,
        )
        if on_change not in get_args(OnChange):
            raise ConfigError(f"on_change={on_change!r}: give 'refuse' or 'continue'")
        self._begin = begin
        self._definition = definition
        self._now = about
        self._rename = rename
        self._on_change: OnChange = on_change
        self._is_new = is_new
        self.has_news = bool(rename) or on_change == "continue"

    def begin(self, ledger: Ledger) -> GraphRun:
        """Prepare the run, with the state that it began with.

        Raises:
            RunConflict: It began with another input, or was to be new.
            GraphError: The graph is not what it was.
        """
        then, now = ledger.about, self._now
        if self._is_new and ledger.past.n_events:
            raise RunConflict(f"run {self.run_id!r}", "somebody else has begun it just now")
        self._is_new = False
        if now is not None and then.get("input") != now["input"]:
            raise RunConflict(
                f"run {self.run_id!r}",
                "it began with another input; give another run_id, or resume it",
            )
        return self._definition.work(
            self._begin,
            ledger,
            self.run_id,
            self.sink,
            rename=self._rename,
            on_change=self._on_change,
        )

    def execute(self, work: GraphRun) -> Awaitable[GraphResult[Any]]:
        """Run it to its result."""
        return execute_graph(work)

    def paused(self, work: GraphRun, asks: Sequence[InboxAsk]) -> GraphResult[Any]:
        """What there is of it while it waits for answers."""
        return paused(work, asks)
