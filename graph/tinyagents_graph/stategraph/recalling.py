"""Visits of nodes that a journal knows: what has ended is not done again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.stategraph.asks import hear, put
from tinyagents_graph.stategraph.records import outcome_of
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun

if TYPE_CHECKING:
    from tinyagents_graph.events import Event

__all__ = ["begin_again", "hear_answers", "recall", "recall_all", "tell_start"]


def recall_all(work: GraphRun, tasks: Iterable[Task]) -> list[Task]:
    """Take what tasks came to before.

    Returns:
        Those of which nothing is known, and that are to be performed.
    """
    ledger = work.run.tree.ledger
    if ledger is None:
        return list(tasks)
    rest: list[Task] = []
    for task in tasks:
        known = ledger.past.fact("node", work.run.path, task.path)
        if known is not None:
            recall(work, task, known)
        elif not ledger.is_silent and not _take_over(work, task, ledger):
            rest.append(task)
    return rest


def _take_over(work: GraphRun, task: Task, ledger: Ledger) -> bool:
    """Take what came of the same visit in the tree that this one goes on from."""
    candidates, path = ledger.candidates, work.run.path
    if candidates is None:
        return False
    if task.node.spec.kind != "function":
        candidates.enter(path, task.path)
        return False
    known = candidates.visit(path, task.path)
    if known is None:
        return False
    tell_start(work, task)
    task.is_open = False
    ledger.tell_again(work.run.origin, task.path, known)
    recall(work, task, known)
    return True


def tell_start(work: GraphRun, task: Task) -> None:
    """A visit begins, unless it has."""
    if not task.is_open:
        task.is_open = True  # even if a listener raises: the event is out then
        about = {"node": task.name, "path": task.path, "step": task.step, "after": task.after}
        work.run.emit("node.started", about)


def recall(work: GraphRun, task: Task, known: Event) -> None:
    """Take the outcome of a visit that ended before; what was used below it counts."""
    work.run.recall(task.path)
    task.outcome = outcome = outcome_of(work, task, known)
    if outcome.ask is not None:
        put(work.run, outcome.ask)


def begin_again(work: GraphRun, task: Task, ledger: Ledger) -> int:
    """A body is about to run; tell if it did so before, and was cut off.

    Returns:
        How many of its tries have failed.
    """
    past, path = ledger.past, task.path
    begun = past.begun("node", work.run.path, path)
    if ledger.candidates is not None and task.node.spec.kind == "function":
        note = ledger.candidates.change if begun is None else ledger.candidates.enter
        note(work.run.path, path)
    if begun is None:
        return 0
    tries = past.visits.tries(path)
    if tries is not None:
        task.counts = dict(tries.counts)
        work.run.recall(path, before=tries.seq)
    # An agent or a graph goes on where it was; what waited for an answer is meant to run again.
    if begun.is_in_doubt and task.node.spec.kind == "function":
        about = {"node": task.name, "path": path, "reason": "resumed", "since": begun.since}
        work.run.emit("node.retried", about)
    if asked := past.visits.asked.get(path):
        memo, given = task.remember(), {*past.visits.answered, *ledger.answers}
        keyed = [event.data for event in asked if "key" in event.data]
        memo.asked = tuple([each["key"] for each in keyed])
        memo.due = tuple([each["key"] for each in keyed if each["ask_id"] in given])
    return 0 if tries is None else tries.n


def hear_answers(work: GraphRun) -> None:
    """Take what finished tasks have got for answers; in the same step as before."""
    ledger = work.run.tree.ledger
    if ledger is None:
        return
    for ask, _ in work.awaited:
        if ask.status == "open" and _is_time(work, ledger, ask.id):
            hear(work.run, ask)


def _is_time(work: GraphRun, ledger: Ledger, ask_id: str) -> bool:
    """Whether an answer may lead on in this step: none may come into a step that had begun."""
    past, path, step = ledger.past, work.run.path, work.step
    at = past.visits.answered.get(ask_id)
    if at is not None:
        return at <= step
    if work.tasks and ledger.is_early(ask_id, step):
        return False
    name = "graph.step", path, step
    return past.fact(*name) is None and past.begun(*name) is None
