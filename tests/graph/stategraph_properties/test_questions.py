"""Questions that finished nodes leave behind, while the rest of the graph goes on."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Append, Ask, join
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


class Log(BaseModel):
    log: Annotated[list[str], Append()] = []


def writing(name: str) -> Callable[[Log], Any]:
    return lambda state: {"log": name}


def leaving(question: str) -> Callable[[Log], Any]:
    return lambda state: Ask(question, output="log")


def beside(*names: str) -> StateGraph[Log]:
    """A node that leaves a question, beside a row of others."""
    graph = StateGraph(Log).add_node("asks", leaving("Well?"))
    for name in names:
        graph.add_node(name, writing(name))
    return graph.add_edge(START, "asks").add_sequence(START, *names)


@MODES
async def test_what_runs_beside_a_question_goes_on_to_its_end(mode: Any) -> None:
    graph = beside("a", "b", "c").compile(mode=mode)
    result = await graph.run()
    assert (result.status, result.output.log) == ("paused", ["a", "b", "c"])
    result = await graph.resume(result.run_id, {"root/asks[0]/ask": "yes"})
    assert (result.status, sorted(result.output.log)) == ("completed", ["a", "b", "c", "yes"])
    check_tree(result.events)


@MODES
@pytest.mark.parametrize("wait_for", ["all", "reached"])
async def test_a_join_waits_for_the_answer(mode: Any, wait_for: Any) -> None:
    graph = beside("a", "b").add_node("end", writing("end"))
    graph.add_edge(join("asks", "b", wait_for=wait_for), "end")
    compiled = graph.compile(mode=mode)
    result = await compiled.run()
    assert result.output.log == ["a", "b"]
    result = await compiled.resume(result.run_id, {"root/asks[0]/ask": "yes"})
    assert sorted(result.output.log[:-1]) == ["a", "b", "yes"]
    assert result.output.log[-1] == "end"
    check_tree(result.events)


async def test_an_answer_meets_what_comes_next_anyway() -> None:
    graph = beside("a", "b", "c").add_node("d", leaving("Now?"))
    graph.add_edge(START, "d").add_edge("asks", "b")
    compiled = graph.compile()
    result = await compiled.run()
    assert [ask.id for ask in result.pending] == ["root/asks[0]/ask", "root/d[0]/ask"]
    result = await compiled.resume(result.run_id, {"root/asks[0]/ask": "yes"})
    assert (result.status, result.output.log) == ("paused", ["a", "b", "c", "yes", "b", "c"])
    result = await compiled.resume(result.run_id, {"root/d[0]/ask": "now"})
    assert result.output.log[-1] == "now"
    check_tree(result.events)
