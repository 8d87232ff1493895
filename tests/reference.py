"""Writes docs/reference.md from the public names and their docstrings.

Usage: python -m tests.reference
"""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.project import ROOT

PAGE = ROOT / "docs" / "reference.md"

# Module -> title and introduction; in `tinyagents` the names are grouped by where they are defined.
MODULES = {
    "tinyagents": "Everything most programs need.",
    "tinyagents.graph": "State graphs.",
    "tinyagents.sandbox": "Where code runs that a model wrote; see [sandbox](sandbox.md).",
    "tinyagents.data": "Long inputs; see [long inputs](recursive.md).",
    "tinyagents.messages": "Messages as plain JSON data.",
    "tinyagents.middleware": "For the types of hooks.",
    "tinyagents.models": "What passes between agents and models.",
    "tinyagents.models.openai": "Imported when a model is named `openai:…`.",
    "tinyagents.models.anthropic": "Imported when a model is named `anthropic:…`.",
    "tinyagents.console": "A run tree in the terminal.",
    "tinyagents.viewer": "Runs in a browser.",
    "tinyagents.testing": "For tests, yours and ours.",
    "tinyagents_graph.journal": "For a journal of your own.",
    "tinyagents_graph": "The ground floor, for use without agents.",
}
HEAD = """# Reference

The public names, one line each. This page is written from the docstrings, by
`python -m tests.reference`, and a test compares the two. Arguments, defaults, units and errors are
in the docstrings themselves: see `help(Agent)`, or your editor.
"""


def page() -> str:
    parts = [HEAD]
    seen: set[int] = set()
    for name, about in MODULES.items():
        module = importlib.import_module(name)
        exported: list[str] = sorted(module.__all__, key=str.casefold)
        new = [each for each in exported if id(getattr(module, each)) not in seen]
        seen |= {id(getattr(module, each)) for each in exported}
        lines = [line for each in new for line in _entry(module, each)]
        parts.append(f"## `{name}`\n\n{about}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _entry(module: ModuleType, name: str) -> Iterator[str]:
    thing = getattr(module, name)
    yield f"- **`{name}`**: {_claim(module, name)}"
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for part, member in _members(thing).items():
            call = "" if isinstance(member, property | cached_property) else "()"
            yield f"  - `{part}{call}`: {_first(member.__doc__ or '')}"


def _members(thing: type) -> Mapping[str, Any]:
    """What a class itself offers, with a docstring of its own."""
    found: dict[str, Any] = {}
    for part, member in vars(thing).items():
        plain: Any = getattr(member, "__func__", member)  # what is in a class or static method
        offers = inspect.isfunction(plain) or isinstance(plain, property | cached_property)
        if offers and not part.startswith("_") and plain.__doc__:
            found[part] = plain
    return found


def _claim(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return _first(thing.__doc__ or "")
    return _first(_written_below(module, name))


def _written_below(module: ModuleType, name: str) -> str:
    """The docstring below the assignment of a constant or alias, in the module that has it."""
    body = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign | ast.Assign) and name in _targets(node):
            return _string(following)
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            return _written_below(importlib.import_module(node.module or ""), name)
    return ""


def _targets(node: ast.AnnAssign | ast.Assign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _string(node: ast.stmt | None) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _first(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
