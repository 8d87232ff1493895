"""`Session`: one REPL, whose variables stay from cell to cell."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias

from tinyagents.errors import ConfigError, RunConflict, SandboxError
from tinyagents.sandbox.cell import CellResult, HostCall
from tinyagents.sandbox.driver import Driver, Rules
from tinyagents.sandbox.engine import Failed, Feed, Worker
from tinyagents.sandbox.pool import Place
from tinyagents.sandbox.sealing import Sealed
from tinyagents.sandbox.values import plain

__all__ = ["OnCall", "OnPrint", "Session"]

OnCall: TypeAlias = Callable[[HostCall], Awaitable[Any]]
"""What answers a cell that calls a function of the host."""

OnPrint: TypeAlias = Callable[[str], None]
"""What is told what a cell prints, as it prints it, in the event loop."""


class Session:
    """One REPL: cells run one after the other, and variables stay.

    It is made by `Sandbox.session()`, and holds no process while it does nothing that others need.
    A cell that fails is feedback, not an exception: see `CellResult`. Closing a session gives its
    worker back at once; one that is not closed does so when it is collected.
    """

    def __init__(
        self,
        rules: Rules,
        functions: tuple[str, ...],
        values: Mapping[str, Any],
        prelude: str = "",
    ) -> None:
        self._rules = rules
        self._functions = functions
        self._place = Place()
        self._good: bytes | None = None
        self._values: dict[str, Any] = dict(values)
        # What a worker that begins anew needs, if its engine cannot write down what it had.
        self._given: dict[str, Any] = {} if rules.can_dump else dict(values)
        self._prelude = prelude
        self._needs_prelude = bool(prelude)
        self._n_calls = 0
        self._is_busy = False
        self._is_closed = False
        weakref.finalize(self, rules.pool.abandon, self._place).atexit = False

    async def run(
        self, code: str, *, on_call: OnCall | None = None, on_print: OnPrint | None = None
    ) -> CellResult:
        """Run a cell.

        Args:
            code: Python.
            on_call: Answers when the code calls one of the session's functions: what it returns is
                their value. An `Exception` it raises is raised in the code; any other
                `BaseException`, a cancellation too, ends the cell at once, undoes it, and leaves
                this method.
            on_print: Told what the code prints, as it prints it.

        Returns:
            What the cell came to. An error, a limit or a crash is told in it.

        Raises:
            RunConflict: Another cell of this session is running.
            SandboxError: The sandbox or the session is closed, or no process can be started.
        """
        with self._alone():
            await self._begin()
            return await self._run(code, on_call, on_print)

    async def _begin(self) -> None:
        """Run the prelude, if nothing has run yet, or all of it is lost."""
        if self._needs_prelude:
            result = await self._run(self._prelude, None, None)
            if result.error is not None:
                raise SandboxError(f"the session's prelude failed: {result.error.text}")
            self._needs_prelude = False

    async def _run(self, code: str, on_call: OnCall | None, on_print: OnPrint | None) -> CellResult:
        driver = Driver(self._rules, self._place, self._n_calls, on_call, on_print)
        values = self._values
        try:
            result = await driver.run(code, values, self._functions, self._good)
        except BaseException:
            self._rules.pool.drop(self._place, self._good)
            self._go_back()
            raise
        finally:
            self._n_calls = driver.n_calls_in_all
        if result.rolled_back:
            self._go_back()
        else:
            self._good = driver.good
            # What was set while it ran is for the next one.
            now = self._values.items()
            self._values = {k: v for k, v in now if k not in values or values[k] is not v}
        return result

    def _go_back(self) -> None:
        if not self._rules.can_dump:
            self._values = {**self._given, **self._values}
            self._needs_prelude = bool(self._prelude)

    async def set(self, **values: Any) -> None:
        """Set variables for the cells to come.

        Args:
            **values: Plain data, pydantic models and dataclasses (these become dicts), by name.

        Raises:
            TypeError: One of them cannot enter the sandbox.
            ValueError: One of them is nested too deeply.
        """
        self.assign(values)

    def assign(self, values: Mapping[str, Any]) -> None:
        """What `set` does, for whoever cannot await."""
        taken = {name: plain(value) for name, value in values.items()}
        for name in taken:
            if not name.isidentifier():
                raise ConfigError(f"{name!r} is no name for a variable")
        self._values = {**self._values, **taken}
        if not self._rules.can_dump:
            self._given = {**self._given, **taken}

    async def dump(self, *, key: bytes | None = None) -> bytes:
        """Write down the session: variables, functions and classes, as after the last good cell.

        Args:
            key: What it is signed with; the sandbox's key if not given.

        Returns:
            Bytes that only `restore` can read, of a sandbox with the same key.

        Raises:
            SandboxError: The engine cannot.
            RunConflict: A cell is running.
        """
        with self._alone():
            await self._settle()
            return Sealed(self._good, self._n_calls).seal(key or self._rules.key)

    async def restore(self, data: bytes, *, key: bytes | None = None) -> None:
        """Take up a session that was written down; what this one had is forgotten.

        Args:
            data: What `dump` wrote.
            key: What it was signed with; the sandbox's key if not given.

        Raises:
            SandboxError: The data was not written by `dump` of a sandbox with the same key.
            RunConflict: A cell is running.
        """
        with self._alone():
            taken = Sealed.unseal(data, key or self._rules.key)
            self._rules.pool.drop(self._place, taken.state)
            self._good, self._n_calls, self._values = taken.state, taken.n_calls, {}
            self._needs_prelude = False

    async def fork(self) -> Session:
        """Another session that stands where this one does; each then goes its own way.

        Raises:
            SandboxError: The engine cannot.
            RunConflict: A cell is running.
        """
        with self._alone():
            await self._settle()
            other = Session(self._rules, self._functions, {})
            other._good, other._n_calls = self._good, self._n_calls
            other._place.state = self._good
            return other

    async def aclose(self) -> None:
        """Give its worker back; it runs no more cells."""
        self._is_closed = True
        self._rules.pool.drop(self._place, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _settle(self) -> None:
        """Bring the values that were set into the state that can be written down."""
        if not self._rules.can_dump:
            raise SandboxError(
                f"the engine {self._rules.engine!r} cannot write a session down or fork it"
            )
        await self._begin()
        if self._good is not None and not self._values:
            return
        feed = Feed("None", self._values, (), lambda _: None)
        self._good = await self._rules.pool.run(self._place, lambda worker: _settled(worker, feed))
        self._place.state = self._good
        self._values = {}

    @contextmanager
    def _alone(self) -> Generator[None]:
        if self._is_closed:
            raise SandboxError("this session is closed: open another with `sandbox.session()`")
        if self._is_busy:
            raise RunConflict(
                "sandbox session", "a cell of it is running; open one session for each task"
            )
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False


def _settled(worker: Worker, feed: Feed) -> bytes:
    stop = worker.feed(feed)
    if isinstance(stop, Failed):
        raise SandboxError(f"the session's values cannot be set: {stop.error.message}")
    return worker.dump()
