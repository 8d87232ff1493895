"""What the docs promise of graphs that nodes return, of the limit on steps, and of answers."""

from typing import Any

import pytest
from pydantic import BaseModel

from tinyagents.testing import check_tree
from tinyagents_graph.errors import ConfigError, GraphError, LimitExceeded
from tinyagents_graph.stategraph import END, START, Ask, NodeContext, Send, StateGraph, join

pytestmark = pytest.mark.anyio


class State(BaseModel):
    text: str = ""
    n: int = 0


def say(state: State) -> dict[str, str]:
    return {"text": "said"}


def work(item: int) -> None:
    """Does nothing."""


def ask_text(state: State) -> Ask:
    return Ask("Text?", output="text")


def ask_n(state: State) -> Ask:
    return Ask("How many?", type=int, output="n")


def inner() -> StateGraph[State]:
    g = StateGraph(State, name="inner")
    g.add_node(say)
    return g.add_sequence(START, "say", END)


@pytest.mark.parametrize("is_compiled", [True, False])
async def test_a_graph_that_a_node_returns_runs_in_its_place(is_compiled: bool) -> None:
    def make(state: State) -> object:
        return inner().compile() if is_compiled else inner()

    g = StateGraph(State).add_node(make).add_sequence(START, "make", END)
    result = await g.compile().run()
    assert result.output.text == "said"
    assert [event.path for event in result.events if event.kind == "run.started"] == [
        "root",
        "root/make[0]",
    ]


def test_a_graph_that_is_not_compiled_is_no_node() -> None:
    with pytest.raises(ConfigError, match="compile the graph first"):
        StateGraph(State).add_node("inner", inner())


async def test_the_limit_on_steps_says_where_it_is_raised() -> None:
    def again(state: State) -> dict[str, int]:
        return {"n": state.n + 1}

    g = StateGraph(State).add_node(again).add_edge(START, "again")
    g.add_conditional_edges("again", lambda state: "again", {"again": "again", "done": END})
    with pytest.raises(LimitExceeded, match=r"compile\(max_steps=") as caught:
        await g.compile(max_steps=3).run()
    assert "RunLimits" not in str(caught.value)


async def test_too_few_is_told_once() -> None:
    g = StateGraph(State)
    g.add_node(work)
    g.add_node("end", say)
    g.add_conditional_edges(START, lambda state: [Send("work", 1)], ["work"])
    g.add_edge(join("work", min_ok=2), "end")
    g.add_edge("end", END)
    with pytest.raises(Exception, match="TOO_FEW: the join on work needs min_ok=2") as caught:
        await g.compile(fail="collect").run()
    assert str(caught.value).count("graph 'graph'") == 1


async def test_the_same_answer_again_changes_nothing_once_the_run_has_gone_on() -> None:
    g = StateGraph(State)
    g.add_node(ask_text)
    g.add_node(ask_n)
    graph = g.add_sequence(START, "ask_text", "ask_n", END).compile()
    first = await graph.run()
    answers = {first.pending[0].id: "tea"}
    second = await graph.resume(first.run_id, answers)
    third = await graph.resume(first.run_id, answers)  # by somebody who had no reply the first time
    assert third.status == "paused"
    assert [ask.id for ask in third.pending] == [ask.id for ask in second.pending]


@pytest.mark.parametrize("mode", ["superstep", "eager"])
async def test_a_paused_run_that_nobody_will_answer_is_discarded(mode: Any) -> None:
    async def ask(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"text": await ctx.ask(str, "What?", key="what")}

    inner = StateGraph(State, name="inner").add_node(ask)
    outer = StateGraph(State, name="outer")
    outer.add_node("inner", inner.add_sequence(START, "ask", END).compile(mode=mode))
    graph = outer.add_sequence(START, "inner", END).compile(mode=mode)
    paused = await graph.run()
    assert await graph.discard(paused.run_id, "nobody cares")
    assert not await graph.discard(paused.run_id)
    check_tree(paused.events)
    ends = [(each.path, each.kind) for each in paused.events if each.kind == "run.cancelled"]
    assert ends == [("root/inner[0]", "run.cancelled"), ("root", "run.cancelled")]
    with pytest.raises(ConfigError, match="no such run"):
        await graph.resume(paused.run_id)


def test_what_no_graph_can_run_with_is_not_ignored() -> None:
    graph = StateGraph(State).add_node("a", say)
    graph.add_edge(START, "a").add_edge("a", "b")
    with pytest.raises(GraphError, match="UNKNOWN_TARGET"):
        graph.compile(ignore={"UNKNOWN_TARGET", "DEAD_END"})
