"""When a process is killed: at a boundary of its journal, at a moment, or when much was seen."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinyagents import Event
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import Delivery, Done, Lease, Opening

__all__ = ["Boundaries", "Kill", "WatchedJournal"]


@dataclass(frozen=True)
class Kill:
    """A moment to kill a process at.

    Attributes:
        kind: `"b"` at the nth boundary of its journal, by its own hand, and at none for 0; `"t"`
            after so many seconds; `"s"` when it has shown so many events.
        at: Which one.
    """

    kind: Literal["b", "t", "s"]
    at: float

    def __str__(self) -> str:
        return f"{self.kind}{self.at:g}" if self.kind != "t" else f"t{self.at:.6f}"

    @staticmethod
    def parse(text: str) -> Kill:
        """The kill that `str` wrote.

        Raises:
            ValueError: It is none.
        """
        kind: Any = text[:1]
        if kind not in ("b", "t", "s"):
            raise ValueError(f"{text!r}: give b and a boundary, t and seconds, or s and a number")
        return Kill(kind, float(text[1:]))


class Boundaries:
    """Counts the moments between which a journal does something, and dies at one of them.

    Args:
        last: Which one to die at; 0 for none.
    """

    def __init__(self, last: int = 0) -> None:
        self.n = 0
        self._last = last

    def __call__(self) -> None:
        self.n += 1
        if self.n == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedJournal(SqliteJournal):
    """A journal with a boundary before and after whatever changes it.

    For an append these are: before it, after it has been handed over, when it is durable and
    nobody knows, and when that is known.
    """

    def __init__(self, path: Any, boundary: Boundaries) -> None:
        super().__init__(path)
        self._boundary = boundary

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        def told(error: BaseException | None) -> None:
            self._boundary()
            done(error)
            self._boundary()

        self._boundary()
        super().append(lease, events, told)
        self._boundary()

    async def open(self, run_id: str, **about: Any) -> Opening:
        self._boundary()
        opening = await super().open(run_id, **about)
        self._boundary()
        return opening

    async def begin(self, run_id: str, **about: Any) -> Opening | None:
        self._boundary()
        opening = await super().begin(run_id, **about)
        self._boundary()
        return opening

    async def close(self, lease: Lease) -> None:
        self._boundary()
        await super().close(lease)
        self._boundary()

    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        def told(delivery: Delivery) -> None:
            self._boundary()
            heard(delivery)
            self._boundary()

        super().listen(lease, told)

    async def deliver(self, delivery: Delivery) -> Delivery:
        self._boundary()
        stands = await super().deliver(delivery)
        self._boundary()
        return stands
