"""What a node does to the objects in its state stays with that node."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, Append, Merge, NodeContext, StateGraph

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


class Growing(BaseModel):
    listed: Annotated[list[Item | int], Append()] = []
    merged: Annotated[dict[str, Item | int], Merge()] = {}


async def test_objects_that_a_reducer_added_to_plain_values_are_copied_as_well() -> None:
    seen: list[object] = []

    async def plain(_: Growing) -> dict[str, Any]:
        return {"listed": [1], "merged": {"a": 1}}

    async def objects(_: Growing) -> dict[str, Any]:
        return {"listed": [Item()], "merged": {"a": 2, "b": Item()}}

    async def change(state: Growing) -> None:
        for each in (state.listed[1], state.merged["b"]):
            assert isinstance(each, Item)
            each.n = 99
        with pytest.raises(TypeError, match="cannot be changed in place"):
            state.merged["c"] = 3

    async def look(state: Growing) -> None:
        seen.append((list(state.listed), dict(state.merged)))

    graph = StateGraph(Growing)
    for node in (plain, objects, change, look):
        graph.add_node(node)
    graph.add_sequence(START, "plain", "objects", "change", "look", END)
    await graph.compile().run()
    assert seen == [([1, Item()], {"a": 2, "b": Item()})]


async def test_who_looks_at_a_run_that_goes_on_cannot_change_its_objects() -> None:
    async def ask(state: State, ctx: NodeContext) -> dict[str, Any]:
        assert everything(state) == [1] * 5
        return {"one": Item(n=await ctx.ask(int, "How many?", key="n"))}

    async def first(state: State) -> dict[str, Any]:
        return {"listed": []}

    graph = StateGraph(State).add_node("first", first).add_node("ask", ask)
    compiled = graph.add_sequence(START, "first", "ask", END).compile()
    async with compiled.stream() as run:
        async for value in run.values():
            value.one.n = value.listed[0].n = value.named["x"].n = 99
        paused = await run.result()
    paused.output.nested["x"][0].n = paused.output.pair[0].n = 99
    result = await compiled.resume(paused.run_id, {paused.pending[0].id: 1})
    assert everything(result.output) == [1] * 5
