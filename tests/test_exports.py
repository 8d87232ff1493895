"""`__all__` and reality agree, and what is public is explained."""

import ast
import importlib
import inspect
from types import ModuleType

import pytest

from tests.project import SOURCE_ROOTS, module_name, sources

PUBLIC = {
    module_name(path): text
    for path, text in sources().items()
    if not any(part.startswith("_") for part in module_name(path).split("."))
}


def _exported(module: ModuleType) -> list[str]:
    names: list[str] = getattr(module, "__all__", [])
    return names


def _groups(text: str) -> list[list[str]]:
    """The names of `__all__`, split where a comment line starts a new group."""
    lines = text.splitlines()
    groups: list[list[str]] = [[]]
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            elements = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
            for item in elements:
                if lines[item.lineno - 2].lstrip().startswith("#"):
                    groups.append([])
                groups[-1].append(ast.literal_eval(item))
    return groups


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: the order isort has for imports."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name.casefold()


def _is_sorted(groups: list[list[str]]) -> bool:
    return all(group == sorted(group, key=_rank) for group in groups)


def _is_explained(thing: object) -> bool:
    written = thing.__doc__ or ""
    # A dataclass and a named tuple without a docstring get their signature as one.
    return bool(written) and not written.startswith(f"{getattr(thing, '__name__', '')}(")


def test_both_packages_are_looked_at() -> None:
    assert set(SOURCE_ROOTS) <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_module_says_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    exported = _exported(module)
    assert exported, f"{name} has no __all__; list its public names, or start its name with _"
    assert len(exported) == len(set(exported)), f"{name}.__all__ names something twice"
    missing = [each for each in exported if not hasattr(module, each)]
    assert not missing, f"{name}.__all__ lists {missing}, which {name} does not have"


@pytest.mark.parametrize("name", PUBLIC)
def test_exports_are_sorted_within_each_group(name: str) -> None:
    groups = _groups(PUBLIC[name])
    assert _is_sorted(groups), (
        f"{name}.__all__: between comment lines, order constants, classes, functions by name"
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_public_classes_and_functions_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    things = {each: getattr(module, each) for each in _exported(module)}
    silent = [
        each
        for each, thing in things.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not _is_explained(thing)
    ]
    assert not silent, f"{name}: write a docstring for {silent}"


@pytest.mark.parametrize(
    ("text", "is_sorted"),
    [
        ("__all__ = ['Agent', 'Run', 'run']", True),
        ("__all__ = ['END', 'Append', 'Send', 'join']", True),
        ("__all__ = ['Append', 'END', 'Send']", False),
        ("__all__ = ['Run', 'Agent']", False),
        ("__all__ = [\n  # agents\n  'Run',\n  # errors\n  'AgentError',\n]", True),
        ("__all__ = [\n  # agents\n  'Run',\n  'Agent',\n  # errors\n  'AgentError',\n]", False),
    ],
)
def test_the_order_of_names_is_checked_group_by_group(text: str, is_sorted: bool) -> None:
    assert _is_sorted(_groups(text)) is is_sorted
