"""`Prepared`: a declared graph, laid out for running: names resolved, ways at hand."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import Declared, FailPolicy, Mode, RouteSpec
from tinyagents_graph.stategraph.joins import Meeting
from tinyagents_graph.stategraph.nodes import Node, Nodes, Ways
from tinyagents_graph.stategraph.routing import START, Join
from tinyagents_graph.stategraph.state import StateSchema

__all__ = ["Prepared", "prepare"]

_STEPS = 100


@frozen
class Prepared:
    """A graph as its runs use it. Plain tuples and dicts: a step looks up names and no more.

    Attributes:
        name: What it is called.
        schema: Its state.
        nodes: Its nodes by name.
        starts: Where `START` leads.
        meetings: Its joins.
        fail: What the failure of a task does to its siblings.
        max_concurrency: Tasks that run at once.
        max_steps: Supersteps of one run.
        on_limit: The node to go to when these are used up.
        mode: When a node starts.
    """

    name: str
    schema: StateSchema
    nodes: Nodes
    starts: Ways
    meetings: tuple[Meeting, ...]
    fail: FailPolicy
    max_concurrency: int
    max_steps: int
    on_limit: str | None
    mode: Mode


def prepare(
    declared: Declared, *, fail: FailPolicy, max_concurrency: int, max_steps: int | None
) -> Prepared:
    """Lay a graph out for running; it has been checked before."""
    sites = {spec.name: spec.site for spec in declared.nodes.values()}
    schema = StateSchema(declared.state, declared.name, sites)
    nodes = Nodes()
    for spec in declared.nodes.values():
        nodes[spec.name] = Node(spec, nodes, schema)
    ways = _ways(declared)
    for name, node in nodes.items():
        node.ways = ways.get(name) or Ways()
    into: defaultdict[str, list[str]] = defaultdict(list)
    onward: defaultdict[str, list[str]] = defaultdict(list)
    for arrow in declared.arrows:
        into[arrow.target].append(arrow.source)
        onward[arrow.source].append(arrow.target)
    meetings = tuple(
        [
            Meeting(number, join, target, site, _upstream(into, join, target), onward)
            for number, (join, target, site) in enumerate(declared.joins)
        ]
    )
    return Prepared(
        declared.name,
        schema,
        nodes,
        ways.get(START) or Ways(),
        meetings,
        fail,
        max_concurrency,
        max(_STEPS, len(nodes)) if max_steps is None else max_steps,
        declared.on_limit,
        declared.mode,
    )


def _ways(declared: Declared) -> dict[str, Ways]:
    edges: defaultdict[str, list[str]] = defaultdict(list)
    for arrow in declared.edges:
        edges[arrow.source].append(arrow.target)
    joins: defaultdict[str, list[int]] = defaultdict(list)
    for number, (join, _, _) in enumerate(declared.joins):
        for source in join.sources:
            joins[source].append(number)
    routes: defaultdict[str, list[RouteSpec]] = defaultdict(list)
    for route in declared.routes:
        routes[route.source].append(route)
    return {
        name: Ways(tuple(edges[name]), tuple(joins[name]), tuple(routes[name]))
        for name in {**edges, **joins, **routes}
    }


def _upstream(into: Mapping[str, list[str]], join: Join, target: str) -> frozenset[str]:
    """The sources of a join, and nodes from which one comes to one of them without its target.

    One that waits for all has no use for it, and a graph of thousands has many of these: empty.
    """
    if join.wait_for == "all":
        return frozenset()
    found = set(join.sources)
    rest = deque(found)
    while rest:
        for name in into.get(rest.popleft(), ()):
            if name != target and name not in found:
                found.add(name)
                rest.append(name)
    return frozenset(found)
