"""`Graph`: a workflow that runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import GraphError
from tinyagents_graph.stategraph.declared import Declared, FailPolicy, NodeSpec
from tinyagents_graph.stategraph.findings import FATAL
from tinyagents_graph.stategraph.inference import completed
from tinyagents_graph.stategraph.nesting import run_below
from tinyagents_graph.stategraph.prepared import prepare
from tinyagents_graph.stategraph.runnable import RunnableGraph
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

    def run_in(self, ctx: NodeContext, given: Any, spec: NodeSpec, above: StateSchema) -> Any:
        """Run it in the place of a node's body; what a graph above calls."""
        return run_below(self._graph, ctx, given, spec, above)
