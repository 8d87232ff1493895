"""`GraphResult`: what came of a run of a graph."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from tinyagents_graph.frozen import frozen
from tinyagents_graph.log import EventView
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.routing import Failure
from tinyagents_graph.usage import Usage

__all__ = ["GraphResult", "GraphStatus"]

StateT = TypeVar("StateT", default=Any)
GraphStatus: TypeAlias = Literal["completed", "paused", "limited", "failed", "cancelled"]


@frozen
class GraphResult(Generic[StateT]):
    """What came of a run of a graph; on a failed run, what there was until then (`error.result`).

    Attributes:
        output: The state at the end; while the run is paused or when it failed, the state so far,
            with what finished tasks of the last step wrote.
        status: How it ended; `"paused"` when it waits for answers.
        usage: What the graph's run itself used.
        tree_usage: The same with all agents and graphs below it.
        run_id: Id of the run, for `graph.resume`.
        path: Its address in its tree.
        sink: Where its events are.
        steps: Supersteps it took; in eager mode, tasks on the longest way.
        pending: The questions it waits for the answers of, with the status `"paused"`: each a
            `NodeAsk`, or in a run that is kept in a journal an `InboxAsk`.
        failures: What failed and was handed on, where failures are collected.
        error: What went wrong, if something did.
    """

    output: StateT
    status: GraphStatus
    usage: Usage
    tree_usage: Usage
    run_id: str
    path: str
    sink: EventSink
    steps: int = 0
    pending: tuple[Any, ...] = ()
    failures: tuple[Failure, ...] = ()
    error: BaseException | None = None

    def __repr__(self) -> str:
        rest = f", pending={list(self.pending)}" if self.pending else ""
        rest += f", error={self.error!r}" if self.error is not None else ""
        return f"GraphResult({self.output!r}, status={self.status!r}, path={self.path!r}{rest})"

    @property
    def events(self) -> EventView:
        """The events of the run and its descendants."""
        return self.sink.events_under(self.run_id)

    @property
    def cost(self) -> float | None:
        """What the whole tree cost in US dollars; `None` when a price is not known."""
        return self.tree_usage.cost

    @property
    def text(self) -> str:
        """The state as JSON: what a parent's model reads of it."""
        dump = getattr(self.output, "model_dump_json", None)
        return dump() if dump is not None else str(self.output)
