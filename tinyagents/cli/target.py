"""From `FILE.py:NAME` to what it names; whatever is wrong with it is said in one paragraph."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import TracebackException
from types import ModuleType
from typing import Any, NamedTuple

from tinyagents import Agent, ConfigError
from tinyagents_graph.errors import GraphError
from tinyagents_graph.stategraph import Graph, StateGraph

__all__ = ["load_agent", "load_graph", "load_runnable", "shortened", "split_target"]


class _Kind(NamedTuple):
    """What is looked for in a file."""

    name: str
    title: str
    types: tuple[type, ...]
    example: str


_AGENT = _Kind("agent", "an Agent", (Agent,), "boss = Agent(...)")
_GRAPH = _Kind("graph", "a StateGraph", (StateGraph, Graph), "flow = StateGraph(...)")


def load_agent(target: str) -> Agent[Any, Any]:
    """The agent that a target such as `agents.py:boss` names.

    The file is imported, with its folder on the module path as `python FILE.py` would have it. What
    it prints meanwhile goes to the standard error stream.

    Args:
        target: A Python file, and after a colon the name of a variable in it. The name may be left
            out where the file has one agent only.

    Raises:
        ConfigError: There is no such file or agent, or importing the file failed; the message says
            what there is instead.
    """
    path, name = _split(target, _AGENT)
    found: Agent[Any, Any] = _chosen(path, name, _imported(path), _AGENT)
    return found


def load_runnable(target: str) -> Agent[Any, Any] | Graph[Any]:
    """The agent, or the compiled graph, that a target names.

    Args:
        target: A Python file, and after a colon the name of a variable in it. The name may be left
            out where the file has one agent only, or no agent and one graph.

    Raises:
        ConfigError: There is no such file, agent or graph, or importing the file failed; the
            message says what there is instead.
        GraphError: The graph is declared in a way that cannot work.
    """
    path, name = _split(target, _AGENT)
    module = _imported(path)
    agents, graphs = (_named(module, kind) for kind in (_AGENT, _GRAPH))
    is_graph = bool(graphs) and not agents
    if name:
        is_graph = bool(name in graphs or get_close_matches(name, graphs)) and name not in agents
    if not is_graph:
        agent: Agent[Any, Any] = _chosen(path, name, module, _AGENT)
        return agent
    found: StateGraph[Any] | Graph[Any] = _chosen(path, name, module, _GRAPH)
    return found.compile() if isinstance(found, StateGraph) else found


def load_graph(target: str) -> Graph[Any]:
    """The graph that a target such as `flow.py:report` names, compiled if it is not yet.

    Args:
        target: A Python file, and after a colon the name of a variable in it. The name may be left
            out where the file has one graph only, or has compiled only one.

    Raises:
        ConfigError: There is no such file or graph, or importing the file failed; the message says
            what there is instead.
        GraphError: The graph is declared in a way that cannot work.
    """
    path, name = _split(target, _GRAPH)
    found: StateGraph[Any] | Graph[Any] = _chosen(path, name, _imported(path), _GRAPH)
    return found.compile() if isinstance(found, StateGraph) else found


def split_target(target: str) -> tuple[Path, str]:
    """The file that a target names, and the variable in it; that is empty where it is left out.

    Raises:
        ConfigError: It names no Python file, or there is none.
    """
    return _split(target, _AGENT)


def shortened(error: BaseException, folder: Path) -> str:
    """An error with the lines of its traceback that lie in `folder`: the user's own."""
    told = TracebackException.from_exception(error, compact=True)
    told.stack[:] = [frame for frame in told.stack if Path(frame.filename).is_relative_to(folder)]
    # What led to the error happened in the same files; told again it would only be longer.
    told.__context__ = told.__cause__ = None
    return "".join(told.format()).strip()


def _chosen(path: Path, name: str, module: ModuleType, kind: _Kind) -> Any:
    known = _named(module, kind)
    if not name:
        return _only_one(path, known, kind)
    if name in known:
        return known[name]
    if hasattr(module, name):
        other = type(getattr(module, name)).__name__
        raise ConfigError(
            f"{path}:{name} is not {kind.title} but a {other}. {_listed(path, known, kind)}"
        )
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"{path} has no {name!r}.{hint} {_listed(path, known, kind)}")


def _named(module: ModuleType, kind: _Kind) -> dict[str, Any]:
    there: dict[str, Any] = vars(module)
    return {name: value for name, value in there.items() if isinstance(value, kind.types)}


def _split(target: str, kind: _Kind) -> tuple[Path, str]:
    # From the right, because a path may have a colon of its own: `C:\agents.py`.
    before, colon, after = target.rpartition(":")
    has_name = bool(colon) and not after.endswith(".py")
    path, name = Path(before if has_name else target), after if has_name else ""
    if path.suffix != ".py":
        raise ConfigError(
            f"{target!r} names no Python file: write FILE.py:NAME, as in {kind.name}s.py:"
            f"{kind.example.partition(' ')[0]}"
        )
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.{_near(path)}")
    return path, name


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {path.parent} either."
    there = sorted(each.name for each in path.parent.glob("*.py"))
    if near := get_close_matches(path.name, there, n=1):
        return f" Did you mean {path.parent / near[0]}?"
    where = path.parent.absolute()
    return f" The folder {where} has {', '.join(there) if there else 'no Python file'}."


def _imported(path: Path) -> ModuleType:
    file = path.absolute()
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    # A file that is called as a module already loaded must not take its place.
    name = file.stem if file.stem not in sys.modules else f"{file.stem}__run"
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SystemExit as error:
        raise ConfigError(
            f"{path} ended the program while it was imported (SystemExit: {error.code}). "
            'Put what it does when it is run under `if __name__ == "__main__":`.'
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}{_line_in(file, error)}: {error}") from error
    except GraphError:
        raise  # its findings have their lines
    except Exception as error:
        raise ConfigError(
            f"{path} could not be imported:\n\n{shortened(error, file.parent)}"
        ) from error
    return module


def _line_in(file: Path, error: BaseException) -> str:
    frames = TracebackException.from_exception(error).stack
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    return f", line {lines[-1]}" if lines else ""


def _only_one(path: Path, known: Mapping[str, Any], kind: _Kind) -> Any:
    # `flow = g.compile()` leaves both in the file: what is compiled is meant.
    compiled: Mapping[str, Any] = {
        name: each for name, each in known.items() if isinstance(each, Graph)
    }
    for several in (compiled, known):
        if len({id(each) for each in several.values()}) == 1:
            return next(iter(several.values()))
    if not known:
        raise ConfigError(_listed(path, known, kind))
    raise ConfigError(
        f"{path} has {len(known)} {kind.name}s, say which one: {path}:{next(iter(known))}. "
        f"{_listed(path, known, kind)}"
    )


def _listed(path: Path, known: Mapping[str, Any], kind: _Kind) -> str:
    if not known:
        return f"{path} has no {kind.name}: assign one to a variable, as in {kind.example}."
    names = [
        name if each.name == name else f"{name} (called {each.name!r})"
        for name, each in known.items()
    ]
    return f"{kind.name.capitalize()}s in it: {', '.join(names)}."
