"""What is written to the state, and sent to nodes, as a journal keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tinyagents_graph.errors import GraphError
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.freezing import freeze
from tinyagents_graph.stategraph.keepable import dump, is_plain
from tinyagents_graph.stategraph.nodes import Node
from tinyagents_graph.stategraph.state import StateSchema, Values, Write, explain, named
from tinyagents_graph.values_as_data import value_from_data

__all__ = ["kept_payload", "kept_values", "kept_write", "payload_of", "values_of", "write_of"]


def kept_write(schema: StateSchema, write: Write, node: str) -> dict[str, Any]:
    """A node's update as `{"update": data}`, and with `"typed"`, the keys that are no plain JSON.

    Raises:
        GraphError: A value would not come back as it is.
    """
    return _kept(
        schema, write, "update", is_operand=True, who=f"node {node!r} wrote", nodes=(node,)
    )


def write_of(schema: StateSchema, record: Mapping[str, Any]) -> Write:
    """The update that `kept_write` wrote.

    Raises:
        GraphError: It does not fit the state any more.
    """
    return _read(schema, record, "update", is_operand=True)


def kept_values(schema: StateSchema, values: Values) -> dict[str, Any]:
    """A whole state as `{"state": data}`, and with `"typed"`, the keys that are no plain JSON.

    Raises:
        GraphError: A value would not come back as it is.
    """
    return _kept(schema, values, "state", is_operand=False, who="the state has", nodes=())


def values_of(schema: StateSchema, record: Mapping[str, Any]) -> Values:
    """The state that `kept_values` wrote; a key that is new since then has its default.

    Raises:
        GraphError: It does not fit the state's type any more.
    """
    found = _read(schema, record, "state", is_operand=False)
    if found.keys() < schema.keys:
        fields: Mapping[str, Any] = schema.model.model_fields
        more = {
            name: freeze(fields[name].get_default(call_default_factory=True))
            for name in schema.keys - found.keys()
            if not fields[name].is_required()
        }
        found = {**found, **more}
    return found


def kept_payload(node: Node, payload: Any) -> dict[str, Any]:
    """What a node is sent as `{"payload": data}`, and `"typed"` if that is no plain JSON.

    Raises:
        GraphError: It would not come back as it is.
    """
    if is_plain(payload):
        return {"payload": payload}
    if node.keepers is None:
        raise _unkeepable(
            node.graph,
            f"node {node.name!r} is sent {payload!r:.80} ({type(payload).__name__}), of which "
            "nobody says how it is read again",
            f"give the first parameter of {node.name!r} a type, or add_node(…, input_type=…)",
            node.name,
        )
    reader, adapter = node.keepers
    try:
        typed = reader.validate_python(payload, by_alias=True, by_name=True)
        return {"payload": dump(adapter, typed), "typed": True}
    except ValueError as error:
        raise _unkeepable(
            node.graph,
            f"node {node.name!r} is sent {payload!r:.80} ({type(payload).__name__}) as "
            f"{named(node.takes)}: {error}",
            "send what its type can be written as",
            node.name,
        ) from error


def payload_of(node: Node, record: Mapping[str, Any]) -> Any:
    """What `kept_payload` wrote."""
    plain = record["payload"]
    return (
        value_from_data(node.keepers[1], plain) if record.get("typed") and node.keepers else plain
    )


def _kept(
    schema: StateSchema,
    write: Write,
    field: str,
    *,
    is_operand: bool,
    who: str,
    nodes: tuple[str, ...],
) -> dict[str, Any]:
    typed = [name for name, value in write.items() if not is_plain(value)]
    if not typed:
        return {field: write}
    plain = dict(write)
    for name in typed:
        adapter = schema.keeper(name, is_operand=is_operand)
        try:
            plain[name] = dump(adapter, write[name])
        except ValueError as error:
            raise schema.error(
                "UNKEEPABLE",
                f"{who} {write[name]!r:.80} ({type(write[name]).__name__}) to {name!r}, which no "
                f"journal can keep as {named(schema.annotation(name))}: {error}",
                "give the key a type that can be written as JSON and read again",
                *nodes,
            ) from error
    return {field: plain, "typed": typed}


def _read(schema: StateSchema, record: Mapping[str, Any], field: str, *, is_operand: bool) -> Write:
    plain: Mapping[str, Any] = record[field]
    typed = record.get("typed", ())
    if not plain.keys() <= schema.keys:
        gone = ", ".join(sorted(plain.keys() - schema.keys))
        raise schema.error("UNREADABLE", f"the journal has the state's keys {gone}, which are gone")
    found: dict[str, Any] = {}
    for name, value in plain.items():
        try:
            if name in typed:
                value = value_from_data(schema.keeper(name, is_operand=is_operand), value)
        except ValidationError as error:
            raise schema.error(
                "UNREADABLE",
                f"the journal has {value!r:.80} for {name!r}, which is "
                f"{named(schema.annotation(name))} now: {explain(error)}",
                "give the state a new version, and a migration to it",
            ) from error
        found[name] = freeze(value)
    return found


def _unkeepable(graph: str, message: str, hint: str, *nodes: str) -> GraphError:
    return GraphError(graph, [Finding("UNKEEPABLE", message, hint, "", nodes)])
