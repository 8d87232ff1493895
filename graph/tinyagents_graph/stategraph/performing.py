"""One visit of a node, from its first event to its last.

perform ── gate ── tries ── once ── body
   │                 └─ again after a failure that may pass
   └─ what came of it: an outcome; or none yet, if it waits for the human
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, cast

import anyio

from tinyagents_graph.errors import Parked, describe
from tinyagents_graph.place import current_place
from tinyagents_graph.stategraph.asks import NodeAsk, hear, put
from tinyagents_graph.stategraph.finishing import failures_of
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.nodes import Node
from tinyagents_graph.stategraph.questions import drop_questions
from tinyagents_graph.stategraph.recalling import begin_again, tell_start
from tinyagents_graph.stategraph.records import kept_outcome
from tinyagents_graph.stategraph.routing import Nothing
from tinyagents_graph.stategraph.tasks import NodeContext, Outcome, Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.time_limit import time_limit
from tinyagents_graph.tracing import enter

__all__ = ["perform"]


async def perform(work: GraphRun, task: Task, view: Any = None) -> None:
    """Visit a node, and keep what came of it as the task's outcome.

    Without an outcome the task waits for an answer, and is to be performed again.

    Args:
        work: The graph's run.
        task: What to do.
        view: The state as it sees it, if that is not the same for all.

    Raises:
        BaseException: It was cancelled. Failures are outcomes.
    """
    node, run = task.node, work.run
    ledger = run.tree.ledger
    tell_start(work, task)
    seen = work.view if view is None else view
    try:
        n_failed = 0 if ledger is None else begin_again(work, task, ledger)
        if node.spec.approve is not None and not await _is_let_in(work, task, seen):
            return
        outcome = task.outcome
        if outcome is None:
            outcome = await _tries(work, task, node.given(task, seen), n_failed)
        kept = None if ledger is None else kept_outcome(work, task, outcome)
    except Parked:
        return
    except Exception as error:
        if _is_parked(error):
            return
        error.add_note(f"in node {node.name!r} ({task.path}), added in {node.site}")
        drop_questions(work, task)
        task.outcome = outcome = Outcome()
        outcome.error = error
        _tell_failure(work, task, describe(error), is_handed_on=not failures_of(work, [task]))
        return
    except BaseException as error:
        if _is_parked(error):
            return
        why = {"type": "cancelled", "message": f"interrupted by {type(error).__name__}"}
        _tell_failure(work, task, why)
        raise
    task.outcome = outcome
    _tell_end(work, task, outcome, kept)


def _tell_end(work: GraphRun, task: Task, outcome: Outcome, kept: Mapping[str, Any] | None) -> None:
    data: dict[str, Any] = {"node": task.name, "path": task.path, "step": task.step}
    if kept is not None:
        data |= kept
    else:
        data["update"] = work.graph.schema.plain(outcome.write)
        if outcome.goto is not None:
            data["goto"] = [getattr(each, "node", each) for each in outcome.goto]
    if outcome.is_cached:
        data["cached"] = True
    work.run.emit("node.completed", data)
    task.is_open = False
    if outcome.ask is not None:
        put(work.run, outcome.ask)


def _tell_failure(
    work: GraphRun, task: Task, error: Mapping[str, Any], *, is_handed_on: bool = False
) -> None:
    data = {"node": task.name, "path": task.path, "step": task.step, "error": error}
    if is_handed_on:
        data["handed_on"] = True
    work.run.emit("node.failed", data)
    task.is_open = False


def _is_parked(error: BaseException) -> bool:
    """Whether it is a group of nothing but parked questions, out of a task group of the body."""
    if not isinstance(error, BaseExceptionGroup):
        return False
    return cast("BaseExceptionGroup[BaseException]", error).split(Parked)[1] is None


# --- the gate ----------


async def _is_let_in(work: GraphRun, task: Task, view: Any) -> bool:
    """Whether the body may run now. A refusal leads elsewhere, or is a failure."""
    node = task.node
    memo = task.remember()
    if memo.gate is None:
        question = await _question(task, view)
        if question is None:
            return True
        gate = memo.gate = NodeAsk(f"{task.path}/approve", task.path, question, task.name, bool)
        gate.gate = True
        if work.run.tree.ledger is not None:
            gate.bound = fingerprint(view if task.payload is Nothing else task.payload)
        put(work.run, gate)
        hear(work.run, gate)
    if memo.gate.status == "open":
        return False
    if memo.gate.reply:
        return True
    if node.spec.rejected is None:
        why = memo.gate.reason or "no reason was given"
        raise node.error(
            "REJECTED",
            f"{memo.gate.by or 'nobody'} did not approve of node {node.name!r}: {why}",
            f"say where to go then: add_node({node.name!r}, …, rejected='other')",
        )
    task.outcome = Outcome()
    task.outcome.goto = (node.spec.rejected,)
    return True


async def _question(task: Task, view: Any) -> str | None:
    approve = task.node.spec.approve
    if callable(approve):
        made = approve(view)
        approve = await made if isawaitable(made) else made
    if approve is None or approve is False:
        return None
    return approve if isinstance(approve, str) else f"Run {task.node.name}?"


# --- the body ----------


async def _tries(work: GraphRun, task: Task, given: Any, n_failed: int) -> Outcome:
    node = task.node
    ctx = NodeContext(work.run, task, work.graph.name, work.can_park)
    ctx.attempt = n_failed
    if work.run.tree.ledger is not None:
        ctx.given = given
    retry = node.spec.retry
    if retry is None:
        return await _once(node, task, ctx, given)
    while True:
        try:
            return await _once(node, task, ctx, given)
        except Exception as error:
            ctx.attempt += 1
            delay_s = retry.delay_s(ctx.attempt, error)
            if delay_s is None or _is_parked(error):
                raise
            _tell_retry(work, task, ctx.attempt, delay_s, error)
            await anyio.sleep(delay_s)


def _tell_retry(work: GraphRun, task: Task, attempt: int, delay_s: float, error: Exception) -> None:
    data: dict[str, Any] = {
        "node": task.name, "path": task.path, "attempt": attempt, "delay_s": delay_s,
        "error": describe(error),
    }  # fmt: skip
    if task.counts and work.run.tree.ledger is not None:
        data["counts"] = dict(task.counts)
    work.run.emit("node.retried", data)


async def _once(node: Node, task: Task, ctx: NodeContext, given: Any) -> Outcome:
    cache = node.spec.cache
    if cache is None:
        return node.understand(await _run_body(node, task, ctx, given), task)
    try:
        key = cache.key_of(node.name, given)
    except (TypeError, ValueError) as error:
        raise node.error(
            "NO_CACHE_KEY",
            f"the input of node {node.name!r} makes no key for its cache: {error}",
            "give cache=NodeCache(key=function)",
        ) from error
    found = cache.get(key)
    if found is not None:
        outcome = node.understand(found[0], task)
        outcome.is_cached = True
        return outcome
    returned = await _run_body(node, task, ctx, given)
    outcome = node.understand(returned, task)
    cache.put(key, (returned,))
    return outcome


def _stands_still(ctx: NodeContext) -> bool:
    """Whether the run is paused, or what runs in the node's place; that may ask the human."""
    child = ctx.run.tree.live.get(ctx.path)
    return ctx.run.status == "paused" or (child is not None and child.status == "paused")


async def _run_body(node: Node, task: Task, ctx: NodeContext, given: Any) -> Any:
    if task.memo is not None:
        task.memo.reached.clear()
    token, entered = current_place.set(ctx), enter(ctx, "")
    try:
        timeout_s = node.spec.timeout_s
        if timeout_s is None:
            returned = await node.do(ctx, given)
        else:
            returned = Nothing
            with time_limit(timeout_s, ctx.run, partial(_stands_still, ctx), at=ctx.path):
                returned = await node.do(ctx, given)
            if returned is Nothing:
                raise TimeoutError(f"node {node.name!r} took longer than timeout_s={timeout_s:g}")
    finally:
        current_place.reset(token)
        entered.leave()
    if task.memo is not None:
        ctx.check_end()
    return returned
