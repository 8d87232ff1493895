"""Bugs, of the kind that the rig is there for: it has to see each of them, or it is of no use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import tinyagents.pending
import tinyagents.recall
from tinyagents import RunContext, ToolMessage
from tinyagents.remembering import Remembered
from tinyagents_graph.journal.asking import Asking
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.past import Past
from tinyagents_graph.journal.sqlite.ledger import Batch
from tinyagents_graph.journal.sqlite.ledger import Ledger as Writer
from tinyagents_graph.journal.visits import Visits

__all__ = ["PLANTED"]


def _forget(group: str) -> None:
    """Steps of a kind are no facts."""
    fact = Past.fact

    def known(past: Past, kind: str, path: str, name: Any) -> Any:
        return None if kind == group else fact(past, kind, path, name)

    _put(Past, "fact", known)


def _tell_again(kind: str) -> None:
    """Events of a kind that the past has are published once more."""
    take = Past.take_repeat

    def repeat(past: Past, now: Any, origin: Any, data: Any) -> Any:
        return None if now == kind else take(past, now, origin, data)

    _put(Past, "take_repeat", repeat)


def _wait_for_nothing() -> None:
    """Nobody waits until what he acts on is durable, but for the end."""
    settle, close = Ledger.settle, Ledger.close

    async def at_once(_: Ledger) -> None:
        return None

    async def settled(ledger: Ledger) -> None:
        await settle(ledger)
        await close(ledger)

    _put(Ledger, "settle", at_once)
    _put(Ledger, "close", settled)


def _tell_too_early() -> None:
    """Events are called durable before they are."""
    commit = Writer.commit

    def early(writer: Writer, items: Any) -> None:
        for each in items:
            if isinstance(each, Batch):
                each.tell(None)
                each.done = _hear_nothing
        commit(writer, items)

    _put(Writer, "commit", early)


def _lose_commands() -> None:
    """What was delivered before a tree was opened is not taken."""
    make = Ledger.__init__

    def made(ledger: Ledger, *given: Any) -> None:
        make(ledger, *given)
        ledger.untaken = []

    _put(Ledger, "__init__", made)


def _change_keys() -> None:
    """The next process has other keys."""
    own: Any = vars(RunContext)["idempotency_key"]
    _put(RunContext, "idempotency_key", property(lambda ctx: f"{own.fget(ctx)}{os.getpid()}"))


def _shorten() -> None:
    """What is looked up is not what it was."""
    result_of = tinyagents.recall.result_of

    def shorter(event: Any, call: Any) -> ToolMessage:
        known = result_of(event, call)
        return ToolMessage(known.call_id, known.name, known.text[:3], known.failed)

    _put(tinyagents.pending, "result_of", shorter)


def _put(owner: object, name: str, bug: object) -> None:
    setattr(owner, name, bug)


def _always(owner: object, name: str, value: object) -> None:
    """Whatever is asked, the answer is this."""

    def answer(*_: object, **__: object) -> object:
        return value

    _put(owner, name, answer)


def _hear_nothing(_: object) -> None:
    return None


def _forget_the_past(_: Remembered, __: str, now: object) -> object:
    """A session is as far as its own process knows."""
    return now


PLANTED: Mapping[str, Callable[[], None]] = {
    "a tool is called twice": partial(_forget, "tool"),
    "a model is asked twice": partial(_forget, "model"),
    "a node is run twice": partial(_forget, "node"),
    "a step in a body is done twice": partial(_always, Visits, "result", None),
    "a call in doubt is made": partial(_always, tinyagents.pending, "is_in_doubt", False),
    "nothing is waited for": _wait_for_nothing,
    "what is not durable is shown": _tell_too_early,
    "an answer is told twice": partial(_tell_again, "ask.answered"),
    "an opening is told twice": partial(_tell_again, "checkpoint.saved"),
    "an answer is not heard": partial(_always, Asking, "_given", None),
    "a command is lost": _lose_commands,
    "a command is not read again": partial(_always, Ledger, "sent_to", ()),
    "a session forgets": partial(_put, Remembered, "state_at", _forget_the_past),
    "another key": _change_keys,
    "another result": _shorten,
    "usage is lost": partial(_always, tinyagents.recall, "_spend_again", None),
    "a run that ended goes on": partial(_always, Past, "is_finished", False),
}
"""How each is planted, by what it does."""
