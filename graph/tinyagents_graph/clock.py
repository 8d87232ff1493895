"""`Clock`: how long a run may take. It stops while the run is paused."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from tinyagents_graph.loops import EventLoop

__all__ = ["Clock"]


class Clock:
    """The wall time of a run and its descendants.

    A run without `max_seconds` of its own shares its parent's clock, as it shares its accounts.

    Args:
        limit: Seconds it may take.
        path: The run whose limit it is.
        parent: The clock of the run above, which goes on by itself.
        used_s: Seconds it has taken before, until it was parked or its process died.

    Attributes:
        limit: Seconds it may take.
        path: The run whose limit it is.
        loop: The event loop that its run lives in.
    """

    __slots__ = ("_deadline", "_parent", "_stopped_at", "limit", "loop", "path")

    def __init__(self, limit: float, path: str, parent: Clock | None, used_s: float = 0.0) -> None:
        self.limit = limit
        self.path = path
        self.loop = EventLoop()
        self._parent = parent
        self._deadline = monotonic() + limit - used_s
        self._stopped_at: float | None = None

    @property
    def own_remaining_s(self) -> float:
        """Seconds left on this clock."""
        return self._deadline - (monotonic() if self._stopped_at is None else self._stopped_at)

    @property
    def remaining_s(self) -> float:
        """Seconds left on this clock and those above it, whichever is less."""
        return min(clock.own_remaining_s for clock in self._upwards())

    @property
    def run_out(self) -> Clock | None:
        """The clock whose time is up, the uppermost one if there are several."""
        found: Clock | None = None
        for clock in self._upwards():
            if clock.own_remaining_s <= 0:
                found = clock
        return found

    def stop(self) -> None:
        """Stand still."""
        if self._stopped_at is None:
            self._stopped_at = monotonic()

    def go_on(self) -> None:
        """Count on from where it stopped."""
        if self._stopped_at is not None:
            self._deadline += monotonic() - self._stopped_at
            self._stopped_at = None

    def _upwards(self) -> Iterator[Clock]:
        clock: Clock | None = self
        while clock is not None:
            yield clock
            clock = clock._parent
