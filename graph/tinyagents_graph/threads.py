"""The threads that plain functions run in, and the places among them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from math import inf
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import RunVar

from tinyagents_graph.errors import ConfigError, RunCancelled
from tinyagents_graph.place import current_place

__all__ = ["in_thread", "run_sync"]

T = TypeVar("T")

_MAX_THREADS = 64


async def in_thread(function: Callable[[], T]) -> T:
    """Call a plain function in a thread, once there is a place.

    The places are the tools' own, so that tools that hang cannot starve whoever else uses threads.
    On cancellation the thread is left behind, because a thread cannot be stopped but its run must
    be, and its place is free at once: threads that hang for good would take all places.
    """
    place = _ThreadPlace(_limiter())
    await place.take()
    token = _place.set(place)
    try:
        # In a tuple, because trio takes a thread that returns a coroutine for a mistake.
        (value,) = await anyio.to_thread.run_sync(
            lambda: (function(),),
            abandon_on_cancel=True,
            limiter=anyio.CapacityLimiter(inf),
        )
        return value
    finally:
        _place.reset(token)
        place.close()


def run_sync(call: Callable[[], Awaitable[T]]) -> T:
    """What `Agent.run_sync` does; see there."""
    if _loop_runs_here():
        raise ConfigError(
            "run_sync() was called where an event loop runs, which it would block for good; "
            "write `await agent.run(…)` instead"
        )
    place = current_place.get()
    if place is None:
        return anyio.run(call)
    if not place.is_alive:
        # The thread of a call that was cancelled, or gave up, can only be stopped here.
        raise RunCancelled(place.path, "the run that run_sync() was called for has ended")
    try:
        return anyio.from_thread.run(_wait, call)
    except anyio.NoEventLoopError as error:
        raise ConfigError(
            "run_sync() was called in a thread of your own; call it in a plain function that is a "
            "tool, or write `await agent.run(…)` instead"
        ) from error


def _loop_runs_here() -> bool:
    try:
        anyio.get_cancelled_exc_class()
    except anyio.NoEventLoopError:
        return False
    return True


async def _wait(call: Callable[[], Awaitable[T]]) -> T:
    place = _place.get()
    if place is None:
        return await call()
    # Were all places taken by threads that wait for children with plain functions, none of these
    # would ever be called.
    place.leave()
    try:
        return await call()
    finally:
        await place.take()


class _ThreadPlace:
    """One thread's place among those that may run at once."""

    __slots__ = ("_is_closed", "_is_taken", "_limiter")

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._is_taken = False
        self._is_closed = False

    async def take(self) -> None:
        """Wait for the place, unless nobody needs it any more."""
        if self._is_closed:
            return
        await self._limiter.acquire_on_behalf_of(self)
        self._is_taken = True
        if self._is_closed:
            self.leave()

    def leave(self) -> None:
        """Let others have it."""
        if self._is_taken:
            self._is_taken = False
            self._limiter.release_on_behalf_of(self)

    def close(self) -> None:
        """The call has ended, whatever its thread still does."""
        self._is_closed = True
        self.leave()


_place: ContextVar[_ThreadPlace | None] = ContextVar("tinyagents_thread_place", default=None)
_limiters: RunVar[anyio.CapacityLimiter] = RunVar("tinyagents_tool_threads")


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MAX_THREADS)
        _limiters.set(limiter)
        return limiter
