"""What a node does to the objects in its state stays with that node."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, Append, StateGraph

pytestmark = pytest.mark.anyio


class Item(BaseModel):
    n: int = 1


class State(BaseModel):
    one: Item = Item()
    listed: Annotated[list[Item], Append()] = [Item()]
    named: dict[str, Item] = {"x": Item()}
    nested: dict[str, list[Item]] = {"x": [Item()]}
    pair: tuple[Item, ...] = (Item(),)


def everything(state: State) -> list[int]:
    return [
        state.one.n,
        state.listed[0].n,
        state.named["x"].n,
        state.nested["x"][0].n,
        state.pair[0].n,
    ]


async def spoil(state: State) -> dict[str, Any]:
    items = [state.one, state.listed[0], state.named["x"], state.nested["x"][0], state.pair[0]]
    for each in items:
        each.n = 99
    assert everything(state) == [99] * 5  # its own view it may spoil
    return {}


async def test_a_node_cannot_change_objects_for_the_nodes_after_it() -> None:
    seen: list[list[int]] = []

    async def look(state: State) -> None:
        seen.append(everything(state))

    graph = StateGraph(State).add_node("spoil", spoil).add_node("look", look)
    result = await graph.add_sequence(START, "spoil", "look", END).compile().run()
    assert seen == [[1] * 5]
    assert everything(result.output) == [1] * 5


async def test_a_node_cannot_change_objects_for_its_siblings_nor_for_a_router() -> None:
    seen: list[list[int]] = []

    async def look(state: State) -> None:
        seen.append(everything(state))

    def route(state: State) -> str:
        seen.append(everything(state))
        return "done"

    graph = StateGraph(State).add_node("spoil", spoil).add_node("look", look)
    graph.add_edge(START, "spoil").add_edge(START, "look").add_edge("look", END)
    graph.add_conditional_edges("spoil", route, {"done": END})
    await graph.compile().run()
    assert seen == [[1] * 5] * 2
