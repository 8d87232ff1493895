"""`tinyagents run` and `resume`: one task, watched, to its end or until it waits for the human."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, cast

from pydantic_core import from_json

from tinyagents import Agent, ConfigError, Event, EventSink, MemoryJournal, RunHandle
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.outcome import tell
from tinyagents.cli.rounds import Rounds, say_next
from tinyagents.cli.store import RunJournal
from tinyagents.cli.text import say
from tinyagents.console import ConsoleTrace
from tinyagents_graph.stategraph import Graph

__all__ = ["Show", "run"]

Show: TypeAlias = Literal["watch", "quiet", "json"]


def run(
    agent: Agent[Any, Any] | Graph[Any],
    task: str | None,
    show: Show,
    folder: Path,
    *,
    run_id: str | None = None,
    journal: RunJournal | None = None,
    steered: bool = False,
) -> ExitCode:
    """Run `agent` on `task`, or go on with a run of it, and print what came of it.

    The answer goes to the standard output stream; the trace, remarks and whatever the user's code
    prints go to the error stream, so that `> answer.txt` holds the answer only.

    Args:
        agent: What to run.
        task: What it is asked, of a graph its state as JSON; `None` to go on with the run of that
            id.
        show: `"watch"` the tree, `"quiet"` for the answer only, `"json"` for one event per line.
        folder: Where the user's code lies, to tell it from ours in a traceback.
        run_id: Id of the run; if it is to be kept it has one.
        journal: Where it is kept; `None` for nowhere.
        steered: Whether somebody steers it at the terminal.

    Returns:
        The exit code.

    Raises:
        ConfigError: The task is no state of the graph.
    """
    stdout = sys.stdout
    sink = EventSink()
    watch = partial(_shown, sink, show, stdout)
    asked: Any = _state_from(task) if isinstance(agent, Graph) and task is not None else task
    # Without one a graph would wait for answers where nobody goes on with it.
    kept_in = journal or (MemoryJournal() if isinstance(agent, Graph) else None)
    opens: Any = partial(agent.stream, sink=sink, journal=kept_in)
    begin = partial(opens, asked, run_id=run_id)

    def go_on(run_id: str) -> RunHandle[Any]:
        handle: RunHandle[Any] = opens(None, run_id=run_id)
        return handle

    with asyncio.Runner() as runner:
        rounds = Rounds(runner, sink, watch, steered=steered, journal=journal)
        outcome = rounds.play(begin, go_on, run_id or "")
        if journal is not None:
            runner.run(journal.aclose())
    if show == "json":
        say(outcome.to_json(), stdout)
    else:
        tell(outcome, folder)
    if _is_worth_saying(outcome.code, show):
        say_next(outcome, run_id or "", journal)
    return outcome.code


def _state_from(task: str) -> dict[str, Any]:
    try:
        state: Any = from_json(task)
    except ValueError as error:
        raise ConfigError(
            f'the TASK of a graph is its state as JSON, as in \'{{"topic": "tea"}}\': {error}'
        ) from error
    if not isinstance(state, dict):
        raise ConfigError(f"the TASK of a graph is its state, a JSON object: {task[:80]!r} is none")
    return cast("dict[str, Any]", state)


def _is_worth_saying(code: ExitCode, show: Show) -> bool:
    return show == "watch" or (show == "quiet" and code != ExitCode.COMPLETED)


@contextmanager
def _shown(
    sink: EventSink, show: Show, stdout: TextIO, past: Iterable[Event]
) -> Generator[ConsoleTrace | None]:
    if show == "watch":
        with ConsoleTrace(sink, past=past) as trace:
            yield trace
        if sys.stderr.isatty():
            say("", sys.stderr)
        return
    if show == "json":
        stop_writing = _write_events(sink, stdout)
        try:
            yield None
        finally:
            stop_writing()
        return
    yield None


def _write_events(sink: EventSink, stdout: TextIO) -> Any:
    def write(event: Event) -> None:
        try:
            say(event.to_json(), stdout)
        except BrokenPipeError:
            # Nobody reads on, as after `| head`: no reason to spend more. The signal takes the
            # same orderly way as one from outside.
            stop_writing()
            signal.raise_signal(signal.SIGTERM)

    stop_writing = sink.subscribe(write)
    return stop_writing
