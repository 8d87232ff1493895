"""Runs that end while a question is open: whatever began has an end, and says so."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.emitting import numbers
from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Append, Ask, Graph, GraphError, NodeContext
from tinyagents.testing import check_tree
from tinyagents_graph import Event, EventSink, RunCancelled

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])
POLICIES = pytest.mark.parametrize("fail", ["drain", "cancel"])


class State(BaseModel):
    log: Annotated[list[str], Append()] = []
    x: str = ""


async def asks(state: State, ctx: NodeContext) -> Any:
    return {"x": await ctx.ask(str, "Which?", key="which")}


async def leaves_a_question(state: State) -> Any:
    return Ask("What?", output="x", update={"log": "asked"})


async def quick(state: State) -> Any:
    return {"x": "quick"}


async def quick_too(state: State) -> Any:
    return {"x": "too"}


class Stop(BaseException):
    """What a listener raises that wants everything to end."""


async def fails(state: State) -> Any:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    raise OSError("disk full")


def side_by_side(*bodies: Callable[..., Any] | Graph[State], **options: Any) -> Graph[State]:
    graph = StateGraph(State)
    for body in bodies:
        name = body.name if isinstance(body, Graph) else body.__name__
        graph.add_node(name, body).add_edge(START, name)
    return graph.compile(**options)


async def answered(graph: Graph[State], **options: Any) -> None:
    result = await graph.run(**options)
    while result.status == "paused":
        result = await graph.resume(result.run_id, {result.pending[0].id: "this"})


async def failed(graph: Graph[State], sink: EventSink, **options: Any) -> Any:
    """What ended the run, whose questions get the answer "this" as long as it asks."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await answered(graph, sink=sink, **options)
    events = list(sink.events)
    check_tree(events)
    assert numbers(events) == list(range(len(events)))
    return raised.value


@MODES
async def test_an_answer_that_leads_nowhere_ends_the_run(mode: Any) -> None:
    graph = side_by_side(leaves_a_question, mode=mode)
    result = await graph.run()
    assert [ask.question for ask in result.pending] == ["What?"]
    result = await graph.resume(result.run_id, {result.pending[0].id: "this"})
    assert (result.status, result.output.x) == ("completed", "this")
    check_tree(result.events)


@MODES
async def test_an_answer_is_followed_after_a_sibling_failed_where_failures_are_collected(
    mode: Any,
) -> None:
    graph = side_by_side(leaves_a_question, fails, mode=mode, fail="collect")
    result = await graph.run()
    result = await graph.resume(result.run_id, {result.pending[0].id: "this"})
    assert (result.status, result.output.x) == ("completed", "this")
    assert [each.node for each in result.failures] == ["fails"]
    check_tree(result.events)


@MODES
@POLICIES
async def test_the_question_of_a_finished_node_expires_when_the_run_fails(
    mode: Any, fail: Any
) -> None:
    sink = EventSink()
    error = await failed(side_by_side(leaves_a_question, fails, mode=mode, fail=fail), sink)
    assert isinstance(error, OSError)
    expired = [each for each in sink.events if each.kind == "ask.expired"]
    raised = [each for each in sink.events if each.kind == "ask.raised"]
    assert [each.data["ask_id"] for each in expired] == [each.data["ask_id"] for each in raised]


@MODES
@POLICIES
async def test_a_node_that_waits_for_an_answer_ends_when_a_sibling_fails(
    mode: Any, fail: Any
) -> None:
    graph = side_by_side(asks, fails, leaves_a_question, mode=mode, fail=fail)
    error = await failed(graph, EventSink())
    assert error.result.status == "failed"
    assert isinstance(error, OSError)


def nested(**options: Any) -> Graph[State]:
    """A graph with a graph in it that asks, beside a node that fails."""
    graph = StateGraph(State).add_node("inner", side_by_side(asks, **options)).add_node(fails)
    graph.add_edge(START, "inner").add_edge(START, "fails")
    return graph.compile(**options)


@MODES
@POLICIES
async def test_a_graph_that_is_parked_in_a_node_ends_when_a_sibling_fails(
    mode: Any, fail: Any
) -> None:
    assert isinstance(await failed(nested(mode=mode, fail=fail), EventSink()), OSError)


@MODES
async def test_a_question_that_nobody_can_answer_ends_its_step(mode: Any) -> None:
    graph = side_by_side(asks, mode=mode)

    async def by_hand(state: State) -> None:
        await graph.run()

    error = await failed(side_by_side(by_hand), EventSink())
    assert isinstance(error, GraphError)
    assert error.has("UNANSWERED")


@MODES
async def test_a_run_that_is_cancelled_while_it_waits_in_place_ends_its_step(mode: Any) -> None:
    graph = side_by_side(asks, mode=mode)

    async def by_hand(state: State) -> None:
        await graph.run()

    async with side_by_side(by_hand).stream() as run:
        async for event in run:
            if event.kind == "run.paused":
                assert [each.question for each in run.pending()] == ["Which?"]
                run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()
        assert run.pending() == []
    check_tree(run.events)


@MODES
@pytest.mark.parametrize(
    "kind",
    ["run.started", "graph.step.started", "node.started", "node.completed", "state.updated",
     "graph.step.completed", "ask.raised", "run.paused"],
)  # fmt: skip
async def test_a_listener_that_ends_the_program_leaves_a_whole_tree(mode: Any, kind: str) -> None:
    sink = EventSink()

    def listen(event: Event) -> None:
        if event.kind == kind:
            raise Stop

    sink.subscribe(listen)
    with suppress(Stop):
        await side_by_side(quick, asks, mode=mode).run(sink=sink)
    check_tree(sink.events)


@MODES
async def test_two_plain_writers_do_not_hide_why_their_step_was_broken_off(mode: Any) -> None:
    graph = side_by_side(quick, quick_too, fails, mode=mode, fail="cancel")
    assert isinstance(await failed(graph, EventSink()), OSError)


async def test_an_eager_task_may_come_to_its_end_although_a_sibling_failed() -> None:
    async def stubborn(state: State) -> Any:
        with anyio.CancelScope(shield=True):
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
        return {"x": "done"}

    error = await failed(side_by_side(stubborn, fails, mode="eager", fail="cancel"), EventSink())
    assert isinstance(error, OSError)
