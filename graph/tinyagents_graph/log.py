"""`EventLog`: the events a sink keeps, and `EventView`, a look at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from tinyagents_graph.events import Event, is_at_or_below

__all__ = ["EventLog", "EventView"]


class EventLog:
    """Events in the order they were published, addressed by position since the sink began.

    One thread at a time may append and trim; any thread may read at any time. Rejected: a deque,
    which cannot be read from the middle without walking there, nor while another thread drops.

    Args:
        history: How many to keep; `None` keeps all.

    Attributes:
        dropped: Position of the oldest event that is kept.
        held: A list, and the position of its first event: in one value, so that a reader in another
            thread never sees the one without the other. To the list new events are appended, not by
            a method of this class, which would be called for every event there is.
    """

    __slots__ = ("dropped", "held", "history")

    def __init__(self, history: int | None) -> None:
        self.history = history
        self.dropped = 0
        self.held: tuple[int, list[Event]] = (0, [])

    def __len__(self) -> int:
        return self.end - self.dropped

    @property
    def end(self) -> int:
        """Position of the next event."""
        first, events = self.held
        return first + len(events)

    def read(self, position: int, most: int) -> tuple[int, list[Event]]:
        """Up to `most` events from `position` on, or from the oldest one there is.

        Returns:
            The position of the first of them, and the events.
        """
        first, events = self.held
        start = max(position - first, 0)
        return first + start, events[start : start + most]

    def next_from(self, position: int) -> tuple[int, Event] | None:
        """The event at `position`, or the oldest one there is after it, and where it stands."""
        first, events = self.held
        start = position - first if position > first else 0
        return (first + start, events[start]) if start < len(events) else None

    def trim(self, wanted: float) -> None:
        """Drop what is beyond `history`, but nothing at position `wanted` or later."""
        if self.history is None:
            return
        first, events = self.held
        beyond = first + len(events) - self.history
        self.dropped = max(self.dropped, int(min(beyond, wanted)))
        gone = self.dropped - first
        if gone > self.history // 4:  # a quarter at once, for a copy each time would be dear
            self.held = (self.dropped, events[gone:])


class EventView(Sequence[Event]):
    """The kept events (or those of one run and its descendants) as a sequence that grows.

    Args:
        log: Where they are kept.
        under: Only the run with this id, and its descendants.
    """

    def __init__(self, log: EventLog, under: str | None = None) -> None:
        self._log = log
        self._under = under

    def __iter__(self) -> Iterator[Event]:
        _, events = self._log.read(self._log.dropped, len(self._log))
        under = self._under
        if under is None:
            return iter(events)
        return (event for event in events if is_at_or_below(event.run_id, under))

    def __len__(self) -> int:
        return len(self._log) if self._under is None else sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"<{len(self)} events>"
