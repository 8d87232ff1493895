"""`tinyagents run`: one task, watched, to its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from tinyagents import Agent, Event, EventSink
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.outcome import Outcome, finish, say, tell
from tinyagents.console import ConsoleTrace

__all__ = ["Show", "run"]

Show: TypeAlias = Literal["watch", "quiet", "json"]


def run(
    agent: Agent[Any, Any], task: str, show: Show, folder: Path, *, steered: bool = False
) -> ExitCode:
    """Run `agent` on `task` and print what came of it.

    The answer goes to the standard output stream; the trace, remarks and whatever the user's code
    prints go to the error stream, so that `> answer.txt` holds the answer only.

    Args:
        agent: Whom to run.
        task: What it is asked.
        show: `"watch"` the tree, `"quiet"` for the answer only, `"json"` for one event per line.
        folder: Where the user's code lies, to tell it from ours in a traceback.
        steered: Whether somebody steers it at the terminal.

    Returns:
        The exit code.
    """
    stdout = sys.stdout
    sink = EventSink()
    with redirect_stdout(sys.stderr), _shown(sink, show, stdout) as trace:
        outcome = asyncio.run(_drive(agent, task, sink, trace, steered))
    if show == "json":
        say(outcome.to_json(), stdout)
    else:
        tell(outcome, folder)
    return outcome.code


async def _drive(
    agent: Agent[Any, Any], task: str, sink: EventSink, trace: ConsoleTrace | None, steered: bool
) -> Outcome:
    return await finish(lambda: agent.stream(task, sink=sink), sink, trace, steered=steered)


@contextmanager
def _shown(sink: EventSink, show: Show, stdout: TextIO) -> Generator[ConsoleTrace | None]:
    if show == "watch":
        with ConsoleTrace(sink) as trace:
            yield trace
        if sys.stderr.isatty():
            say("", sys.stderr)
        return
    if show == "json":
        _write_events(sink, stdout)
    yield None


def _write_events(sink: EventSink, stdout: TextIO) -> None:
    def write(event: Event) -> None:
        try:
            say(event.to_json(), stdout)
        except BrokenPipeError:
            # Nobody reads on, as after `| head`: no reason to spend more. The signal takes the
            # same orderly way as one from outside.
            stop_writing()
            signal.raise_signal(signal.SIGTERM)

    stop_writing = sink.subscribe(write)
