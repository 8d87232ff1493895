"""`Source`: what the text of a function shows of how it uses a graph. Nothing is run for it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any, Literal
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.listing import Written, function_in, written
from tinyagents_graph.stategraph.routing import END

__all__ = ["Source", "source_of"]

_MODEL_NAMES = frozenset(dir(BaseModel))
_PROBES = frozenset(("isinstance", "issubclass", "hasattr", "getattr", "type", "vars", "dir"))


@frozen
class Source:
    """What the text of a function shows.

    Attributes:
        reads: Attributes that it takes of its first parameter, each with its line.
        is_read_whole: Whether it also uses the parameter in another way: then it may read anything.
        is_probed: Whether it asks the parameter what it is: then an attribute that a state does not
            have may still be meant.
        writes: Keys of the updates that it returns; `None` if these are not all literals.
        always: Those of them that every update has.
        goto: Nodes that it names in a `Command` or a `Send`.
        sends: Those of them that it names in a `Send`.
        asks: Nodes that it names as those that get an answer.
        is_open: Whether it may go to nodes that it does not name.
        leaves: Whether it may go elsewhere than along its edges, or later.
        names_ways: Whether `Command`, `Send` or `Ask` occur in it at all.
        chooses: For a router: `"one"` label, or perhaps `"many"`; empty if that is not known.
    """

    reads: Mapping[str, int]
    is_read_whole: bool
    is_probed: bool
    writes: frozenset[str] | None
    always: frozenset[str]
    goto: tuple[str, ...]
    sends: tuple[str, ...]
    asks: tuple[str, ...]
    is_open: bool
    leaves: bool
    names_ways: bool
    chooses: Literal["one", "many", ""]


# A graph that is compiled again (one that a node returns, say) has the same functions.
_known: WeakKeyDictionary[CodeType, dict[int, Source | None]] = WeakKeyDictionary()


def source_of(body: Any) -> Source | None:
    """What the text of a function shows; `None` if there is none to be had."""
    found = function_in(body)
    if found is None:
        return None
    function, bound = found
    code = function.__code__
    known = _known.setdefault(code, {})
    if bound not in known:
        tree = written(function)
        known[bound] = None if tree is None else _read(tree, _parameter(code, bound))
    return known[bound]


def _parameter(code: CodeType, bound: int) -> str:
    return code.co_varnames[bound] if bound < code.co_argcount else ""


# --- what it shows ----------


def _read(function: Written, parameter: str) -> Source:
    returned = _Returned()
    own = list(_own(function))
    if isinstance(function, ast.Lambda):
        returned.take(function.body)
    else:
        for node in own:
            if isinstance(node, ast.Return):
                returned.take(node.value)
        if not isinstance(function.body[-1], (ast.Return, ast.Raise)):
            returned.update(frozenset())  # it may come to its end
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own):
        returned.unknown()
    uses = _Uses(function, parameter)
    updates = returned.updates
    some: frozenset[str] = frozenset()
    every: frozenset[str] = frozenset()
    for each in updates or ():
        some |= each
    if updates:
        every = updates[0].intersection(*updates)
    return Source(
        uses.reads,
        uses.is_whole,
        uses.is_probed,
        None if updates is None else some,
        every,
        tuple(dict.fromkeys(returned.goto)),
        tuple(dict.fromkeys(returned.sends)),
        tuple(dict.fromkeys(returned.asks)),
        returned.is_open,
        returned.leaves,
        any(_last_name(node) in _ORDER for node in ast.walk(function)),
        returned.chooses,
    )


def _own(function: Written) -> Iterator[ast.AST]:
    """The nodes of a function, as they are written, without what functions inside it hold."""
    todo = [*ast.iter_child_nodes(function)][::-1]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo += [*ast.iter_child_nodes(node)][::-1]


class _Uses:
    """How a function uses its first parameter."""

    def __init__(self, function: Written, parameter: str) -> None:
        self.reads: dict[str, int] = {}
        self.is_whole = not parameter
        self.is_probed = False
        taken: set[int] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and _is(node.value, parameter):
                taken.add(id(node.value))
                if node.attr in _MODEL_NAMES:  # `state.model_dump()`
                    self.is_whole = True
                else:
                    self.reads.setdefault(node.attr, node.lineno)
            elif isinstance(node, ast.Call) and _last_name(node.func) in _PROBES:
                self.is_probed |= any(_is(each, parameter) for each in node.args)
            elif isinstance(node, ast.Match):
                self.is_probed |= _is(node.subject, parameter)
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id == parameter and id(node) not in taken:
                self.is_whole = True
                self.is_probed |= not isinstance(node.ctx, ast.Load)  # another thing from here on
        inner = [each for each in ast.walk(function) if isinstance(each, ast.arg)]
        if sum(each.arg == parameter for each in inner) > 1:  # another thing of the same name
            self.is_whole = self.is_probed = True


def _is(node: ast.AST, parameter: str) -> bool:
    return isinstance(node, ast.Name) and node.id == parameter


_ORDER: Mapping[str, tuple[str, ...]] = {
    "Command": ("goto", "update", "also"),
    "Ask": ("question", "type", "then", "output", "update", "default"),
    "Send": ("node", "payload"),
}


class _Returned:
    """What the returned expressions of a function come to."""

    def __init__(self) -> None:
        self.goto: list[str] = []
        self.sends: list[str] = []
        self.asks: list[str] = []
        self.updates: list[frozenset[str]] | None = []
        self.is_open = False
        self.leaves = False
        self.chooses: Literal["one", "many", ""] = "one"

    def unknown(self) -> None:
        """It may be anything."""
        self.is_open = self.leaves = True
        self.updates = None
        if self.chooses == "one":
            self.chooses = ""

    def update(self, keys: frozenset[str] | None) -> None:
        """It is an update of these keys; `None` for unknown ones."""
        if keys is None:
            self.updates = None
        elif self.updates is not None:
            self.updates.append(keys)

    def take(self, returned: ast.expr | None) -> None:
        """One returned expression."""
        todo = [returned]
        while todo:
            each = todo.pop(0)
            if isinstance(each, (ast.IfExp, ast.BoolOp, ast.NamedExpr)):
                todo += _either(each)
            elif each is None or isinstance(each, ast.Constant):
                is_none = each is None or each.value is None
                self.update(frozenset() if is_none else None)
            elif isinstance(each, ast.Dict):
                self.update(_keys(each))
            elif isinstance(each, ast.Call):
                self._call(each)
            elif isinstance(each, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp)):
                self._many(each)
            elif isinstance(each, (ast.Compare, ast.JoinedStr)) or _last_name(each) == "END":
                self.update(None)
            else:
                self.unknown()

    def _call(self, call: ast.Call) -> None:
        name = _last_name(call.func)
        if name == "dict" and not call.args:
            self.update(_keywords(call))
        elif name == "Send":
            self.update(frozenset())
            self._go(call)
        elif name in ("Command", "Ask"):
            self._way(name, call)
        else:
            self.unknown()

    def _way(self, name: str, call: ast.Call) -> None:
        given = _arguments(call, _ORDER[name])
        if given is None:
            self.unknown()
            return
        keys = _keys(given.get("update"))
        if isinstance(output := given.get("output"), ast.Constant) and keys is not None:
            keys |= {str(output.value)}
        self.update(keys)
        if name == "Command":
            self._go(given.get("goto"))
            self._go(given.get("also"), instead=False)
            return
        names, is_all = _nodes(given.get("then"))
        self.asks += [each for each, _ in names]
        self.leaves = True  # its edges, if they are followed, wait for the answer
        self.is_open |= not is_all

    def _many(self, several: ast.List | ast.Tuple | ast.ListComp | ast.GeneratorExp) -> None:
        self.chooses = "many"
        items = several.elts if isinstance(several, (ast.List, ast.Tuple)) else [several.elt]
        if all(isinstance(each, ast.Call) and _last_name(each.func) == "Send" for each in items):
            self.update(frozenset())
            self._go(several)
        elif all(isinstance(each, (ast.Constant, ast.Dict)) for each in items):
            self.update(None)
        else:
            self.unknown()

    def _go(self, goto: ast.expr | None, *, instead: bool = True) -> None:
        names, is_all = _nodes(goto)
        self.goto += [name for name, _ in names]
        self.sends += [name for name, is_sent in names if is_sent]
        self.is_open |= not is_all
        self.leaves |= instead and (bool(names) or not is_all)
        if any(is_sent for _, is_sent in names):
            self.chooses = "many"


def _either(node: ast.IfExp | ast.BoolOp | ast.NamedExpr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return node.values if isinstance(node, ast.BoolOp) else [node.value]


def _nodes(goto: ast.expr | None) -> tuple[list[tuple[str, bool]], bool]:
    """Nodes that are named, each with whether it is sent something; and whether those are all."""
    found: list[tuple[str, bool]] = []
    is_all = True
    todo = [goto]
    while todo:
        each = todo.pop(0)
        if isinstance(each, (ast.IfExp, ast.BoolOp, ast.NamedExpr)):
            todo += _either(each)
        elif isinstance(each, (ast.List, ast.Tuple)):
            todo += each.elts
        elif isinstance(each, (ast.ListComp, ast.GeneratorExp)):
            todo.append(each.elt)
        elif isinstance(each, ast.Call) and _last_name(each.func) == "Send":
            name = _name_of((_arguments(each, _ORDER["Send"]) or {}).get("node"))
            found += [] if name is None else [(name, True)]
            is_all &= name is not None
        elif each is not None and not (isinstance(each, ast.Constant) and each.value is None):
            name = _name_of(each)
            found += [] if name is None else [(name, False)]
            is_all &= name is not None
    return found, is_all


def _name_of(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return END if node is not None and _last_name(node) == "END" else None


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _arguments(call: ast.Call, order: Iterable[str]) -> dict[str, ast.expr] | None:
    """What a call is given, by name; `None` if stars hide it."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    given = dict(zip(order, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None:
            return None
        given[keyword.arg] = keyword.value
    return given


def _keys(update: ast.expr | None) -> frozenset[str] | None:
    if update is None or (isinstance(update, ast.Constant) and update.value is None):
        return frozenset()
    if isinstance(update, ast.Call) and _last_name(update.func) == "dict" and not update.args:
        return _keywords(update)
    if not isinstance(update, ast.Dict):
        return None
    keys = [each.value if isinstance(each, ast.Constant) else None for each in update.keys]
    return frozenset(str(each) for each in keys) if None not in keys else None


def _keywords(call: ast.Call) -> frozenset[str] | None:
    names = [each.arg for each in call.keywords]
    return None if None in names else frozenset(each for each in names if each is not None)
