"""Arrows point down, each foreign library has one home, and no import goes in a circle."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import pytest

from tests.project import SOURCE_ROOTS, module_name, sources

GROUND_FLOOR = "tinyagents_graph"
BANNED_FROM_THE_GROUND_FLOOR = (
    "tinyagents",
    "openai",
    "anthropic",
    "opentelemetry",
    "rich",
    "click",
    "starlette",
    "uvicorn",
)


class Home(NamedTuple):
    """Which paths may import a library, and whether only one module of them may."""

    paths: tuple[str, ...]
    one_module: bool = False


HOMES = {
    "networkx": Home(("tinyagents_graph/*",), one_module=True),
    "resvg_py": Home(("tinyagents_graph/*",), one_module=True),
    "docstring_parser": Home(("tinyagents/*",), one_module=True),
    "jsonschema": Home(("tinyagents/*",), one_module=True),
    "referencing": Home(("tinyagents/*",), one_module=True),
    "genai_prices": Home(("tinyagents/*",), one_module=True),
    "re2": Home(("tinyagents/data/*",), one_module=True),
    "openai": Home(("tinyagents/models/openai*",)),
    "anthropic": Home(("tinyagents/models/anthropic*",)),
    "opentelemetry": Home(("tinyagents/telemetry*",)),
    "dbos": Home(("tinyagents/fleet*",)),
    "pydantic_monty": Home(("tinyagents/sandbox*",)),
    "rich": Home(("tinyagents/console*", "tinyagents/cli*")),
    "click": Home(("tinyagents/cli*",)),
    "starlette": Home(("tinyagents/viewer*",), one_module=True),
    "uvicorn": Home(("tinyagents/viewer*",), one_module=True),
}


@dataclass(frozen=True)
class Import:
    """One imported name: `from a import b` may mean the module `a.b` or a name in `a`."""

    path: str
    line: int
    target: str
    on_load: bool

    @property
    def library(self) -> str:
        return self.target.partition(".")[0]


def _for_type_checkers(node: ast.AST) -> list[ast.stmt]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return [] if isinstance(node.test, ast.UnaryOp) else node.body
    return []


def _targets(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    package = path.split("/")[: -node.level] if node.level else []
    origin = ".".join([*package, *filter(None, [node.module])])
    yield from (f"{origin}.{alias.name}" for alias in node.names)


def _imports(node: ast.AST, path: str, on_load: bool = True) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in _targets(node, path):
            yield Import(path, node.lineno, target, on_load)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        on_load = False
    never_runs = _for_type_checkers(node)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, path, on_load and child not in never_runs)


def _upward(imports: list[Import]) -> Iterator[str]:
    for found in imports:
        on_the_ground = found.path.startswith(f"{GROUND_FLOOR}/")
        if on_the_ground and found.library in BANNED_FROM_THE_GROUND_FLOOR:
            yield f"{found.path}:{found.line}: the ground floor never imports {found.library}"


def _away_from_home(imports: list[Import]) -> Iterator[str]:
    for library, home in HOMES.items():
        users = [found for found in imports if found.library == library]
        for found in users:
            if not any(fnmatch(found.path, allowed) for allowed in home.paths):
                allowed = " or ".join(home.paths)
                yield f"{found.path}:{found.line}: only {allowed} imports {library}"
        modules = sorted({found.path for found in users})
        if home.one_module and len(modules) > 1:
            yield f"{', '.join(modules)}: one module imports {library}, not {len(modules)}"


def _circles(imports: list[Import], modules: set[str]) -> Iterator[str]:
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for found in imports:
        origin = found.target.rpartition(".")[0]
        module = found.target if found.target in modules else origin
        importer = module_name(found.path)
        # A package that takes a name from itself (`from tinyagents import agent` in its
        # `__init__`) is no circle: the name is a submodule and the edge goes there.
        if found.on_load and module in modules and module != importer:
            graph[importer].add(module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"imports go in a circle: {' -> '.join(reversed(error.args[1]))}"


def findings(texts: Mapping[str, str]) -> list[str]:
    """What is wrong with the imports of the modules in `texts`, which maps paths to sources."""
    imports = [found for path, text in texts.items() for found in _imports(ast.parse(text), path)]
    modules = {module_name(path) for path in texts}
    return [*_upward(imports), *_away_from_home(imports), *_circles(imports, modules)]


def test_imports_point_down_and_foreign_libraries_stay_at_home() -> None:
    texts = sources()
    assert {f"{package}/__init__.py" for package in SOURCE_ROOTS} <= texts.keys()
    assert findings(texts) == []


@pytest.mark.parametrize(
    ("texts", "finding"),
    [
        ({"tinyagents_graph/run.py": "def f():\n    import tinyagents.agent"}, "run.py:2: the gro"),
        ({"tinyagents_graph/run.py": "import rich.tree"}, "never imports rich"),
        ({"tinyagents_graph/run.py": "from opentelemetry import trace"}, "never imports opentel"),
        ({"tinyagents/agent.py": "def f():\n    import openai"}, "only tinyagents/models/openai*"),
        ({"tinyagents/agent.py": "if TYPE_CHECKING:\n    import click"}, "only tinyagents/cli*"),
        ({"tinyagents/draw.py": "import networkx"}, "only tinyagents_graph/* imports networkx"),
        (
            {
                "tinyagents_graph/a.py": "import networkx",
                "tinyagents_graph/b.py": "import networkx",
            },
            "one module imports networkx, not 2",
        ),
        (
            {"tinyagents/a.py": "from tinyagents import b", "tinyagents/b.py": "from .a import f"},
            "in a circle",
        ),
        (
            {"tinyagents/m/a.py": "from ..b import f", "tinyagents/b.py": "import tinyagents.m.a"},
            "in a circle",
        ),
    ],
)
def test_a_planted_violation_is_found(texts: dict[str, str], finding: str) -> None:
    assert any(finding in found for found in findings(texts))


@pytest.mark.parametrize(
    "texts",
    [
        {"tinyagents/models/openai.py": "import openai", "tinyagents/cli.py": "import click, rich"},
        {"tinyagents/telemetry/spans.py": "from opentelemetry import trace"},
        {"tinyagents/__init__.py": "from tinyagents import a", "tinyagents/a.py": "import json"},
        {
            "tinyagents/a.py": "import tinyagents.b",
            "tinyagents/b.py": "def f():\n    import tinyagents.a",
        },
        {
            "tinyagents/a.py": "import tinyagents.b",
            "tinyagents/b.py": "if TYPE_CHECKING:\n    import tinyagents.a",
        },
    ],
)
def test_an_import_that_keeps_the_rules_is_left_alone(texts: dict[str, str]) -> None:
    assert findings(texts) == []
