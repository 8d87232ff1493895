"""`Graph`: a workflow that runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import GraphError, RunConflict
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.declared import Declared, FailPolicy, NodeSpec
from tinyagents_graph.stategraph.findings import FATAL
from tinyagents_graph.stategraph.inference import completed
from tinyagents_graph.stategraph.nesting import run_below
from tinyagents_graph.stategraph.prepared import prepare
from tinyagents_graph.stategraph.runnable import RunnableGraph
from tinyagents_graph.stategraph.running import execute_graph
from tinyagents_graph.stategraph.settings import check_compile
from tinyagents_graph.stategraph.state import StateSchema
from tinyagents_graph.stategraph.tasks import NodeContext
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["Graph"]

StateT = TypeVar("StateT", bound=BaseModel, default=Any)


class Graph(RunnableGraph[StateT]):
    """A workflow that runs; made by `StateGraph.compile`.

    It never changes, and may be run many times at once. A run is a run like any other: it has
    limits, streams into a sink, is steered, and is a child where it is started by a run.

    Attributes:
        declared: Its nodes and arrows, as data.
        name: What it is called.
        description: What parents know of it.
        findings: What may be wrong with it, and does not keep it from running.
    """

    node_kind = "graph"
    declared: Declared

    def __init__(
        self,
        declared: Declared,
        *,
        fail: FailPolicy = "drain",
        max_concurrency: int = 64,
        max_steps: int | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        check_compile(fail, declared.mode, max_concurrency, max_steps, ignore)
        from tinyagents_graph.stategraph.checks import find  # which loads networkx

        found = [each for each in find(declared) if each.code in FATAL or each.code not in ignore]
        if any(each.severity == "error" for each in found):
            raise GraphError(declared.name, found)
        declared = self.declared = completed(declared)
        self.name = declared.name
        self.description = declared.description
        self.findings = tuple(found)
        self._graph = prepare(
            declared, fail=fail, max_concurrency=max_concurrency, max_steps=max_steps
        )
        self._parked: dict[str, GraphRun] = {}

    def __repr__(self) -> str:
        return f"Graph({self.name!r}, {len(self.declared.nodes)} nodes)"

    # --- for those who delegate to it ----------

    @property
    def input_type(self) -> type[BaseModel]:
        """What a parent's model fills in: the state."""
        return self.declared.state

    def open(
        self,
        task: Any,
        *,
        place: Place | None = None,
        path: str | None = None,
        deps: Any = None,
        history: Any = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
        max_steps: int | None = None,
        is_watched: bool = False,
    ) -> GraphRun:
        """Prepare a run without starting it; what all ways of running share.

        Args:
            task: The state to begin with: a dict, an instance of the state's model, or its JSON.
            place: Where in a tree it hangs; `None` makes a root.
            path: Its address there; the next one of its name if not given.
            deps: What nodes get as `ctx.deps`; the parent's if `None`.
            history: Nothing; a graph remembers in its state.
            sink: Where a root's events go.
            run_id: A root's id.
            limits: Limits of the run.
            deltas: Whether its models stream.
            allow_cycles: Nothing; what nodes do is declared.
            max_steps: Supersteps it may take.
            is_watched: Whether the state after each update is kept, until it is looked at.

        Raises:
            GraphError: The task is no such state.
        """
        values = self._graph.schema.begin({} if task is None else task)
        if place is None and run_id in self._parked:
            raise RunConflict(f"run {run_id!r}", "it is paused; resume it, or name another")
        run = Run(
            self.name,
            parent=None if place is None else place.run,
            path="root" if place is None else path or place.next_path(self.name),
            limits=_filled(limits, ROOT_LIMITS if place is None else CHILD_LIMITS),
            run_id=run_id,
            sink=sink,
            deltas=deltas,
            about={"graph": self.name},
            deps=deps,
        )
        work = GraphRun(self._graph, run, values, max_steps=max_steps, can_park=place is None)
        work.driver = execute_graph
        if is_watched:
            work.snapshots = deque()
        return work

    def run_in(self, ctx: NodeContext, given: Any, spec: NodeSpec, above: StateSchema) -> Any:
        """Run it in the place of a node's body; what a graph above calls."""
        return run_below(self._graph, ctx, given, spec, above)


def _filled(limits: RunLimits | None, defaults: RunLimits) -> RunLimits:
    return (limits or RunLimits()).filled(defaults)
