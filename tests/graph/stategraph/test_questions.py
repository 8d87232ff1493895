"""Questions to the human: the run is paused, and goes on with the answers."""

from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel, Field

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Trip,
    asking,
    drink,
    how_many,
    ids,
    nodes_in,
    of,
    only,
    resume,
    run,
    says,
)
from tinyagents import ConfigError, RunConflict
from tinyagents.graph import (
    END,
    START,
    Ask,
    Graph,
    NodeContext,
    StateGraph,
)

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    cups: Annotated[int, Field(ge=1)]


async def in_body(state: Trip, ctx: NodeContext) -> dict[str, Any]:
    return {"cups": await ctx.ask(int, "How many cups?", key="cups"), "said": ["asked"]}


# --- a node that returns a question ----------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ask", [how_many, in_body])
async def test_a_question_pauses_the_run_and_an_answer_goes_on_with_it(ask: Any, mode: Any) -> None:
    """Behaviour 111: earlier work is kept; ours needs no store for it."""
    graph = asking(ask, mode=mode)
    result = await run(graph)
    assert result.status == "paused"
    assert result.error is None
    assert ids(result) == [f"root/ask[0]/{'ask' if ask is how_many else 'cups'}"]
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
