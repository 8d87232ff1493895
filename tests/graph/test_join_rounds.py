"""A join that does not wait for all is there again in the next round of a loop."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, Append, Command, Graph, StateGraph, join
from tinyagents_graph.stategraph.declared import Mode
from tinyagents_graph.stategraph.routing import WaitFor

pytestmark = pytest.mark.anyio

ROUNDS = 3


class State(BaseModel):
    visits: Annotated[list[str], Append()] = []


def visit(name: str) -> Any:
    async def body(_: State) -> dict[str, str]:
        return {"visits": name}

    return body


def looping(mode: Mode, wait_for: WaitFor, again: list[str]) -> Graph[State]:
    """Arms `a` and `b`, a join into `c`, and back to some arms until `c` was there three times."""

    def route(state: State) -> list[str]:
        return again if state.visits.count("c") < ROUNDS else ["done"]

    graph = StateGraph(State)
    for name in "abc":
        graph.add_node(name, visit(name))
    graph.add_edge(START, "a").add_edge(START, "b")
    graph.add_edge(join("a", "b", wait_for=wait_for), "c")
    graph.add_conditional_edges("c", route, {"a": "a", "b": "b", "done": END})
    return graph.compile(mode=mode)


@pytest.mark.parametrize("mode", ["superstep", "eager"])
@pytest.mark.parametrize("wait_for", ["any", 1, "reached"])
async def test_a_loop_over_one_arm_comes_to_the_join_in_each_round(
    mode: Mode, wait_for: WaitFor
) -> None:
    result = await looping(mode, wait_for, ["a"]).run()
    assert result.output.visits.count("c") == ROUNDS


@pytest.mark.parametrize("mode", ["superstep", "eager"])
@pytest.mark.parametrize("wait_for", ["any", 1, 2, "all", "reached"])
async def test_a_loop_over_both_arms_comes_to_the_join_in_each_round(
    mode: Mode, wait_for: WaitFor
) -> None:
    result = await looping(mode, wait_for, ["a", "b"]).run()
    assert result.output.visits.count("c") == ROUNDS


@pytest.mark.parametrize("wait_for", ["any", 1])
async def test_who_comes_later_than_he_was_waited_for_starts_nothing(wait_for: WaitFor) -> None:
    graph = StateGraph(State)
    for name in ("a", "b", "late", "c", "d"):
        graph.add_node(name, visit(name))
    graph.add_edge(START, "a").add_sequence(START, "b", "late")
    graph.add_edge(join("a", "late", wait_for=wait_for), "c").add_sequence("c", "d", END)
    result = await graph.compile().run()
    assert result.output.visits == ["a", "b", "late", "c", "d"]


async def test_an_arm_that_goes_elsewhere_does_not_keep_a_join_from_its_next_round() -> None:
    async def b(_: State) -> Command[Any]:
        return Command(update={"visits": "b"}, goto=END)

    def route(state: State) -> str:
        return "again" if state.visits.count("c") < ROUNDS else "done"

    graph = StateGraph(State).add_node("b", b, goto=[])
    for name in ("a", "before_b", "c", "d"):
        graph.add_node(name, visit(name))
    graph.add_edge(START, "a").add_sequence(START, "before_b", "b")
    graph.add_edge(join("a", "b", wait_for="any"), "c").add_edge("c", "d")
    graph.add_conditional_edges("d", route, {"again": "a", "done": END})
    result = await graph.compile().run()
    assert result.output.visits.count("c") == ROUNDS
