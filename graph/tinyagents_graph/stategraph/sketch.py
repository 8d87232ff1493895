"""`Sketch`: what a graph is made of, without what it does: plain data to draw, keep and compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Any, Literal, NotRequired, TypeAlias

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import ArrowKind, Mode, NodeKind
from tinyagents_graph.stategraph.findings import did_you_mean
from tinyagents_graph.stategraph.routing import END, START, WaitFor
from tinyagents_graph.stategraph.state import explain

__all__ = ["Sketch", "SketchArrow", "SketchKey", "SketchKind", "SketchNode"]

SketchKind: TypeAlias = NodeKind | Literal["missing"]
"""What a node is; `"missing"` if arrows name it and nobody added it."""


@frozen
class SketchKey:
    """A key of the state.

    Attributes:
        name: What it is called.
        type: Its type, as text.
        reducer: Its reducer, as text; `None` for a plain key.
    """

    name: str
    type: str
    reducer: str | None = None


@frozen
class SketchNode:
    """A node.

    Attributes:
        name: What it is called.
        kind: What its body is.
        description: What drawings say of it.
        settings: The other arguments of `add_node` that were given, as plain JSON data: functions
            and types by their names. Those that lead to nodes are arrows.
        inner: The graph that it is, if it is one.
    """

    name: str
    kind: SketchKind
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    inner: Sketch | None = None


@frozen
class SketchArrow:
    """A way from a node to another.

    Attributes:
        source: A node's name, or `START`.
        target: A node's name, or `END`.
        kind: What takes it.
        label: What a router returns to take it; else empty.
        join: Which join it is an arm of, from 0.
        wait_for: What that join waits for.
        min_ok: How many tasks it needs that have succeeded.
    """

    source: str
    target: str
    kind: ArrowKind
    label: str = ""
    join: int | None = None
    wait_for: WaitFor | None = None
    min_ok: int | None = None


@frozen
class Sketch:
    """A graph as data; `sketch(graph)` makes it, and `from_json` reads it back.

    Attributes:
        name: What the graph is called.
        nodes: Its nodes by name, in the order they were added.
        arrows: Every way between them.
        keys: The keys of its state.
        mode: When a node starts.
        description: What parents know of it.
    """

    name: str
    nodes: Mapping[str, SketchNode]
    arrows: tuple[SketchArrow, ...]
    keys: tuple[SketchKey, ...] = ()
    mode: Mode = "superstep"
    description: str = ""

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data in the node-link form, which `networkx.node_link_graph` reads, too.

        What an arrow or a node does not have is left out. A nested graph is its node's `subgraph`.
        """
        nodes = [{"id": START, "kind": "start"}, *map(_node_data, self.nodes.values())]
        return {
            "directed": True,
            "multigraph": True,
            "graph": {
                "name": self.name,
                "description": self.description,
                "mode": self.mode,
                "state": [
                    {"name": key.name, "type": key.type, "reducer": key.reducer}
                    for key in self.keys
                ],
            },
            "nodes": [*nodes, {"id": END, "kind": "end"}],
            "edges": [_arrow_data(arrow) for arrow in self.arrows],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        # Escaped to ASCII, so that it comes through any pipe, whatever its encoding.
        return json.dumps(self.to_data(), indent=2)

    @classmethod
    def from_data(cls, data: Any) -> Sketch:
        """The sketch that `to_data` wrote.

        Raises:
            ConfigError: The data is no such graph; the message says where.
        """
        try:
            checked = _adapter().validate_python(data)
        except ValidationError as error:
            raise ConfigError(f"this is no graph as to_json writes it: {explain(error)}") from error
        return _read(checked)

    @classmethod
    def from_json(cls, text: str | bytes) -> Sketch:
        """The sketch that `to_json` wrote.

        Raises:
            ConfigError: The text is no such graph; the message says where.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"this is no graph as to_json writes it: {error}") from error
        return cls.from_data(data)


def _node_data(node: SketchNode) -> dict[str, Any]:
    data: dict[str, Any] = {"id": node.name, "kind": node.kind}
    if node.description:
        data["description"] = node.description
    if node.settings:
        data["settings"] = dict(node.settings)
    if node.inner is not None:
        data["subgraph"] = node.inner.to_data()
    return data


def _arrow_data(arrow: SketchArrow) -> dict[str, Any]:
    data: dict[str, Any] = {"source": arrow.source, "target": arrow.target, "kind": arrow.kind}
    if arrow.label:
        data["label"] = arrow.label
    for name in ("join", "wait_for", "min_ok"):
        if (value := getattr(arrow, name)) is not None:
            data[name] = value
    return data


# --- what is read back ----------


class _KeyData(TypedDict):
    name: str
    type: str
    reducer: str | None


class _NodeData(TypedDict):
    id: str
    kind: SketchKind | Literal["start", "end"]
    description: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    subgraph: NotRequired[_GraphData]


class _ArrowData(TypedDict):
    source: str
    target: str
    kind: ArrowKind
    label: NotRequired[str]
    join: NotRequired[int]
    wait_for: NotRequired[WaitFor]
    min_ok: NotRequired[int]


class _HeadData(TypedDict):
    name: str
    description: str
    mode: Mode
    state: list[_KeyData]


class _GraphData(TypedDict):
    graph: _HeadData
    nodes: list[_NodeData]
    edges: list[_ArrowData]


@cache
def _adapter() -> TypeAdapter[_GraphData]:
    return TypeAdapter(_GraphData)


def _read(data: _GraphData) -> Sketch:
    head = data["graph"]
    nodes: dict[str, SketchNode] = {}
    for each in data["nodes"]:
        name, kind, inner = each["id"], each["kind"], each.get("subgraph")
        if kind == "start" or kind == "end":  # `in` narrows the type for no checker
            continue
        if not name or name in nodes or name in (START, END):
            raise ConfigError(
                f"graph {head['name']!r}: node {name!r}: every node needs an id of its own"
            )
        nodes[name] = SketchNode(
            name,
            kind,
            each.get("description", ""),
            each.get("settings", {}),
            None if inner is None else _read(inner),
        )
    arrows = tuple(SketchArrow(**arrow) for arrow in data["edges"])
    _check(head["name"], nodes, arrows)
    return Sketch(
        head["name"],
        nodes,
        arrows,
        tuple(SketchKey(**key) for key in head["state"]),
        head["mode"],
        head["description"],
    )


def _check(name: str, nodes: Mapping[str, SketchNode], arrows: tuple[SketchArrow, ...]) -> None:
    joins: dict[int, SketchArrow] = {}
    for number, arrow in enumerate(arrows):
        for end in (arrow.source, arrow.target):
            if end not in nodes and end not in (START, END):
                raise ConfigError(
                    f"graph {name!r}: edge {number} leads from {arrow.source!r} to "
                    f"{arrow.target!r}, and there is no node {end!r}{did_you_mean(end, nodes)}"
                )
        if arrow.join is not None:
            first = joins.setdefault(arrow.join, arrow)
            if _join_of(first) != _join_of(arrow):
                raise ConfigError(
                    f"graph {name!r}: edge {number} is an arm of join {arrow.join}, and says "
                    "something else of it than the arm before: target, wait_for or min_ok"
                )


def _join_of(arrow: SketchArrow) -> tuple[str, WaitFor | None, int | None]:
    return arrow.target, arrow.wait_for, arrow.min_ok
