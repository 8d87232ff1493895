"""Graphs that are built from plans, and what is seen of their runs."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Any

import anyio.lowlevel

from tests.graph.stategraph_properties.expected import MAX_STEPS, Visit
from tests.graph.stategraph_properties.plans import (
    END,
    GraphPlan,
    NodePlan,
    Sent,
    State,
    Target,
    act,
    targets_of,
)
from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Command, Graph, GraphError, Send, join
from tinyagents_graph import Event

__all__ = ["Delays", "built", "codes_of", "visits_of"]


class Delays:
    """How often each body lets others go first, one after the other, again and again."""

    def __init__(self, turns: Sequence[int] = (0,)) -> None:
        self._turns = cycle(turns or (0,))

    async def wait(self) -> None:
        for _ in range(next(self._turns)):
            await anyio.lowlevel.checkpoint()


def built(plan: GraphPlan, delays: Delays | None = None, **options: Any) -> Graph[State]:
    """The graph of a plan."""
    waits = delays or Delays()
    graph = StateGraph(State)
    inner = {node.name for node in plan.nodes if node.inner is not None}
    for node in plan.nodes:
        if node.inner is not None:
            graph.add_node(node.name, built(node.inner, waits, **options))
        else:
            graph.add_node(node.name, _body(node, waits, inner), goto=node.may_go)
        for end in node.edges or (END,):
            graph.add_edge(node.name, end)
        if node.route:
            graph.add_conditional_edges(
                node.name, _router(node, inner), targets_of(node.route), default=END
            )
    for name in plan.starts:
        graph.add_edge(START, name)
    for each in plan.joins:
        graph.add_edge(join(*each.sources, wait_for=each.wait_for), each.target)
    options.setdefault("max_steps", MAX_STEPS)
    return graph.compile(**options)


def _body(node: NodePlan, delays: Delays, inner: set[str]) -> Callable[[Any], Awaitable[Any]]:
    async def body(given: Any) -> Any:
        await delays.wait()
        update, (goto, also) = act(node, given)
        if goto is None and also is None:
            return update
        return Command(goto=_real(goto, inner), update=update, also=_real(also, inner))

    return body


def _router(node: NodePlan, inner: set[str]) -> Callable[[State], Any]:
    def route(state: State) -> Any:
        round_ = max(state.visits.get(node.name, 0) - 1, 0)
        return _real(node.route[round_] if round_ < len(node.route) else None, inner)

    return route


def _real(targets: tuple[Target, ...] | None, inner: set[str]) -> list[Any] | None:
    """Targets as a graph takes them; what a graph in it is sent is its state."""
    return None if targets is None else [_one(each, inner) for each in targets]


def _one(target: Target, inner: set[str]) -> Any:
    if not isinstance(target, Sent):
        return target
    payload: Any = target.payload
    return Send(target.node, {"total": payload} if target.node in inner else payload)


def visits_of(events: Sequence[Event]) -> list[Visit]:
    """The tasks that began, as the events tell."""
    begun = [event.data for event in events if event.kind == "node.started"]
    return [Visit(each["path"], each["step"], tuple(each["after"])) for each in begun]


def codes_of(error: BaseException | None) -> list[str]:
    """What went wrong, in codes."""
    if error is None:
        return []
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    if inner:
        return [code for each in inner for code in codes_of(each)]
    if isinstance(error, GraphError):
        return [each.code for each in error.findings]
    return [getattr(error, "limit", type(error).__name__)]
