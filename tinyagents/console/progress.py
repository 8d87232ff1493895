"""`Progress`: how far a large fan-out is, in one line; or a line now and then in a pipe."""

from __future__ import annotations

import threading
from collections import Counter
from shutil import get_terminal_size
from time import time
from typing import TextIO

from tinyagents.console.lines import write_line
from tinyagents.console.text import dollars, duration, one_line, tokens
from tinyagents.console.view import inner
from tinyagents_graph import Event, Usage

__all__ = ["Progress"]

_WIDTH = 24
_FRAMES_PER_SECOND = 10
_LINES = 10  # how many lines a pipe gets of one fan-out, besides the last one
_ENDS = {"run.completed": "done", "run.failed": "failed", "run.cancelled": "cancelled"}


class Progress:
    """Counts the children of the roots: how many there are, have ended, and how.

    Args:
        file: Where it is shown.
        is_drawn: Whether that is a terminal, where one line is kept up to date.
    """

    def __init__(self, file: TextIO, *, is_drawn: bool) -> None:
        self._file = file
        self._is_drawn = is_drawn
        self._lock = threading.Lock()
        self._ended: Counter[str] = Counter()
        self._n_begun = self._n_planned = self._told = 0
        self._usage = Usage()
        self._name = ""
        self._first = self._last = 0.0
        self._next_frame = 0.0

    def __call__(self, event: Event) -> None:
        """Take in the next event."""
        with self._lock:
            self._see(event)
            if self._is_drawn:
                if event.time >= self._next_frame:
                    self._next_frame = event.time + 1 / _FRAMES_PER_SECOND
                    self._redraw()
            elif self._is_due():
                write_line(self._file, self.text)

    def stop(self) -> None:
        """Show how it ended."""
        with self._lock:
            if self._is_drawn:
                self._redraw("\n")
            elif self._told < self._n_ended or not self._n_begun:
                write_line(self._file, self.text)

    def note(self, text: str) -> None:
        """Show a remark of the host."""
        write_line(self._file, f"\n{text}" if self._is_drawn else text)

    @property
    def text(self) -> str:
        """How far it is."""
        n, total = self._n_ended, max(self._n_planned, self._n_begun)
        took = self._last - self._first
        facts = [f"{self._name}: {n:,} of {total:,}"]
        facts += [
            f"{self._ended[how]:,} {how}" for how in ("failed", "cancelled") if self._ended[how]
        ]
        if working := self._n_begun - n:
            facts.append(f"{working:,} at work")
        facts += [
            f"{tokens(self._usage.total_tokens)} tokens",
            dollars(self._usage),
            duration(took),
        ]
        if 0 < n < total and took > 1:
            facts.append(f"about {duration(took / n * (total - n))} left")
        return " · ".join(facts)

    @property
    def _n_ended(self) -> int:
        return sum(self._ended.values())

    def _see(self, event: Event) -> None:
        data = event.data
        self._last = event.time
        if event.depth == 0 and event.kind == "run.started":
            self._first = self._first or event.time
            self._name = self._name or one_line(str(data.get("agent") or data.get("name", "")), 40)
            planned: object = data.get("tasks")
            self._n_planned += planned if isinstance(planned, int) else 0
        elif event.depth == 1 and event.kind == "run.started":
            self._n_begun += 1
        elif event.depth == 1 and event.kind in _ENDS:
            self._ended[_ENDS[event.kind]] += 1
        if event.kind == "model.completed":
            self._usage = self._usage + Usage.from_dict(inner(data, "usage"))

    def _is_due(self) -> bool:
        """Whether another tenth of them has ended."""
        total = max(self._n_planned, self._n_begun)
        if total and self._n_ended * _LINES // total > self._told * _LINES // total:
            self._told = self._n_ended
            return True
        return False

    def _redraw(self, end: str = "") -> None:
        total = max(self._n_planned, self._n_begun, 1)
        filled = self._n_ended * _WIDTH // total
        bar = "#" * filled + "." * (_WIDTH - filled)
        if not end:
            self._last = max(self._last, time())
        width = get_terminal_size().columns - 1
        self._file.write(f"\r\x1b[2K{f'[{bar}] {self.text}'[:width]}{end}")
        self._file.flush()
