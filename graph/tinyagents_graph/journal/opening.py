"""Opening a tree that is kept in a journal; the same for agents and graphs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from typing import Any

from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.errors import ConfigError, JournalError
from tinyagents_graph.journal.candidates import find_candidates
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Delivery, Journal, Opening, TreeRecord
from tinyagents_graph.pausing import exclusive
from tinyagents_graph.run import Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.steering import steer

__all__ = ["attach", "open_tree", "take_late", "unknown_run"]

_AT_REST = ("completed", "limited", "paused")
_SIMILAR = 200


async def open_tree(
    journal: Journal,
    run_id: str,
    sink: EventSink,
    *,
    name: str,
    task: str,
    about: Mapping[str, Any],
    is_resumed: bool = False,
    has_news: bool = False,
) -> Ledger:
    """Open a tree; what it did before is in the sink from then on.

    A tree that has ended, or waits for answers that nobody has given, is only looked at: its run is
    gone through once more, and nothing happens.

    Args:
        journal: Where it is kept.
        run_id: Id of its root.
        sink: Who gets its events.
        name: What a new one is called.
        task: What a new one is asked.
        about: What is kept of a new one.
        is_resumed: Whether it must exist.
        has_news: Whether one that waits is to go on in any case.

    Raises:
        ConfigError: It does not exist, and must.
        RunConflict: Somebody else holds it.
        JournalError: The journal cannot be read or written.
    """
    opening: Opening | None = None
    if not is_resumed:
        with suppress(JournalError):  # a store that cannot be written can be looked at
            opening = await journal.begin(run_id, name=name, task=task, about=about)
    if opening is None:
        record = await journal.find(run_id)
        if record is None and is_resumed:
            raise ConfigError(await unknown_run(journal, "resume", run_id))
        if record is not None and record.status in _AT_REST:
            ledger = await _looked_at(journal, record, sink, has_news)
            if ledger is not None:
                return ledger
        opening = await journal.open(run_id, name=name, task=task, about=about)
    about = opening.record.about
    try:
        candidates = await find_candidates(journal, about, opening.past)
    except BaseException:
        await journal.close(opening.lease)
        raise
    ledger = Ledger(
        journal, opening.lease, opening.past, opening.deliveries, sink, about, candidates
    )
    sink.publish(opening.past, is_new=False)
    return ledger


async def _looked_at(
    journal: Journal, record: TreeRecord, sink: EventSink, has_news: bool
) -> Ledger | None:
    """The ledger of a tree in which nothing will happen; `None` if there is something to do."""
    run_id = record.run_id
    past, deliveries = await journal.read(run_id), await journal.deliveries(run_id)
    is_paused = record.status == "paused"
    candidates = await find_candidates(journal, record.about, past) if is_paused else None
    ledger = Ledger(journal, None, past, deliveries, sink, record.about, candidates)
    if is_paused and (has_news or ledger.has_news):
        return None
    ledger.candidates = None
    sink.publish(past, is_new=False)
    return ledger


async def unknown_run(journal: Journal, asked: str, run_id: str) -> str:
    """What to say when a run is asked for that a journal does not have.

    Args:
        journal: The journal.
        asked: The function that was called.
        run_id: With this id.
    """
    known = [record.run_id for record in await journal.trees(most=_SIMILAR)]
    near = get_close_matches(run_id, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{asked}({run_id!r}): {journal!r} has no such run{hint}"


def attach(ledger: Ledger, run: Run) -> None:
    """Let a root that has not begun be kept."""
    run.tree.keep(ledger)
    if ledger.is_silent:
        return

    def lose(error: Exception) -> None:
        run.cancel(f"its journal failed: {error}")

    def hear(delivery: Delivery) -> None:
        _hand_over(ledger, run, delivery)

    ledger.watch(lose, hear)


def take_late(ledger: Ledger, run: Run) -> None:
    """Commands that came while nobody had the tree; its root has taken its place."""
    for delivery in list(ledger.untaken):
        if not _hand_over(ledger, run, delivery):
            ledger.untaken.remove(delivery)


def _hand_over(ledger: Ledger, run: Run, delivery: Delivery) -> bool:
    """Give commands to whom they are for; whether that could be done at once.

    Not so if that run was at work when the process died, and has yet to begin again.
    """
    take = partial(_take, ledger, run, delivery)
    to = run.tree.path_of(delivery.payload.get("to") or run.path)
    if to in ledger.past.absent:
        ledger.awaiting.setdefault(to, []).append(take)
        return False
    take()
    return True


def _take(ledger: Ledger, run: Run, delivery: Delivery) -> None:
    """Commands that came through the journal; half of them must not be taken for all."""
    payload = delivery.payload
    batch = [SteerCommand.from_dict(each) for each in payload["commands"]]
    with exclusive(run.tree), ledger.together:
        steer(
            run.tree,
            batch,
            payload.get("to") or run.path,
            sender=None,
            by=payload.get("by") or "human",
            about={"delivery": delivery.number},
        )
