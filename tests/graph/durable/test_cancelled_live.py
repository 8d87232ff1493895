"""A kept graph that is cancelled at work, and resumed, comes to its end all the same."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents import Agent, EventSink, RunCancelled, fork
from tinyagents.graph import END, START, Append, Ask, Graph, NodeContext, Send, StateGraph
from tinyagents.testing import FunctionModel, check_tree
from tinyagents_graph.journal import Journal, MemoryJournal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


class State(BaseModel):
    n: int = 0
    log: Annotated[list[str], Append()] = []


def flow(did: list[str]) -> Graph[State]:
    """An agent and a fan-out of workers that ask side by side, a step of a body, a question."""

    def start(state: State) -> dict[str, str]:
        return {"log": "began"}

    def spread(state: State) -> list[Send]:
        return [Send("worker", i) for i in range(3)]

    async def worker(i: int, ctx: NodeContext) -> dict[str, str]:
        async def charge() -> str:
            did.append(f"charge {i}")
            return f"charged {i}"

        charged: str = await ctx.step("charge", charge)
        sure = await ctx.ask(bool, f"sure of {i}?", key="sure") if i == 1 else True
        return {"log": f"{charged}: {sure}"}

    def last(state: State) -> Ask:
        return Ask("how many?", type=int, output="n")

    def say(request: Any) -> str:
        return "written"

    writer = Agent(FunctionModel(say), name="writer")
    g = StateGraph(State, name="flow")
    g.add_node(start)
    g.add_node("write", writer, input=lambda state: "go", output="log")
    g.add_node(worker)
    g.add_node(last)
    g.add_edge(START, "start").add_edge("start", "write")
    g.add_conditional_edges("start", spread, ["worker"])
    g.add_edge(["write", "worker"], "last").add_edge("last", END)
    return g.compile()


async def played(graph: Graph[State], journal: Journal, cancel_at: int = -1) -> Any:
    """Run it, and answer what it asks, until it has ended or is cancelled."""
    while True:
        sink = EventSink()
        async with graph.stream({}, run_id="r", journal=journal, sink=sink) as run:
            sink.subscribe(lambda event: event.seq == cancel_at and run.cancel("enough"))
            result = await run.result()
        if result.status != "paused":
            return result
        asks = await inbox(journal)
        assert asks, "it waits, and for nothing"
        for ask in asks:
            await ask.answer(7 if "many" in ask.question else True)


async def test_it_goes_on_from_wherever_it_was_cancelled() -> None:
    journal = MemoryJournal()
    whole = await played(flow([]), journal)
    assert (whole.output.n, len(whole.output.log)) == (7, 5)
    for seq in range(len(await journal.read("r"))):
        did, journal = list[str](), MemoryJournal()
        try:
            await played(flow(did), journal, seq)
        except RunCancelled:
            check_tree(await journal.read("r"))
        resumed = await played(flow(did), journal)
        assert resumed.output == whole.output, f"cancelled at {seq}"
        check_tree(await journal.read("r"))
        assert await inbox(journal) == []


async def test_what_was_pruned_takes_nothing_from_a_fork_or_another_run() -> None:
    journal = MemoryJournal()
    whole = await played(flow([]), journal)
    half = len(await journal.read("r")) // 2
    made = await fork(journal, "r", at=half, new_id="f")
    assert await journal.prune() == 1
    assert await journal.find("r") is None
    result = await flow([]).resume(made.run_id, journal=journal)
    while result.status == "paused":
        for ask in result.pending:
            await ask.answer(7 if "many" in ask.question else True)
        result = await flow([]).resume(made.run_id, journal=journal)
    assert result.output == whole.output
    check_tree(await journal.read("f"))
