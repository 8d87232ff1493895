"""How tasks of a graph have ended: what they wrote, what failed, and what still waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyagents_graph.errors import GraphError, LimitExceeded, RunCancelled
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.questions import tell_answers
from tinyagents_graph.stategraph.state import Entry
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.values_as_data import adapter_for, value_to_data

__all__ = [
    "end_of",
    "entries_of",
    "entries_of_answer",
    "failures_of",
    "pop_answered",
    "together",
]


def entries_of(tasks: Sequence[Task]) -> list[Entry]:
    """What tasks wrote, in their order."""
    found: list[Entry] = []
    for task in tasks:
        outcome = task.outcome
        if outcome is not None:
            if outcome.write:
                found.append((task.path, task.node.name, outcome.write))
            for write in outcome.more:
                found.append((task.path, task.node.name, write))
    return found


def pop_answered(work: GraphRun) -> list[tuple[NodeAsk, Task]]:
    """The questions that were answered since, each with the task that put it."""
    answered = [pair for pair in work.awaited if pair[0].status != "open"]
    if answered:
        tell_answers(work)
        work.awaited = [pair for pair in work.awaited if pair not in answered]
    return answered


def entries_of_answer(work: GraphRun, ask: NodeAsk, task: Task) -> list[Entry]:
    """What an answer writes by itself."""
    if ask.output is None:
        return []
    write = work.graph.schema.check(_update_of(work, ask, ask.output), task.node.name)
    return [(ask.id, task.node.name, write)]


def _update_of(work: GraphRun, ask: NodeAsk, key: str) -> Mapping[str, Any]:
    """What an answer writes; what was asked by an earlier version of the state is migrated."""
    if work.lineage is None or ask.since is None:
        return {key: ask.reply}
    record = {"update": {key: value_to_data(adapter_for(ask.type), ask.reply)}}
    migrated = work.lineage.migrated(record, "update", ask.since)
    return {key: ask.reply} if migrated is record else migrated["update"]


def failures_of(work: GraphRun, tasks: Sequence[Task]) -> list[BaseException]:
    """Errors of tasks that nobody handles: no `on_error` node, and not to be collected."""
    found: list[BaseException] = []
    for task in tasks:
        error = None if task.outcome is None else task.outcome.error
        if error is None:
            continue
        is_ours = isinstance(error, (LimitExceeded, RunCancelled)) and _is_above(work, error.path)
        if is_ours or (task.node.spec.on_error is None and work.graph.fail != "collect"):
            found.append(error)
    return found


def _is_above(work: GraphRun, path: str) -> bool:
    """Whether a limit or a cancellation is that of this run, or of one above: none can help it."""
    return work.run.path == path or work.run.path.startswith(f"{path}/")


def together(work: GraphRun, errors: list[BaseException]) -> BaseException:
    """The one error, or a group of them all."""
    if len(errors) == 1:
        return errors[0]
    message = f"{len(errors)} tasks of graph {work.graph.name!r} failed"
    return BaseExceptionGroup(message, errors)


def end_of(work: GraphRun) -> None:
    """The run has nothing left to do.

    Raises:
        GraphError: A join still waits for somebody who will never come.
    """
    starved = [] if work.is_over_limit else [each for each in work.joins if each.is_waiting]
    if starved:
        raise GraphError(
            work.graph.name,
            [
                Finding(
                    "JOIN_STARVED",
                    f"the join into {state.meeting.target!r} waits for "
                    f"{', '.join(state.missing)}, and this run never came there",
                    "if not every run does, say join(…, wait_for='reached')",
                    state.meeting.site,
                    state.meeting.spec.sources,
                )
                for state in starved
            ],
        )
