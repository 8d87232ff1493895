"""A fan-out to nobody counts as done, wherever it begins."""

from typing import Annotated

import pytest
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, Add, Send, StateGraph, join
from tinyagents_graph.stategraph.declared import Mode

pytestmark = pytest.mark.anyio


class State(BaseModel):
    items: list[str] = []
    n: Annotated[int, Add()] = 0
    told: str = ""


def hand_out(state: State) -> list[Send]:
    return [Send("work", item) for item in state.items]


def work(item: str) -> dict[str, int]:
    return {"n": 1}


def tell(state: State) -> dict[str, str]:
    return {"told": f"{state.n} done"}


def pass_on(state: State) -> None:
    """Does nothing."""


@pytest.mark.parametrize("mode", ["superstep", "eager"])
@pytest.mark.parametrize("source", [START, "pass_on"])
async def test_the_join_behind_an_empty_fan_out_goes_on(source: str, mode: Mode) -> None:
    g = StateGraph(State)
    g.add_node(work)
    g.add_node(tell)
    if source != START:
        g.add_node(pass_on)
        g.add_edge(START, "pass_on")
    g.add_conditional_edges(source, hand_out, ["work"])
    g.add_edge(join("work"), "tell")
    g.add_edge("tell", END)
    graph = g.compile(mode=mode)
    assert (await graph.run({"items": []})).output.told == "0 done"
    assert (await graph.run({"items": ["a", "b"]})).output.told == "2 done"
