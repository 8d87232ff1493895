"""From `FILE.py:NAME` to the agent it names; whatever is wrong with it is said in one paragraph."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import TracebackException
from types import ModuleType
from typing import Any, cast

from tinyagents import Agent, ConfigError

__all__ = ["load_agent", "shortened"]


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
    path, name = _split(target)
    module = _imported(path)
    agents = _agents_in(module)
    if not name:
        return _only_one(path, agents)
    if name in agents:
        return agents[name]
    if hasattr(module, name):
        kind = type(getattr(module, name)).__name__
        raise ConfigError(f"{path}:{name} is not an Agent but a {kind}. {_listed(path, agents)}")
    near = get_close_matches(name, agents, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"{path} has no {name!r}.{hint} {_listed(path, agents)}")


def shortened(error: BaseException, folder: Path) -> str:
    """An error with the lines of its traceback that lie in `folder`: the user's own."""
    told = TracebackException.from_exception(error, compact=True)
    told.stack[:] = [frame for frame in told.stack if Path(frame.filename).is_relative_to(folder)]
    # What led to the error happened in the same files; told again it would only be longer.
    told.__context__ = told.__cause__ = None
    return "".join(told.format()).strip()


def _split(target: str) -> tuple[Path, str]:
    # From the right, because a path may have a colon of its own: `C:\agents.py`.
    before, colon, after = target.rpartition(":")
    has_name = bool(colon) and not after.endswith(".py")
    path, name = Path(before if has_name else target), after if has_name else ""
    if path.suffix != ".py":
        raise ConfigError(
            f"{target!r} names no Python file: write FILE.py:NAME, as in agents.py:boss"
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
    except Exception as error:
        raise ConfigError(
            f"{path} could not be imported:\n\n{shortened(error, file.parent)}"
        ) from error
    return module


def _line_in(file: Path, error: BaseException) -> str:
    frames = TracebackException.from_exception(error).stack
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    return f", line {lines[-1]}" if lines else ""


def _agents_in(module: ModuleType) -> Mapping[str, Agent[Any, Any]]:
    things: dict[str, Any] = vars(module)
    return {
        name: cast("Agent[Any, Any]", value)
        for name, value in things.items()
        if isinstance(value, Agent)
    }


def _only_one(path: Path, agents: Mapping[str, Agent[Any, Any]]) -> Agent[Any, Any]:
    if len({id(agent) for agent in agents.values()}) == 1:
        return next(iter(agents.values()))
    if not agents:
        raise ConfigError(_listed(path, agents))
    raise ConfigError(
        f"{path} has {len(agents)} agents, say which one: {path}:{next(iter(agents))}. "
        f"{_listed(path, agents)}"
    )


def _listed(path: Path, agents: Mapping[str, Agent[Any, Any]]) -> str:
    if not agents:
        return f"{path} has no agent: assign one to a variable, as in boss = Agent(...)."
    known = [
        name if agent.name == name else f"{name} (called {agent.name!r})"
        for name, agent in agents.items()
    ]
    return f"Agents in it: {', '.join(known)}."
