"""A graph as plain data: its sketch, JSON both ways, and a hash of what it is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from hashlib import sha256
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, cast, get_args, get_origin

from pydantic_core import to_jsonable_python

from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph.declared import Arrow, Declared, NodeSpec
from tinyagents_graph.stategraph.reducers import Reduce, Reducer
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchKey, SketchNode
from tinyagents_graph.stategraph.state import StateSchema

__all__ = ["from_data", "from_json", "graph_hash", "sketch", "to_data", "to_json"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def sketch(graph: Declared | Sketch) -> Sketch:
    """What a graph is made of, as data.

    Args:
        graph: A graph as it was declared. Nodes that it names and does not have are `"missing"`. A
            sketch is returned as it is.
    """
    if isinstance(graph, Sketch):
        return graph
    arrows = [*graph.arrows]
    if graph.on_limit is not None and not any(each.kind == "limit" for each in arrows):
        # It can be taken from anywhere, so it begins where the graph itself does.
        arrows.append(Arrow(START, graph.on_limit, "limit"))
    nodes = {name: _node(spec) for name, spec in graph.nodes.items()}
    for name in (name for each in arrows for name in (each.source, each.target)):
        if name not in nodes and name not in (START, END):
            nodes[name] = SketchNode(name, "missing")
    return Sketch(
        graph.name,
        nodes,
        tuple(_arrow(graph, each) for each in arrows),
        _keys(graph),
        graph.mode,
        graph.description,
    )


def to_data(graph: Declared | Sketch) -> dict[str, Any]:
    """A graph as plain JSON data, in the node-link form; see `Sketch.to_data`."""
    return sketch(graph).to_data()


def to_json(graph: Declared | Sketch) -> str:
    """A graph as JSON text, in the node-link form."""
    return sketch(graph).to_json()


def from_data(data: Any) -> Sketch:
    """The graph that `to_data` wrote, without its functions: it can be drawn and exported again.

    Raises:
        ConfigError: The data is no such graph; the message says where.
    """
    return Sketch.from_data(data)


def from_json(text: str | bytes) -> Sketch:
    """The graph that `to_json` wrote, without its functions.

    Raises:
        ConfigError: The text is no such graph; the message says where.
    """
    return Sketch.from_json(text)


def graph_hash(graph: Declared | Sketch) -> str:
    """What tells a graph from a changed one: a SHA-256 in hex, the same in every process.

    Nodes (their names and kinds), arrows, joins, keys of the state and the mode make it up, nested
    graphs included. The order in which they were added does not; nor do names of graphs,
    descriptions, settings of nodes, code or its lines: a longer timeout is no other graph.
    """
    text = json.dumps(_essence(sketch(graph)), separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _essence(graph: Sketch) -> Any:
    joins: dict[Any, list[SketchArrow]] = {}
    for arrow in graph.arrows:
        if arrow.join is not None:
            joins.setdefault(arrow.join, []).append(arrow)
    # Joins by their arms: their numbers are the order they were added in.
    met = [
        [sorted(arm.source for arm in arms), arms[0].target, str(arms[0].wait_for), arms[0].min_ok]
        for arms in joins.values()
    ]
    return [
        graph.mode,
        sorted([key.name, key.type, key.reducer or ""] for key in graph.keys),
        [
            [name, node.kind, None if node.inner is None else _essence(node.inner)]
            for name, node in sorted(graph.nodes.items())
        ],
        sorted(
            [arrow.source, arrow.target, arrow.kind, arrow.label]
            for arrow in graph.arrows
            if arrow.join is None
        ),
        sorted(met, key=str),
    ]


# --- from declarations to data ----------


def _arrow(graph: Declared, arrow: Arrow) -> SketchArrow:
    plain = SketchArrow(arrow.source, arrow.target, arrow.kind, arrow.label)
    if arrow.join is None:
        return plain
    met = graph.joins[arrow.join][0]
    return SketchArrow(
        arrow.source,
        arrow.target,
        arrow.kind,
        arrow.label,
        arrow.join,
        met.wait_for,
        met.min_ok,
    )


def _keys(graph: Declared) -> tuple[SketchKey, ...]:
    schema = StateSchema(graph.state, graph.name)
    return tuple(
        SketchKey(name, _type_text(schema.annotation(name)), _reducer_text(schema.reducer(name)))
        for name in graph.state.model_fields
    )


def _node(spec: NodeSpec) -> SketchNode:
    inner = getattr(spec.body, "declared", None) if spec.kind == "graph" else None
    return SketchNode(
        spec.name,
        spec.kind,
        spec.description,
        _settings(spec),
        sketch(inner) if isinstance(inner, Declared) else None,
    )


def _settings(spec: NodeSpec) -> Mapping[str, Any]:
    gate = spec.approve
    given: dict[str, Any] = {
        "body": _name_of(spec.body),
        "input": None if spec.input is None else _name_of(spec.input),
        "input_type": None if spec.input_type is None else _type_text(spec.input_type),
        "output": _name_of(spec.output) if callable(spec.output) else spec.output,
        "inputs": spec.inputs,
        "outputs": spec.outputs,
        "reads": None if spec.reads is None else sorted(spec.reads),
        "writes": None if spec.writes is None else sorted(spec.writes),
        "retry": None if spec.retry is None else _retry(spec.retry),
        "timeout_s": spec.timeout_s,
        "cache": True if spec.cache is not None else None,
        "approve": f"{_name_of(gate)}()" if callable(gate) else (gate or None),
    }
    plain = to_jsonable_python(given, fallback=str, inf_nan_mode="null")
    return {name: value for name, value in plain.items() if value is not None}


def _retry(retry: Retry) -> dict[str, Any]:
    given = {each.name: getattr(retry, each.name) for each in fields(cast("Any", retry))}
    return {**given, "on": [each.__name__ for each in retry.on]}


def _name_of(thing: Any) -> str:
    """What a body or function is called in the source: no address, nothing that varies."""
    while isinstance(thing, partial):
        thing = cast("partial[Any]", thing).func
    for attribute in ("__name__", "name"):
        if isinstance(name := getattr(thing, attribute, None), str):
            return name
    return type(thing).__name__


def _reducer_text(reducer: Reducer | None) -> str | None:
    if reducer is None:
        return None
    if isinstance(reducer, Reduce):
        return f"Reduce({_name_of(reducer.function)})"
    if type(reducer).__repr__ is object.__repr__:
        return f"{type(reducer).__name__}()"
    return _ADDRESS.sub("", repr(reducer))


def _type_text(annotation: Any) -> str:
    """A type as it is written. Modules are left out: a script's own is `__main__` at times."""
    if annotation is None or annotation is NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, list):  # the parameters of a `Callable`
        return f"[{', '.join(map(_type_text, cast('list[Any]', annotation)))}]"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        rest = (_ADDRESS.sub("", repr(each)) for each in arguments[1:])
        return f"Annotated[{', '.join([_type_text(arguments[0]), *rest])}]"
    if origin in (Union, UnionType):
        return " | ".join(map(_type_text, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        name = getattr(annotation, "__name__", None) or _type_text(origin)
        return f"{name}[{', '.join(map(_type_text, arguments))}]" if arguments else str(name)
    if isinstance(annotation, type):
        return annotation.__name__
    return _ADDRESS.sub("", repr(annotation)).removeprefix("typing.")
