"""Joins that hypothesis seldom comes to: chained ones, and those in loops."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents.graph import END, START, Append, StateGraph, join

pytestmark = pytest.mark.anyio


class Log(BaseModel):
    log: Annotated[list[str], Append()] = []


def nodes(names: str) -> StateGraph[Log]:
    """A graph whose nodes write down that they ran."""
    graph = StateGraph(Log)
    for name in names:
        graph.add_node(name, writing(name))
    return graph


def writing(name: str) -> Callable[[Log], Any]:
    return lambda state: {"log": name}


def again(name: str, *targets: str, times: int = 2) -> Callable[[Log], Any]:
    """A router that goes to the targets until `name` has run so many times."""
    return lambda state: list(targets) if state.log.count(name) < times else END


async def test_a_join_waits_for_a_source_that_another_join_starts_in_the_same_step() -> None:
    graph = nodes("xsaby").add_edge(START, "x").add_edge(START, "s")
    graph.add_edge("s", "a").add_edge("s", "b")
    graph.add_edge(join("a"), "x").add_edge(["x", "b"], "y")
    result = await graph.compile().run()
    assert result.output.log == ["x", "s", "a", "b", "x", "y"]


async def test_a_race_is_run_again_in_each_round_of_a_loop() -> None:
    graph = nodes("abt").add_edge(START, "a").add_edge(START, "b")
    graph.add_edge(join("a", "b", wait_for="any"), "t")
    graph.add_conditional_edges("t", again("t", "a", "b"), ["a", "b", END])
    result = await graph.compile().run()
    assert result.output.log == ["a", "b", "t", "a", "b", "t"]


async def test_a_race_is_run_again_however_long_the_loop_is() -> None:
    graph = nodes("abtu").add_edge(START, "a").add_edge(START, "b").add_edge("t", "u")
    graph.add_edge(join("a", "b", wait_for="any"), "t")
    graph.add_conditional_edges("u", again("u", "a", "b"), ["a", "b", END])
    result = await graph.compile().run()
    assert result.output.log == ["a", "b", "t", "u"] * 2


async def test_a_race_is_run_again_although_its_loser_took_longer() -> None:
    graph = nodes("albtu").add_edge(START, "a").add_edge(START, "l").add_edge("l", "b")
    graph.add_edge(join("a", "b", wait_for="any"), "t").add_edge("t", "u")
    graph.add_conditional_edges("u", again("u", "a", "l"), ["a", "l", END])
    result = await graph.compile().run()
    assert result.output.log.count("t") == 2
