"""What is declared of a graph: its nodes and arrows, as data, each with the line that added it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from tinyagents_graph.frozen import frozen
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph.caching import NodeCache
from tinyagents_graph.stategraph.routing import Join

__all__ = [
    "Arrow",
    "ArrowKind",
    "Declared",
    "FailPolicy",
    "Migration",
    "Mode",
    "NodeKind",
    "NodeSpec",
    "RouteSpec",
]

NodeKind: TypeAlias = Literal["function", "agent", "session", "graph"]
FailPolicy: TypeAlias = Literal["drain", "cancel", "collect"]
"""What the failure of a task does to its siblings; see `StateGraph.compile`."""
Mode: TypeAlias = Literal["superstep", "eager"]
"""When a node starts; see `StateGraph.compile`."""

ArrowKind: TypeAlias = Literal["edge", "join", "route", "goto", "ask", "rejected", "error", "limit"]
"""How one leads from a node to another: `"edge"` is always followed; `"join"` is, when the join has
what it waits for; `"route"` is one that a router may choose; `"goto"` one that the node itself may
choose, and `"ask"` the one for an answer; `"rejected"`, `"error"` and `"limit"` are for when a gate
is refused, the node fails, or the graph has taken too many steps."""


@frozen
class NodeSpec:
    """A node as it was added: the arguments of `StateGraph.add_node`.

    `asks` are the nodes that get an answer which the body asks for, as far as its text shows.
    """

    name: str
    body: Any
    kind: NodeKind
    site: str
    description: str = ""
    input: Callable[[Any], Any] | None = None
    input_type: Any = None
    output: str | Callable[[Any], Any] | None = None
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    goto: tuple[str, ...] | None = None
    reads: frozenset[str] | None = None
    writes: frozenset[str] | None = None
    retry: Retry | None = None
    timeout_s: float | None = None
    cache: NodeCache | None = None
    approve: Any = None
    rejected: str | None = None
    on_error: str | None = None
    asks: tuple[str, ...] = ()


@frozen
class RouteSpec:
    """A router as it was added by `StateGraph.add_conditional_edges`.

    Attributes:
        source: The node it stands behind.
        route: The function of the state that chooses.
        targets: Where it may lead, by what the function returns.
        default: Where it leads if the function returns nothing of that.
        site: The line that added it.
    """

    source: str
    route: Callable[[Any], Any]
    targets: Mapping[Any, str]
    default: str | None
    site: str


@frozen
class Arrow:
    """One way from a node to another; what is checked and drawn.

    Attributes:
        source: A node's name, or `START`.
        target: A node's name, or `END`.
        kind: What takes it.
        label: What a router returns to take it; else empty.
        join: For `"join"` arrows: which of the graph's joins, from 0.
        site: The line that declared it.
    """

    source: str
    target: str
    kind: ArrowKind
    label: str = ""
    join: int | None = None
    site: str = ""


@frozen
class Migration:
    """How data of one version of the state becomes that of another.

    Attributes:
        old: The version that it was written by.
        new: The version that it becomes.
        change: Called with a dict of some of the keys, as plain JSON data; returns the new ones.
    """

    old: int
    new: int
    change: Callable[[dict[str, Any]], Mapping[str, Any]]


@frozen
class Declared:
    """A whole graph as it was declared.

    Attributes:
        name: What the graph is called.
        state: The type of its state.
        nodes: Its nodes by name, in the order they were added.
        edges: Plain edges, in the order they were added.
        joins: Joins, each with its target and its line.
        routes: Routers.
        on_limit: The node to go to when it has taken too many steps.
        mode: When a node starts.
        description: What parents know of it.
        version: Which version of the state's type this is.
        migrations: How what was written by earlier ones is read.
    """

    name: str
    state: type[Any]
    nodes: Mapping[str, NodeSpec]
    edges: tuple[Arrow, ...]
    joins: tuple[tuple[Join, str, str], ...]
    routes: tuple[RouteSpec, ...]
    on_limit: str | None = None
    mode: Mode = "superstep"
    description: str = ""
    version: int = 1
    migrations: tuple[Migration, ...] = ()

    @property
    def arrows(self) -> tuple[Arrow, ...]:
        """Every way from a node to another, declared routes included."""
        found = list(self.edges)
        for number, (each, target, site) in enumerate(self.joins):
            found += [Arrow(source, target, "join", "", number, site) for source in each.sources]
        for route in self.routes:
            ways = {str(label): target for label, target in route.targets.items()}
            if route.default is not None and route.default not in ways.values():
                ways["default"] = route.default
            found += [
                Arrow(
                    route.source,
                    target,
                    "route",
                    "" if label == target else label,
                    None,
                    route.site,
                )
                for label, target in ways.items()
            ]
        for node in self.nodes.values():
            found += [Arrow(node.name, to, "goto", "", None, node.site) for to in node.goto or ()]
            found += [Arrow(node.name, to, "ask", "", None, node.site) for to in node.asks]
            if node.rejected is not None:
                found.append(Arrow(node.name, node.rejected, "rejected", "", None, node.site))
            if node.on_error is not None:
                found.append(Arrow(node.name, node.on_error, "error", "", None, node.site))
        return tuple(found)
