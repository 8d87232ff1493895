"""Files, functions and nesting stay small enough to read in one go."""

import ast
from collections.abc import Iterator, Mapping

import pytest

from tests.project import sources

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_NESTING = 4

# Place ("package/module.py" or "package/module.py::Class.method") -> why it may be larger.
ALLOWED: dict[str, str] = {
    "tinyagents_graph/stategraph/builder.py::StateGraph.add_node": (
        "all that can be said of a node, each argument explained where it is looked for"
    ),
}

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NESTS = (
    ast.If
    | ast.For
    | ast.AsyncFor
    | ast.While
    | ast.With
    | ast.AsyncWith
    | ast.Try
    | ast.TryStar
    | ast.Match
)


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, _Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Scope):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, f"{name}.")
        else:
            yield from _functions(child, prefix)


def _nesting(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Scope):
            continue  # counted as a function of its own
        # `elif` is an `if` inside an `else` to the parser, and one level to the reader.
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        level = int(isinstance(child, _NESTS) and not is_elif)
        deepest = max(deepest, level + _nesting(child))
    return deepest


def _oversize(path: str, text: str) -> Iterator[tuple[str, str]]:
    n_lines = len(text.splitlines())
    if n_lines > MAX_FILE_LINES:
        yield path, f"{n_lines} lines, at most {MAX_FILE_LINES}"
    for name, function in _functions(ast.parse(text)):
        n_lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if n_lines > MAX_FUNCTION_LINES:
            yield f"{path}::{name}", f"{n_lines} lines, at most {MAX_FUNCTION_LINES}"
        nesting = _nesting(function)
        if nesting > MAX_NESTING:
            yield f"{path}::{name}", f"{nesting} levels of nesting, at most {MAX_NESTING}"


def oversize(texts: Mapping[str, str]) -> dict[str, str]:
    """What is too large in `texts`, which maps paths to sources."""
    return {place: size for path, text in texts.items() for place, size in _oversize(path, text)}


def test_no_file_function_or_nesting_is_too_large() -> None:
    found = oversize(sources())
    assert {place: size for place, size in found.items() if place not in ALLOWED} == {}


def test_the_list_of_exceptions_is_current_and_reasoned() -> None:
    assert set(ALLOWED) <= set(oversize(sources()))
    assert all(reason.strip() for reason in ALLOWED.values())


def _nested(levels: int) -> str:
    heads = [f"{'    ' * level}if x:" for level in range(1, levels + 1)]
    return "\n".join(["def f():", *heads, f"{'    ' * (levels + 1)}pass"])


_ELIFS = "def f():\n    if x: pass\n" + "    elif y: pass\n" * 10


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("x = 1\n" * MAX_FILE_LINES, []),
        ("x = 1\n" * (MAX_FILE_LINES + 1), ["m.py"]),
        ("def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1), []),
        ("class A:\n  def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES, ["m.py::A.f"]),
        (_nested(MAX_NESTING), []),
        (_nested(MAX_NESTING + 1), ["m.py::f"]),
        (_ELIFS, []),
    ],
)
def test_what_is_too_large_is_found(text: str, places: list[str]) -> None:
    assert list(oversize({"m.py": text})) == places
