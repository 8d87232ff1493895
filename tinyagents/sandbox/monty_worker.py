"""One worker of pydantic-monty: what its snapshots mean, and how they are answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pydantic_monty as monty

from tinyagents.errors import SandboxError
from tinyagents.sandbox.awaited import Span, awaited_calls
from tinyagents.sandbox.cell import CellError
from tinyagents.sandbox.engine import (
    Answer,
    Asked,
    Failed,
    Feed,
    Finished,
    Given,
    Raised,
    Stop,
    Waits,
)
from tinyagents.sandbox.files import Files
from tinyagents.sandbox.monty_told import converted, failure
from tinyagents.sandbox.processes import Process
from tinyagents.sandbox.values import Withheld, safe

if TYPE_CHECKING:
    from tinyagents.sandbox.monty import MontyWorkers

__all__ = ["MontyWorker"]

_Snapshot: TypeAlias = (
    monty.FunctionSnapshot | monty.NameLookupSnapshot | monty.FutureSnapshot | monty.MontyComplete
)
_SLEEPS = {"system.sleep": False, "system.async_sleep": True}
_MAX_RANDOM = 1_000_000


class MontyWorker:
    """A session of the engine in one of its processes; see `Worker`."""

    def __init__(self, home: MontyWorkers) -> None:
        self._home = home
        self._most_bytes = home.settings.memory_limit_mb << 20
        self._files = Files(home.settings.mounts, self._most_bytes)
        self._session = home.check_out()
        try:
            self._session.__enter__()
        except (monty.MontyError, OSError, RuntimeError) as error:
            raise SandboxError(f"the sandbox cannot start a process: {error}") from error
        self._process = Process(self._session.worker_pid)
        self._snapshot: _Snapshot | None = None
        self._feed: Feed | None = None
        self._n_feeds = 0
        self._n_learned = 0
        self._n_stops = 0
        # Of each cell that awaits, by its number: what one defines, a later one may call.
        self._spans: dict[int, frozenset[Span]] = {}

    def feed(self, feed: Feed) -> Stop:
        """Run a cell; see `Worker`."""
        self._feed = feed
        self._n_feeds += 1
        self._n_stops = 0
        start = partial(
            self._session.feed_start,
            feed.code,
            inputs={**feed.values, **self._home.stubs(feed.functions)},
            print_callback=lambda _, text: feed.on_print(text),
            mount=self._home.mounts,
            os=cast("Any", self._do_os),
            cwd="/",
        )
        return self._run(start)

    def answer(self, answers: Mapping[int, Answer]) -> Stop:
        """Answer and go on; see `Worker`."""
        snapshot = self._snapshot
        if isinstance(snapshot, monty.FunctionSnapshot):
            return self._run(partial(snapshot.resume, _told(answers[snapshot.call_id])))
        assert isinstance(snapshot, monty.FutureSnapshot)
        told: Any = {id: _told(each) for id, each in answers.items()}
        return self._run(partial(snapshot.resume, told))

    def dump(self) -> bytes:
        """Write down where it stands; see `Worker`."""
        try:
            if self._snapshot is None:
                state = self._session.dump()
            else:
                assert not isinstance(self._snapshot, monty.MontyComplete)
                state = self._snapshot.dump()
        except (monty.MontyError, RuntimeError) as error:
            raise SandboxError(f"the sandbox's session cannot be written down: {error}") from error
        spans = {n: sorted(each) for n, each in self._spans.items()}
        return json.dumps([self._n_feeds, self._n_stops, spans]).encode() + b"\n" + state

    def load(self, state: bytes, feed: Feed | None) -> None:
        """Stand where a dump was taken; see `Worker`."""
        self._feed = feed
        head, _, rest = state.partition(b"\n")
        try:
            self._n_feeds, self._n_stops, spans = json.loads(head)
            self._n_learned = self._n_feeds
            self._spans = {
                int(n): frozenset((start, end) for start, end in each) for n, each in spans.items()
            }
            if feed is None:
                self._session.load_session(rest)
            else:
                self._snapshot = self._session.load_snapshot(
                    rest,
                    mount=self._home.mounts,
                    print_callback=lambda _, text: feed.on_print(text),
                    os=cast("Any", self._do_os),
                )
        except (monty.MontyError, RuntimeError, ValueError, TypeError) as error:
            raise SandboxError(f"this is no session of this sandbox: {error}") from error

    def kill(self) -> None:
        """End its process at once; see `Worker`."""
        self._process.kill()

    def close(self) -> None:
        """Give the process back; see `Worker`."""
        self._snapshot = None
        self._process.forget()
        self._session.__exit__(None, None, None)

    # --- running ----------

    def _run(self, go_on: Callable[[], _Snapshot]) -> Stop:
        """Run until only the session can help; files and names are answered on the way."""
        end = time.monotonic() + self._home.settings.time_limit_s
        self._snapshot = None
        try:
            while True:
                snapshot = go_on()
                self._learn()
                if isinstance(snapshot, monty.MontyComplete):
                    return Finished(safe(snapshot.output, self._most_bytes, converted))
                stop = self._asked(snapshot)
                if stop is not None:
                    self._snapshot = snapshot
                    return stop
                go_on = self._answered_here(snapshot)
                if (why := self._over(end)) is not None:
                    self.kill()
                    return Failed(CellError("limit", "LimitError", why), is_lost=True)
        except monty.MontyError as error:
            return failure(error)
        except (ValueError, RuntimeError, TypeError, OverflowError) as error:
            return Failed(CellError("host", type(error).__name__, str(error)), is_lost=True)

    def _learn(self) -> None:
        """Find out which calls of this cell are awaited, now that the engine has read it."""
        if self._n_feeds == self._n_learned or self._feed is None:
            return
        self._n_learned = self._n_feeds
        if spans := awaited_calls(self._feed.code):
            self._spans[self._n_feeds - 1] = spans

    def _asked(self, snapshot: _Snapshot) -> Asked | Waits | None:
        """What only the session can answer; `None` for what is answered here."""
        if isinstance(snapshot, monty.FutureSnapshot):
            return Waits(tuple(snapshot.pending_call_ids))
        if not isinstance(snapshot, monty.FunctionSnapshot) or snapshot.object_id is not None:
            return None
        name = snapshot.function_name
        if snapshot.is_os_function:
            if name not in _SLEEPS:
                return None
            return Asked(snapshot.call_id, "sleep", name, snapshot.args[:1], {}, _SLEEPS[name])
        assert self._feed is not None
        is_function = name in self._feed.functions
        if not is_function and name not in self._home.module_functions:
            return None
        given = safe((snapshot.args, snapshot.kwargs), self._most_bytes, converted)
        if isinstance(given, Withheld):
            return None
        args, kwargs = given
        return Asked(
            snapshot.call_id,
            "function" if is_function else "module",
            name,
            args,
            kwargs,
            self._is_awaited(snapshot),
        )

    def _is_awaited(self, snapshot: monty.FunctionSnapshot) -> bool:
        if snapshot.allow_eager_await:
            return True
        where = snapshot.position
        number = where.filename.rpartition("-")[2].rstrip(">")
        spans = self._spans.get(int(number), ()) if number.isdecimal() else ()
        return (where.start, where.end) in spans

    def _answered_here(self, snapshot: _Snapshot) -> Callable[[], _Snapshot]:
        assert not isinstance(snapshot, (monty.MontyComplete, monty.FutureSnapshot))
        if isinstance(snapshot, monty.NameLookupSnapshot) or snapshot.is_os_function:
            return snapshot.resume_auto
        name = snapshot.function_name
        error: Exception = NameError(f"name {name!r} is not defined")
        if self._feed is not None and name in {*self._feed.functions, *self._home.module_functions}:
            given = safe((snapshot.args, snapshot.kwargs), self._most_bytes, converted)
            error = ValueError(f"{name}() cannot be given this: {given.why}")
        return partial(snapshot.resume, {"exception": error})

    def _over(self, end: float) -> str | None:
        self._n_stops += 1
        if self._n_stops > self._home.settings.max_host_calls:
            return f"max_host_calls={self._home.settings.max_host_calls} exceeded"
        if time.monotonic() > end:
            return f"time limit exceeded: {self._home.settings.time_limit_s:g} s"
        return None

    def _do_os(self, *, name: str, args: tuple[Any, ...], **_: Any) -> Any:
        """What the code asks of the system, apart from mounted folders."""
        if name == "os.getenv":
            return args[1] if len(args) > 1 else None
        if name == "os.environ":
            return {}
        if name == "os.urandom" or not args:
            return monty.NOT_HANDLED
        try:
            return self._files.do(name, args, monty.MontyFileHandle)
        except UnicodeDecodeError as error:
            raise ValueError(str(error)) from error


def _told(answer: Answer) -> Any:
    if isinstance(answer, Given):
        return {"return_value": answer.value}
    if isinstance(answer, Raised):
        return {"exception": answer.error}
    return {"future": ...}
