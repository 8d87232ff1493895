"""Graphs of agents are steered, paused, cancelled and answered as any tree of runs is."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.agents.graphs import State, echo, row, saying
from tests.graph.unchecked import StateGraph
from tinyagents import (
    Agent,
    Cancel,
    Inject,
    Pause,
    Redirect,
    Resume,
    RunCancelled,
    RunLimits,
    SetMetadata,
    tool,
)
from tinyagents.graph import START, NodeContext
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


def stuck(began: anyio.Event, name: str = "writer") -> Agent[Any, Any]:
    """An agent whose model never answers."""

    async def answer(_: ModelRequest) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return Agent(FunctionModel(answer), name=name)


class Conversation:
    """An agent whose first answer waits until it is let go, and which then says what it hears."""

    def __init__(self) -> None:
        self.began, self.goes_on = anyio.Event(), anyio.Event()
        self.agent = Agent(FunctionModel(self.answer), name="writer")

    async def answer(self, request: ModelRequest) -> str:
        if not self.began.is_set():
            self.began.set()
            await self.goes_on.wait()
            return "first"
        return echo(request)


@pytest.mark.parametrize("command", [Inject("be brief"), Redirect("be brief")])
async def test_an_agent_in_a_node_is_steered_by_its_tasks_address(command: Any) -> None:
    talk = Conversation()
    async with row(("write", talk.agent, "text")).stream() as run:
        await talk.began.wait()
        assert [child.path for child in run.children] == ["root/write[0]"]
        found = run.find("root/write[0]")
        assert found is not None
        assert (found.status, found.name) == ("running", "writer")
        ack = await run.steer(command, to="root/write[0]")
        refused = await run.steer(command, to="root")
        talk.goes_on.set()
        result = await run.result()
    assert "be brief" in result.output.text
    assert (ack.status, refused.status) == ("applied", "denied")
    assert "no model" in refused.reason
    assert [child.path for child in run.tree().children] == ["root/write[0]"]
    check_tree(run.events)


async def test_nodes_see_metadata_that_is_set_for_the_graphs_run() -> None:
    async def reads(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"log": str(ctx.metadata.get("who"))}

    talk = Conversation()
    async with row(("write", talk.agent, "text"), ("reads", reads, "")).stream() as run:
        await talk.began.wait()
        await run.steer(SetMetadata({"who": "me"}))
        talk.goes_on.set()
        result = await run.result()
    assert result.output.log == ["me"]


async def test_a_paused_graph_begins_no_step_and_its_clock_stands() -> None:
    talk = Conversation()
    seen: list[NodeContext] = []

    async def notes(state: State, ctx: NodeContext) -> None:
        seen.append(ctx)

    graph = row(
        ("notes", notes, ""),
        ("write", talk.agent, "text"),
        ("z", saying("z"), "plan"),
    )
    async with graph.stream(limits=RunLimits(max_seconds=60)) as run:
        await talk.began.wait()
        assert (await run.steer(Pause("lunch"))).status == "applied"
        paused = [event.path for event in run.events if event.kind == "run.paused"]
        assert paused == ["root", "root/write[0]"]
        talk.goes_on.set()
        left = seen[0].remaining_s
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert seen[0].remaining_s == left
        assert run.status == "paused"
        assert not any(event.data.get("step") == 2 for event in run.events)
        await run.steer(Resume())
        result = await run.result()
    assert result.output.plan == "z"
    check_tree(run.events)


@MODES
@pytest.mark.parametrize("fail", ["drain", "cancel", "collect"])
async def test_to_cancel_an_agent_is_the_failure_of_its_node(mode: Any, fail: Any) -> None:
    began = anyio.Event()
    graph = (
        StateGraph(State).add_node("write", stuck(began)).add_node("b", saying("b"), output="log")
    )
    graph.add_edge(START, "write").add_edge(START, "b")
    async with graph.compile(mode=mode, fail=fail).stream() as run:
        await began.wait()
        await run.steer(Cancel("enough"), to="root/write[0]")
        if fail == "collect":
            result = await run.result()
        else:
            with pytest.raises(RunCancelled) as raised:
                await run.result()
            assert raised.value.path == "root/write[0]"
            result = raised.value.result
    assert result.output.log == ["b"]
    if fail == "collect":
        [failure] = result.failures
        assert (failure.node, failure.path, failure.payload) == ("write", "root/write[0]", None)
    check_tree(run.events)


@MODES
async def test_to_cancel_the_graph_cancels_its_agents(mode: Any) -> None:
    began = anyio.Event()
    inner = row(("write", stuck(began), "text"))
    async with row(("inner", inner, ""), mode=mode).stream() as run:
        await began.wait()
        run.cancel("enough")
        with pytest.raises(RunCancelled) as raised:
            await run.result()
    assert raised.value.path == "root"
    ended = [event.path for event in run.events if event.kind == "run.cancelled"]
    assert ended == ["root/inner[0]/write[0]", "root/inner[0]", "root"]
    check_tree(run.events)


async def test_a_graph_below_an_agent_waits_in_place_for_whoever_watches() -> None:
    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"text": await ctx.ask(str, "Well?", key="well")}

    graph = row(("asks", asks, ""))

    @tool
    async def consult() -> str:
        """Consult."""
        return (await graph.run()).output.text

    boss = Agent(ScriptedModel([call("consult"), "done"]), tools=[consult])

    def opened(event: Event) -> bool:
        return event.kind == "run.paused"

    async with boss.stream("go") as run:
        async for event in run:
            if opened(event):
                assert [ask.question for ask in run.pending()] == ["Well?"]
                await run.pending()[0].answer("yes")
        result = await run.result()
    assert result.messages[2].text == "yes"
    check_tree(run.events)


async def test_a_graph_below_an_agent_that_nobody_watches_fails_its_tool() -> None:
    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"text": await ctx.ask(str, "Well?", key="well")}

    graph = row(("asks", asks, ""))

    @tool
    async def consult() -> str:
        """Consult."""
        return (await graph.run()).output.text

    boss = Agent(ScriptedModel([call("consult"), "done"]), tools=[consult])
    result = await boss.run("go")
    assert "UNANSWERED" in result.messages[2].text
    check_tree(result.events)
