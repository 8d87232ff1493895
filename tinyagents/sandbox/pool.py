"""Who of many sessions has one of few workers: those that compute.

A session that waits, for its next cell or for a function of the host, may keep its worker as long
as nobody needs it. Whoever does gets that of the session that has waited longest: what that one was
doing is written down, and taken up in another worker when it goes on. So nobody who computes ever
waits for somebody who waits, and parents deep in a tree cannot starve their children.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import anyio

from tinyagents.errors import SandboxError
from tinyagents.sandbox.crew import Crew
from tinyagents.sandbox.engine import Feed, Worker, Workers
from tinyagents_graph.loops import EventLoop

__all__ = ["Place", "Pool"]

T = TypeVar("T")


class Place:
    """Where a session stands: in a worker, or written down.

    Attributes:
        worker: The worker, if it has one.
        state: What was written down after the last cell, or in the middle of one when it lost its
            worker; `None` if it ran nothing yet.
        feed: The cell it is in the middle of.
        lost: Why what it was doing cannot be taken up again; empty if it can.
        successor_of: The place whose worker it takes over.
    """

    __slots__ = (
        "_is_stopped", "_lock", "_must_leave", "feed", "lost", "state", "successor_of", "worker",
    )  # fmt: skip

    def __init__(self, state: bytes | None = None) -> None:
        self.worker: Worker | None = None
        self.state = state
        self.feed: Feed | None = None
        self.lost = ""
        self.successor_of: Place | None = None
        self._lock = threading.Lock()
        self._must_leave = False
        self._is_stopped = False

    def dismiss(self) -> None:
        """Its worker now belongs to another; it leaves before anybody uses either."""
        self._must_leave = True

    def leave(self) -> None:
        """Write down where it stands and give its worker back, if it was dismissed."""
        with self._lock:
            self._leave_if_dismissed()

    def _leave_if_dismissed(self) -> None:
        if not self._must_leave:
            return
        self._must_leave = False
        worker, self.worker = self.worker, None
        if worker is None:
            return
        try:
            if self.feed is not None:
                self.state = worker.dump()
        except SandboxError as error:
            self.lost = str(error)
        finally:
            worker.close()

    def enter(self, start: Callable[[], Worker]) -> Worker:
        """Its worker, started and brought to where it stands if it has none.

        Raises:
            SandboxError: What it was doing is lost.
        """
        with self._lock:
            self._leave_if_dismissed()
            if self._is_stopped:
                raise SandboxError("it was stopped")
            if self.lost:
                raise SandboxError(self.lost)
            if self.worker is None:
                worker = start()
                try:
                    if self.state is not None:
                        worker.load(self.state, self.feed)
                except SandboxError:
                    worker.close()
                    raise
                self.worker = worker
            return self.worker

    def stop(self) -> None:
        """End what it is doing, at once."""
        self._is_stopped = True
        if (worker := self.worker) is not None:
            worker.kill()

    def reset(self, state: bytes | None) -> None:
        """Forget what it was doing, and stand where `state` says."""
        with self._lock:
            worker, self.worker = self.worker, None
            self.state, self.feed, self.lost = state, None, ""
            self._must_leave = self._is_stopped = False
        if worker is not None:
            worker.close()


class Pool:
    """The workers of a sandbox, and the threads that drive them.

    Args:
        workers: What starts them.
        most: How many there may be.
        can_dump: Whether a session can be written down. If not, those that wait keep their workers
            and do not count.
    """

    def __init__(self, workers: Workers, most: int, *, can_dump: bool) -> None:
        self._workers = workers
        self._most = most
        self._can_dump = can_dump
        self._lock = threading.Lock()
        self._n_seats = 0
        self._idle: dict[Place, None] = {}  # in the order in which they began to wait
        self._queue: deque[tuple[Place, Callable[[], object]]] = deque()
        self._abandoned: deque[Place] = deque()
        self._crew = Crew(most if can_dump else 64)
        self._computing: set[Place] = set()
        self._is_closed = False
        # It lives as long as a session needs it, also when the sandbox itself is forgotten.
        self._end = weakref.finalize(self, _end, self._crew, workers, self._computing)

    async def run(
        self, place: Place, do: Callable[[Worker], T], loop: EventLoop | None = None
    ) -> T:
        """Do something with a place's worker in a thread, as soon as there is one for it.

        On cancellation the worker's process is ended, and then the thread has ended, too.

        Args:
            place: Whose worker.
            do: What to do with it.
            loop: The event loop it is called in, from who has it at hand.

        Raises:
            SandboxError: What the place was doing is lost, or the sandbox is closed.
        """
        await self._sit(place)
        try:
            work = partial(self._work, place, do)
            return await self._in_thread(place, work, loop or EventLoop())
        finally:
            self._rise(place)

    def drop(self, place: Place, state: bytes | None) -> None:
        """Take a place's worker away, and set where it stands."""
        with self._lock:
            was_idle = place in self._idle
            self._idle.pop(place, None)
            if was_idle:
                self._pass_on(None)
        place.reset(state)

    def abandon(self, place: Place) -> None:
        """Nobody needs a place any more. Callable by the garbage collector."""
        self._abandoned.append(place)

    def close(self) -> None:
        """End all workers."""
        self._is_closed = True
        self._end()

    def _work(self, place: Place, do: Callable[[Worker], T]) -> T:
        before, place.successor_of = place.successor_of, None
        if before is not None:
            before.leave()
        self._computing.add(place)
        try:
            return do(place.enter(self._workers.start))
        finally:
            self._computing.discard(place)

    async def _sit(self, place: Place) -> None:
        """Get leave to have a worker."""
        while self._abandoned:
            self.drop(self._abandoned.popleft(), None)
        if self._is_closed:
            raise SandboxError("this sandbox is closed")
        with self._lock:
            if self._sits_at_once(place):
                return
            loop, granted = EventLoop(), anyio.Event()
            entry = (place, partial(loop.call, granted.set))
            self._queue.append(entry)
        try:
            await granted.wait()
        except BaseException:
            with self._lock:
                if entry in self._queue:
                    self._queue.remove(entry)
                else:
                    before, place.successor_of = place.successor_of, None
                    self._pass_on(before)
            raise

    def _sits_at_once(self, place: Place) -> bool:
        if place in self._idle:
            del self._idle[place]
        elif self._n_seats < self._most or not self._can_dump:
            self._n_seats += 1
        elif self._idle:
            before = next(iter(self._idle))
            del self._idle[before]
            before.dismiss()
            place.successor_of = before
        else:
            return False
        return True

    def _rise(self, place: Place) -> None:
        """It computes no longer: it keeps its worker unless another needs it."""
        with self._lock:
            if place.worker is None:
                self._pass_on(None)
            elif self._queue:
                place.dismiss()
                self._pass_on(place)
            else:
                self._idle[place] = None

    def _pass_on(self, before: Place | None) -> None:
        """Give a seat to who waits longest, with the worker of `before` still to be taken away."""
        if not self._queue:
            if before is None:
                self._n_seats -= 1
            else:
                self._idle[before] = None
            return
        place, tell = self._queue.popleft()
        place.successor_of = before
        tell()

    async def _in_thread(self, place: Place, work: Callable[[], T], loop: EventLoop) -> T:
        job = _Job(work, loop)
        if not self._crew.do(job):
            raise SandboxError("this sandbox is closed")
        try:
            await job.done.wait()
        except BaseException:
            place.stop()
            with anyio.CancelScope(shield=True):
                await job.done.wait()
            raise
        if job.error is not None:
            raise job.error
        return cast("T", job.value)


class _Job:
    """Something that a thread does for somebody who waits in an event loop."""

    __slots__ = ("_loop", "_work", "done", "error", "value")

    def __init__(self, work: Callable[[], Any], loop: EventLoop) -> None:
        self._work = work
        self._loop = loop
        self.done = loop.new_event()
        self.value: Any = None
        self.error: BaseException | None = None

    def __call__(self) -> Callable[[], None]:
        try:
            self.value = self._work()
        except BaseException as error:
            self.error = error
        return self._tell

    def _tell(self) -> None:
        self._loop.call_soon(self.done.set)


def _end(crew: Crew, workers: Workers, computing: set[Place]) -> None:
    for place in list(computing):
        place.stop()
    crew.close()
    workers.close()
