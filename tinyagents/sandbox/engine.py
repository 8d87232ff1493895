"""The seam: an `Engine` starts workers, and a `Worker` is one interpreter in another process.

A worker is driven by one thread at a time and knows no event loop. It runs a cell up to the next
thing that only the host can do, says what that is, and waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

from tinyagents.sandbox.cell import CellError
from tinyagents.sandbox.mounts import Module, Mount
from tinyagents_graph.frozen import frozen

__all__ = [
    "Answer", "Asked", "CallKind", "Capability", "Engine", "Failed", "Feed", "Finished", "Given",
    "Later", "Raised", "Settings", "Stop", "Waits", "Worker", "Workers",
]  # fmt: skip

Capability: TypeAlias = Literal["dump", "memory", "recursion", "mounts", "modules", "hardened"]
"""What not every engine can: to write down a session between and in the middle of cells
(`"dump"`), a limit, or one of the things that a sandbox can be given."""

CallKind: TypeAlias = Literal["function", "module", "sleep"]
"""What a cell calls: a function of its session or sandbox, one of a module, or a sleep."""


@frozen
class Settings:
    """What a sandbox allows, as its engine needs to know it.

    Attributes:
        time_limit_s: Seconds a cell may compute; while the host works the clock stands still.
        memory_limit_mb: Megabytes of memory for all variables.
        recursion_limit: How deep functions may call each other.
        max_host_calls: How often a cell may ask the host for something.
        mounts: Files and folders it can open.
        modules: Modules of the host it can import.
        hardened: How its processes are locked in further.
    """

    time_limit_s: float = 10.0
    memory_limit_mb: int = 256
    recursion_limit: int = 200
    max_host_calls: int = 10_000
    mounts: tuple[Mount, ...] = ()
    modules: tuple[Module, ...] = ()
    hardened: Literal[False, "seccomp", "bwrap"] = False


@frozen
class Feed:
    """A cell, as a worker runs it.

    Attributes:
        code: What to run.
        values: Variables to set before.
        functions: Names that are functions of the host.
        on_print: Given what the code prints, in the worker's thread.
    """

    code: str
    values: Mapping[str, Any]
    functions: tuple[str, ...]
    on_print: Callable[[str], None]


@frozen
class Asked:
    """The cell calls a function of the host and waits.

    Attributes:
        id: The worker's number for it.
        kind: A function, `"function"`; one of a module, `"module"`, named `module.function`; or
            `"sleep"`, which takes seconds.
        name: What it calls.
        args: Positional arguments, plain.
        kwargs: Named arguments, plain.
        is_awaited: Whether the cell takes a promise and goes on.
    """

    id: int
    kind: CallKind
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    is_awaited: bool = False


@frozen
class Waits:
    """All of the cell waits for promises.

    Attributes:
        ids: Those it waits for.
    """

    ids: tuple[int, ...]


@frozen
class Finished:
    """The cell ended.

    Attributes:
        value: Its value, plain.
    """

    value: Any


@frozen
class Failed:
    """The cell failed.

    Attributes:
        error: Why.
        is_lost: Whether the worker cannot be trusted, or is gone: its session has to be taken up
            from where it was before the cell.
    """

    error: CellError
    is_lost: bool = False


@frozen
class Given:
    """The host's answer: a value, plain."""

    value: Any


@frozen
class Raised:
    """The host's answer: an exception, raised in the cell."""

    error: Exception


@frozen
class Later:
    """The host's answer: a promise."""


Stop: TypeAlias = Asked | Waits | Finished | Failed
Answer: TypeAlias = Given | Raised | Later


class Worker(Protocol):
    """An interpreter in a process of its own.

    All but `kill` is called by one thread at a time, and blocks it.
    """

    def feed(self, feed: Feed) -> Stop:
        """Run a cell until it ends or needs the host."""
        ...

    def answer(self, answers: Mapping[int, Answer]) -> Stop:
        """Answer what the cell stopped for, by id, and run it on."""
        ...

    def dump(self) -> bytes:
        """Write down where it stands: between cells, or at a stop.

        Raises:
            SandboxError: It is gone, or cannot.
        """
        ...

    def load(self, state: bytes, feed: Feed | None) -> None:
        """Stand where a dump was taken; only a worker that ran nothing can.

        Args:
            state: The dump.
            feed: The cell it was taken in, `None` if between cells.

        Raises:
            SandboxError: The dump is none of this engine.
        """
        ...

    def kill(self) -> None:
        """End its process at once. Callable from any thread, also when it has ended."""
        ...

    def close(self) -> None:
        """Give its process back."""
        ...


class Workers(Protocol):
    """The workers of one sandbox. Callable from any thread."""

    def start(self) -> Worker:
        """Start one that has run nothing."""
        ...

    def close(self) -> None:
        """End all there are."""
        ...


class Engine(Protocol):
    """What runs the code of a sandbox.

    Attributes:
        name: What it is called.
        card: What Python it does not know, for the model that writes for it.
        capabilities: What it can.
    """

    name: str
    card: str
    capabilities: frozenset[Capability]

    def open(self, settings: Settings, workers: int) -> Workers:
        """Make ready to run code.

        Args:
            settings: What the sandbox allows.
            workers: How many workers will live at once, unless it cannot dump.

        Raises:
            ConfigError: It cannot do what is asked of it.
            SandboxError: It is not installed here.
        """
        ...
