"""`TreeDisplay`: the run tree, redrawn in place while it grows."""

from __future__ import annotations

import threading
from time import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tinyagents.console.rows import Row, Standing, rows
from tinyagents.console.text import clean, dollars, duration, tokens
from tinyagents.console.view import TreeView
from tinyagents_graph import Event

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType, RenderResult

__all__ = ["TreeDisplay", "print_tree"]

_FRAMES_PER_SECOND = 10
_ANSWER_LINES = 5
_NOTE_LINES = 3
# The fewest rows of a tree's last picture, which stays in the scroll-back and may be longer.
_LAST_ROWS = 40

_STYLES: dict[Standing, str] = {
    "running": "cyan",
    "paused": "yellow",
    "completed": "green",
    "limited": "yellow",
    "failed": "red",
    "cancelled": "yellow",
}
_MARKS: dict[Standing, str] = {
    "paused": "‖", "completed": "✔", "limited": "▲", "failed": "✘", "cancelled": "■",
}  # fmt: skip
_ASCII_MARKS: dict[Standing, str] = {
    "paused": "=", "completed": "+", "limited": "!", "failed": "x", "cancelled": "#",
}  # fmt: skip
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPIN = "|/-\\"
_ASCII_GUIDES = str.maketrans({"│": "|", "├": "+", "└": "`", "─": "-"})


def print_tree(file: TextIO, view: TreeView, at: float) -> None:
    """Draw runs once, as they were at some time.

    Args:
        file: Where to; a terminal or not.
        view: The runs.
        at: The time, in seconds since the epoch.
    """
    display = TreeDisplay(file, view, at=at)
    Console(file=file, highlight=False).print(display)


class TreeDisplay:
    """One line for each run, and below them the root's answer as it is written.

    Args:
        file: A terminal.
        view: The runs to show.
        transient: Whether a tree of one run only disappears once it is done.
        at: The time to draw it at, in seconds since the epoch; if given, it is the last picture.
    """

    def __init__(
        self, file: TextIO, view: TreeView, *, transient: bool = False, at: float | None = None
    ) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._note = ""
        self._is_last = at is not None
        self._at = at
        self._transient = transient
        # Drawing is left to a thread of its own: a listener that draws would hold up the runs.
        self._live = Live(
            console=Console(file=file, highlight=False),
            get_renderable=self._get_picture,
            refresh_per_second=_FRAMES_PER_SECOND,
        )

    def __call__(self, event: Event) -> None:
        """Take in the next event."""
        with self._lock:
            self._view.see(event)

    def note(self, text: str) -> None:
        """Show a remark below the tree; it takes no lock, for callers that may be in a signal."""
        self._note = text

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Draw the last picture and leave the terminal as it was."""
        with self._lock:
            self._is_last = True
            self._live.transient = self._transient and len(self._view.runs) <= 1
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            picture = self._picture(console, options)
        yield picture  # without the lock: laying it out takes longer than a run should wait

    def _get_picture(self) -> TreeDisplay:
        return self

    def _picture(self, console: Console, options: ConsoleOptions) -> RenderableType:
        if not self._view.roots:
            return Text("")
        now = time() if self._at is None else self._at
        width, height = options.max_width, console.size.height
        answer = [] if self._is_last else self._answer(console, width)
        below = [self._summary(now), *answer, *self._remark(console, width)]
        # Besides the rows: the head, what is below them, and a line for the cursor.
        most = max(_LAST_ROWS, height - 3) if self._is_last else max(height - 2 - len(below), 3)
        return Group(_table(rows(self._view.roots, most), now, width, options.ascii_only), *below)

    def _summary(self, now: float) -> Text:
        counts: dict[str, int] = {}
        for run in self._view:
            counts[run.status] = counts.get(run.status, 0) + 1
        standing = [
            f"{counts[status]} {'at work' if status == 'running' else status}"
            for status in _STYLES
            if status in counts
        ]
        usage = self._view.usage
        first, last = self._view.roots[0], self._view.roots[-1]
        took = (now if last.ended is None else last.ended) - first.started
        n_runs = len(self._view.runs)
        facts = [
            f"{n_runs} run{'' if n_runs == 1 else 's'}: {', '.join(standing)}",
            f"{self._view.n_events:,} events",
            f"{tokens(usage.total_tokens)} tokens",
            dollars(usage),
            duration(took),
        ]
        return Text(" · ".join(facts), style="dim", no_wrap=True, overflow="ellipsis")

    def _remark(self, console: Console, width: int) -> list[Text]:
        """What the host has to say, or somebody types."""
        if not self._note or self._is_last:
            return []
        return list(Text(self._note, "bold yellow").wrap(console, max(width - 1, 1)))[:_NOTE_LINES]

    def _answer(self, console: Console, width: int) -> list[Text]:
        """The last lines of what the latest root is writing."""
        root = self._view.roots[-1]
        said = clean(root.saying).strip()
        if root.ended is not None or not said:
            return []
        lines = Text(said[-width * 4 * _ANSWER_LINES :]).wrap(console, max(width - 2, 1))
        return [Text("  ").append_text(line) for line in lines[-_ANSWER_LINES:]]


def _table(shown: list[Row], now: float, width: int, ascii_only: bool) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("run", ratio=4, no_wrap=True, overflow="ellipsis")
    if width >= 60:
        table.add_column("now", ratio=3, no_wrap=True, overflow="ellipsis")
    if width >= 72:
        table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True, min_width=5)
    for row in shown:
        cells = [_name(row, now, ascii_only)]
        if width >= 60:
            style = "red" if row.standing == "failed" else "" if row.is_live else "dim"
            cells.append(Text(row.doing, style))
        if width >= 72:
            cells.append(Text(str(row.turns)))
        cells += [Text(tokens(row.usage.total_tokens)), Text(dollars(row.usage))]
        cells.append(Text(duration(row.seconds(now))))
        table.add_row(*cells)
    return table


def _name(row: Row, now: float, ascii_only: bool) -> Text:
    spin, marks = (_ASCII_SPIN, _ASCII_MARKS) if ascii_only else (_SPIN, _MARKS)
    running = row.standing == "running"
    frame = spin[int(now * _FRAMES_PER_SECOND) % len(spin)]
    mark = frame if running else marks[row.standing]
    guides = row.guides.translate(_ASCII_GUIDES) if ascii_only else row.guides
    style = "bold" if row.is_live else ""
    return Text.assemble(
        (guides, "dim"),
        (f"{mark} ", _STYLES[row.standing]),
        (row.label, style),
        (f"  {row.task}" if row.task else "", "dim"),
    )
