"""`ConsoleTrace`: watches a sink and shows in the terminal what its run trees do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias, get_args

from tinyagents.console.lines import LineTrace, write_line
from tinyagents.console.progress import Progress
from tinyagents.console.view import TreeView
from tinyagents.errors import ConfigError
from tinyagents_graph import Event, EventSink

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tinyagents.console.tree import TreeDisplay

__all__ = ["ConsoleTrace", "TraceMode"]

TraceMode: TypeAlias = Literal["auto", "tree", "lines", "progress"]
"""How to show runs; `"auto"` draws a tree in a terminal and writes lines elsewhere."""


class ConsoleTrace:
    """Shows what the runs of a sink do, for as long as the `with` block lasts.

    In a terminal it draws the tree of runs and keeps it up to date: who works on what, turns,
    tokens, money, time. Tokens and money of a line include those of the runs below it. Elsewhere it
    writes one plain line for each important event. It only listens: the runs do not know of it.

        sink = EventSink()
        with ConsoleTrace(sink):
            await agent.run("…", sink=sink)

    Args:
        sink: What to watch.
        file: Where to show it; the standard error stream if not given, so that the program's own
            output stays apart.
        mode: `"tree"`, `"lines"`, or `"auto"`: the tree if `file` is a terminal that can draw one.
            `"progress"` is for many children at once: how many of them have ended, in one line
            that is kept up to date, or ten lines elsewhere.
        transient: Whether a drawn tree disappears at the end of the block if it is one run only.
        past: Events of runs that go on, which a journal has: they are taken in, and not told.

    Raises:
        ConfigError: There is no such mode.
    """

    def __init__(
        self,
        sink: EventSink,
        *,
        file: TextIO | None = None,
        mode: TraceMode = "auto",
        transient: bool = False,
        past: Iterable[Event] = (),
    ) -> None:
        if mode not in get_args(TraceMode):
            raise ConfigError(f"mode={mode!r}: choose one of {', '.join(get_args(TraceMode))}")
        self._sink = sink
        self._file = file or sys.stderr
        self._mode = mode
        self._transient = transient
        self._past = past
        self._listener: LineTrace | TreeDisplay | Progress | None = None

    def __enter__(self) -> Self:
        if self._mode == "progress":
            self._listener = Progress(self._file, is_drawn=_can_draw(self._file))
            self._unsubscribe = self._sink.subscribe(self._tell)
            return self
        view = TreeView()
        for event in self._past:
            view.see(event)
        if self._mode == "tree" or (self._mode == "auto" and _can_draw(self._file)):
            # Drawing needs rich, which takes longer to import than plain lines take to write.
            from tinyagents.console.tree import TreeDisplay

            display = TreeDisplay(self._file, view, transient=self._transient)
            display.start()
            self._listener = display
        else:
            self._listener = LineTrace(self._file, view)
        self._unsubscribe = self._sink.subscribe(self._tell)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unsubscribe()
        if self._listener is not None and not isinstance(self._listener, LineTrace):
            self._listener.stop()

    @property
    def is_drawn(self) -> bool:
        """Whether there is a drawn tree at the moment, so that nobody else should write there."""
        return self._listener is not None and not isinstance(self._listener, LineTrace)

    def note(self, text: str) -> None:
        """Show a remark of the host, such as "stopping"; only inside the `with` block.

        Below a drawn tree it stands until the next one; there a signal handler may call this, too.
        """
        if isinstance(self._listener, LineTrace):
            write_line(self._file, text)
        elif self._listener is not None:
            self._listener.note(text)

    def _tell(self, event: Event) -> None:
        assert self._listener is not None
        try:
            self._listener(event)
        except BrokenPipeError:
            # Whoever read the lines has left. The run is not theirs to stop, and the sink would
            # log this error again for every event to come.
            self._unsubscribe()


def _can_draw(file: TextIO) -> bool:
    return file.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
