"""A graph as a node of another: what goes in, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from tinyagents_graph.errors import Parked
from tinyagents_graph.run import Run
from tinyagents_graph.stategraph.declared import NodeSpec
from tinyagents_graph.stategraph.freezing import freeze
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.running import execute_graph
from tinyagents_graph.stategraph.state import StateSchema, Write
from tinyagents_graph.stategraph.tasks import NodeContext
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["run_below", "shared_keys"]


async def run_below(
    graph: Prepared, ctx: NodeContext, given: Any, spec: NodeSpec, above: StateSchema
) -> Any:
    """Run a graph in the place of a node's body.

    Args:
        graph: The graph.
        ctx: Where the node stands.
        given: What the node was given: the state above, or what was sent to it.
        spec: How the node was declared.
        above: The state of the graph above.

    Returns:
        What it writes above, update by update; or its final state, if the node has an `output=`
        function for that.

    Raises:
        Parked: A question in it waits for the human, who answers the run above.
    """
    work: GraphRun | None = ctx.memo.child if ctx.memo is not None else None
    is_again = work is not None
    if work is None:
        work = _open(graph, ctx, given, spec, above)
    else:
        ctx.remember().child = None  # if it fails now, a further try begins anew
    try:
        result = await execute_graph(work, is_again=is_again)
    except Parked:
        ctx.remember().child = work
        raise
    if result.status == "limited" and result.error is not None and work.graph.on_limit is None:
        raise result.error
    if spec.output is not None:
        return result.output
    return _hand_back(work, spec, above)


def _open(
    graph: Prepared, ctx: NodeContext, given: Any, spec: NodeSpec, above: StateSchema
) -> GraphRun:
    if isinstance(given, above.model) and spec.input is None:
        ways = spec.inputs or {name: name for name in shared_keys(graph.schema, above)}
        given = {theirs: getattr(given, ours) for theirs, ours in ways.items()}
    run = Run(
        graph.name,
        parent=ctx.run,
        path=ctx.path if not ctx.attempt else ctx.next_path(graph.name),
        about={"graph": graph.name},
    )
    values = graph.schema.begin(given)
    return GraphRun(graph, run, values, can_park=ctx.can_park, is_below=True)


def shared_keys(one: StateSchema, other: StateSchema) -> list[str]:
    """The keys that two states have in common, by name and by type."""
    common = [name for name in one.model.model_fields if name in other.keys]
    return [name for name in common if one.annotation(name) == other.annotation(name)]


def _hand_back(work: GraphRun, spec: NodeSpec, above: StateSchema) -> tuple[Write, ...]:
    """What the nodes of a graph wrote, as writes of the graph above; not what they were given."""
    schema, written = work.graph.schema, work.written or []
    ways = spec.outputs or {name: name for name in shared_keys(above, schema)}
    found: list[Write] = []  # a single one, unless updates of a key do not combine
    for ours, theirs in ways.items():
        operands = [write[theirs] for write in written if theirs in write]
        if not operands:
            continue
        reducer = above.reducer(ours)
        if reducer is None or reducer != schema.reducer(theirs):
            # The one value that it comes to; where ours has another reducer, as its operand.
            operands = [work.values[theirs]]
        elif reducer.is_closed:
            operands = [freeze(reduce(reducer.combine, operands))]
        update: Mapping[str, Any]
        for operand in operands:
            update = {ours: operand}
            same = above.annotation(ours) == schema.annotation(theirs)
            found.append(update if same else above.check(update, spec.name))
    whole = {name: value for write in found if len(write) == 1 for name, value in write.items()}
    return tuple(found) if len(whole) < len(found) else ((whole,) if whole else ())
