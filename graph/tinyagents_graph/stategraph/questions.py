"""Questions of a graph: telling what became of them, and waiting where a run cannot park."""

from __future__ import annotations

from typing import Any

import anyio
from pydantic_core import to_jsonable_python

from tinyagents_graph.errors import GraphError, Parked
from tinyagents_graph.host import Host
from tinyagents_graph.pausing import rest, unrest
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.routing import Nothing
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["drop_questions", "tell_answers", "wait_for_answers"]


def tell_answers(work: GraphRun) -> None:
    """Publish what became of questions, once each."""
    for ask in work.asks:
        if ask.is_told or ask.status == "open":
            continue
        ask.is_told = True
        work.settled[ask.id] = ask
        if ask.status == "answered":
            reply = to_jsonable_python(ask.reply, fallback=repr, inf_nan_mode="null")
            facts = {"ask_id": ask.id, "answer": reply, "by": ask.by}
            work.run.emit("ask.answered", {**facts, "reason": ask.reason} if ask.reason else facts)
        else:
            facts = {"ask_id": ask.id, "reason": ask.reason}
            if ask.default is not Nothing:
                facts["default"] = to_jsonable_python(ask.default, fallback=repr)
            if (ledger := work.run.tree.ledger) is not None:
                ledger.close_ask("ask.expired", work.run.origin, facts)
            else:
                work.run.emit("ask.expired", facts)


def drop_questions(work: GraphRun, task: Task) -> None:
    """A node has failed: what it still asks needs no answer any more."""
    for ask in task.asks:
        ask.settle("expired", reason=f"{task.path} has failed")
    tell_answers(work)


async def wait_for_answers(work: GraphRun) -> None:
    """Nothing can go on before the human answers something.

    Raises:
        Parked: The run ends for now; its answers open it again.
        GraphError: Nobody is there to answer, and there is no default.
    """
    if work.can_park or work.run.tree.ledger is not None:
        raise Parked
    asks = work.open_asks
    host: Host | None = work.run.tree.host
    if host is None:
        for ask in asks:
            _expire(work, ask)
        tell_answers(work)
        return
    run = work.run
    run.controls.n_asking += 1
    rest(run, "waits for an answer of human", ask_id=asks[0].id)
    host.asks.update({ask.id: ask for ask in asks})
    try:
        await _wait_for_one(asks)
    finally:
        for ask in asks:
            del host.asks[ask.id]
        run.controls.n_asking -= 1
        unrest(run)
        if not run.is_cancelled:
            tell_answers(work)


async def _wait_for_one(asks: list[NodeAsk]) -> None:
    answered = anyio.Event()

    async def wait(ask: NodeAsk) -> None:
        await ask.bell.wait_until(lambda: ask.status != "open")
        answered.set()

    async with anyio.create_task_group() as group:
        for ask in asks:
            group.start_soon(wait, ask)
        await answered.wait()
        group.cancel_scope.cancel()


def _expire(work: GraphRun, ask: NodeAsk) -> None:
    why = "nobody is there to ask: no one watches this run"
    if ask.default is Nothing:
        hint = "watch the run with stream(…), give the question a default=, or run the graph alone"
        message = f"node {ask.node!r} asks {ask.question!r}, and {why}"
        finding: Any = Finding("UNANSWERED", message, hint, nodes=(ask.node,))
        ask.settle("expired", reason=why)
        raise GraphError(work.graph.name, [finding])
    ask.settle("expired", reply=ask.default, reason=why)
