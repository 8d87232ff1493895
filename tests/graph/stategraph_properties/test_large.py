"""Long, wide and deep graphs."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Add, Append, Graph, GraphResult, Send
from tinyagents.testing import check_tree
from tinyagents_graph import DepthExceeded, LimitExceeded, RunLimits

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])
N = 1_000


class Tally(BaseModel):
    n: Annotated[int, Add()] = 0
    log: Annotated[list[int], Append()] = []


async def one(state: Any) -> dict[str, Any]:
    return {"n": 1}


async def numbered(number: int) -> dict[str, Any]:
    return {"n": 1, "log": number}


def tally(*names: str) -> StateGraph[Tally]:
    """A graph whose nodes each count one."""
    graph = StateGraph(Tally)
    for name in names:
        graph.add_node(name, one)
    return graph


def behind(result: GraphResult[Tally], node: str) -> list[list[str]]:
    """The tasks that led to each task of a node."""
    begun = [event.data for event in result.events if event.kind == "node.started"]
    return [list(data["after"]) for data in begun if data["node"] == node]


@MODES
async def test_a_chain_of_a_thousand_nodes(mode: Any) -> None:
    names = [f"n{number}" for number in range(N)]
    graph = tally(*names).add_sequence(START, *names).compile(mode=mode)
    result = await graph.run()
    assert (result.output.n, result.steps) == (N, N)
    check_tree(result.events)


@MODES
async def test_a_thousand_turns_of_a_loop(mode: Any) -> None:
    graph = tally("a").add_edge(START, "a")
    graph.add_conditional_edges("a", lambda state: state.n < N, {True: "a"}, default="__end__")
    compiled = graph.compile(mode=mode)
    assert (await compiled.run(max_steps=N)).output.n == N
    with pytest.raises(LimitExceeded, match="max_steps=100 "):
        await compiled.run()


@MODES
@pytest.mark.parametrize("n", [0, 1, N])
async def test_a_fan_out_to_a_thousand_meets_once(mode: Any, n: int) -> None:
    graph = tally("end").add_node("one", numbered).add_edge(["one"], "end")
    sends = [Send("one", number) for number in range(n)]
    graph.add_conditional_edges(START, lambda _: sends, ["one"])
    result = await graph.compile(mode=mode).run()
    assert result.output.n == n + 1
    assert result.output.log == list(range(n))
    assert behind(result, "end") == [[f"root/one[{number}]" for number in range(n)]]
    check_tree(result.events)


@MODES
async def test_a_thousand_edges_out_of_a_node_meet_once(mode: Any) -> None:
    names = [f"n{number}" for number in range(N)]
    graph = tally("begin", *names, "end").add_edge(START, "begin").add_edge(names, "end")
    for name in names:
        graph.add_edge("begin", name)
    result = await graph.compile(mode=mode).run()
    assert result.output.n == N + 2
    assert behind(result, "end") == [[f"root/{name}[0]" for name in names]]
    check_tree(result.events)


def nested(levels: int, around: Callable[[Graph[Tally]], StateGraph[Tally]], mode: Any) -> Any:
    graph = tally("leaf").add_edge(START, "leaf").compile(mode=mode)
    for _ in range(levels):
        graph = around(graph).compile(mode=mode)
    return graph


def alone(graph: Graph[Tally]) -> StateGraph[Tally]:
    return StateGraph(Tally).add_node("sub", graph).add_edge(START, "sub")


def in_fours(graph: Graph[Tally]) -> StateGraph[Tally]:
    made, names = tally("end"), list("abcd")
    for name in names:
        made.add_node(name, graph).add_edge(START, name)
    return made.add_edge(names, "end")


@MODES
async def test_twenty_graphs_in_one_another_under_max_depth(mode: Any) -> None:
    graph = nested(20, alone, mode)
    result = await graph.run(limits=RunLimits(max_depth=20))
    assert result.output.n == 1
    assert max(event.depth for event in result.events) == 20
    check_tree(result.events)
    with pytest.raises(DepthExceeded) as raised:
        await graph.run(limits=RunLimits(max_depth=19))
    assert raised.value.path == "root" + "/sub[0]" * 20
    check_tree(raised.value.result.events)


@MODES
async def test_wide_and_deep(mode: Any) -> None:
    result = await nested(4, in_fours, mode).run()
    assert result.output.n == 4**4 + 4**3 + 4**2 + 4 + 1
    check_tree(result.events)
