"""`Ledger`: a tree's end of a journal.

    emit ── is it known? ── number ── the journal ── durable ── the sink
              (past.py)

What anybody has seen is on disk: a sink gets an event when the journal has it. Whoever is about to
act on something waits for that with `settle`; all others go on meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from math import inf
from time import time
from typing import Any, cast

import anyio

from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import Event, EventKind, Origin, is_at_or_below
from tinyagents_graph.journal.asking import Asking
from tinyagents_graph.journal.candidates import Candidates
from tinyagents_graph.journal.ends import Ends
from tinyagents_graph.journal.past import Past, Spent
from tinyagents_graph.journal.protocol import Delivery, Journal, Lease
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.journal.sources import moved
from tinyagents_graph.loops import EventLoop, Mailbox
from tinyagents_graph.sink import EventSink

__all__ = ["Ledger"]

_logger = logging.getLogger("tinyagents.journal")
_new_event: Callable[[type[Event], tuple[Any, ...]], Event] = cast("Any", tuple).__new__


class Ledger(Asking):
    """What a tree has done, and where it writes down what it does.

    It is made in the event loop that the tree's root lives in.

    Args:
        journal: Where the tree is kept.
        lease: The right to append to it; `None` for a tree that is only looked at: then nothing is
            kept, and nothing published.
        past: Its events so far.
        deliveries: What was delivered to it so far.
        sink: Who gets the events that are durable.
        about: What is kept of the tree besides its events.
        candidates: What other trees did that it need not do, if it is a fork of one.

    Attributes:
        past: What the tree did before.
        error: Why nothing more can be kept, if that is so. Then events go to the sink at once, for
            what began has to end for those who watch.
        answers: The answers that were given to questions of the tree, by id.
        open_asks: The events of the questions that are neither answered nor have expired, by id.
        drift: How the tree's code differs from when it was begun, as it is found.
        sessions: The sessions that are used in the tree, by name.
        untaken: Commands that were delivered and that no run has got yet.
        awaiting: How runs that have yet to begin again get theirs, by path.
    """

    __slots__ = (
        "_arrived", "_ends", "_flusher", "_has_past", "_is_scheduled", "_lease", "_lock", "_loop",
        "_mailbox", "_next", "_on_error", "_on_steer", "_order", "_published", "_sink", "_waiters",
        "_waiting", "about", "awaiting", "candidates", "drift", "error", "journal",
        "sessions",
    )  # fmt: skip

    def __init__(
        self,
        journal: Journal,
        lease: Lease | None,
        past: Sequence[Event],
        deliveries: Sequence[Delivery],
        sink: EventSink,
        about: Mapping[str, Any],
        candidates: Candidates | None = None,
    ) -> None:
        past_of_it = Past(past, is_brief=True)
        answers = dict(candidates.answers) if candidates is not None else {}
        answers |= {each.key: each.payload for each in deliveries if each.kind == "answer"}
        answers |= past_of_it.given  # which a fork may have from elsewhere
        super().__init__(past_of_it, answers)
        self.about = about
        self.candidates = candidates
        if candidates is not None:
            candidates.given = answers
        self.journal = journal
        self._has_past = bool(past)
        self._lease = lease
        self.error: Exception | None = None
        self.drift: list[Mapping[str, Any]] = []
        self._sink = sink
        self._mailbox = Mailbox.here()
        self._loop = self._mailbox.loop
        self._lock = threading.RLock()  # the garbage collector may close a run, which emits
        self._order = threading.Lock()  # of two threads that write at once
        self._flusher = 0
        self._next = self._published = self.past.n_events
        self._ends: Ends | None = None
        self._waiting: list[Event] = []
        self._arrived: dict[int, tuple[list[Event], BaseException | None]] = {}
        self._waiters: deque[tuple[int, EventLoop, anyio.Event]] = deque()
        self._is_scheduled = False
        self._on_error: Callable[[Exception], None] | None = None
        self._on_steer: Callable[[Delivery], None] | None = None
        self.sessions: dict[str, object] = {}
        self.awaiting: dict[str, list[Callable[[], None]]] = {}
        self.untaken = [
            each
            for each in deliveries
            if each.kind == "steer" and each.number not in self.past.mail.taken
        ]

    @property
    def may_have_rest(self) -> bool:
        """Whether something may be open of which no code knows that runs: see `end_parked`."""
        return self._has_past or bool(self.open_asks)

    @property
    def is_silent(self) -> bool:
        """Whether the tree is only looked at."""
        return self._lease is None

    def watch(
        self, on_error: Callable[[Exception], None], on_steer: Callable[[Delivery], None]
    ) -> None:
        """Say whom to call, in the tree's event loop, when it is lost, or is sent a command."""
        self._on_error, self._on_steer = on_error, on_steer
        if self._lease is not None:
            self.journal.listen(self._lease, self._hear)

    def _hear(self, delivery: Delivery) -> None:
        if delivery.kind == "answer":
            self.answers[delivery.key] = delivery.payload
        elif self._on_steer is not None:
            self._loop.call(partial(self._on_steer, delivery))

    # --- writing ----------

    @property
    def together(self) -> AbstractContextManager[object]:
        """While it is held, what is published is one batch: all of it gets durable, or nothing."""
        return self._lock

    def emit(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> Event:
        """Publish an event, unless the past has it; in place of `EventSink.emit`."""
        with self._lock:
            if self._has_past and (known := self.past.take_repeat(kind, origin, data)) is not None:
                return known
            event = _new_event(Event, (self._next, time(), kind, origin, data))
            if self._lease is None:
                return event
            self._next += 1
            self._waiting.append(event)
            if self.candidates is not None:
                self.candidates.see(event)
            is_first, self._is_scheduled = not self._is_scheduled, True
        if is_first:
            # What else happens until the loop comes round is written with it.
            self._loop.call_soon(self.flush)
        return event

    def enter(self, path: str, is_again: bool) -> tuple[bool, bool]:
        """A run begins, or begins again.

        Args:
            path: The run.
            is_again: Whether it was parked in this process.

        Returns:
            Whether it is told as resumed; and whether there is mail for it.
        """
        if self.past.n_events:
            is_again = is_again or self.past.opens_again(path)
            self.past.absent.discard(path)
        return is_again, bool(self.sent_to(path)) or path in self.awaiting

    def tell_restored(self, origin: Origin) -> None:
        """The tree goes on: say from where."""
        past = self.past
        if self._lease is None or not past.n_events or past.is_finished("root"):
            return
        told = {
            "epoch": self._lease.epoch, "n_events": past.n_events, "n_steps": past.n_steps,
        }  # fmt: skip
        self.emit("checkpoint.restored", origin, told)

    def note_drift(self, path: str, what: str, then: Any, now: Any) -> None:
        """Something of a run's definition is not what it was when the run began."""
        self.drift.append({"path": path, "what": what, "then": then, "now": now})

    # --- what is not done again ----------

    def has(self, known: Event) -> bool:
        """Whether an event is the tree's own, and not one of a tree that it was forked from."""
        if self.candidates is None:
            return True
        group = known.kind.partition(".")[0]
        return self.past.fact(group, known.path, known.data["call_id"]) is known

    def tell_again(self, origin: Origin, place: str, known: Event) -> None:
        """A call has a result without being made: publish it, and what else belongs to it.

        Args:
            origin: The run that calls.
            place: Address of the call.
            known: How it ended, here or in another tree.
        """
        with self.together:  # a result without what led to it would be a fact
            if self.candidates is not None and self._lease is not None:
                for event in self.candidates.take_more(place):
                    more = moved(event, origin.root_run_id)._replace(seq=self._next, time=time())
                    self._next += 1
                    self._waiting.append(more)
                    self.candidates.see(more)
                    self.note_ask(more)
                    if "session" in more.data:
                        self.past.sessions.setdefault(more.data["session"], []).append(more.data)
            self.emit(known.kind, origin, known.data)

    def spent_below(self, place: str, before: float = inf) -> list[Spent]:
        """What the runs used that a call started, which is not made again; as of `Past`."""
        if self.candidates is not None:
            found = self.candidates.spent_below(place)
            if found is not None:
                return found
        return self.past.spent_below(place, before)

    def is_early(self, ask_id: str, step: int) -> bool:
        """Whether an answer that is taken over was taken in a later superstep then."""
        if self.candidates is None or "recalled_from" not in self.answers.get(ask_id, ()):
            return False
        return self.candidates.step_of_answer(ask_id) > step

    def sent_to(self, path: str) -> Sequence[Sent]:
        """What was sent to a run before, and is read again where it was read; as of `Past`."""
        sent = [each for each in self.past.mail.to(path) if not each.is_over]
        return sent if self.candidates is None else self.candidates.letters(path, sent)

    @property
    def n_sent(self) -> int:
        """How many commands have a number already."""
        there = 0 if self.candidates is None else self.candidates.n_sent
        return max(self.past.mail.n, there)

    def flush(self) -> None:
        """Hand what was published to the journal."""
        if not self._waiting:  # somebody was quicker than the loop
            return
        with self._order:
            with self._lock:
                batch, self._waiting = self._waiting, []
                self._is_scheduled = False
            if not batch:
                return
            if self.error is not None or self._lease is None:
                self._arrived[batch[0].seq] = batch, None
            else:
                self._flusher = threading.get_ident()
                try:
                    done = partial(self._written, batch)
                    self.journal.append(self._lease, batch, done)
                finally:
                    self._flusher = 0
        self._loop.call(self._publish)

    def _written(self, batch: list[Event], error: BaseException | None) -> None:
        self._arrived[batch[0].seq] = batch, error
        # Not from within `append`: a listener could wait for a thread that waits for `_order`.
        if self._flusher != threading.get_ident():
            self._mailbox.post(self._publish)

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
        self.error = (
            cast("Exception", error)
            if is_ours
            else JournalError(repr(self.journal), f"an event cannot be kept: {error!r}")
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
            loop = self._loop if self._loop.is_here else EventLoop()
            heard = loop.new_event()
            with self._lock:
                self._waiters.append((self._next, loop, heard))
            if self._published >= self._next:
                self._loop.call(self._publish)
            await heard.wait()
        if self.error is not None:
            raise self.error

    async def end_parked(self, path: str, reason: str) -> None:
        """A run ends while something in it waits for the human, or was cut off: that ends first.

        Args:
            path: The run.
            reason: Why, for the events.
        """
        is_due = (self._has_past and self.past.run(path) is not None) or any(
            is_at_or_below(each.path, path) for each in self.open_asks.values()
        )
        if self._lease is None or self.error is not None or not is_due:
            return
        news: Sequence[Event] = ()
        # Of many runs that end like this, only the first one reads all of the tree.
        ends = self._ends = self._ends or Ends()
        try:
            with anyio.CancelScope(shield=True):
                await self.settle()
                news = await self.journal.read(self._lease.run_id, ends.n_events)
        except (JournalError, RunConflict) as error:
            _logger.warning("%s: what waits in it is not told as ended: %s", path, error)
            return
        with self._lock:
            ends.see(news)
            told = list(ends.ends_below(path, reason, self.past.n_events))
        for kind, origin, data in told:
            if kind == "ask.expired":
                self.open_asks.pop(data["ask_id"], None)
            self.emit(kind, origin, data)

    async def close(self) -> None:
        """Write what is left, and give the tree up. What went wrong is in `error`."""
        with anyio.CancelScope(shield=True):
            self.flush()
            if self._lease is not None:
                try:  # right behind what is left, which it waits for
                    await self.journal.close(self._lease)
                except JournalError as error:  # nothing is lost by that
                    _logger.warning("run %s is held for a while yet: %s", self._lease.run_id, error)
            with suppress(JournalError, RunConflict):  # which is in `error`
                await self.settle()
        self._on_error = self._on_steer = None  # which know the run, and it this
