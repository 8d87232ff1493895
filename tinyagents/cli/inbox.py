"""`tinyagents pending`, `approve`, `reject`, `answer`: questions listed, found, and answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import time

from tinyagents import ConfigError
from tinyagents.cli.asks import QUICKER, code_of, json_of, say_asks
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, is_live
from tinyagents.cli.text import ago, print_json, say
from tinyagents_graph.journal.inbox import InboxAsk, asks_of

__all__ = ["pending", "respond"]


async def pending(journal: RunJournal, run: str | None, *, as_json: bool) -> ExitCode:
    """Print the open questions of one run, or of all."""
    run_id = None if run is None else (await find_tree(journal, run)).run_id
    asks = await asks_of(journal, run_id)
    if as_json:
        print_json([json_of(ask) for ask in asks])
    elif not asks:
        say("No question is open.", sys.stderr)
    else:
        say_asks(asks, journal.option, sys.stdout)
    return ExitCode.COMPLETED


async def respond(
    journal: RunJournal,
    run: str,
    given: str,
    act: Callable[[InboxAsk], Awaitable[bool]],
) -> ExitCode:
    """Answer a question and say what came of it.

    Args:
        journal: Where it waits.
        run: Id of its run, or how that begins.
        given: The question: its code, its id, or parts of that.
        act: Answers it; false if somebody had, and otherwise.

    Raises:
        ConfigError: There is no such run or question, or the answer does not fit it.
    """
    record = await find_tree(journal, run)
    asks = await asks_of(journal, record.run_id)
    found = [ask for ask in asks if _is_meant(ask, given)]
    if len(found) > 1:
        ids = ", ".join(ask.id for ask in found)
        raise ConfigError(f"{given!r} may be {ids}: give the code that `pending` shows")
    if not found:
        return await _tell_settled(journal, record.run_id, given, asks)
    ask = found[0]
    if not await act(ask):
        say(QUICKER, sys.stderr)
        return ExitCode.FAILED
    left = len(asks) - 1
    more = f" {left} more to answer." if left else ""
    run_id = record.run_id
    # Looked at once more: whoever gives it up from here on finds the answer.
    record = await find_tree(journal, run_id)
    after = "It goes on." if is_live(record) else f"tinyagents resume {run_id}{journal.option}"
    say(f"{run_id} {ask.path} is answered.{more} {after}", sys.stderr)
    return ExitCode.COMPLETED


def _is_meant(ask: InboxAsk, given: str) -> bool:
    # Whole parts of the id, so that `pay[1]` is never taken for `pay[10]`.
    return given == code_of(ask.root_run_id, ask.id) or f"/{given}/" in f"/{ask.id}/"


async def _tell_settled(
    journal: RunJournal, run_id: str, given: str, asks: Sequence[InboxAsk]
) -> ExitCode:
    for each in await journal.deliveries(run_id):
        if each.kind == "answer" and given in (each.key, code_of(run_id, each.key)):
            told = each.payload
            said = told["verdict"] if told["verdict"] != "answer" else json.dumps(told["value"])
            when = ago(time() - each.time)
            say(f"{each.key} was answered {when} ago by {told['by']}: {said}", sys.stderr)
            return ExitCode.FAILED
    ids = ", ".join(f"{code_of(run_id, ask.id)} ({ask.id})" for ask in asks)
    there = f"It has {ids}." if ids else "None of its questions is open."
    raise ConfigError(f"{run_id} asks no {given!r}. {there}")
