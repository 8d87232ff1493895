"""`EventLog`: the events a sink keeps, and `EventView`, a look at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import overload

from tinyagents_graph.events import Event, Matcher

__all__ = ["EventLog", "EventView"]


class EventLog:
    """Events in the order they were published, addressed by position since the sink began.

    Args:
        history: How many to keep; `None` keeps all.
    """

    __slots__ = ("append", "dropped", "events", "history")

    def __init__(self, history: int | None) -> None:
        self.history = history
        # A list is read by slices; only a bounded log pays for a deque, to drop from its left.
        self.events: list[Event] | deque[Event] = [] if history is None else deque()
        self.dropped = 0
        self.append = self.events.append

    @property
    def end(self) -> int:
        """Position of the next event."""
        return self.dropped + len(self.events)

    def read(self, position: int, most: int) -> list[Event]:
        """Up to `most` events from `position` on, which must not be dropped yet."""
        start = position - self.dropped
        if isinstance(self.events, list):
            return self.events[start : start + most]
        return list(islice(self.events, start, start + most))

    def trim(self, wanted: int) -> None:
        """Drop what is beyond `history`, but nothing at position `wanted` or later."""
        events = self.events
        if isinstance(events, deque) and self.history is not None:
            while len(events) > self.history and self.dropped < wanted:
                events.popleft()
                self.dropped += 1


class EventView(Sequence[Event]):
    """The kept events (or those of one run and its descendants) as a sequence that grows.

    Args:
        log: Where they are kept.
        under: Only the run with this id, and its descendants.
    """

    def __init__(self, log: EventLog, under: str | None = None) -> None:
        self._log = log
        self._matches = None if under is None else Matcher(None, under)

    def __iter__(self) -> Iterator[Event]:
        events = self._log.read(self._log.dropped, len(self._log.events))
        return iter(events) if self._matches is None else filter(self._matches, events)

    def __len__(self) -> int:
        return len(self._log.events) if self._matches is None else sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"<{len(self)} events>"
