"""The body of a node that asks runs again from its top; what may go wrong with that."""

from typing import Any, Literal

import anyio
import pytest

from tests.graph.stategraph.graphs import Node, Text, Trip, asking, fail, only, resume, run
from tinyagents import ConfigError
from tinyagents.graph import (
    END,
    START,
    Ask,
    GraphError,
    NodeContext,
    StateGraph,
)
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio


def returning(ask: Ask) -> Node:
    async def put(state: Trip) -> Ask:
        return ask

    return put


# --- the body of a node that asks ----------


async def test_an_ask_cannot_be_swallowed() -> None:
    caught: list[str] = []

    async def greedy(state: Trip, ctx: NodeContext) -> dict[str, Any]:
        try:
            return {"cups": await ctx.ask(int, "How many?", key="n")}
        except Exception as error:
            caught.append(repr(error))
            return {"cups": -1}

    graph = asking(greedy)
    result = await run(graph)
    assert result.status == "paused"
    assert (await resume(graph, result, {only(result): 2})).output.cups == 2
    assert caught == []


async def test_a_body_runs_again_once_when_all_its_questions_are_answered() -> None:
    runs: list[int] = []

    async def ask(state: Trip, ctx: NodeContext) -> dict[str, Any]:
        runs.append(len(runs))
        answers: dict[str, str] = {}

        async def one(key: str) -> None:
            answers[key] = await ctx.ask(str, f"{key}?", key=key)

        async with anyio.create_task_group() as group:
            for key in ("x", "y", "z"):
                group.start_soon(one, key)
        return {"said": [f"{key} {answers[key]}" for key in sorted(answers)]}

    graph = asking(ask)
    result = await run(graph)
    assert sorted(each.question for each in result.pending) == ["x?", "y?", "z?"]
    again = await resume(graph, result, {"root/ask[0]/x": "1"})
    assert len(runs) == 1, "it would only ask again"
    assert len(again.pending) == 2
    done = await resume(graph, again, {"root/ask[0]/z": "3", "root/ask[0]/y": "2"})
    assert len(runs) == 2
    assert done.output.said == ["start", "x 1", "y 2", "z 3", "0 cups"]


async def test_a_step_is_done_once_however_often_the_body_runs() -> None:
    charged: list[int] = []

    async def charge(amount: int) -> str:
        charged.append(amount)
        return f"receipt {amount}"

    async def pay(state: Trip, ctx: NodeContext) -> dict[str, Any]:
        receipt = await ctx.step("charge", charge, 5)
        plain = await ctx.step("plain", len, "four")
        first = await ctx.ask(str, "first?", key="first")
        second = await ctx.ask(str, "second?", key="second")
        return {"said": [receipt, str(plain), first, second]}

    graph = asking(pay)
    result = await run(graph)
    result = await resume(graph, result, {only(result): "a"})
    assert only(result) == "root/ask[0]/second"
    result = await resume(graph, result, {only(result): "b"})
    assert result.output.said[1:5] == ["receipt 5", "4", "a", "b"]
    assert charged == [5]


async def test_a_body_that_takes_another_way_is_told() -> None:
    ways = ["x", "y"]

    async def fickle(state: Trip, ctx: NodeContext) -> None:
        await ctx.step("look", str)
        await ctx.ask(str, "?", key=ways.pop(0))

    graph = asking(fickle)
    result = await run(graph)
    with pytest.raises(GraphError, match="REPLAY_MISMATCH") as caught:
        await graph.resume(result.run_id, {only(result): "a"})
    check_tree(caught.value.result.events)
    for told in ("'ask' had asked 'x' before", "asks 'y' instead", "(then: look, x; now: look, y)",
                 "ctx.step(…)", "graphs.py:"):  # fmt: skip
        assert told in str(caught.value)


async def test_a_body_that_ends_without_its_question_is_told() -> None:
    asks = [True, False]

    async def fickle(state: Trip, ctx: NodeContext) -> None:
        if asks.pop(0):
            await ctx.ask(str, "?", key="x")

    graph = asking(fickle)
    result = await run(graph)
    with pytest.raises(GraphError, match="and this time ended without"):
        await graph.resume(result.run_id, {only(result): "a"})


@pytest.mark.parametrize("use", ["ask", "step"])
async def test_a_key_used_twice_in_one_body_is_told(use: Literal["ask", "step"]) -> None:
    async def twice(state: Trip, ctx: NodeContext) -> None:
        for _ in range(2):
            if use == "step":
                await ctx.step("n", str)
            else:
                await ctx.ask(str, "?", key="n")

    graph = asking(twice)
    if use == "step":
        error, _ = await fail(graph, GraphError)
    else:
        result = await run(graph)
        with pytest.raises(GraphError) as caught:
            await graph.resume(result.run_id, {only(result): "a"})
        error = caught.value
    assert error.has("REPLAY_MISMATCH")
    assert "the body of node 'ask' came to 'n' twice" in str(error)
    assert "in a loop f'{i}'" in str(error)


# --- what is wrong with a question ----------


async def test_a_question_says_where_its_answer_goes() -> None:
    for options in ({}, {"then": "a", "output": "b"}):
        wrong: Any = options
        with pytest.raises(ConfigError, match=r"Ask\('Go\?'\): say where the answer goes"):
            Ask("Go?", **wrong)
    for options, code, told in (
        ({"then": "drnk"}, "UNKNOWN_TARGET", "did you mean 'drink'?"),
        ({"output": "cps"}, "UNKNOWN_KEY", "which is no key of the state (did you mean 'cups'?)"),
    ):
        where: Any = options
        ask = returning(Ask("Go?", **where))
        error, _ = await fail(asking(ask, ignore={"UNKNOWN_TARGET", "UNKNOWN_KEY"}), GraphError)
        assert error.has(code)
        assert "the answer to node 'ask' goes to" in str(error)
        assert told in str(error)


async def test_an_answer_that_does_not_fit_its_key_is_told() -> None:
    async def ask(state: Text) -> Ask:
        return Ask("How many?", str, output="n")

    graph = StateGraph(Text).add_node(ask).add_sequence(START, "ask", END).compile()
    result = await run(graph)
    with pytest.raises(GraphError, match="INVALID_UPDATE") as caught:
        await graph.resume(result.run_id, {only(result): "many"})
    assert "node 'ask' wrote 'many' (str) to 'n', which is int" in str(caught.value)
    check_tree(caught.value.result.events)
