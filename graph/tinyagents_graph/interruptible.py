"""`Interruptible`: what can come between a run and its work: cancellation, time, and pauses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.lowlevel

from tinyagents_graph.clock import Clock
from tinyagents_graph.controls import Controls
from tinyagents_graph.errors import BudgetExceeded, LimitExceeded, Parked, RunCancelled
from tinyagents_graph.events import Event, EventKind, Origin, RunStatus
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.pausing import lock
from tinyagents_graph.place import Place, RunTree
from tinyagents_graph.tasks import CancelScope, Job, spawn

if TYPE_CHECKING:  # for its name only: it is the one that is interrupted
    from tinyagents_graph.run import Run

__all__ = [
    "BEGUN", "CLOSED", "CLOSING", "ENROLLED", "MADE", "WITHDRAWN", "Interruptible",
]  # fmt: skip

MADE, ENROLLED, WITHDRAWN, BEGUN, CLOSING, CLOSED = range(6)
"""The stages of a run. From `BEGUN` on its start is published; at `CLOSED` its end is, or is about
to be. `WITHDRAWN` is the end of one that never began."""


class Interruptible(Place):
    """The side of a run by which others stop it, hold it up, and let it go on.

    Attributes:
        tree: What it shares with the other runs of its tree.
        parent: The run that delegates.
        status: How it stands.
        clock: Its time, or that of a run above it; `None` without a limit.
    """

    __slots__ = (
        "_controls", "_reason", "_scope", "_stage", "_timed_out", "clock", "limits", "origin",
        "parent", "status", "tree",
    )  # fmt: skip

    origin: Origin
    tree: RunTree
    parent: Run | None
    limits: RunLimits
    status: RunStatus
    clock: Clock | None
    children: Mapping[str, Run]
    _controls: Controls | None
    _reason: str
    _scope: CancelScope
    _stage: int
    _timed_out: bool

    def emit(self, kind: EventKind, data: Mapping[str, Any]) -> Event:
        """Publish an event of this run."""
        tree = self.tree
        return (tree.ledger or tree.sink).emit(kind, self.origin, data)

    def refuse(self, error: LimitExceeded) -> NoReturn:
        """Publish that a limit was reached, and raise it."""
        self.tell_limit(error)
        raise error

    @property
    def has_begun(self) -> bool:
        """Whether its first event is out."""
        return self._stage >= BEGUN

    @property
    def is_open(self) -> bool:
        """Whether it takes commands: until it knows how it ends."""
        return self._stage in (MADE, ENROLLED, BEGUN)

    @property
    def has_closed(self) -> bool:
        """Whether its last event is out, or about to be: nothing may come after it."""
        return self._stage in (WITHDRAWN, CLOSED)

    # --- being stopped ----------

    @property
    def remaining_s(self) -> float:
        """Seconds until its time is up, `inf` without a limit."""
        return inf if self.clock is None else self.clock.remaining_s

    @property
    def has_ended(self) -> bool:
        """Whether its last event is out."""
        return self.status not in ("running", "paused")

    def cancel(self, reason: str = "cancelled") -> bool:
        """Cancel this run and its descendants.

        Args:
            reason: Why, for the events and the error.

        Returns:
            False if it had ended or had been cancelled before.
        """
        if self.has_ended or self._scope.is_cancelled:
            return False
        self._reason = reason or "cancelled"
        self.tree.is_stirred = True
        self._scope.cancel()
        return True

    @property
    def is_cancelled(self) -> bool:
        """Whether it or a run above it was cancelled; it may still have to wait to notice."""
        run: Interruptible | None = self
        while run is not None and not run._scope.is_cancelled:
            run = run.parent
        return run is not None

    @property
    def needs_attention(self) -> bool:
        """Whether `checkpoint` has something to do; cheap enough to ask at every step."""
        tree, clock = self.tree, self.clock
        return (
            tree.is_stirred
            or tree.sink.is_congested
            or (clock is not None and clock.run_out is not None)
        )

    async def checkpoint(self, *, parks: bool = True) -> None:
        """A safe place to stop: where cancellation, time, pauses and back-pressure take hold.

        Args:
            parks: Whether a pause may hold it up here. It must not in the middle of what others
                keep open for it, such as a reply that streams.

        Raises:
            RunCancelled: The run was cancelled from within its own task.
            LimitExceeded: Its time is up.
        """
        while True:
            await self._stop_if_it_must()
            if parks and self._is_parked:
                await self.controls.bell.wait_until(
                    lambda: not self._is_parked or self.is_cancelled
                )
            elif self.tree.sink.is_congested:
                await self.tree.sink.wait_for_readers()  # meanwhile it may have been paused
            else:
                return

    async def _stop_if_it_must(self) -> None:
        if self.clock is not None and self.clock.run_out is not None:
            self._time_out()
        if self._scope.is_cancelled or self._timed_out:
            raise self._interruption()
        if self.is_cancelled:
            await anyio.lowlevel.checkpoint()  # where it arrives, unless it has far to go
            raise RunCancelled(self.path, self._reason_from_above())

    def may_end(self) -> bool:
        """Whether nothing stands against its end; if so, no command reaches it from here on.

        Else it has to go through `checkpoint` and ask again: whoever was told that the run is
        cancelled, or paused, must not find it completed.
        """
        if not self.needs_attention:
            self._stage = CLOSING
            if not self.tree.is_stirred:
                return True
        with lock:
            is_free = not (self._is_held_up or self.is_cancelled or self.tree.sink.is_congested)
            self._stage = CLOSING if is_free else BEGUN
        return is_free

    @property
    def _is_parked(self) -> bool:
        return self._controls is not None and bool(self._controls.pauses)

    @property
    def _is_held_up(self) -> bool:
        return self._is_parked or (self.clock is not None and self.clock.run_out is not None)

    # --- ending ----------

    @property
    def _has_rest(self) -> bool:
        """Whether something that belongs to it may be left, which has to end before it."""
        ledger, controls = self.tree.ledger, self._controls
        return bool(
            self.children
            or (controls is not None and controls.n_jobs)
            or (ledger is not None and ledger.may_have_rest)
        )

    async def _end_rest(self, error: BaseException | None) -> BaseException | None:
        """Let what is left end: what is at work, and what waits for the human.

        Args:
            error: What the run ends with.

        Returns:
            The same, or a cancellation that came meanwhile.
        """
        if self.children or (self._controls is not None and self._controls.n_jobs):
            error = await self._end_children() or error
        ledger = self.tree.ledger
        if ledger is not None and error is not None and not isinstance(error, Parked):
            reason = f"was cancelled: {self._reason}" if self._reason else "has ended"
            await ledger.end_parked(self.path, f"{self.path} {reason}")
        return error

    async def _end_children(self) -> BaseException | None:
        """Cancel what it leaves in tasks and threads, and wait for their end.

        Returns:
            A cancellation that came meanwhile, to be raised once the run has closed.
        """
        reason = self._reason
        why = f"{self.path} was cancelled: {reason}" if reason else f"{self.path} has ended"
        controls, interruption = self.controls, None
        for child in list(self.children.values()):
            child.cancel(why)
        with anyio.CancelScope(shield=True):
            while self.children or controls.n_jobs:
                try:
                    await controls.bell.wait_until(lambda: not (self.children or controls.n_jobs))
                except anyio.get_cancelled_exc_class() as error:
                    interruption = error
        return controls.exit or interruption

    # --- what only few runs have ----------

    @property
    def controls(self) -> Controls:
        """What only steered runs have, and parents of background jobs."""
        if self._controls is None:
            self._make_controls()
        assert self._controls is not None
        return self._controls

    def _make_controls(self) -> None:
        with lock:  # of two threads that make them at once, one would lose what it puts there
            if self._controls is None:
                self._controls = Controls()

    @property
    def is_steered(self) -> bool:
        """Whether it has `controls`."""
        return self._controls is not None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was set for it, or for the nearest run above it."""
        run: Interruptible | None = self
        while run is not None:
            if run.is_steered and (metadata := run.controls.metadata) is not None:
                return metadata
            run = run.parent
        return {}

    def spawn(self, job: Job, after: Callable[[], None]) -> None:
        """Run a job in the background; the run does not end before it.

        Args:
            job: What to run. It keeps its own outcome.
            after: Called once the job is over; also if the event loop closes before its first step.
                It has to call `end_job`.
        """
        self.controls.n_jobs += 1
        spawn(job, after, self.path)

    def end_job(self) -> None:
        """A job that was spawned is over."""
        self.controls.n_jobs -= 1
        self.controls.bell.ring()

    def exit(self, signal: BaseException) -> None:
        """A job asks the program to exit: the run passes that on, in its own task.

        Rejected: raising it in the job's task, which trio takes for a defect of its own.
        """
        self.controls.exit = signal
        self.cancel(f"interrupted by {type(signal).__name__}")

    def start_clock(self) -> None:
        """Its own clock, if it has one, goes on."""
        if self.limits.max_seconds is not None and (clock := self.clock) is not None:
            clock.go_on()
            clock.loop.call(lambda: self._scope.cancel_at(clock.own_remaining_s, self._expire))

    def stop_clock(self) -> None:
        """Its own clock, if it has one, stands still."""
        if self.limits.max_seconds is not None and (clock := self.clock) is not None:
            clock.stop()
            clock.loop.call(lambda: self._scope.cancel_at(inf, self._expire))

    def _expire(self) -> None:
        self._time_out()
        self._scope.cancel()

    def _time_out(self) -> None:
        # What came first is why the run ends: its time may also run out while it cleans up.
        if not self._reason:
            self._timed_out = True

    def _interruption(self) -> BaseException:
        """Why this run's own scope was cancelled, published if it is a limit."""
        if self._controls is not None and self._controls.exit is not None:
            return self._controls.exit
        if not self._timed_out:
            return RunCancelled(self.path, self._reason)
        clock = self.clock and (self.clock.run_out or self.clock)
        assert clock is not None
        error = LimitExceeded("max_seconds", allowed=clock.limit, used=clock.limit, path=clock.path)
        self.tell_limit(error)
        return error

    def _reason_from_above(self, error: BaseException | None = None) -> str:
        above = self.parent
        while above is not None:
            if above._reason:
                return f"{above.path} was cancelled: {above._reason}"
            above = above.parent
        if self.clock is not None and (over := self.clock.run_out) is not None:
            return f"max_seconds of {over.path} reached"
        return f"interrupted by {type(error).__name__}"

    def tell_limit(self, error: LimitExceeded) -> None:
        """Publish that a limit was reached."""
        facts = {"limit": error.limit, "allowed": error.allowed, "used": error.used}
        kind: EventKind = "limit.reached"
        if isinstance(error, BudgetExceeded):
            kind = "budget.exceeded"
        self.emit(kind, {**facts, "path": error.path, "message": str(error)})
