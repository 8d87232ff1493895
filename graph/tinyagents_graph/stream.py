"""`EventStream`: an async reader of a sink, a cursor in its log.

Rejected: a queue for each reader. A queue must be filled for readers that never come back, decide
what to drop at the moment of emitting, and be merged with the history for a late reader. A cursor
is a number, and deciding is left to the moment of reading.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from weakref import ref

import anyio

from tinyagents_graph.errors import ConfigError, EventsLost
from tinyagents_graph.events import Event, Matcher
from tinyagents_graph.log import EventLog
from tinyagents_graph.loops import Bell, EventLoop

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["EventStream", "Policy", "Readers"]

Policy: TypeAlias = Literal["block", "drop_deltas", "coalesce"]
_CHUNK = 256


class Readers:
    """The open streams of one sink, held weakly: a reader that was forgotten is gone.

    Runs and readers may live in different threads.
    """

    __slots__ = ("_lock", "_room", "all", "blocking")

    def __init__(self) -> None:
        self.all: tuple[ref[EventStream], ...] = ()
        self.blocking: tuple[ref[EventStream], ...] = ()
        # Reentrant, for the garbage collector may forget a stream at any point.
        self._lock = threading.RLock()
        self._room = Bell()

    def wake(self) -> None:
        """Tell every reader that there is something to read."""
        for held in self.all:
            if (stream := held()) is not None:
                stream.wake()

    def add(self, stream: EventStream) -> None:
        """A stream opened."""
        held = ref(stream, self._forget)
        with self._lock:
            self.all = (*self.all, held)
            if stream.policy == "block":
                self.blocking = (*self.blocking, held)

    def remove(self, stream: EventStream) -> None:
        """A stream closed."""
        for held in self.all:
            if held() is stream:
                self._forget(held)

    def stop_blocking(self, stream: EventStream) -> None:
        """Nobody waits for this stream any more."""
        with self._lock:
            self.blocking = tuple(held for held in self.blocking if held() is not stream)
        self.make_room()

    @property
    def is_congested(self) -> bool:
        """Whether a blocking reader is too far behind."""
        return any(stream.is_full for held in self.blocking if (stream := held()) is not None)

    @property
    def is_waited_for(self) -> bool:
        """Whether a run waits for room."""
        return self._room.is_waited_for

    @property
    def oldest_wanted(self) -> float:
        """Position of the first event a blocking reader has not fetched, `inf` without one."""
        wanted = [stream.position for held in self.blocking if (stream := held()) is not None]
        return min(wanted, default=inf)

    async def wait_for_room(self) -> None:
        """Wait until no blocking reader is too far behind."""
        await self._room.wait_until(lambda: not self.is_congested)

    def make_room(self) -> None:
        """A reader has read on, or left."""
        self._room.ring()

    def _forget(self, gone: ref[EventStream]) -> None:
        with self._lock:
            self.all = tuple(held for held in self.all if held is not gone)
            self.blocking = tuple(held for held in self.blocking if held is not gone)
        self.make_room()


class EventStream:
    """Events of a sink as an async iterator: replay, then live, without gap or duplicate.

    It joins the sink at its first use and leaves it at `aclose()`, at the end of an `async with`,
    or when nothing refers to it any more. For one reading task at a time.
    """

    def __init__(
        self,
        log: EventLog,
        readers: Readers,
        *,
        since: int = 0,
        matches: Matcher,
        policy: Policy = "drop_deltas",
        buffer: int = 1_000,
        start: int = 0,
        lost: int = 0,
    ) -> None:
        if policy not in get_args(Policy):
            raise ConfigError(f"policy={policy!r}: choose one of {', '.join(get_args(Policy))}")
        if buffer < 1:
            raise ConfigError(f"buffer={buffer}: a reader needs room for at least 1 event")
        self.policy = policy
        self._log = log
        self._readers = readers
        self._since = since
        self._matches = matches
        self._buffer = buffer
        self._position = start
        self._lost = lost
        self._ready: deque[Event] = deque()
        self._news: anyio.Event | None = None
        self._loop: EventLoop | None = None
        self._closed = False
        self._ending = False

    # --- what a reader uses ----------

    def __aiter__(self) -> Self:
        self._open()
        return self

    async def __anext__(self) -> Event:
        self._open()
        while not self._ready:
            if self._closed:
                raise StopAsyncIteration
            if self._position < self._log.end:
                self._fetch()
                self._let_go_on()
            elif self._ending:
                await self.aclose()
            else:
                await self._wait_for_news()
        event = self._ready.popleft()
        self._let_go_on()
        return event

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the sink; a run that waited for this reader goes on."""
        self._closed = True
        self._ready.clear()
        self._readers.remove(self)
        self.wake()

    # --- what the sink uses ----------

    @property
    def position(self) -> int:
        """Position of the first event it has not fetched yet."""
        return self._position

    @property
    def is_full(self) -> bool:
        """Whether it is more than `buffer` events behind."""
        return self._log.end - self._position + len(self._ready) > self._buffer

    def stop_blocking(self) -> None:
        """Let runs go on without waiting for this reader, from now on."""
        self._readers.stop_blocking(self)

    def end_after_last(self) -> None:
        """End the iteration once everything published so far has been read."""
        self._ending = True
        self.wake()

    def wake(self) -> None:
        """There is something to read, or the stream closed. Callable from any thread."""
        news, loop = self._news, self._loop
        if news is None or loop is None:
            return
        self._news = None
        if not loop.call(news.set):
            self._readers.remove(self)

    # --- inside ----------

    def _open(self) -> None:
        if self._loop is not None or self._closed:
            return
        self._loop = EventLoop()
        self._readers.add(self)

    def _let_go_on(self) -> None:
        """Runs that wait for this reader look again."""
        if self.policy == "block" and self._readers.is_waited_for and not self.is_full:
            self._readers.make_room()

    async def _wait_for_news(self) -> None:
        news = self._news = anyio.Event()
        # It looks again, for another thread may have published before it could see `_news`.
        if self._position == self._log.end and not self._ending and not self._closed:
            await news.wait()

    def _fetch(self) -> None:
        behind = self._log.end - self._position
        lagging = behind > self._buffer
        at, events = self._log.read(self._position, behind if lagging else _CHUNK)
        skipped = max(at, self._log.dropped) - self._position
        if skipped > 0 or self._lost:
            lost, self._lost = self._lost + skipped, 0
            self._position += skipped
            raise EventsLost(lost, self._log.history or 0)
        self._position += len(events)
        wanted: Iterable[Event] = (
            event for event in events if event.seq >= self._since and self._matches(event)
        )
        if lagging and self.policy == "drop_deltas":
            wanted = (event for event in wanted if event.kind != "model.delta")
        elif lagging and self.policy == "coalesce":
            wanted = _joined(wanted)
        self._ready.extend(wanted)


def _joined(events: Iterable[Event]) -> Iterable[Event]:
    """Join the deltas of each call into one event, which stands where the last of them stood."""
    joined: dict[tuple[Any, ...], Event] = {}
    for event in events:
        data = event.data
        key: tuple[Any, ...] = (event.id,)
        if event.kind == "model.delta":
            key = (event.run_id, data.get("call_id"), data.get("type"), data.get("tool_call_id"))
            if (before := joined.pop(key, None)) is not None:
                event = event._replace(data={**data, "text": before.data["text"] + data["text"]})
        joined[key] = event
    return joined.values()
