"""`tinyagents trace`: what a run did, call by call; or what it does, while it does it."""

from __future__ import annotations

import sys
from time import time

import anyio

from tinyagents import Event, EventSink
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, is_live
from tinyagents.cli.text import say
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import dollars, duration, tokens
from tinyagents.console.timeline import Entry, Timeline
from tinyagents_graph.events import TERMINAL

__all__ = ["follow_run", "trace_run"]

_LOOK_AGAIN_S = 0.2
_MARKS = {
    "running": "…", "paused": "‖", "completed": "✔", "limited": "▲", "failed": "✘",
    "cancelled": "■",
}  # fmt: skip
_FIGURES = ("at", "took", "tokens", "cost")
_ANY_WIDTH = 100_000
_STYLES = {"failed": "red", "completed": "green", "running": "cyan"}


async def trace_run(journal: RunJournal, run: str) -> ExitCode:
    """Print a run's tree with every call: when it began, how long it took, tokens and money."""
    record = await find_tree(journal, run)
    events = await journal.read(record.run_id)
    timeline = Timeline()
    for event in events:
        timeline.see(event)
    now = time() if is_live(record) or not events else events[-1].time
    _draw(timeline, now)
    return ExitCode.COMPLETED


def _draw(timeline: Timeline, now: float) -> None:
    from rich.console import Console  # which takes long to import
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    rows: list[tuple[list[str], Text]] = []
    begun: float | None = None
    for before, entry, took in timeline.lines(now):
        begun = entry.began if begun is None else begun
        style = _STYLES.get(entry.status, "yellow")
        what = Text.assemble(
            (before, "dim"),
            (f"{_MARKS.get(entry.status, '?')} ", style),
            (entry.label, "bold" if entry.kind == "run" else ""),
            (f"  {entry.remark}" if entry.remark else "", _remark_style(entry)),
        )
        is_paid = entry.kind in ("run", "model")
        cells = [f"{entry.began - begun:.2f}s", f"{took:.3f}s" if took < 1 else duration(took)]
        cells.append(tokens(entry.usage.total_tokens) if is_paid else "")
        cells.append(dollars(entry.usage) if is_paid else "")
        rows.append((cells, what))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for number, name in enumerate(_FIGURES):
        # As wide as it has to be: where there is no room, what is cut is the text, and no figure.
        width = max(len(name), *(len(cells[number]) for cells, _ in rows), 0)
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("what", no_wrap=True, overflow="ellipsis")
    for cells, what in rows:
        table.add_row(*cells, what)
    if not console.is_terminal:
        console.width = _ANY_WIDTH  # in a pipe nothing is cut
    console.print(table)


def _remark_style(entry: Entry) -> str:
    return "red" if entry.status == "completed" else _STYLES.get(entry.status, "yellow")


async def follow_run(journal: RunJournal, run: str) -> ExitCode:
    """Show a run while it is under way, in whichever process: drawn, or a line for each event.

    It ends when the run ends or parks, or its process is gone.
    """
    record = await find_tree(journal, run)
    sink, seen = EventSink(), 0
    with ConsoleTrace(sink, file=sys.stdout):
        while True:
            is_live_now = is_live(record)
            new = await journal.read(record.run_id, seen)
            sink.publish(new)
            seen += len(new)
            if any(_is_the_end(event) for event in new[-1:]):
                return ExitCode.COMPLETED
            if not new and not is_live_now:
                break
            await anyio.sleep(_LOOK_AGAIN_S)
            record = await find_tree(journal, record.run_id)
    say(f"{record.run_id} is not under way: tinyagents resume {record.run_id}", sys.stderr)
    return ExitCode.COMPLETED


def _is_the_end(event: Event) -> bool:
    if event.parent_run_id is not None:
        return False
    is_parked = event.kind == "run.paused" and "tree_usage" in event.data
    return is_parked or event.kind in TERMINAL["run.started"]
