"""`Helm`: whoever sits at the terminal steers the run that is under way.

While it goes on, a line typed is told to the agent, or answers the question that is open. Ctrl-C
pauses the tree; then a line is a command. What is typed shows below the tree, in the same line as
remarks: the tree is redrawn many times a second, over whatever the terminal itself would echo.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from tinyagents import (
    Cancel,
    EventSink,
    Inject,
    Pause,
    Redirect,
    Resume,
    RunHandle,
    SteerCommand,
)
from tinyagents.cli.asks import answer_from
from tinyagents.cli.store import login_name
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import call_label, one_line
from tinyagents.console.view import inner
from tinyagents_graph import Event
from tinyagents_graph.journal.inbox import InboxAsk

__all__ = ["Helm", "can_steer"]

_MENU = "paused: Enter goes on | s RUN TEXT redirects | c RUN cancels a branch | q cancels all"
_UNREADABLE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O.)?")
_SHOWN_CHARS = 60


def can_steer(*, auto: bool) -> bool:
    """Whether somebody sits at a terminal that keys can be read from, and wants to."""
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    return not auto and is_terminal and find_spec("termios") is not None


class Helm:
    """Reads keys while a run goes on, and steers it by them.

    Args:
        run: What to steer.
        sink: Where its questions can be seen.
        trace: Where typed text and remarks are shown.
        cancel: Cancels everything in an orderly way.

    Attributes:
        is_paused: Whether it waits for a command.
    """

    def __init__(
        self, run: RunHandle[Any], sink: EventSink, trace: ConsoleTrace, cancel: Callable[[], None]
    ) -> None:
        self._run = run
        self._sink = sink
        self._trace = trace
        self._cancel = cancel
        self._typed = ""
        self._remarks: list[str] = []  # the last two, for one may follow another at once
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_paused = False

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Read keys for as long as the `with` block lasts."""
        import termios
        import tty

        keys, loop = sys.stdin.fileno(), asyncio.get_running_loop()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        before = termios.tcgetattr(keys)
        tty.setcbreak(keys)
        loop.add_reader(keys, lambda: self._take(decoder.decode(os.read(keys, 4096))))
        unsubscribe = self._sink.subscribe(self._on_ask, kinds="ask.raised")
        try:
            yield
        finally:
            unsubscribe()
            loop.remove_reader(keys)
            termios.tcsetattr(keys, termios.TCSANOW, before)
            for task in self._tasks:
                task.cancel()

    def pause(self) -> None:
        """Park the tree, and wait for a command."""
        self.is_paused = True
        self._do(self._steer([Pause("Ctrl-C")], None))
        self._say(_MENU)
        if not self._trace.is_drawn:
            self._trace.note(str(self._run.tree()))

    # --- keys ----------

    def _take(self, keys: str) -> None:
        for key in _UNREADABLE.sub("", keys):
            if key in "\r\n":
                line, self._typed = self._typed.strip(), ""
                self._obey(line)
            elif key in "\x7f\b":
                self._typed = self._typed[:-1]
            elif key == "\x15":  # Ctrl-U
                self._typed = ""
            elif key.isprintable():
                self._typed += key
        self._show()

    def _obey(self, line: str) -> None:
        asks = self._run.pending()
        if self.is_paused:
            self._command(line)
        elif line and asks:
            self._do(self._answer(asks[0].id, line))
        elif line.startswith("@"):
            name, _, text = line[1:].partition(" ")
            self._send(name, text, Inject)
        elif line:
            self._do(self._steer([Inject(line)], None))

    def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        name, _, text = rest.strip().partition(" ")
        if word in ("", "g"):
            self.is_paused = False
            self._do(self._steer([Resume()], None))
        elif word == "q":
            self._cancel()
        elif word == "s" and text.strip():
            self._send(name, text, Redirect)
        elif word == "c" and name:
            self._send(name, text or "cancelled at the terminal", Cancel)
        else:
            self._say(f"{one_line(line, 20)}? {_MENU}")

    def _send(self, name: str, text: str, make: Callable[[str], SteerCommand]) -> None:
        paths = [run.path for run in self._run.tree() if run.ended is None]
        found = [path for path in paths if path == name or path.endswith(f"/{name}")]
        if len(found) != 1 or not text.strip():
            known = ", ".join(path.removeprefix("root/") for path in paths)
            self._say(f"which run is {name!r}? {known}" if text.strip() else f"{name}: say what")
            return
        self._do(self._steer([make(text.strip())], found[0]))

    # --- what comes of it ----------

    async def _steer(self, commands: Sequence[SteerCommand], to: str | None) -> None:
        ack = await self._run.steer(list(commands), to)
        name = "/".join(ack.path.split("/")[1:]) or "the agent"
        what = commands[0].kind
        if what == "pause":
            return
        self._say(f"{what} {name}: {ack.status}{f', {ack.reason}' if ack.reason else ''}")
        if ack.status == "received":
            await ack.wait()
            self._say(f"{what} {name}: {ack.status} {ack.reason or f'before {ack.step}'}")

    async def _answer(self, ask_id: str, line: str) -> None:
        for ask in self._run.pending():
            if ask.id != ask_id:
                continue
            wrong = ""
            if isinstance(ask, InboxAsk):
                wrong = await answer_from(ask, line, login_name())
            else:
                await ask.answer(line)
            self._say(wrong or f"answered {ask.path}")

    def _on_ask(self, event: Event) -> None:
        if event.data.get("to") == "human":
            data = event.data
            question = one_line(str(data.get("question")), 200)
            how = "type the answer"
            if data.get("what") == "approval":
                question = call_label(str(data.get("tool")), inner(data, "arguments"), 200)
                how = "y, or n and why"
            self._say(f"{event.path} asks: {question} ({how})")

    def _do(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, remark: str) -> None:
        self._remarks = [remark, *self._remarks[:1]]
        if self._trace.is_drawn:
            self._show()
        else:
            self._trace.note(remark)

    def _show(self) -> None:
        if self._trace.is_drawn:
            typed = f"> {self._typed[-_SHOWN_CHARS:]}_ " if self._typed else ""
            self._trace.note(f"{typed}{' · '.join(self._remarks)}")
