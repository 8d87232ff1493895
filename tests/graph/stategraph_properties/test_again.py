"""Bodies that run again, and runs that go on: nothing is there twice, and nothing is lost."""

import asyncio
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents import Agent
from tinyagents.graph import (
    START,
    Append,
    Graph,
    GraphError,
    GraphResult,
    NodeContext,
    Retry,
)
from tinyagents.testing import FunctionModel, check_tree
from tinyagents_graph import ConfigError, EventSink, RunConflict

pytestmark = pytest.mark.anyio


class State(BaseModel):
    log: Annotated[list[str], Append()] = []


async def asks(state: State, ctx: NodeContext) -> Any:
    return {"log": await ctx.ask(str, "Well?", key="well")}


def flaky(times: int) -> Any:
    """A node that fails so many times."""
    left = [OSError("disk full")] * times

    async def write(state: State) -> Any:
        if left:
            raise left.pop()
        return {"log": "written"}

    return write


def row(*bodies: Any, **options: Any) -> Graph[State]:
    """A graph of these nodes, one after the other."""
    graph = StateGraph(State)
    names = [f"n{number}" for number in range(len(bodies))]
    for name, body in zip(names, bodies, strict=True):
        graph.add_node(name, body, **options)
    return graph.add_sequence(START, *names).compile()


async def answered(graph: Graph[State], **options: Any) -> GraphResult[State]:
    """What it comes to if all its questions are answered with "yes"."""
    result = await graph.run(**options)
    while result.status == "paused":
        assert result.pending
        result = await graph.resume(result.run_id, {result.pending[-1].id: "yes"})
    check_tree(result.events)
    return result


async def test_what_a_body_starts_again_has_a_further_address() -> None:
    helper = Agent(FunctionModel(lambda _: "hi"), name="helper")

    async def body(state: State, ctx: NodeContext) -> Any:
        told = await helper.run("x")
        return {"log": [told.path, await ctx.ask(str, "Well?", key="well")]}

    result = await answered(row(body))
    assert result.output.log == ["root/n0[0]/helper[1]", "yes"]


@pytest.mark.parametrize("fails_first", [True, False])
async def test_a_graph_in_a_node_is_tried_again_after_its_question(fails_first: bool) -> None:
    bodies = [flaky(1), asks, flaky(1)] if fails_first else [asks, flaky(1)]
    graph = row(row(*bodies), retry=Retry(5, backoff_s=0))
    result = await answered(graph)
    assert result.output.log == [*["written"] * fails_first, "yes", "written"]


async def test_a_graph_in_a_node_that_fails_after_its_question_ends_once() -> None:
    with pytest.raises(OSError, match="disk full") as raised:
        await answered(row(row(asks, flaky(1))))
    result: Any = raised.value.__dict__["result"]
    check_tree(result.events)


async def test_a_body_that_swallows_the_pause_is_paused_all_the_same() -> None:
    async def body(state: State, ctx: NodeContext) -> Any:
        try:
            said = await ctx.ask(str, "Well?", key="well")
        except BaseException:  # who writes this is about to swallow cancellations, too
            said = "swallowed"
        return {"log": said}

    assert (await answered(row(body))).output.log == ["yes"]


async def test_the_context_of_another_node_asks_nothing() -> None:
    held: list[NodeContext] = []

    async def first(state: State, ctx: NodeContext) -> None:
        held.append(ctx)

    async def second(state: State) -> Any:
        return {"log": await held[0].ask(str, "Well?", key="well")}

    with pytest.raises(ConfigError, match="n0.*has ended"):
        await row(first, second).run()


async def test_a_run_that_is_paused_keeps_its_name() -> None:
    sink, graph = EventSink(), row(asks)
    paused = await graph.run(sink=sink, run_id="job")
    for other in (graph, row(asks)):
        with pytest.raises(RunConflict, match="job"):
            await other.run(sink=sink, run_id="job")
    with pytest.raises(RunConflict, match="paused"):
        await graph.run(run_id="job")
    result = await graph.resume("job", {paused.pending[0].id: "yes"})
    assert result.output.log == ["yes"]
    check_tree(sink.events)
    assert (await graph.run(sink=EventSink(), run_id="job")).status == "paused"


async def test_who_goes_another_way_the_second_time_is_told_so() -> None:
    keys = iter("ab")

    async def body(state: State, ctx: NodeContext) -> None:
        await ctx.ask(str, "Well?", key=next(keys))

    with pytest.raises(GraphError, match="REPLAY_MISMATCH"):
        await answered(row(body))


async def test_questions_side_by_side_in_nested_task_groups() -> None:
    async def body(state: State, ctx: NodeContext) -> Any:
        said: dict[str, str] = {}

        async def ask(key: str) -> None:
            said[key] = await ctx.ask(str, key, key=key)

        async def two(key: str) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, f"{key}1")
                group.start_soon(ask, f"{key}2")

        async with anyio.create_task_group() as group:
            group.start_soon(two, "a")
            group.start_soon(two, "b")
        return {"log": [f"{key} {value}" for key, value in sorted(said.items())]}

    assert (await row(body).run()).status == "paused"
    result = await answered(row(body))
    assert result.output.log == ["a1 yes", "a2 yes", "b1 yes", "b2 yes"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("keeps_exceptions", [True, False])
async def test_questions_side_by_side_in_a_gather(keeps_exceptions: bool) -> None:
    async def body(state: State, ctx: NodeContext) -> Any:
        asked = [ctx.ask(str, key, key=key) for key in "ab"]
        return {"log": list(await asyncio.gather(*asked, return_exceptions=keeps_exceptions))}

    assert (await answered(row(body))).output.log == ["yes", "yes"]


async def test_a_question_of_a_body_that_fails_expires_with_it() -> None:
    async def body(state: State, ctx: NodeContext) -> None:
        try:
            await ctx.ask(str, "Well?", key="well")
        except BaseException as error:
            raise OSError("no patience") from error

    graph = StateGraph(State).add_node("body", body).add_edge(START, "body")
    result = await graph.compile(fail="collect").run()
    assert (result.status, [each.node for each in result.failures]) == ("completed", ["body"])
    check_tree(result.events)
    assert "ask.expired" in [event.kind for event in result.events]
