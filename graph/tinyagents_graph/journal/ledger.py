"""`Ledger`: a tree's end of a journal.

    emit ── is it known? ── number ── the journal ── durable ── the sink
              (past.py)

What anybody has seen is on disk: a sink gets an event when the journal has it. Whoever is about to
act on something waits for that with `settle`; all others go on meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import time
from typing import Any, cast

import anyio

from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import Event, EventKind, Origin
from tinyagents_graph.journal.past import Past
from tinyagents_graph.journal.protocol import Delivery, Journal, Opening
from tinyagents_graph.loops import EventLoop
from tinyagents_graph.sink import EventSink

__all__ = ["Ledger"]

_new_event: Callable[[type[Event], tuple[Any, ...]], Event] = cast("Any", tuple).__new__


class Ledger:
    """What a tree has done, and where it writes down what it does.

    It is made in the event loop that the tree's root lives in.

    Args:
        journal: Where the tree is kept.
        opening: The tree, opened.
        sink: Who gets the events that are durable.

    Attributes:
        past: What the tree did before.
        opening: The tree, as it was opened.
        error: Why nothing more can be kept, if that is so. Then events go to the sink at once, for
            what began has to end for those who watch.
        answers: The answers that were given to questions of the tree, by id.
        drift: How the tree's code differs from when it was begun, as it is found.
    """

    __slots__ = (
        "_arrived", "_flusher", "_is_scheduled", "_lock", "_loop", "_next", "_on_error",
        "_on_steer", "_order", "_published", "_sink", "_waiters", "_waiting", "answers", "drift",
        "error", "journal", "opening", "past",
    )  # fmt: skip

    def __init__(self, journal: Journal, opening: Opening, sink: EventSink) -> None:
        self.journal = journal
        self.opening = opening
        self.past = Past(opening.past)
        self.error: Exception | None = None
        self.drift: list[str] = []
        self._sink = sink
        self._loop = EventLoop()
        self._lock = threading.RLock()  # the garbage collector may close a run, which emits
        self._order = threading.Lock()  # of two threads that write at once
        self._flusher = 0
        self._next = self._published = self.past.n_events
        self._waiting: list[Event] = []
        self._arrived: dict[int, tuple[list[Event], BaseException | None]] = {}
        self._waiters: deque[tuple[int, EventLoop, anyio.Event]] = deque()
        self._is_scheduled = False
        self._on_error: Callable[[Exception], None] | None = None
        self._on_steer: Callable[[Delivery], None] | None = None
        self.answers = {
            each.key: each.payload for each in opening.deliveries if each.kind == "answer"
        }

    def watch(
        self, on_error: Callable[[Exception], None], on_steer: Callable[[Delivery], None]
    ) -> None:
        """Say whom to call, in the tree's event loop, when it is lost, or is sent a command."""
        self._on_error, self._on_steer = on_error, on_steer
        self.journal.listen(self.opening.lease, self._hear)

    def _hear(self, delivery: Delivery) -> None:
        if delivery.kind == "answer":
            self.answers[delivery.key] = delivery.payload
        elif self._on_steer is not None:
            self._loop.call(partial(self._on_steer, delivery))

    # --- writing ----------

    def emit(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> Event:
        """Publish an event, unless the past has it; in place of `EventSink.emit`."""
        with self._lock:
            if (known := self.past.take_repeat(kind, origin, data)) is not None:
                return known
            event = _new_event(Event, (self._next, time(), kind, origin, data))
            self._next += 1
            self._waiting.append(event)
            is_first, self._is_scheduled = not self._is_scheduled, True
        if is_first:
            # What else happens until the loop comes round is written with it.
            self._loop.call_soon(self.flush)
        return event

    def tell_restored(self, origin: Origin) -> None:
        """The tree goes on: say from where."""
        past = self.past
        if past.is_finished("root"):
            return
        told: dict[str, Any] = {"epoch": self.opening.lease.epoch, "n_events": past.n_events}
        told |= {"n_steps": past.n_steps}
        self.emit("checkpoint.restored", origin, told)

    def flush(self) -> None:
        """Hand what was published to the journal."""
        with self._order:
            with self._lock:
                batch, self._waiting = self._waiting, []
                self._is_scheduled = False
            if not batch:
                return
            if self.error is not None:
                self._arrived[batch[0].seq] = batch, None
            else:
                self._flusher = threading.get_ident()
                try:
                    done = partial(self._written, batch)
                    self.journal.append(self.opening.lease, batch, done)
                finally:
                    self._flusher = 0
        self._loop.call(self._publish)

    def _written(self, batch: list[Event], error: BaseException | None) -> None:
        self._arrived[batch[0].seq] = batch, error
        # Not from within `append`: a listener could wait for a thread that waits for `_order`.
        if self._flusher != threading.get_ident() and not self._loop.call(self._publish):
            self._publish()  # the loop has closed, and nobody else will

    def _publish(self) -> None:
        while (arrived := self._arrived.pop(self._published, None)) is not None:
            batch, error = arrived
            if error is not None and self.error is None:
                self._fail(error)
            self._published += len(batch)
            self._sink.publish(batch)
        waiters = self._waiters
        while waiters and waiters[0][0] <= self._published:
            _, loop, heard = waiters.popleft()
            loop.call(heard.set)

    def _fail(self, error: BaseException) -> None:
        is_ours = isinstance(error, (JournalError, RunConflict))
        run_id = self.opening.lease.run_id
        self.error = (
            cast("Exception", error)
            if is_ours
            else JournalError(repr(self.journal), f"run {run_id!r} cannot be kept: {error!r}")
        )
        if self._on_error is not None:
            self._on_error(self.error)

    @property
    def is_settled(self) -> bool:
        """Whether everything that was published is durable."""
        return self._published == self._next

    async def settle(self) -> None:
        """Wait until what was published so far is durable.

        Raises:
            RunConflict: Somebody else has taken the tree over.
            JournalError: It cannot be kept.
        """
        if not self.is_settled:
            self.flush()
        if not self.is_settled:
            heard = anyio.Event()
            with self._lock:
                self._waiters.append((self._next, EventLoop(), heard))
            if self._published >= self._next:
                self._loop.call(self._publish)
            await heard.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Write what is left, and give the tree up. What went wrong is in `error`."""
        with anyio.CancelScope(shield=True):
            try:
                await self.settle()
            except (JournalError, RunConflict):
                return
            await self.journal.close(self.opening.lease)


def restore(sink: EventSink, past: Sequence[Event]) -> None:
    """Let a sink have a tree's past, without telling its listeners of it anew."""
    sink.publish(past, is_new=False)
