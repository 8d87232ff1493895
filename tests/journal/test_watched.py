"""Kept runs that somebody watches: a handle is of the run that goes on, and lets go of it."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tinyagents import Agent, Autonomy, EventSink, Inject, RunConflict, tool
from tinyagents.graph import END, START, Ask, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.inbox import inbox
from tinyagents_graph.journal.protocol import Journal, Lease

pytestmark = pytest.mark.anyio


class AnsweredLate(MemoryJournal):
    """Somebody answers at the very moment in which a tree that waits is given up."""

    is_answered = False

    async def close(self, lease: Lease) -> None:
        if not self.is_answered:
            self.is_answered = True
            (ask,) = await inbox(self)
            await (ask.approve() if ask.tool else ask.answer(7))
        await super().close(lease)


class State(BaseModel):
    n: int = 0


@tool
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


async def test_a_handle_steers_the_run_that_goes_on_after_a_late_answer() -> None:
    asked, gate = anyio.Event(), anyio.Event()

    async def answer(request: ModelRequest) -> Any:
        if request.messages[-1].text == "go":
            return call("pay", amount=3)
        asked.set()
        await gate.wait()
        return f"heard {request.messages[-1].text}"

    agent = Agent(
        FunctionModel(answer), name="a", tools=[pay], autonomy=Autonomy(default="assisted")
    )
    async with agent.stream("go", run_id="r", journal=AnsweredLate()) as run:
        await asked.wait()
        assert run.status == "running"
        ack = await run.steer(Inject("hurry"))
        gate.set()
        result = await run.result()
    assert (ack.status, result.output, run.status) == ("applied", "heard hurry", "completed")
    check_tree(result.events)


async def test_a_handle_of_a_graph_follows_as_well() -> None:
    began, gate = anyio.Event(), anyio.Event()

    async def end(state: State) -> dict[str, int]:
        del state
        began.set()
        await gate.wait()
        return {}

    def ask(state: State) -> Ask:
        del state
        return Ask("How many?", type=int, output="n")

    graph = StateGraph(State, name="g").add_node(ask).add_node(end)
    flow = graph.add_sequence(START, "ask", "end", END).compile()
    async with flow.stream({}, run_id="r", journal=AnsweredLate()) as run:
        await began.wait()
        assert (run.status, run.pending()) == ("running", [])
        gate.set()
        result = await run.result()
    assert (result.output.n, run.status) == (7, "completed")


async def test_a_stream_that_is_refused_lets_go_of_its_tree(journal: Journal) -> None:
    gate, sink = anyio.Event(), EventSink()
    agent = Agent(ScriptedModel(["kept nowhere", "kept"], gate=gate), name="a")
    async with agent.stream("go", run_id="r", sink=sink) as run:
        with pytest.raises(RunConflict, match="under way"):
            async with agent.stream("go", run_id="r", sink=sink, journal=journal):
                pass
        gate.set()
        await run.result()
    assert (await agent.run("go", run_id="r", journal=journal)).output == "kept"


def test_a_stream_that_was_cancelled_before_its_first_step_lets_go_of_its_tree() -> None:
    agent, journal = Agent(ScriptedModel(["done"]), name="a"), MemoryJournal()

    async def watch() -> None:
        me, others = asyncio.current_task(), asyncio.all_tasks()
        async with agent.stream("go", run_id="r", journal=journal):
            for task in asyncio.all_tasks() - others - {me}:
                task.cancel()  # as `asyncio.run` does with all there are when it ends

    async def go() -> str:
        await watch()
        return (await agent.run("go", run_id="r", journal=journal)).output

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine 'Handle._go' was never awaited")
        assert asyncio.run(go()) == "done"
        gc.collect()
