"""`EventSink`: the one place where the events of run trees are published.

The sink is a log. A callback is told of each event as it is appended; a stream is a cursor in the
log, so a late or slow reader costs no queue of its own, and replay and live are one thing.
"""

from __future__ import annotations

import logging
import threading
from asyncio import CancelledError
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from inspect import iscoroutinefunction
from math import inf
from time import perf_counter, time
from typing import Any, TypeAlias, cast

from tinyagents_graph.errors import ConfigError, RunConflict, Signal
from tinyagents_graph.events import Event, EventKind, Matcher, Origin, is_at_or_below
from tinyagents_graph.log import EventLog, EventView
from tinyagents_graph.stream import EventStream, Policy, Readers

__all__ = ["EventSink", "Listener", "Redactor"]

Listener: TypeAlias = Callable[[Event], object]
Redactor: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_logger = logging.getLogger("tinyagents.sink")
_SLOW_S = 0.1
_NOBODY: frozenset[int] = frozenset()
_NO_RUNS: frozenset[str] = frozenset()
# One for all sinks: it is held for less than a microsecond, and one for each would be memory in
# every run. Reentrant, for the garbage collector may close an abandoned run, which emits, anywhere.
_lock = threading.RLock()
# The sinks whose listeners wait for a thread; see `EventSink.unheard`. Not in the sinks themselves,
# for nearly all of them have none, and most runs have a sink.
_unheard: dict[int, tuple[EventSink, ...]] = {}
# What `Event(…)` does, without the Python function that a named tuple puts around it.
_new_event: Callable[[type[Event], tuple[Any, ...]], Event] = cast("Any", tuple).__new__


class EventSink:
    """Publishes the events of one or several run trees, ordered and without gaps.

    Each tree counts its own `seq` from 0. Emitting is safe from any thread; callbacks see the
    events in the order of `seq`, one at a time.

    Args:
        history: How many events to keep, oldest dropped first; `None` keeps all. A run's
            `result.events` and a stream's replay read from what is kept.
        redact: Called with each event's data before anyone sees it, returns what may be seen. If it
            raises, the data is withheld and the error's type stands in its place. Deltas then
            carry no text, because a secret may be split over several of them.

    Raises:
        ConfigError: `history` is less than 1.
    """

    __slots__ = (
        "__weakref__", "_claimed", "_delivering", "_listeners", "_log", "_readers", "_redact",
        "_seqs", "_slow", "_told",
    )  # fmt: skip

    def __init__(self, *, history: int | None = None, redact: Redactor | None = None) -> None:
        if history is not None and history < 1:
            raise ConfigError(f"EventSink(history={history}): keep at least 1 event, None for all")
        self._redact = redact
        self._log = EventLog(history)
        self._seqs: defaultdict[str, int] = defaultdict(int)
        self._listeners: tuple[tuple[Listener, Matcher | None], ...] = ()
        self._told = 0  # position of the first event the listeners have not been told of
        self._delivering = 0  # the thread that tells the listeners, if one does
        self._claimed: frozenset[str] = _NO_RUNS
        self._slow = _NOBODY
        self._readers: Readers | None = None  # until there is one: most sinks have none

    @property
    def events(self) -> EventView:
        """What has been published so far (and is kept), as a sequence that grows with the sink."""
        return EventView(self._log)

    def events_under(self, run_id: str) -> EventView:
        """The events of one run and its descendants, as a sequence that grows with the sink."""
        return EventView(self._log, run_id)

    def emit(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> Event:
        """Publish an event.

        Args:
            kind: One of `KINDS`.
            origin: The run it comes from.
            data: Plain JSON data; the sink keeps it, so do not change it afterwards.

        Returns:
            The event with its `seq`.
        """
        if self._redact is not None:
            data = self._redacted(self._redact, kind, data)
        root = origin.root_run_id
        seqs = self._seqs
        with _lock:
            seq = seqs[root]
            event = _new_event(Event, (seq, time(), kind, origin, data))
            # A run closed by the garbage collector may have taken that number meanwhile. It cannot
            # come between the last look and the append: nothing is called there.
            while seq != seqs[root]:
                seq = seqs[root]
                event = event._replace(seq=seq)
            seqs[root] = seq + 1
            self._log.held[1].append(event)
        if self._listeners and not self._delivering:
            self._deliver()
        if self._readers is not None and self._readers.all:
            self._readers.wake()
        if self._log.history is not None:
            self._trim()
        return event

    def publish(self, events: Sequence[Event], *, is_new: bool = True) -> None:
        """Publish events of one tree that have their numbers already.

        Args:
            events: They follow on what the sink has of the tree. Those that it has, it leaves out.
            is_new: Whether listeners are told; else only those are who ask for what there was.
        """
        if not events:
            return
        root = events[0].origin.root_run_id
        redact = self._redact
        with _lock:
            known = self._seqs[root]
            fresh = [event for event in events if event.seq >= known]
        if redact is not None:
            fresh = [
                each._replace(data=self._redacted(redact, each.kind, each.data)) for each in fresh
            ]
        with _lock:
            for event in fresh:
                self._seqs[root] = event.seq + 1
                self._log.held[1].append(event)
            if not is_new and self._told == self._log.end - len(fresh):
                self._told = self._log.end
        if self._listeners and not self._delivering:
            self._deliver()
        if self._readers is not None and self._readers.all:
            self._readers.wake()
        if self._log.history is not None:
            self._trim()

    @property
    def is_telling(self) -> bool:
        """Whether this is called by a listener, in whatever run's code that was called."""
        return self._delivering == threading.get_ident()

    @contextmanager
    def unheard(self) -> Generator[None]:
        """What this thread emits meanwhile takes its place, and is heard when this is over.

        For whoever emits under a lock: a listener may wait for what waits for that lock.
        """
        me = threading.get_ident()
        held = _unheard.get(me, ())
        if self in held:
            yield
            return
        _unheard[me] = (*held, self)
        try:
            yield
        finally:
            if held:  # the garbage collector closed a run of this sink in the middle of another's
                _unheard[me] = held
            else:
                del _unheard[me]
            if self._listeners:
                self._deliver()

    def cleaned(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What may be seen of data that is in no event, but goes where events go."""
        return data if self._redact is None else self._redacted(self._redact, "custom", data)

    def claim(self, root_run_id: str) -> None:
        """A root with an id that somebody chose begins.

        Raises:
            RunConflict: One with this id is under way here; their events would get mixed up.
        """
        with _lock:
            if root_run_id in self._claimed:
                raise RunConflict(
                    f"run {root_run_id!r}", "it is under way; wait for it, or give another run_id"
                )
            self._claimed |= {root_run_id}

    def release(self, root_run_id: str) -> None:
        """The root that claimed the id has ended; another one may go on under it."""
        with _lock:
            self._claimed -= {root_run_id}

    def subscribe(
        self,
        callback: Listener,
        *,
        kinds: Collection[str] | str | None = None,
        under: str | None = None,
    ) -> Callable[[], None]:
        """Call `callback` with each event from now on.

        It runs in the emitting thread and must be quick: an error in it is logged and harms nobody,
        a slow one is named in a warning. What waits or does I/O belongs into `stream()`.

        Args:
            callback: A plain function of one event.
            kinds: Only these kinds; `"tool.*"` means the whole group.
            under: Only the run with this path or id, and its descendants.

        Returns:
            A function that ends the subscription.

        Raises:
            ConfigError: `callback` is a coroutine function, or a kind does not exist.
        """
        if iscoroutinefunction(callback) or iscoroutinefunction(type(callback).__call__):
            raise ConfigError(
                f"subscribe({callback!r}): a callback is a plain function; "
                "in async code read events with `async for event in sink.stream()`"
            )
        entry = (callback, None if kinds is None and under is None else Matcher(kinds, under))
        with _lock:
            if not self._listeners:
                self._told = self._log.end
            self._listeners = (*self._listeners, entry)

        def unsubscribe() -> None:
            with _lock:
                self._listeners = tuple(other for other in self._listeners if other is not entry)

        return unsubscribe

    def stream(
        self,
        since: int = 0,
        *,
        kinds: Collection[str] | str | None = None,
        under: str | None = None,
        policy: Policy = "drop_deltas",
        buffer: int = 1_000,
        replay: bool = True,
    ) -> EventStream:
        """Read events in async code: first what is already there, then live, no gap, no duplicate.

        Args:
            since: First `seq` wanted, of each tree in the sink. Where a sink with bounded history
                has dropped some of what is wanted, reading begins with an `EventsLost`; with 0 it
                begins at the oldest event there is.
            kinds: Only these kinds; `"tool.*"` means the whole group.
            under: Only the run with this path or id, and its descendants.
            policy: What happens when the reader is more than `buffer` events behind. `"block"`:
                runs wait for it at their next checkpoint. `"drop_deltas"`: it is not shown the
                deltas it missed (the completed message repeats them). `"coalesce"`: it is shown
                them joined, one event for each call.
            buffer: How far a reader may fall behind before the policy acts, in events.
            replay: Whether to begin with what is already there.

        Returns:
            An async iterator; it ends when it is closed.

        Raises:
            ConfigError: A kind or policy does not exist.
        """
        if self._readers is None:
            self._readers = Readers()
        return EventStream(
            self._log,
            self._readers,
            since=since,
            matches=Matcher(kinds, under),
            policy=policy,
            buffer=buffer,
            start=self._log.dropped if replay else self._log.end,
            lost=self._lost_from(since, under) if replay and since else 0,
        )

    def _lost_from(self, since: int, under: str | None) -> int:
        """How many events from `since` on have been dropped, of the trees that `under` names."""
        with _lock:
            oldest = dict(self._seqs)
            for event in list(self.events)[::-1]:
                oldest[event.root_run_id] = event.seq
        named = [root for root in oldest if under is not None and is_at_or_below(under, root)]
        return sum(max(oldest[root] - since, 0) for root in named or oldest)

    @property
    def is_congested(self) -> bool:
        """Whether a reader with `policy="block"` has fallen too far behind."""
        readers = self._readers
        return readers is not None and bool(readers.blocking) and readers.is_congested

    async def wait_for_readers(self) -> None:
        """Wait until no reader with `policy="block"` is too far behind."""
        if self._readers is not None:
            await self._readers.wait_for_room()

    def _deliver(self) -> None:
        """Tell the listeners, in order; whoever emits meanwhile only appends to the log.

        Otherwise a listener that emits would recurse, and of two threads one could overtake the
        other between taking a number and telling of it. The outer loop looks once more after
        giving up the turn, for an event appended in between.
        """
        if _unheard and self in _unheard.get(threading.get_ident(), ()):
            return
        while True:
            with _lock:
                if self._delivering or self._told == self._log.end:
                    return
                self._delivering = threading.get_ident()
            try:
                while (found := self._log.next_from(self._told)) is not None:
                    at, event = found
                    self._told = at + 1
                    self._tell_all(event)
            finally:
                self._delivering = 0

    def _tell_all(self, event: Event) -> None:
        for callback, matches in self._listeners:
            if matches is None or matches(event):
                self._tell(callback, event)

    def _tell(self, callback: Listener, event: Event) -> None:
        started = perf_counter()
        try:
            callback(event)
        except (Exception, Signal, CancelledError):  # no signal of a listener steers a run
            _logger.exception("listener %r failed on %s; the run goes on", callback, event.id)
        took = perf_counter() - started
        if took > _SLOW_S and id(callback) not in self._slow:
            self._slow |= {id(callback)}
            _logger.warning(
                "listener %r held up its run for %.1f s; read sink.stream() instead", callback, took
            )

    def _redacted(
        self, redact: Redactor, kind: EventKind, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        if kind == "model.delta":
            # A secret may be split over several pieces, none of which has it: only the whole
            # message can be judged, and that follows in `model.completed`.
            data = {**data, "text": ""}
        try:
            return redact(data)
        except Exception as error:
            _logger.exception("redactor %r failed; the event's data is withheld", redact)
            return {"withheld": f"redactor raised {type(error).__name__}"}

    def _trim(self) -> None:
        """Drop the oldest events, but none that a listener or blocking reader still has to see."""
        with _lock:
            untold = self._told if self._listeners else inf
            wanted = inf if self._readers is None else self._readers.oldest_wanted
            self._log.trim(min(untold, wanted))
