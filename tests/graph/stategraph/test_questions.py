"""Questions to the human: the run is paused, and goes on with the answers."""

from typing import Annotated, Any, Literal

import anyio
import pytest
from pydantic import BaseModel, Field

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Node,
    Text,
    asks_of,
    fail,
    nodes_in,
    of,
    resume,
    run,
    says,
)
from tinyagents import ConfigError, RunConflict
from tinyagents.graph import (
    END,
    START,
    Append,
    Ask,
    Graph,
    GraphError,
    GraphResult,
    NodeContext,
    StateGraph,
)
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    cups: Annotated[int, Field(ge=1)]


class Trip(BaseModel):
    said: Annotated[list[str], Append()] = []
    cups: int = 0


async def how_many(state: Trip) -> Ask:
    return Ask("How many cups?", int, output="cups", update={"said": ["asked"]})


async def drink(state: Trip) -> dict[str, Any]:
    return {"said": [f"{state.cups} cups"]}


def asking(ask: Any = how_many, **options: Any) -> Graph[Trip]:
    graph = StateGraph(Trip).add_node("start", says("start")).add_node("ask", ask)
    graph.add_node(drink).add_sequence(START, "start", "ask", "drink", END)
    return graph.compile(**options)


async def in_body(state: Trip, ctx: NodeContext) -> dict[str, Any]:
    return {"cups": await ctx.ask(int, "How many cups?", key="cups"), "said": ["asked"]}


def returning(ask: Ask) -> Node:
    async def put(state: Trip) -> Ask:
        return ask

    return put


def only(result: GraphResult[Any]) -> str:
    (ask,) = result.pending
    assert ask.status == "open"
    return ask.id


# --- a node that returns a question ----------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ask", [how_many, in_body])
async def test_a_question_pauses_the_run_and_an_answer_goes_on_with_it(ask: Any, mode: Any) -> None:
    """Behaviour 111: earlier work is kept; ours needs no store for it."""
    graph = asking(ask, mode=mode)
    result = await run(graph)
    assert result.status == "paused"
    assert result.error is None
    assert asks_of(result) == ["ask"]
    assert result.pending[0].question == "How many cups?"
    assert result.output.said[0] == "start"
    result = await resume(graph, result, {only(result): 3})
    assert result.status == "completed"
    assert result.pending == ()
    assert result.output == Trip(said=["start", "asked", "3 cups"], cups=3)
    assert nodes_in(result) == ["start", "ask", "drink"]


async def test_a_paused_run_tells_so_in_its_events() -> None:
    """Behaviour 116: it goes on in the same stream of events, and says so once."""
    graph = asking()
    result = await resume(graph, paused := await run(graph), {only(paused): 1})
    kinds = [event.kind for event in result.events]
    wanted = ("run.started", "ask.raised", "run.paused", "run.resumed", "ask.answered")
    assert [kind for kind in kinds if kind in wanted] == list(wanted)
    assert kinds[-1] == "run.completed"
    assert of(result.events, "ask.raised") == [
        {"ask_id": "root/ask[0]/ask", "question": "How many cups?", "to": "human", "node": "ask"}
    ]
    assert of(result.events, "ask.answered") == [
        {"ask_id": "root/ask[0]/ask", "answer": 1, "by": "human"}
    ]
    assert of(result.events, "run.paused", "reason") == ["waits for an answer"]


async def test_the_answer_may_go_to_a_node_of_its_own() -> None:
    async def plan(state: Log) -> Ask:
        return Ask("Go?", bool, then="decide", update={"said": ["plan"]})

    async def decide(yes: bool) -> dict[str, Any]:
        return {"said": [f"decided {yes!r}"]}

    graph = StateGraph(Log).add_node(plan).add_node(decide).add_edge(START, "plan")
    compiled = graph.add_edge("decide", END).compile()
    result = await run(compiled)
    result = await resume(compiled, result, {only(result): "yes"})
    assert result.output.said == ["plan", "decided True"]
    assert of(result.events, "node.started", "after")[-1] == ["root/plan[0]"]


@pytest.mark.parametrize("ask", [how_many, in_body])
async def test_a_wrong_answer_is_refused_and_the_question_stays_open(ask: Any) -> None:
    graph = asking(ask)
    result = await run(graph)
    with pytest.raises(ConfigError) as caught:
        await graph.resume(result.run_id, {only(result): "many"})
    for told in ("'many' is no answer", "root/ask[0]/", "How many cups?", "int", "valid integer"):
        assert told in str(caught.value)
    assert result.pending[0].status == "open"
    again = await resume(graph, result, {})
    assert again.status == "paused"
    assert (await resume(graph, again, {only(again): "4"})).output.cups == 4


async def test_answers_are_of_any_type_with_its_rules() -> None:
    async def ask(state: Trip) -> Ask:
        return Ask("Order?", Order, then="serve")

    async def serve(order: Order) -> dict[str, Any]:
        return {"cups": order.cups}

    graph = StateGraph(Trip).add_node(ask).add_node(serve).add_edge(START, "ask")
    compiled = graph.add_edge("serve", END).compile()
    result = await run(compiled)
    with pytest.raises(ConfigError, match="cups: Input should be greater than or equal to 1"):
        await compiled.resume(result.run_id, {only(result): {"cups": 0}})
    assert (await resume(compiled, result, {only(result): {"cups": 2}})).output.cups == 2


async def test_the_same_answer_twice_is_one_answer() -> None:
    graph = both()
    result = await run(graph)
    first, second = [ask.id for ask in result.pending]
    again = await resume(graph, result, {first: "1"})
    assert [ask.id for ask in again.pending] == [second]
    again = await resume(graph, again, {first: 1})
    assert again.status == "paused"
    with pytest.raises(ConfigError) as caught:
        await graph.resume(result.run_id, {first: 2, second: 2})
    assert f"{first!r} has been answered already, with 1" in str(caught.value)
    assert result.pending[1].status == "open", "all answers are checked before any counts"
    done = await resume(graph, again, {second: 2, first: 1})
    assert done.output.said == ["a 1", "b 2"]


async def test_an_answer_to_a_run_that_has_ended_is_refused() -> None:
    graph = asking()
    result = await run(graph)
    answer = {only(result): 1}
    await resume(graph, result, answer)
    with pytest.raises(ConfigError, match=r"no such run of Graph\('graph', 3 nodes\) is paused"):
        await graph.resume(result.run_id, answer)


async def test_an_unknown_question_or_run_is_told() -> None:
    """Behaviour 112: a run is paused in the graph that ran it; elsewhere it is not known."""
    graph = asking()
    result = await run(graph, run_id="trip-1")
    with pytest.raises(ConfigError) as caught:
        await graph.resume("trip-1", {"root/ask[0]/asl": 1})
    assert "there is no question 'root/ask[0]/asl' (did you mean" in str(caught.value)
    assert "open are root/ask[0]/ask" in str(caught.value)
    with pytest.raises(ConfigError, match=r"is paused \(did you mean 'trip-1'\?\)"):
        await graph.resume("trip-2", {})
    with pytest.raises(ConfigError, match="no such run"):
        await asking().resume(result.run_id, {only(result): 1})


async def test_a_question_is_answered_on_its_own_as_well() -> None:
    graph = asking()
    result = await run(graph)
    (ask,) = result.pending
    with pytest.raises(ConfigError, match="is no answer"):
        await ask.answer("many")
    assert await ask.answer(2, by="ann")
    assert not await ask.answer(3)
    done = await resume(graph, result)
    assert done.output.cups == 2
    assert of(done.events, "ask.answered", "by") == ["ann"]


async def test_two_who_go_on_with_a_run_at_once_conflict() -> None:
    went_on, let_go = anyio.Event(), anyio.Event()

    async def slow(state: Trip) -> dict[str, Any]:
        went_on.set()
        await let_go.wait()
        return {"said": ["slow"]}

    graph = StateGraph(Trip).add_node("ask", how_many).add_node(slow)
    compiled = graph.add_sequence(START, "ask", "slow", END).compile()
    result = await run(compiled)
    found: list[Any] = []

    async def first() -> None:
        found.append(await resume(compiled, result, {only(result): 1}))

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await went_on.wait()
        with pytest.raises(RunConflict, match="it goes on already: wait for its result"):
            await compiled.resume(result.run_id, {"root/ask[0]/ask": 1})
        let_go.set()
    assert found[0].output.said == ["asked", "slow"]


# --- in several places ----------


def both(**options: Any) -> Graph[Log]:
    """Two nodes of one step ask, in two ways."""

    async def a(state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"a {await ctx.ask(int, 'a?', key='n')}"]}

    async def b(state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"b {await ctx.ask(int, 'b?', key='n')}"]}

    graph = StateGraph(Log).add_node(a).add_node(b).add_edge(START, "a").add_edge(START, "b")
    return graph.add_edge("a", END).add_edge("b", END).compile(**options)


@pytest.mark.parametrize("mode", MODES)
async def test_questions_of_two_nodes_are_told_together_and_answered_by_id(mode: Any) -> None:
    """Behaviour 118."""
    graph = both(mode=mode)
    result = await run(graph)
    assert sorted(ask.id for ask in result.pending) == ["root/a[0]/n", "root/b[0]/n"]
    done = await resume(graph, result, {"root/b[0]/n": 2, "root/a[0]/n": 1})
    assert done.output.said == ["a 1", "b 2"]


@pytest.mark.parametrize("mode", MODES)
async def test_only_the_one_that_asked_gets_the_answer(mode: Any) -> None:
    """Behaviour 113: the sibling's work is kept and not done again."""
    n_runs: list[str] = []

    async def a(state: Log) -> dict[str, Any]:
        n_runs.append("a")
        return {"said": ["a"]}

    async def b(state: Log, ctx: NodeContext) -> dict[str, Any]:
        n_runs.append("b")
        return {"said": [f"b {await ctx.ask(str, 'b?', key='n')}"]}

    graph = StateGraph(Log).add_node(a).add_node(b).add_node("x", says("x"))
    graph.add_edge(START, "a").add_edge(START, "b").add_edge("a", "x").add_edge("x", END)
    compiled = graph.add_edge("b", END).compile(mode=mode)
    result = await run(compiled)
    if mode == "eager":  # nothing holds back what follows a
        assert result.output.said == ["a", "x"]
    done = await resume(compiled, result, {only(result): "yes"})
    assert sorted(done.output.said) == ["a", "b yes", "x"]
    assert sorted(n_runs) == ["a", "b", "b"]
    assert nodes_in(done).count("x") == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_returned_question_does_not_hold_up_its_siblings_way(mode: Any) -> None:
    graph = StateGraph(Trip).add_node("ask", how_many).add_node(drink)
    graph.add_node("a", says("a")).add_node("b", says("b")).add_sequence(START, "a", "b", END)
    compiled = graph.add_sequence(START, "ask", "drink", END).compile(mode=mode)
    result = await run(compiled)
    assert sorted(result.output.said) == ["a", "asked", "b"]
    done = await resume(compiled, result, {only(result): 5})
    assert sorted(done.output.said) == ["5 cups", "a", "asked", "b"]
    assert (done.output.cups, len(nodes_in(done))) == (5, 4)


@pytest.mark.parametrize("mode", MODES)
async def test_a_join_waits_for_the_answer_of_an_arm(mode: Any) -> None:
    """Behaviour 115: who arrived before the pause has arrived."""
    graph = StateGraph(Trip).add_node("a", says("a")).add_node("ask", how_many).add_node(drink)
    graph.add_edge(START, "a").add_edge(START, "ask").add_edge(["a", "ask"], "drink")
    compiled = graph.add_edge("drink", END).compile(mode=mode)
    result = await run(compiled)
    assert result.status == "paused"
    done = await resume(compiled, result, {only(result): 2})
    assert done.output.said == ["a", "asked", "2 cups"]
    assert nodes_in(done).count("drink") == 1


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
                 "ctx.step(…)", "test_questions.py:"):  # fmt: skip
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
