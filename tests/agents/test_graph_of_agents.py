"""Agents as nodes of graphs: one tree, one budget, one helm."""

from typing import Any

import pytest
from pydantic import BaseModel

from tests.agents.graphs import State, begun, echo, row, saying
from tests.graph.unchecked import StateGraph
from tinyagents import (
    Agent,
    BudgetExceeded,
    DepthExceeded,
    EventSink,
    LimitExceeded,
    Retry,
    RunLimits,
    SubAgent,
    SubAgentSession,
    Usage,
    tool,
)
from tinyagents.graph import START, Graph, GraphResult, NodeContext
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


async def error_of(graph: Graph[State], **options: Any) -> tuple[Any, GraphResult[State]]:
    """What ended the run, and what there was until then."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await graph.run(**options)
    error: Any = raised.value
    check_tree(error.result.events)
    return error, error.result


# --- their place in the tree --------------------------------------------------------------------


@MODES
async def test_an_agent_runs_as_a_child_at_its_tasks_address(mode: Any) -> None:
    sink = EventSink()
    graph = row(("plan", saying("planner"), "plan"), ("write", saying("w"), "text"), mode=mode)
    result = await graph.run(sink=sink)
    assert (result.output.plan, result.output.text) == ("planner", "w")
    assert begun(sink.events) == ["root", "root/plan[0]", "root/write[0]"]
    tasks = [event.data["path"] for event in sink.events if event.kind == "node.started"]
    assert tasks == begun(sink.events)[1:]
    assert (result.usage.requests, result.tree_usage.requests) == (0, 2)
    check_tree(sink.events)


async def test_without_input_it_gets_the_state_as_json_and_its_name_is_the_key() -> None:
    graph = StateGraph(State).add_node("text", Agent(FunctionModel(echo), name="echo"))
    result = await graph.add_edge(START, "text").compile().run({"topic": "oolong"})
    assert result.output.text == State(topic="oolong").model_dump_json()


async def test_input_and_output_say_what_it_gets_and_where_its_answer_goes() -> None:
    graph = StateGraph(State).add_node(
        "write",
        Agent(FunctionModel(echo), name="echo"),
        input=lambda state: f"about {state.topic}",
        output=lambda text: {"text": text.upper(), "log": len(text) * "x"},
    )
    result = await graph.add_edge(START, "write").compile().run()
    assert (result.output.text, result.output.log) == ("ABOUT TEA", ["xxxxxxxxx"])


async def test_the_fields_of_a_typed_answer_are_its_update() -> None:
    class Draft(BaseModel):
        plan: str
        text: str

    author = Agent(
        ScriptedModel(['{"plan": "brew", "text": "drink"}']), name="author", output_type=Draft
    )
    result = await row(("author", author, "")).run()
    assert (result.output.plan, result.output.text) == ("brew", "drink")


async def test_what_a_function_node_starts_hangs_below_its_task() -> None:
    helper = saying("helper")

    async def twice(state: State) -> dict[str, Any]:
        return {"log": [(await helper.run("x")).path for _ in range(2)]}

    def in_a_thread(state: State) -> dict[str, Any]:
        return {"log": helper.run_sync("x").path}

    result = await row(("twice", twice, ""), ("sync", in_a_thread, "")).run()
    assert result.output.log == [
        "root/twice[0]/helper[0]",
        "root/twice[0]/helper[1]",
        "root/sync[0]/helper[0]",
    ]
    check_tree(result.events)


async def test_a_further_try_has_a_further_address() -> None:
    agent = Agent(ScriptedModel([OSError("down"), OSError("down"), "up"]), name="w")
    graph = StateGraph(State).add_node("text", agent, retry=Retry(3, backoff_s=0))
    result = await graph.add_edge(START, "text").compile().run()
    assert result.output.text == "up"
    assert begun(result.events)[1:] == ["root/text[0]", "root/text[0]/w[0]", "root/text[0]/w[1]"]
    check_tree(result.events)


async def test_a_graph_that_a_tool_runs_is_a_child_of_the_agent() -> None:
    graph = row(("write", saying("w"), "text"))

    @tool
    async def ask_graph(topic: str) -> str:
        """Ask it.

        Args:
            topic: What about.
        """
        result = await graph.run({"topic": topic})
        return f"{result.path} {result.output.text}"

    boss = Agent(ScriptedModel([call("ask_graph", topic="x"), "done"]), tools=[ask_graph])
    result = await boss.run("go", limits=RunLimits(max_requests=3))
    assert result.messages[2].text == "root/ask_graph[0]/graph[0] w"
    assert result.tree_usage.requests == 3
    check_tree(result.events)


async def test_a_session_keeps_its_transcript_from_round_to_round() -> None:
    poet = Agent(FunctionModel(lambda request: f"line {len(request.messages)}"), name="poet")
    session = SubAgentSession(poet)
    graph = StateGraph(State).add_node("poet", session, output="log", input=lambda _: "go on")
    graph.add_edge(START, "poet").add_conditional_edges(
        "poet", lambda state: len(state.log) < 3, {True: "poet"}, default="__end__"
    )
    result = await graph.compile().run()
    assert result.output.log == ["line 1", "line 3", "line 5"]
    assert (session.turns, len(session.transcript)) == (3, 6)
    assert begun(result.events)[1:] == ["root/poet[0]", "root/poet[1]", "root/poet[2]"]
    check_tree(result.events)


# --- one budget ---------------------------------------------------------------------------------


def two_deep(**options: Any) -> Graph[State]:
    """An agent, and a graph with another two, each of which costs a dollar."""
    inner = row(("b", saying("b", usd=1), "text"), ("c", saying("c", usd=1), "log"), **options)
    return row(("a", saying("a", usd=1), "plan"), ("inner", inner, ""), **options)


@MODES
@pytest.mark.parametrize(
    ("limits", "kind", "done"),
    [
        (RunLimits(max_requests=2), LimitExceeded, 2),
        (RunLimits(max_usd=1.5), BudgetExceeded, 1),
        (RunLimits(max_tokens=1), BudgetExceeded, 0),
        (RunLimits(max_runs=3), LimitExceeded, 1),
        (RunLimits(max_depth=1), DepthExceeded, 1),
    ],
)
async def test_limits_of_the_root_hold_over_all_that_is_below(
    mode: Any, limits: RunLimits, kind: type[LimitExceeded], done: int
) -> None:
    error, result = await error_of(two_deep(mode=mode), limits=limits)
    assert type(error) is kind
    assert result.status == "failed"
    assert result.tree_usage.requests == done
    limited = await two_deep(mode=mode).run(limits=limits.narrowed(RunLimits(on_limit="return")))
    assert limited.status == "limited"
    check_tree(limited.events)


@MODES
async def test_without_limits_it_costs_what_all_of_them_cost(mode: Any) -> None:
    result = await two_deep(mode=mode).run()
    assert (result.cost, result.tree_usage.requests) == (3.0, 3)
    assert result.usage == Usage()


async def test_limits_of_a_subagent_are_its_own() -> None:
    model = ScriptedModel([call("look"), call("look"), "x"])

    @tool
    async def look() -> str:
        """Look."""
        return "nothing"

    limited = SubAgent(Agent(model, name="w", tools=[look]), limits=RunLimits(max_requests=1))
    error, result = await error_of(row(("w", limited, "text"), ("z", saying("z"), "plan")))
    assert (error.limit, error.path) == ("max_requests", "root/w[0]")
    assert result.output.plan == ""


async def test_usage_is_counted_once_over_parking_and_resuming() -> None:
    helper = saying("helper", usd=1)

    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        async def pay() -> Any:
            return (await helper.run("x")).output

        paid = await ctx.step("pay", pay)
        return {"log": [paid, await ctx.ask(str, "Well?", key="well")]}

    inner = row(("b", saying("b", usd=1), "text"), ("asks", asks, ""))
    graph = row(
        ("a", saying("a", usd=1), "plan"), ("in", inner, ""), ("z", saying("z", usd=1), "text")
    )
    limits = RunLimits(max_requests=4, max_usd=4.5, max_runs=6, max_live_runs=3)
    paused = await graph.run(limits=limits)
    assert (paused.status, paused.tree_usage.requests, paused.cost) == ("paused", 3, 3.0)
    result = await graph.resume(paused.run_id, {paused.pending[0].id: "yes"})
    assert (result.status, result.tree_usage.requests, result.cost) == ("completed", 4, 4.0)
    assert result.output.log == ["helper", "yes"]
    check_tree(result.events)
