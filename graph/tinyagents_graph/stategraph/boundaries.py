"""Checks of where a graph and the graph that is one of its nodes meet: keys and types."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from tinyagents_graph.stategraph.declared import Declared, NodeSpec
from tinyagents_graph.stategraph.findings import Finding, Severity, did_you_mean
from tinyagents_graph.stategraph.state import StateSchema

__all__ = ["boundary_findings"]


def boundary_findings(spec: NodeSpec, ours: StateSchema, *, may_be_sent: bool) -> Iterator[Finding]:
    """What is wrong between a graph and one that is a node of it.

    Args:
        spec: The node.
        ours: The state of the graph that it is a node of.
        may_be_sent: Whether the node may be given another input than the state.
    """
    inner: Any = getattr(spec.body, "declared", None)
    if spec.kind != "graph" or not isinstance(inner, Declared):
        return
    theirs = StateSchema(inner.state, inner.name)
    for argument, keys in (
        ("inputs", spec.inputs or {}),
        ("outputs", (spec.outputs or {}).values()),
    ):
        for key in keys:
            if key not in theirs.keys:
                yield _finding(
                    spec,
                    "BAD_MAPPING",
                    f"{argument}= of node {spec.name!r} names {key!r}, which is no key of graph "
                    f"{inner.name!r}{did_you_mean(key, theirs.keys)}",
                    f"its keys are {', '.join(sorted(theirs.keys))}",
                )
    yield from _mapped(spec, ours, theirs)
    if spec.input is None:
        yield from _missing(spec, ours, theirs, "warning" if may_be_sent else "error")
    if spec.outputs is None and not _shared(ours, theirs):
        yield _finding(
            spec,
            "BAD_MAPPING",
            f"nothing that graph {inner.name!r} writes gets into this state: they have no key of "
            "the same name and type",
            f"add_node({spec.name!r}, …, outputs={{'our key': 'its key'}})",
            "warning",
        )


def _shared(ours: StateSchema, theirs: StateSchema) -> list[str]:
    both = sorted(ours.keys & theirs.keys)
    return [key for key in both if ours.annotation(key) == theirs.annotation(key)]


def _mapped(spec: NodeSpec, ours: StateSchema, theirs: StateSchema) -> Iterator[Finding]:
    for inner, outer in (spec.inputs or {}).items():
        if inner in theirs.keys and outer in ours.keys:
            given, wanted = ours.annotation(outer), theirs.annotation(inner)
            if not _may_fit(given, [wanted]):
                yield _mismatch(spec, "inputs", (outer, given), (inner, wanted))
    for outer, inner in (spec.outputs or {}).items():
        if inner in theirs.keys and outer in ours.keys:
            given, wanted = _operands(theirs, inner)[0], _operands(ours, outer)
            if not _may_fit(given, wanted):
                yield _mismatch(spec, "outputs", (inner, given), (outer, wanted[0]))


def _operands(schema: StateSchema, key: str) -> list[Any]:
    """The types of what may be written to a key."""
    annotation, reducer = schema.annotation(key), schema.reducer(key)
    if reducer is None:
        return [annotation]
    second = reducer.coerce(annotation)
    return [reducer.operand(annotation), *([] if second is None else [second])]


def _mismatch(
    spec: NodeSpec, argument: str, source: tuple[str, Any], target: tuple[str, Any]
) -> Finding:
    return _finding(
        spec,
        "TYPE_MISMATCH",
        f"{argument}= of node {spec.name!r} gives {source[0]!r}, which is {_named(source[1])}, to "
        f"{target[0]!r}, which is {_named(target[1])}",
        "map keys of the same type, or put a node between that converts",
    )


def _missing(
    spec: NodeSpec, ours: StateSchema, theirs: StateSchema, severity: Severity
) -> Iterator[Finding]:
    """Keys that the inner graph does not get."""
    fields: Mapping[str, Any] = theirs.model.model_fields
    for key in theirs.model.model_fields:
        is_needed = fields[key].is_required()
        differs = key in ours.keys and ours.annotation(key) != theirs.annotation(key)
        hint = f"add_node({spec.name!r}, …, inputs={{{key!r}: 'our key'}})"
        if key in (spec.inputs or {}) or (spec.inputs is None and key in ours.keys and not differs):
            continue
        if spec.inputs is None and differs:
            yield _finding(
                spec,
                "TYPE_MISMATCH",
                f"{key!r} is not handed on to node {spec.name!r}: it is "
                f"{_named(ours.annotation(key))} here and {_named(theirs.annotation(key))} there",
                f"give it the same type, or map another: {hint}",
                severity if is_needed else "warning",
            )
        elif is_needed:
            yield _finding(
                spec,
                "BAD_MAPPING",
                f"node {spec.name!r} needs {key!r}, which has no default, and does not get it",
                f"map it, {hint}",
                severity,
            )


def _finding(
    spec: NodeSpec, code: str, message: str, hint: str, severity: Severity = "error"
) -> Finding:
    return Finding(code, message, hint, spec.site, (spec.name,), severity)


# --- types ----------
#
# Only what pydantic refuses for certain counts: it reads "5" as a number and a dict as a model.

_TEXT, _NUMBER = (str,), (int, float, Decimal)
_FAMILIES: Sequence[tuple[type, ...]] = (
    _TEXT,
    _NUMBER,
    (list, tuple, set, frozenset, Sequence, Set),
    (dict, Mapping),
    (type(None),),
)


def _may_fit(given: Any, wanted: Sequence[Any]) -> bool:
    return any(
        _may_be(one, other)
        for one in _members(given)
        for each in wanted
        for other in _members(each)
    )


def _may_be(given: Any, wanted: Any) -> bool:
    source, target = _family(given), _family(wanted)
    if source is None or target is None or source is target:
        return True
    if isinstance(source, type) and isinstance(target, type):
        return issubclass(source, target) or issubclass(target, source)
    if isinstance(target, type):
        return source is _FAMILIES[3]  # a dict may become a model
    return source is _TEXT and target is _NUMBER


def _family(annotation: Any) -> Any:
    """What a type is much like: one of the families, or a model; `None` if that is not known."""
    kind = get_origin(annotation) or annotation
    if kind is None:
        kind = type(None)
    if not isinstance(kind, type):
        return None
    if issubclass(kind, BaseModel):
        return kind
    return next((each for each in _FAMILIES if kind in each), None)


def _members(annotation: Any) -> list[Any]:
    found: list[Any] = []
    todo = [annotation]
    while todo:
        each = todo.pop()
        if get_origin(each) in (Union, types.UnionType):
            todo += get_args(each)
        else:
            found.append(each)
    return found


def _named(annotation: Any) -> str:
    return annotation.__name__ if type(annotation) is type else str(annotation)
