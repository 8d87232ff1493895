"""Which calls of a cell are awaited: those get a promise, and every other call its value.

Models write `search("x") + 1` as often as `await search("x")`. The engine asks at each call
whether it shall wait for the value, and only the source tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeAlias

__all__ = ["Span", "awaited_calls"]

Span: TypeAlias = tuple[int, int]
"""Where an expression begins and ends, in bytes of UTF-8."""

_MAX_CHARS = 200_000
_WORDS = ("await", "gather", "asyncio")
# Functions whose first argument is awaited; `run` only as that of asyncio.
_AWAITING = frozenset(
    {"as_completed", "create_task", "ensure_future", "run_until_complete", "shield", "wait_for"}
)


def awaited_calls(code: str) -> frozenset[Span]:
    """The calls in `code` whose value is awaited: at once, by `gather`, or under a name.

    Args:
        code: Source that the engine has read, which bounds how deep it is nested.
    """
    if not any(word in code for word in _WORDS) or len(code) > _MAX_CHARS:
        return frozenset()
    try:
        return frozenset(_Finder(code).find())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()  # what Python cannot read, it would not have awaited either


class _Finder:
    def __init__(self, code: str) -> None:
        self._nodes = list(ast.walk(ast.parse(code)))
        self._starts = [0]
        for line in code.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def find(self) -> Iterator[Span]:
        names: set[str] = set()
        for node in self._nodes:
            if isinstance(node, ast.Await):
                yield from self._awaited(node.value, names)
            elif isinstance(node, ast.Call):
                yield from self._of_asyncio(node, names)
        for node in self._nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(_bound(each) in names for each in targets):
                    yield from self._calls_in(node.value)
            elif isinstance(node, ast.Call) and _is_added_to(node, names):
                for each in node.args:
                    yield from self._calls_in(each)

    def _awaited(self, node: ast.expr, names: set[str]) -> Iterator[Span]:
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Call):
            yield self._span(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            names.add(node.value.id)

    def _of_asyncio(self, call: ast.Call, names: set[str]) -> Iterator[Span]:
        name = _name(call)
        if name == "gather":
            for each in call.args:
                yield from self._given(each, names)
        elif call.args and (name in _AWAITING or _is_run(call)):
            yield from self._given(call.args[0], names)

    def _given(self, node: ast.expr, names: set[str]) -> Iterator[Span]:
        inner = node.value if isinstance(node, ast.Starred) else node
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            inner = inner.func.value if inner.func.attr == "values" else inner  # of a dict
        if isinstance(inner, ast.Name):
            names.add(inner.id)
        else:
            yield from self._calls_in(inner)

    def _calls_in(self, node: ast.expr) -> Iterator[Span]:
        """The calls that `node` is made of, without those whose values these take."""
        if isinstance(node, ast.Call):
            yield self._span(node)
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            yield from self._calls_in(node.elt)
        elif isinstance(node, ast.DictComp):
            yield from self._calls_in(node.value)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from self._calls_in(child)

    def _span(self, node: ast.Call) -> Span:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_run(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "run"
        and isinstance(function.value, ast.Name)
        and function.value.id == "asyncio"
    )


def _bound(target: ast.expr) -> str:
    """The name that an assignment binds, or puts something into; empty if it is none."""
    if isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _is_added_to(call: ast.Call, names: set[str]) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in ("append", "extend", "add")
        and isinstance(function.value, ast.Name)
        and function.value.id in names
    )
