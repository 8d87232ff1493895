"""Runs that end while a question is open: whatever began has an end, and says so."""

from collections.abc import Callable
from typing import Annotated, Any

import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.emitting import numbers
from tinyagents.graph import START, Append, Ask, Graph, NodeContext, StateGraph
from tinyagents.testing import check_tree
from tinyagents_graph import EventSink

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


async def failed(graph: Graph[State], sink: EventSink, **options: Any) -> BaseException:
    """What ended the run, whose questions get the answer "this" as long as it asks."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        result = await graph.run(sink=sink, **options)
        while result.status == "paused":
            result = await graph.resume(result.run_id, {result.pending[0].id: "this"})
    events = list(sink.events)
    check_tree(events)
    assert numbers(events) == list(range(len(events)))
    return raised.value


@MODES
async def test_an_answer_that_leads_nowhere_ends_the_run(mode: str) -> None:
    graph = side_by_side(leaves_a_question, mode=mode)
    result = await graph.run()
    assert [ask.question for ask in result.pending] == ["What?"]
    result = await graph.resume(result.run_id, {result.pending[0].id: "this"})
    assert (result.status, result.output.x) == ("completed", "this")
    check_tree(result.events)


@MODES
async def test_an_answer_is_followed_after_a_sibling_failed_where_failures_are_collected(
    mode: str,
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
    mode: str, fail: str
) -> None:
    sink = EventSink()
    error = await failed(side_by_side(leaves_a_question, fails, mode=mode, fail=fail), sink)
    assert isinstance(error, OSError)
    expired = [each for each in sink.events if each.kind == "ask.expired"]
    raised = [each for each in sink.events if each.kind == "ask.raised"]
    assert [each.data["ask_id"] for each in expired] == [each.data["ask_id"] for each in raised]
