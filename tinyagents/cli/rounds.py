"""A run that is kept, round by round: it waits for the human, who answers here or elsewhere.

Each round is a run until it ends or waits. At a terminal its questions are put here and now, and
then it goes on; elsewhere it is said how to answer them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, redirect_stdout
from functools import partial
from typing import Any, TypeAlias, cast

from tinyagents import ConfigError, Event, EventSink, RunHandle
from tinyagents.cli.asks import QUICKER, answer_from, say_asks, what_it_wants
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.outcome import Outcome, finish
from tinyagents.cli.store import RunJournal, login_name
from tinyagents.cli.text import say
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import one_line
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.protocol import Journal

__all__ = ["Begin", "Rounds", "Watch", "say_next"]

Begin: TypeAlias = Callable[[], AbstractAsyncContextManager[RunHandle[Any]]]
GoOn: TypeAlias = Callable[[str], AbstractAsyncContextManager[RunHandle[Any]]]
Watch: TypeAlias = Callable[[Iterable[Event]], AbstractContextManager[ConsoleTrace | None]]

_UNENDED = (ExitCode.FAILED, ExitCode.LIMITED, ExitCode.INTERRUPTED, ExitCode.TERMINATED)


class Rounds:
    """What the rounds of runs have in common.

    Args:
        runner: Their event loop: what tools and models keep open belongs to it.
        sink: Where the events are.
        watch: Shows them; given what happened before.
        steered: Whether somebody steers at the terminal; that one is asked, too.
        journal: Where the runs are kept; `None` for no longer than this process.
    """

    def __init__(
        self,
        runner: asyncio.Runner,
        sink: EventSink,
        watch: Watch,
        *,
        steered: bool,
        journal: Journal | None,
    ) -> None:
        self._runner = runner
        self._sink = sink
        self._watch = watch
        self._steered = steered
        self._journal = journal

    def play(self, begin: Begin, go_on: GoOn, run_id: str = "") -> Outcome:
        """Play rounds until the run has ended, or nobody here answers what it asks.

        Args:
            begin: Opens the first round.
            go_on: Opens each later one, of the run with this id.
            run_id: Id of the run, if there may be more of it than what is to come.
        """
        outcome = self._round(run_id, begin)
        while outcome.result is not None and outcome.code == ExitCode.PAUSED and self._steered:
            if not self._ask(outcome.result.pending):
                break
            run_id = outcome.result.run_id
            outcome = self._round(run_id, partial(go_on, run_id))
        return outcome

    def _round(self, run_id: str, begin: Begin) -> Outcome:
        past = self._runner.run(self._past(run_id))
        with redirect_stdout(sys.stderr), self._watch(past) as trace:
            return self._runner.run(finish(begin, self._sink, trace, steered=self._steered))

    async def _past(self, run_id: str) -> Sequence[Event]:
        journal = self._journal
        if journal is None or await journal.find(run_id) is None:
            return ()
        return await journal.read(run_id)

    # --- asking ----------

    def _ask(self, asks: Sequence[InboxAsk]) -> bool:
        """Put questions to whoever sits here.

        Returns:
            Whether to go on: one of them at least was answered.
        """
        n_answered = 0
        for ask in asks:
            said = self._ask_one(ask)
            if said is None:
                break
            n_answered += said
        return n_answered > 0

    def _ask_one(self, ask: InboxAsk) -> bool | None:
        """Put a question until there is an answer that fits.

        Returns:
            Whether it was answered; `None` to be asked nothing more.
        """
        say(f"\n{ask.path} {what_it_wants(ask)}", sys.stderr)
        if ask.reasoning.strip():
            say(f"  it says: {one_line(ask.reasoning, 300)}", sys.stderr)
        while True:
            line = _typed(_MENUS.get(ask.what, _MENU))
            if line is None or line.strip() in ("q", "quit"):
                return None
            if not line.strip():
                return False
            wrong = self._runner.run(_take(ask, line))
            if wrong:
                say(wrong, sys.stderr)
            if wrong in ("", QUICKER):
                return True


_MENU = "your answer, Enter for later, q to leave it> "
_MENUS = {
    "approval": "y, n WHY, e JSON to change the arguments, Enter for later, q to leave it> ",
    "doubt": "y to do it again, n WHY if it failed, or what came of it; q to leave it> ",
}


async def _take(ask: InboxAsk, line: str) -> str:
    """Answer with what was typed; what is wrong with that, if something is."""
    word, _, rest = line.strip().partition(" ")
    if ask.what == "approval" and word in ("e", "edit"):
        try:
            arguments: Any = json.loads(rest)
            if not isinstance(arguments, dict):
                return f"e and the arguments, as in e {json.dumps(dict(ask.arguments))}"
            given = cast("dict[str, Any]", arguments)
            was_taken = await ask.approve(arguments=given, by=login_name())
        except ValueError:
            return f"e and the arguments, as in e {json.dumps(dict(ask.arguments))}"
        return "" if was_taken else QUICKER
    try:
        return await answer_from(ask, line, login_name())
    except ConfigError as error:
        return one_line(str(error), 300)


def _typed(prompt: str) -> str | None:
    """A line of whoever sits here; `None` if they leave."""
    print(prompt, end="", file=sys.stderr, flush=True)
    try:
        return input()
    except (EOFError, KeyboardInterrupt):
        say("", sys.stderr)
        return None


def say_next(outcome: Outcome, run_id: str, journal: RunJournal | None) -> None:
    """Say where a run is kept, and what can be done with it."""
    if journal is None:
        if outcome.code == ExitCode.PAUSED:
            say("It is kept nowhere, so nobody can answer: leave out --no-journal.", sys.stderr)
        return
    option = journal.option
    if outcome.code == ExitCode.PAUSED and outcome.result is not None:
        say_asks(outcome.result.pending, option, sys.stderr)
        say(f"Then go on: tinyagents resume {run_id}{option}", sys.stderr)
    elif outcome.code in _UNENDED and outcome.result is not None:
        say(f"Go on with it: tinyagents resume {run_id}{option}", sys.stderr)
    elif outcome.code == ExitCode.COMPLETED:
        say(f"Kept as {run_id}: tinyagents show {run_id}{option}", sys.stderr)
