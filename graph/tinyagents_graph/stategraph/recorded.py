"""What a graph can tell of its runs in a journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.run import ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.chains import runs_of_thread, written_to_thread
from tinyagents_graph.stategraph.drawn import Drawn
from tinyagents_graph.stategraph.history import read_history
from tinyagents_graph.stategraph.kept import Begin, Definition, KeptGraph
from tinyagents_graph.stategraph.lineage import shape_of
from tinyagents_graph.stategraph.moments import StateRecord
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.state import Values
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["RecordedGraph"]

StateT = TypeVar("StateT", bound=BaseModel, default=Any)


class RecordedGraph(Drawn, Generic[StateT]):
    """The side of a graph by which its runs are looked at.

    Attributes:
        name: What it is called.
    """

    name: str
    _graph: Prepared

    def _opener(
        self,
        *,
        deps: Any = None,
        limits: RunLimits | None = None,
        max_steps: int | None = None,
        deltas: bool = False,
        snapshots: deque[Values] | None = None,
    ) -> Begin:
        """What makes root runs of it that begin with a state which a journal has."""

        def begin(values: Values, run_id: str, sink: EventSink) -> GraphRun:
            run = Run(
                self.name,
                limits=(limits or RunLimits()).filled(ROOT_LIMITS),
                run_id=run_id,
                sink=sink,
                deltas=deltas,
                about={"graph": self.name},
                deps=deps,
            )
            work = GraphRun(self._graph, run, values, max_steps=max_steps, can_park=True)
            work.snapshots = snapshots
            return work

        return begin

    @cached_property
    def _definition(self) -> Definition:
        return Definition(self._graph, self.declared, shape_of(self.declared))

    async def history(
        self, run_id: str | None = None, *, thread: str | None = None, journal: Journal
    ) -> list[StateRecord[StateT]]:
        """The states that a run, or the runs of a thread, went through, the oldest first.

        Nothing is done for it, and nothing published. To go on from one of them, fork its run
        there: `await fork(journal, record.run_id, at=record.seq)`.

        Args:
            run_id: The run.
            thread: Or the thread.
            journal: Where it is kept.

        Returns:
            The state at the beginning of each run and after each of its steps.

        Raises:
            ConfigError: There is no such run, or it is none of this graph.
            GraphError: The graph is not what it was when the run began.
            JournalError: The journal cannot be read.
        """
        if (run_id is None) == (thread is None):
            raise ConfigError("history(run_id, thread=…): give one of the two")
        ids = [run_id] if run_id is not None else []
        if thread is not None:
            ids = [each async for each in runs_of_thread(journal, thread)]
        begin, definition = self._opener(), self._definition
        found: list[StateRecord[StateT]] = []
        for each in ids:
            found += (await read_history(begin, definition, journal, str(each))).records
        return found

    async def get_state(
        self, run_id: str | None = None, *, thread: str | None = None, journal: Journal
    ) -> StateRecord[StateT] | None:
        """The state that a run, or a thread, has come to; of a run at work, after its last step.

        Args:
            run_id: The run.
            thread: Or the thread.
            journal: Where it is kept.

        Returns:
            `None` if it has not begun.

        Raises:
            ConfigError: As for `history`.
        """
        if thread is not None and run_id is None:
            ids = [each async for each in runs_of_thread(journal, thread)]
            if not ids:
                return None
            run_id, thread = ids[-1], None
        records = await self.history(run_id, thread=thread, journal=journal)
        return records[-1] if records else None

    async def update_state(
        self,
        thread: str,
        update: Mapping[str, Any] | BaseModel,
        *,
        journal: Journal,
        sink: EventSink | None = None,
    ) -> GraphResult[StateT]:
        """Change the state of a thread by hand, as a node would: reducers apply.

        It is a run of the thread like any other, with its place in the history, in which no node
        runs. To change what a run saw in its midst, fork it there.

        Args:
            thread: The thread.
            update: What changes.
            journal: Where it is kept.
            sink: Where the events go; one of its own if not given.

        Returns:
            The result of that run.

        Raises:
            ConfigError: The thread has no run.
            RunConflict: Its last run is under way, or waits for answers.
            GraphError: It is no update of the state.
            JournalError: The journal cannot be read or written.
        """
        begin, definition = self._opener(), self._definition
        run_id, about = await written_to_thread(begin, definition, journal, thread, update)
        kept = KeptGraph(
            begin, definition, journal, about=about, run_id=run_id, sink=sink, is_new=True
        )
        return await kept.run()
