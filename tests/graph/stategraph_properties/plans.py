"""Random graphs as data: layers of nodes, with all the ways there are from one to the next."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from hypothesis import strategies as st
from pydantic import BaseModel

from tinyagents.graph import Add, Append, Last, Merge, Reduce

__all__ = [
    "END",
    "PLANS",
    "GraphPlan",
    "JoinPlan",
    "NodePlan",
    "Script",
    "Sent",
    "State",
    "Target",
    "act",
    "targets_of",
]

END = "__end__"


def _counted(value: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {name: value.get(name, 0) + more.get(name, 0) for name in {**value, **more}}


class State(BaseModel):
    """What nodes write, each in its own way; what they saw before is part of it."""

    log: Annotated[list[str], Append()] = []
    total: Annotated[int, Add()] = 0
    last: Annotated[str, Last()] = ""
    seen: Annotated[dict[str, int], Merge()] = {}
    visits: Annotated[dict[str, int], Reduce(_counted)] = {}
    alone: int = 0


@dataclass(frozen=True)
class Sent:
    """A node that is sent something."""

    node: str
    payload: int


Target: TypeAlias = str | Sent
Script: TypeAlias = "tuple[tuple[Target, ...] | None, ...]"
"""Where a node goes on its first visit, its second, …; `None` and all later ones: nowhere."""


@dataclass(frozen=True)
class NodePlan:
    """A node.

    Attributes:
        name: What it is called.
        is_alone: Whether it writes the key that takes one writer in a step.
        edges: Where it always leads.
        route: What its router returns; without one, empty.
        goto: Where its body goes; `None`: along its ways.
        also: Where its body goes besides.
        may_go: What its body declares; `None` is nothing.
        inner: The graph that it is, if it is one.
    """

    name: str
    is_alone: bool = False
    edges: tuple[str, ...] = ()
    route: Script = ()
    goto: Script = ()
    also: Script = ()
    may_go: tuple[str, ...] | None = None
    inner: "GraphPlan | None" = None


@dataclass(frozen=True)
class JoinPlan:
    """Where arms meet."""

    sources: tuple[str, ...]
    target: str
    wait_for: Any


@dataclass(frozen=True)
class GraphPlan:
    """A graph: its nodes, its joins, and where it begins."""

    nodes: tuple[NodePlan, ...]
    joins: tuple[JoinPlan, ...]
    starts: tuple[str, ...]


def act(node: NodePlan, given: Any) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """What a node does with what it was given: an update, and where it goes: goto, also."""
    if isinstance(given, int):
        round_, told = given, f"{node.name}({given})"
        saw = given
    else:
        round_, told = given.visits.get(node.name, 0), node.name
        saw = given.total + len(given.log)
    update: dict[str, Any] = {
        "log": told, "total": 1, "last": told, "seen": {told: saw}, "visits": {node.name: 1},
    }  # fmt: skip
    if node.is_alone:
        update["alone"] = saw
    return update, (_at(node.goto, round_), _at(node.also, round_))


def _at(script: Script, round_: int) -> tuple[Target, ...] | None:
    return script[round_] if round_ < len(script) else None


def targets_of(script: Script) -> tuple[str, ...]:
    """All nodes that a script leads to."""
    found = [each for entry in script for each in entry or ()]
    return tuple(dict.fromkeys(each.node if isinstance(each, Sent) else each for each in found))


# --- making them up ----------


@st.composite
def _scripts(draw: st.DrawFn, later: tuple[str, ...], earlier: tuple[str, ...]) -> Script:
    """A script that goes on, and may begin with rounds that go back."""
    one: st.SearchStrategy[Target] = st.sampled_from(later)
    if later:
        one = one | st.builds(Sent, st.sampled_from(later), st.integers(0, 2))
    entry = st.lists(one, max_size=3).map(tuple) | st.none()
    back = st.lists(st.sampled_from(earlier), min_size=1, max_size=2, unique=True).map(tuple)
    first = draw(st.lists(back, min_size=1, max_size=2)) if earlier else []
    return (*first, *draw(st.lists(entry, max_size=3)))


@st.composite
def _nodes(draw: st.DrawFn, layers: list[list[str]], at: int, name: str, depth: int) -> NodePlan:
    later = tuple(each for layer in layers[at + 1 :] for each in layer)
    earlier = tuple(each for layer in layers[: at + 1] for each in layer)
    is_alone = draw(st.integers(0, 20)) == 7
    kind = draw(st.sampled_from(["edges", "edges", "edges", "route", "loop", "goto", "inner"]))
    edges: tuple[str, ...] = ()
    if later:
        edges = tuple(draw(st.lists(st.sampled_from(later), max_size=2, unique=True)))
    if kind in ("route", "loop") and later:
        back = earlier if kind == "loop" else ()
        return NodePlan(name, is_alone, edges, route=draw(_scripts(later, back)))
    if kind == "goto" and later:
        goto, also = draw(_scripts(later, ())), draw(_scripts(later, ()))
        declared = (*targets_of(goto), *targets_of(also))
        may_go = tuple(dict.fromkeys(declared)) if draw(st.booleans()) else None
        return NodePlan(name, is_alone, edges, goto=goto, also=also, may_go=may_go)
    if kind == "inner" and depth:
        return NodePlan(name, edges=edges, inner=draw(_graphs(f"{name}_", depth - 1)))
    return NodePlan(name, is_alone, edges)


@st.composite
def _graphs(draw: st.DrawFn, prefix: str, depth: int) -> GraphPlan:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4 if depth else 2))
    layers = [
        [f"{prefix}{chr(97 + at)}{number}" for number in range(size)]
        for at, size in enumerate(sizes)
    ]
    names = [name for layer in layers for name in layer]
    nodes = [
        draw(_nodes(layers, at, name, depth)) for at, layer in enumerate(layers) for name in layer
    ]
    joins = draw(st.lists(_joins(layers), max_size=3)) if len(layers) > 1 else []
    led_to = {each for node in nodes for each in (*node.edges, *targets_of(node.route))}
    led_to |= {each for node in nodes for each in targets_of((*node.goto, *node.also))}
    led_to |= {join.target for join in joins}
    starts = tuple(name for name in names if name not in led_to or name in layers[0])
    return GraphPlan(tuple(nodes), tuple(joins), starts)


@st.composite
def _joins(draw: st.DrawFn, layers: list[list[str]]) -> JoinPlan:
    at = draw(st.integers(0, len(layers) - 2))
    before = [each for layer in layers[: at + 1] for each in layer]
    sources = tuple(draw(st.lists(st.sampled_from(before), min_size=1, max_size=3, unique=True)))
    wait_for = draw(st.sampled_from(["all", "all", "reached", "reached", "any", len(sources)]))
    return JoinPlan(sources, draw(st.sampled_from(layers[at + 1])), wait_for)


PLANS = _graphs("", 1)
"""Plans of whole graphs."""
