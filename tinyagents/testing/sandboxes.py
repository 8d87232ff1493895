"""`ScriptedEngine`: plays the cells of a sandbox without a process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias

from tinyagents.errors import SandboxError
from tinyagents.sandbox.cell import CellError, Frame
from tinyagents.sandbox.engine import (
    Answer,
    Asked,
    Capability,
    Failed,
    Feed,
    Finished,
    Raised,
    Settings,
    Stop,
    Worker,
    Workers,
)
from tinyagents_graph.frozen import frozen

__all__ = ["Play", "Says", "ScriptedEngine", "Wants"]


@frozen
class Says:
    """What a scripted cell prints: `yield Says("text")`.

    Attributes:
        text: The text, with its line breaks.
    """

    text: str


class Wants:
    """What a scripted cell calls: `hits = yield Wants("search", "tea")`.

    Args:
        name: The function.
        *args: Its positional arguments.
        **kwargs: Its named arguments.
    """

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs


Play: TypeAlias = Callable[[], Generator[Says | Wants, Any, Any]]
"""A scripted cell that does something: a generator function, whose return is the cell's value."""


class ScriptedEngine:
    """An engine for `Sandbox(engine=…)` that runs no code: it plays one item per cell.

    Each session plays the script from its beginning. Forks and dumps work within the process.

    Args:
        *script: For each cell a value, an exception (which it fails with), or a `Play`.

    Attributes:
        codes: The code of every cell so far, in all sessions.
    """

    name = "scripted"
    card = "The code is not run: a script is played."
    capabilities: frozenset[Capability] = frozenset(
        {"dump", "memory", "recursion", "mounts", "modules", "hardened"}
    )

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.codes: list[str] = []
        self.kept: list[tuple[int, tuple[Answer, ...]]] = []

    def open(self, settings: Settings, workers: int) -> Workers:
        """Make ready; see `Engine`."""
        del settings, workers
        return _Players(self)


class _Players:
    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine

    def start(self) -> Worker:
        return _Player(self._engine)

    def close(self) -> None:
        """There is nothing to end."""


class _Player:
    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._n_cells = 0
        self._answers: tuple[Answer, ...] = ()
        self._playing: Any = None
        self._on_print: Callable[[str], None] = _unheard

    def feed(self, feed: Feed) -> Stop:
        if feed.code == "None":  # how a session sets its values
            return Finished(None)
        self._engine.codes.append(feed.code)
        if self._n_cells >= len(self._engine.script):
            raise SandboxError(f"the script ends after {self._n_cells} cells; one more was run")
        item = self._engine.script[self._n_cells]
        self._n_cells += 1
        self._answers = ()
        if isinstance(item, BaseException):
            return _failed(item)
        if not callable(item):
            return Finished(item)
        self._playing = item()
        self._on_print = feed.on_print
        return self._go_on(None)

    def answer(self, answers: Mapping[int, Answer]) -> Stop:
        (answer,) = answers.values()
        self._answers = (*self._answers, answer)
        return self._go_on(answer)

    def dump(self) -> bytes:
        self._engine.kept.append((self._n_cells, self._answers if self._playing else ()))
        return str(len(self._engine.kept) - 1).encode()

    def load(self, state: bytes, feed: Feed | None) -> None:
        self._n_cells, self._answers = self._engine.kept[int(state)]
        if feed is not None:
            self._playing = self._engine.script[self._n_cells - 1]()
            for answer in (None, *self._answers):
                self._go_on(answer)
            self._on_print = feed.on_print

    def kill(self) -> None:
        """There is no process."""

    def close(self) -> None:
        """There is no process."""

    def _go_on(self, answer: Answer | None) -> Stop:
        assert self._playing is not None
        try:
            if isinstance(answer, Raised):
                wanted = self._playing.throw(answer.error)
            else:
                wanted = self._playing.send(None if answer is None else _value(answer))
            while isinstance(wanted, Says):
                self._on_print(wanted.text)
                wanted = self._playing.send(None)
        except StopIteration as end:
            self._playing = None
            return Finished(end.value)
        except Exception as error:
            self._playing = None
            return _failed(error)
        id = len(self._answers)
        return Asked(id, "function", wanted.name, wanted.args, wanted.kwargs)


def _unheard(text: str) -> None:
    """What is played again was heard before."""


def _value(answer: Answer) -> Any:
    return getattr(answer, "value", None)


def _failed(error: BaseException) -> Failed:
    return Failed(CellError("code", type(error).__name__, str(error), (Frame(1),)))
