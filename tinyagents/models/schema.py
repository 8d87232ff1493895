"""What providers can enforce of a JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias, cast

__all__ = ["is_closed", "is_recursive", "strict"]

_Schema: TypeAlias = Mapping[str, Any]

# A schema with none of these says nothing about its value.
_SAYING = frozenset({"type", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"})

# Keywords that OpenAI's strict mode refuses; a schema that needs one is sent without strict mode,
# because dropping the keyword would promise an enforcement that does not take place.
_NEVER_STRICT = frozenset(
    {
        "allOf", "contains", "dependentRequired", "dependentSchemas", "else", "if", "maxContains",
        "maxLength", "maxProperties", "minContains", "minLength", "minProperties", "not",
        "patternProperties", "prefixItems", "propertyNames", "then", "unevaluatedItems",
        "unevaluatedProperties", "uniqueItems",
    }
)  # fmt: skip


def is_closed(schema: _Schema) -> bool:
    """Whether every object in it names all its properties and every value has a type.

    Only such a schema can steer a model token by token: a free-form object has no grammar.
    """
    return all(_says_enough(node) for node in _nodes(schema))


def is_recursive(schema: _Schema) -> bool:
    """Whether a definition in it contains itself."""
    graph: dict[str, set[str]] = {"#": set(_references(schema))}
    for name, definition in _definitions(schema).items():
        graph[f"#/$defs/{name}"] = set(_references(definition))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


def strict(schema: _Schema) -> dict[str, Any] | None:
    """The schema in the form that OpenAI's strict mode asks for.

    Every property becomes required and additional ones are forbidden; defaults go, since nothing
    can be left out any more.

    Returns:
        The schema, or `None` when strict mode cannot express it.
    """
    if schema.get("type") != "object" or not is_closed(schema):
        return None
    if any(_NEVER_STRICT & node.keys() for node in _nodes(schema)):
        return None
    return _strict(schema)


def _strict(schema: _Schema) -> dict[str, Any]:
    result = {
        key: value for key, value in schema.items() if key not in {"default", "discriminator"}
    }
    if "oneOf" in result:
        result["anyOf"] = result.pop("oneOf")
    for key in ("properties", "$defs"):
        if key in result:
            result[key] = {name: _strict(child) for name, child in result[key].items()}
    if "items" in result:
        result["items"] = _strict(result["items"])
    if "anyOf" in result:
        result["anyOf"] = [_strict(child) for child in result["anyOf"]]
    if "properties" in result or result.get("type") == "object":
        result["required"] = list(result.setdefault("properties", {}))
        result["additionalProperties"] = False
    if "$ref" in result and len(result.keys() - {"$defs"}) > 1:
        # Strict mode takes no keyword beside a reference; a union of one keeps the description.
        result["anyOf"] = [{"$ref": result.pop("$ref")}]
    return result


def _says_enough(node: _Schema) -> bool:
    if not _SAYING & node.keys() or not isinstance(node.get("type", ""), str):
        return False
    if node.get("type") == "array" and not isinstance(node.get("items"), Mapping):
        return False
    if node.get("type") != "object":
        return True
    return node.get("additionalProperties", "properties" not in node) is False


def _nodes(schema: _Schema) -> Iterator[_Schema]:
    yield schema
    for child in _children(schema):
        yield from _nodes(child)


def _children(schema: _Schema) -> Iterator[_Schema]:
    for key in ("properties", "$defs"):
        yield from schema.get(key, {}).values()
    for key in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(key, [])
    if isinstance(schema.get("items"), Mapping):
        yield cast("_Schema", schema["items"])


def _definitions(schema: _Schema) -> Mapping[str, _Schema]:
    return cast("Mapping[str, _Schema]", schema.get("$defs", {}))


def _references(schema: _Schema) -> Iterator[str]:
    if isinstance(schema.get("$ref"), str):
        yield schema["$ref"]
    for key, value in schema.items():
        if key != "$defs":
            yield from _references_in(value)


def _references_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _references(cast("_Schema", value))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _references_in(item)
