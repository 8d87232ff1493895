"""`Driver`: runs one cell, with the functions of the host that it calls."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from tinyagents.errors import SandboxError
from tinyagents.sandbox.cell import CellError, CellResult, HostCall
from tinyagents.sandbox.engine import (
    Answer,
    Asked,
    Failed,
    Feed,
    Finished,
    Given,
    Later,
    Raised,
    Settings,
    Stop,
    Waits,
    Worker,
)
from tinyagents.sandbox.pool import Place, Pool
from tinyagents.sandbox.values import plain
from tinyagents_graph.frozen import frozen
from tinyagents_graph.loops import EventLoop
from tinyagents_graph.threads import in_thread

__all__ = ["Driver", "Rules"]


@frozen
class Rules:
    """What all cells of a sandbox have in common.

    Attributes:
        engine: The engine's name.
        can_dump: Whether it can write a session down.
        pool: The workers.
        settings: What is allowed.
        max_output_chars: How much a cell may print.
        tools: Functions of the host that any cell can call, by name.
        module_functions: Those of modules, as `module.function`.
        key: What sessions that leave the process are signed with.
    """

    engine: str
    can_dump: bool
    pool: Pool
    settings: Settings
    max_output_chars: int
    tools: Mapping[str, Callable[..., Any]]
    module_functions: Mapping[str, Callable[..., Any]]
    key: bytes


class Driver:
    """One cell, from its start to its end.

    Args:
        rules: What its sandbox allows.
        place: Where its session stands.
        n_calls: How many functions of the host the session has called before.
        on_call: Answers calls of the session's own functions.
        on_print: Told what is printed.

    Attributes:
        good: What the session is after it, written down.
        n_calls_in_all: How many functions of the host the session has called.
    """

    def __init__(
        self,
        rules: Rules,
        place: Place,
        n_calls: int,
        on_call: Callable[[HostCall], Awaitable[Any]] | None,
        on_print: Callable[[str], None] | None,
    ) -> None:
        self._rules = rules
        self._place = place
        self._on_call = on_call
        self._loop = EventLoop()
        self._printed = _Printed(rules.max_output_chars, on_print, self._loop)
        self._n_calls = 0
        self._slept_s = 0.0
        self._promises: dict[int, _Promise] = {}
        self._kept = anyio.Event()
        self._before: bytes | None = None
        self.good: bytes | None = None
        self.n_calls_in_all = n_calls

    async def run(
        self,
        code: str,
        values: Mapping[str, Any],
        functions: tuple[str, ...],
        before: bytes | None,
    ) -> CellResult:
        """Run it.

        Args:
            code: Python.
            values: Variables to set before.
            functions: Names that `on_call` answers.
            before: What the session was, to go back to.
        """
        began = time.perf_counter()
        self._before = self.good = before
        names = tuple(dict.fromkeys((*functions, *self._rules.tools)))
        feed = Feed(code, values, names, self._printed.take)
        stop = await self._to_the_end(feed)
        is_lost = isinstance(stop, Failed) and stop.is_lost
        return CellResult(
            stop.value if isinstance(stop, Finished) else None,
            self._printed.text,
            stop.error if isinstance(stop, Failed) else None,
            self._n_calls,
            time.perf_counter() - began,
            is_lost,
        )

    async def _to_the_end(self, feed: Feed) -> Finished | Failed:
        stop: Finished | Failed | None = None
        signal: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            try:
                stop = await self._drive(feed, tasks)
            except BaseException as error:
                if isinstance(error, anyio.get_cancelled_exc_class()):
                    raise
                signal = error  # which the task group would wrap
            tasks.cancel_scope.cancel()
        if signal is not None:
            raise signal
        assert stop is not None
        return stop

    async def _drive(self, feed: Feed, tasks: TaskGroup) -> Finished | Failed:
        stop = await self._step(feed, lambda worker: worker.feed(feed))
        while isinstance(stop, Asked | Waits):
            answers: dict[int, Answer] = {}
            if isinstance(stop, Waits):
                answers = await self._kept_promises(stop)
            elif (why := self._admit(stop)) is not None:
                self._rules.pool.drop(self._place, self._before)
                return Failed(CellError("limit", "LimitError", why), is_lost=True)
            elif stop.is_awaited:
                promise = self._promises[stop.id] = _Promise()
                tasks.start_soon(self._keep, promise, stop)
                answers = {stop.id: Later()}
            else:
                answers = {stop.id: await self._answer(stop)}
            stop = await self._step(feed, partial(_answered, answers))
        return stop

    async def _step(self, feed: Feed, do: Callable[[Worker], Stop]) -> Stop:
        def step(worker: Worker) -> Stop:
            self._printed.kill = worker.kill
            stop = do(worker)
            return self._after(stop, feed, worker)

        try:
            stop = await self._rules.pool.run(self._place, step, self._loop)
            if self._printed.failure is not None:
                raise self._printed.failure
            return stop
        except SandboxError as error:
            if self._place.feed is None:
                raise
            self._rules.pool.drop(self._place, self._before)
            return Failed(CellError("crash", "SandboxCrashed", str(error)), is_lost=True)

    def _after(self, stop: Stop, feed: Feed, worker: Worker) -> Stop:
        """Keep what the session is now, or go back; still in the worker's thread."""
        if isinstance(stop, Asked | Waits):
            self._place.feed = feed
            return stop
        self._place.feed = None
        if self._printed.is_full:
            most = self._rules.max_output_chars
            why = f"it printed more than max_output_chars={most}"
            stop = Failed(CellError("limit", "LimitError", why), is_lost=True)
        if not (isinstance(stop, Failed) and stop.is_lost) and self._rules.can_dump:
            try:
                self.good = self._place.state = worker.dump()
            except SandboxError as error:
                stop = Failed(CellError("crash", "SandboxCrashed", str(error)), is_lost=True)
        if isinstance(stop, Failed) and stop.is_lost:
            self._place.reset(self._before)
        return stop

    # --- what the host does for it ----------

    def _admit(self, asked: Asked) -> str | None:
        """Why a call is one too many, if it is."""
        settings = self._rules.settings
        if asked.kind == "sleep":
            seconds = _seconds(asked)
            self._slept_s += seconds
            if self._slept_s > settings.time_limit_s:
                return f"time limit exceeded: it sleeps for more than {settings.time_limit_s:g} s"
            return None
        if self._n_calls >= settings.max_host_calls:
            return f"max_host_calls={settings.max_host_calls} reached"
        self._n_calls += 1
        self.n_calls_in_all += 1
        return None

    async def _answer(self, asked: Asked, call: HostCall | None = None) -> Answer:
        try:
            return Given(plain(await self._perform(asked, call or self._call(asked))))
        except Exception as error:
            return Raised(_fitting(error))

    def _call(self, asked: Asked) -> HostCall:
        return HostCall(
            asked.name, asked.args, asked.kwargs, self.n_calls_in_all - 1, self._n_calls - 1
        )

    async def _perform(self, asked: Asked, call: HostCall) -> Any:
        if asked.kind == "sleep":
            await anyio.sleep(_seconds(asked))
            return None
        if asked.kind == "module":
            return await _call(self._rules.module_functions[asked.name], call)
        if self._on_call is not None and call.name not in self._rules.tools:
            return await self._on_call(call)
        if (tool := self._rules.tools.get(call.name)) is not None:
            return await _call(tool, call)
        raise SandboxError(f"nobody answers {call.name}(): give Session.run() on_call=")

    async def _keep(self, promise: _Promise, asked: Asked) -> None:
        """Do what was promised, in a task of its own."""
        try:
            promise.answer = await self._answer(asked, self._call(asked))
        except BaseException as error:
            promise.signal = error
            if isinstance(error, anyio.get_cancelled_exc_class()):
                raise
        finally:
            self._kept.set()

    async def _kept_promises(self, waits: Waits) -> dict[int, Answer]:
        while True:
            self._kept = anyio.Event()
            found: dict[int, Answer] = {}
            for id in waits.ids:
                promise = self._promises.get(id)
                if promise is None:
                    raise SandboxError(f"the sandbox waits for {id}, which nobody promised")
                if promise.signal is not None:
                    raise promise.signal
                if promise.answer is not None:
                    found[id] = promise.answer
            if found:
                for id in found:
                    del self._promises[id]
                return found
            await self._kept.wait()


class _Promise:
    """A call that the cell did not wait for."""

    __slots__ = ("answer", "signal")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.signal: BaseException | None = None


class _Printed:
    """What a cell printed; once that is too much, the cell ends."""

    def __init__(self, most: int, tell: Callable[[str], None] | None, loop: EventLoop) -> None:
        self._parts: list[str] = []
        self._room = most
        self._tell = tell
        self._loop = loop
        self.is_full = False
        self.failure: BaseException | None = None
        self.kill: Callable[[], None] = lambda: None

    def take(self, text: str) -> None:
        """More text, in the worker's thread."""
        if self.is_full:
            return
        if len(text) > self._room:
            text = text[: self._room]
            self.is_full = True
            self.kill()
        self._room -= len(text)
        self._parts.append(text)
        if self._tell is not None:
            self._loop.call(partial(self._pass_on, text))

    def _pass_on(self, text: str) -> None:
        assert self._tell is not None
        try:
            self._tell(text)
        except BaseException as error:
            # Raised where the cell is driven: an event loop has nobody to tell.
            self.failure = self.failure or error

    @property
    def text(self) -> str:
        return "".join(self._parts)


def _answered(answers: Mapping[int, Answer], worker: Worker) -> Stop:
    return worker.answer(answers)


def _seconds(asked: Asked) -> float:
    seconds = asked.args[0] if asked.args else 0
    if not isinstance(seconds, int | float) or math.isnan(seconds):
        return 0.0
    return max(float(seconds), 0.0)


async def _call(function: Callable[..., Any], call: HostCall) -> Any:
    if iscoroutinefunction(function):
        return await function(*call.args, **call.kwargs)
    value = await in_thread(partial(function, *call.args, **call.kwargs))
    return await value if isawaitable(value) else value


_RAISED_AS = (
    ZeroDivisionError, OverflowError, ArithmeticError, IndexError, KeyError, LookupError,
    NotImplementedError, RecursionError, AttributeError, NameError, FileNotFoundError,
    FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError, TimeoutError, OSError,
    AssertionError, MemoryError, TypeError, ValueError, RuntimeError,
)  # fmt: skip


def _fitting(error: Exception) -> Exception:
    """The exception that the code sees: of the nearest type that it knows."""
    message = error.args[0] if type(error) is KeyError and error.args else error
    for kind in type(error).__mro__:
        if kind in _RAISED_AS:
            return cast("type[Exception]", kind)(str(message))
    return RuntimeError(str(message))
