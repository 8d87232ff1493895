"""What a graph's functions show of themselves: where they lead, what they read and write.

Read off return hints and off the text of the functions. Nothing is run for it, and what is not
certain is not known: a function may be anything that can be called.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import Declared, NodeSpec
from tinyagents_graph.stategraph.listing import function_in
from tinyagents_graph.stategraph.routing import END, Ask, Command, Send
from tinyagents_graph.stategraph.sources import Source, source_of

__all__ = [
    "Leads",
    "Writes",
    "asks_of",
    "choice_of",
    "completed",
    "goto_of",
    "labels_of",
    "leads_of",
    "output_type",
    "reads_of",
    "takes",
    "writes_by",
    "writes_of",
]

Means = Literal["label", "goto", "command", "send", "ask", "many", "data", "anything"]
"""What a part of a return hint means: a router's label; a node that a command may go to; a command,
a send or an ask to nodes that are not named; several of the others; plain data; or anything."""

_DATA = (str, bytes, int, float, complex, type(None), Mapping, BaseModel)
_MANY = (list, tuple, set, frozenset)


@frozen
class Leads:
    """Where a node's body may send the graph.

    Attributes:
        goto: Nodes that it may go to.
        sends: Those of them that it sends something to, perhaps many times at once.
        asks: Nodes that get an answer it asks for.
        is_open: Whether it may go to others, too.
        is_said: Whether it says that it does; else it is only not known that it does not.
        may_end: Whether it may go to `END`.
        leaves: Whether it may go elsewhere than along its edges, or later.
    """

    goto: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    is_open: bool = False
    is_said: bool = False
    may_end: bool = False
    leaves: bool = False


@frozen
class Writes:
    """Keys that a node writes.

    Attributes:
        some: Those that it may write; `None` if that is not known.
        always: Those that it writes whenever it runs.
    """

    some: frozenset[str] | None = None
    always: frozenset[str] = frozenset()


# --- hints ----------


def labels_of(route: Any) -> list[str]:
    """The labels that a router's return hint names: `-> Literal["a", "b"]`, alone or in a list."""
    found = [value for means, value in _hinted(route) if means in ("label", "goto")]
    return list(dict.fromkeys(each for each in found if isinstance(each, str)))


def choice_of(route: Any) -> Literal["one", "many", ""]:
    """How many ways a router takes at once: one, perhaps many, or that is not known."""
    said = {means for means, _ in _hinted(route)}
    source = source_of(route)
    chooses = "" if source is None else source.chooses
    if chooses == "many" or said & {"many", "send"}:
        return "many"
    return "one" if said and said <= {"label", "data"} else chooses


def takes(function: Any) -> Any:
    """The hint of a function's first parameter; `None` if it has none, `Any` if it is unknown."""
    found = function_in(function)
    if found is None:
        return None
    code, bound = found[0].__code__, found[1]
    if bound >= code.co_argcount:
        return None
    return _hint(function, code.co_varnames[bound])


def _hint(function: Any, name: str) -> Any:
    """One hint of a function. The others need not be known: they may name local classes."""
    found = function_in(function)
    if found is None or name not in found[0].__annotations__:
        return None
    of = found[0]

    def bearer() -> None: ...

    bearer.__annotations__ = {name: of.__annotations__[name]}
    # A wrapper has the hints of what it wraps, whose names stand elsewhere.
    scope = getattr(getattr(of, "__wrapped__", of), "__globals__", of.__globals__)
    local: dict[str, Any] = {}
    for variable, cell in zip(of.__code__.co_freevars, of.__closure__ or (), strict=True):
        try:
            local[variable] = cell.cell_contents
        except ValueError:  # it has no value yet
            continue
    try:
        return get_type_hints(bearer, scope, local, include_extras=True)[name]
    except Exception:  # a hint that names what is imported for type checkers only
        return Any


def _hinted(function: Any) -> list[tuple[Means, Any]]:
    """What a return hint means, part by part; nothing if there is none."""
    hint = _hint(function, "return")
    return [] if hint is None else list(_parts(hint))


def _parts(hint: Any) -> Iterator[tuple[Means, Any]]:
    todo: list[tuple[Any, bool]] = [(hint, False)]
    while todo:
        each, is_target = todo.pop(0)
        origin = get_origin(each)
        if hasattr(each, "__value__"):  # `type Name = …`
            todo.append((each.__value__, is_target))
        elif origin is Literal:
            for value in get_args(each):
                yield ("goto" if is_target else "label"), value
        elif origin in (Union, types.UnionType, Annotated):
            inside = get_args(each)[:1] if origin is Annotated else get_args(each)
            todo += [(one, is_target) for one in inside]
        elif origin is Command:
            todo += [(one, True) for one in get_args(each)]
        elif (
            isinstance(kind := origin or each, type) and issubclass(kind, _MANY) and get_args(each)
        ):
            yield "many", None
            todo += [(one, is_target) for one in get_args(each) if one is not ...]
        else:
            yield from _plain(kind, is_target)


def _plain(kind: Any, is_target: bool) -> Iterator[tuple[Means, Any]]:
    if not isinstance(kind, type):
        yield ("command" if is_target else "anything"), None
    elif issubclass(kind, str) and issubclass(kind, Enum):
        for value in kind:
            yield ("goto" if is_target else "label"), str(value.value)
    elif is_target or issubclass(kind, Command):
        yield "command", None
    elif issubclass(kind, (Send, Ask)):
        yield ("send" if issubclass(kind, Send) else "ask"), None
    else:
        yield ("data" if issubclass(kind, _DATA) else "anything"), None


# --- where to ----------


def goto_of(body: Any) -> tuple[str, ...] | None:
    """The nodes that a function may go to by itself; `None` if it may go anywhere.

    By its return hint `-> Command[Literal["a", "b"]]`, or by its text if every `Command` and `Send`
    that it returns names its nodes.
    """
    leads = _leads(body)
    return None if leads.is_open else leads.goto


def asks_of(body: Any) -> tuple[str, ...]:
    """The nodes that get an answer, `return Ask(…, then="node")`, as far as the text shows."""
    return _leads(body).asks


def leads_of(spec: NodeSpec) -> Leads:
    """Where the body of a node may send the graph."""
    if spec.kind != "function":
        return Leads(spec.goto or (), leaves=bool(spec.goto), may_end=bool(spec.goto))
    found = _leads(spec.body)
    if spec.goto is None:
        return found
    may_end = found.is_open or found.may_end or END in spec.goto
    return replace(found, goto=spec.goto, is_open=False, may_end=may_end)


def _leads(body: Any) -> Leads:
    hinted = _hinted(body)
    said = {means for means, _ in hinted}
    named = [str(value) for means, value in hinted if means == "goto"]
    # A wrapper shows the hints of what it wraps, and its own text.
    is_wrapped = hasattr(found[0], "__wrapped__") if (found := function_in(body)) else False
    source = source_of(body)
    text = source or _UNKNOWN
    names_ways = text.names_ways or bool(said & {"command", "goto", "send", "ask"})
    is_data = bool(said) and said <= {"data", "many", "label"}
    if named:
        is_open = text.is_open and bool(said & {"command", "send", "ask", "anything"})
    else:
        is_open = text.is_open and (not is_data or names_ways or is_wrapped)
    goto = tuple(dict.fromkeys([*named, *text.goto]))
    return Leads(
        goto,
        text.sends,
        text.asks,
        is_open,
        is_open and names_ways,
        END in goto or (text.is_open and (is_open or bool(named))),
        bool(named) or is_open or (text.leaves and not text.is_open),
    )


_UNKNOWN = Source({}, True, True, None, frozenset(), (), (), (), True, True, False, "")


# --- keys ----------


def reads_of(body: Any) -> frozenset[str] | None:
    """Attributes that a function takes of its first parameter; `None` if it may take any."""
    source = source_of(body)
    return None if source is None or source.is_read_whole else frozenset(source.reads)


def writes_of(body: Any) -> frozenset[str] | None:
    """Keys of the updates that a function returns; `None` if they are not all literals."""
    source = source_of(body)
    return None if source is None else source.writes


def writes_by(spec: NodeSpec, keys: frozenset[str]) -> Writes:
    """Keys that a node writes.

    Args:
        spec: The node.
        keys: Those of the state.
    """
    if spec.writes is not None:
        return Writes(spec.writes)
    if spec.kind == "graph":
        return Writes(None if spec.outputs is None else frozenset(spec.outputs))
    if callable(spec.output):
        return _shown(spec.output)
    if spec.kind == "function":
        return _by_function(spec)
    if isinstance(spec.output, str) or spec.name in keys:
        name = spec.output if isinstance(spec.output, str) else spec.name
        return Writes(frozenset((name,)), frozenset((name,)))
    fields = frozenset(getattr(output_type(spec.body), "model_fields", ()))
    return Writes(fields, fields) if fields else Writes()


def output_type(body: Any) -> Any:
    """The type of what an agent or a session answers; `None` if it does not say."""
    return getattr(body, "output_type", None)


def _by_function(spec: NodeSpec) -> Writes:
    if spec.output is None:
        return _shown(spec.body)
    key = frozenset((cast("str", spec.output),))
    leads = _leads(spec.body)
    if leads == Leads():
        return Writes(key, key)
    source = source_of(spec.body)
    # A `Command` has an update of its own, apart from what `output` makes of all else.
    return Writes(None if leads.is_open or source is None or source.names_ways else key)


def _shown(function: Any) -> Writes:
    source = source_of(function)
    return Writes() if source is None else Writes(source.writes, source.always)


def completed(declared: Declared) -> Declared:
    """A graph with what its functions show of themselves where it was not declared.

    Args:
        declared: The graph.

    Returns:
        The same, with `goto`, `asks`, `reads` and `writes` of each node where they are certain.
    """
    keys = frozenset(cast("type[BaseModel]", declared.state).model_fields)
    nodes = {name: _completed(spec, keys) for name, spec in declared.nodes.items()}
    return replace(declared, nodes=nodes)


def _completed(spec: NodeSpec, keys: frozenset[str]) -> NodeSpec:
    leads = leads_of(spec)
    writes = writes_by(spec, keys).some
    goto = spec.goto
    if goto is None and spec.kind == "function" and not leads.is_open:
        goto = leads.goto
    return replace(
        spec,
        goto=goto,
        asks=leads.asks,
        reads=_reads(spec, keys) if spec.reads is None else spec.reads,
        writes=writes if writes is not None and writes <= keys else None,
    )


def _reads(spec: NodeSpec, keys: frozenset[str]) -> frozenset[str] | None:
    if spec.inputs is not None:
        return frozenset(spec.inputs.values())
    reader = (
        spec.input if spec.input is not None else spec.body if spec.kind == "function" else None
    )
    found = None if reader is None else reads_of(reader)
    # What is no key is a property or a method, which may read any.
    return found if found is not None and found <= keys else None
