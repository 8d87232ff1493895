"""The loop of a graph: superstep after superstep, until nothing is left to do.

drive ── superstep ── perform, side by side ── fold ── follow ── the next one
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinyagents_graph.errors import describe
from tinyagents_graph.stategraph.finishing import (
    end_of,
    entries_of,
    entries_of_answer,
    failures_of,
    pop_answered,
    together,
)
from tinyagents_graph.stategraph.following import Ahead
from tinyagents_graph.stategraph.performing import perform
from tinyagents_graph.stategraph.questions import tell_answers, wait_for_answers
from tinyagents_graph.stategraph.recalling import hear_answers, recall_all
from tinyagents_graph.stategraph.snapshots import restore, save_if_due
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.tasks import gather

__all__ = ["drive_supersteps"]


async def drive_supersteps(work: GraphRun) -> None:
    """Run a graph until nothing is left to do; also from where it was parked."""
    tell_answers(work)
    is_new = not work.step and not work.is_in_step and not work.awaited
    if is_new and not restore(work):
        ahead = Ahead(work)
        await ahead.begin()
        ahead.meet(())
        work.tasks = ahead.tasks
    while True:
        if not work.is_in_step:
            if work.awaited:
                await _take_answers(work)
            if not work.tasks:
                if not work.awaited:
                    break
                await wait_for_answers(work)
                continue
            await _begin_step(work)
        await _perform_all(work)
        if work.unfinished:
            # A run that fails anyway asks nobody.
            if errors := failures_of(work, work.tasks):
                raise together(work, errors)
            await wait_for_answers(work)
        else:
            await _end_step(work)
    end_of(work)


async def _begin_step(work: GraphRun) -> None:
    run = work.run
    if work.lineage is not None:
        save_if_due(work)
    if run.needs_attention:
        await run.checkpoint()
    if work.step >= work.max_steps and not work.is_over_limit:
        after = [path for task in work.tasks for path in task.after]
        work.tasks = [work.task(work.go_over_limit(), after)]
    work.is_in_step = True
    run.step = f"step-{work.step}"
    run.emit("graph.step.started", {"step": work.step, "tasks": len(work.tasks)})
    if run.tree.ledger is not None:
        await run.tree.ledger.settle()  # nobody acts on what could be lost


async def _perform_all(work: GraphRun) -> None:
    """Perform what is not done. A single task needs no task of the event loop."""
    rest = recall_all(work, [task for task in work.unfinished if not task.is_waiting])
    if len(rest) == 1:
        await perform(work, rest[0])
    elif rest:
        jobs = [partial(_perform_one, work, task) for task in rest]
        await gather(jobs, work.graph.max_concurrency, work.run.path)
    if work.graph.fail == "cancel" and (errors := failures_of(work, work.tasks)):
        raise together(work, errors)


async def _perform_one(work: GraphRun, task: Task) -> None:
    await perform(work, task)
    if work.graph.fail == "cancel" and (errors := failures_of(work, [task])):
        raise errors[0]


async def _end_step(work: GraphRun) -> None:
    """What the tasks wrote becomes the state, in their order, and what follows them is next."""
    tasks, run = work.tasks, work.run
    try:
        _fold(work, tasks)
        if errors := failures_of(work, tasks):
            raise together(work, errors)
        ahead = Ahead(work)
        if not work.is_over_limit:
            for task in tasks:
                await ahead.beyond(task)
            ahead.meet(())
    except BaseException as error:
        work.is_in_step = False
        data = {"step": work.step, "status": "failed", "error": describe(error)}
        run.emit("graph.step.completed", data)
        raise
    work.is_in_step = False
    event = run.emit("graph.step.completed", {"step": work.step})
    if work.history is not None:
        work.note_state(event, work.values, [task.path for task in tasks])
    work.step += 1
    work.tasks = ahead.tasks
    for task in ahead.tasks:
        task.step = work.step


def _fold(work: GraphRun, tasks: Sequence[Task]) -> None:
    entries = entries_of(tasks)
    if not entries:
        return
    work.put(work.graph.schema.fold(work.values, entries))
    work.tell_update({key for _, _, write in entries for key in write})
    for task in tasks:
        if task.outcome is not None:
            work.note(task.outcome)


async def _take_answers(work: GraphRun) -> None:
    """Those questions that were answered lead on."""
    hear_answers(work)
    answered = pop_answered(work)
    if not answered:
        return
    entries = [entry for ask, task in answered for entry in entries_of_answer(work, ask, task)]
    if entries:
        work.put(work.graph.schema.fold(work.values, entries))
        work.tell_update({key for _, _, write in entries for key in write})
        if work.written is not None:
            work.written += [write for _, _, write in entries]
    ahead = Ahead(work, tasks=work.tasks)
    for ask, task in answered:
        await ahead.answer(task, ask.then, ask.reply)
    ahead.meet(())
    work.tasks = ahead.tasks
    for task in ahead.tasks:
        task.step = work.step
