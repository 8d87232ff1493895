"""`Handle`: a live run, for whoever watches and steers it."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, Protocol

import anyio
from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError, RunCancelled
from tinyagents_graph.host import host_of
from tinyagents_graph.live import LiveRun
from tinyagents_graph.run import Run
from tinyagents_graph.stream import EventStream, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

__all__ = ["Handle", "Work"]

ResultT = TypeVar("ResultT", default=Any)


class Work(Protocol):
    """What is done in a run."""

    @property
    def run(self) -> Run:
        """The run."""
        ...


class Handle(LiveRun, Generic[ResultT]):
    """A run that goes on while you watch: `async with agent.stream(task) as run`.

    Iterate over it for the events of the whole nested tree as they happen; `await run.result()` for
    what came of it. Leaving the `async with` early cancels the run. It is steered, and its tree
    looked at, as any `LiveRun`.
    """

    def __init__(
        self,
        begin: Callable[[], Any],
        drive: Callable[[Any], Awaitable[ResultT]],
        *,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> None:
        self._begin = begin
        self._drive = drive
        self._options: dict[str, Any] = {"policy": policy, "buffer": buffer}
        self._opened: tuple[Work, EventStream] | None = None
        self._group = anyio.create_task_group()
        self._done = anyio.Event()
        self._result: ResultT | None = None
        self._error: BaseException | None = None
        self._told = False

    @property
    def _work(self) -> Work:
        return self._both[0]

    @property
    def _run(self) -> Run:
        return self._work.run

    @property
    def _stream(self) -> EventStream:
        return self._both[1]

    @property
    def _both(self) -> tuple[Work, EventStream]:
        if self._opened is None:
            raise ConfigError("stream(…) is used as `async with agent.stream(…) as run:`")
        return self._opened

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise ConfigError("a handle is for one run: call stream(…) again for another")
        # Opened here and not before: a run that is opened counts, and has to be closed. Enrolled
        # here and not in its own task: it can be steered and found from the first line on.
        work = self._begin()
        if isawaitable(work):
            work = await work
        try:
            host_of(work.run.tree)
            work.run.enrol()
        except BaseException:
            await _let_go(work.run)
            raise
        events = work.run.tree.sink.stream(under=work.run.run_id, replay=False, **self._options)
        self._opened = work, events
        await self._group.__aenter__()
        self._group.start_soon(self._go)
        return self

    def follow(self, work: Any) -> None:
        """The run was opened once more, and is this one from now on."""
        host_of(work.run.tree)
        self._opened = work, self._stream

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._done.is_set():
            self._work.run.cancel("abandoned: its stream was left before it ended")
        await self._stream.aclose()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            if not self._done.is_set():  # its task was cancelled before the first step
                self._work.run.withdraw()
                await _let_go(self._work.run)
                self._error = RunCancelled(self._work.run.path, "interrupted from outside")
                self._done.set()
        untold = exc is None and not self._told and not isinstance(self._error, RunCancelled)
        if untold and self._error is not None:
            raise self._error

    def __aiter__(self) -> EventStream:
        return self._stream.__aiter__()

    async def result(self) -> ResultT:
        """Wait for the end of the run.

        Raises:
            Exception: Whatever failed the run; its `result` has what there was until then.
        """
        # Whoever waits here does not read, and a run that waits for its reader would never end.
        self._stream.stop_blocking()
        await self._done.wait()
        self._told = True
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    async def _go(self) -> None:
        try:
            self._result = await self._drive(self._work)
        except anyio.get_cancelled_exc_class() as error:
            interruption = RunCancelled(self._work.run.path, "interrupted from outside")
            interruption.result = getattr(error, "result", None)
            self._error = interruption
            raise
        except BaseException as error:  # a task group would wrap what is no `Exception`
            self._error = error
        finally:
            self._done.set()
            self._stream.end_after_last()


async def _let_go(run: Run) -> None:
    """It will never begin: somebody else may take its tree."""
    if run.tree.ledger is not None:
        await run.tree.ledger.close()
