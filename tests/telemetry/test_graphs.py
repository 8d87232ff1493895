"""State graphs in a trace: workflows, supersteps, visits of nodes, and what runs in them."""

from collections import Counter
from typing import Annotated, Any

import pytest
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from tests.telemetry.collecting import Traces, facts, id_of, notes, trace_of
from tinyagents import Agent, MemoryJournal, Retry
from tinyagents.graph import END, START, Append, Ask, GraphError, StateGraph
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


class State(BaseModel):
    topic: str = "tea"
    notes: Annotated[list[str], Append()] = []
    price: int = 0


def writer() -> Agent:
    return Agent(ScriptedModel(["A note."]), name="writer")


def fork_and_join() -> StateGraph[State]:
    def plan(state: State) -> dict[str, Any]:
        return {"topic": state.topic.upper()}

    def check(state: State) -> dict[str, Any]:
        return {"notes": ["checked"]}

    g = StateGraph(State, name="office")
    g.add_node(plan)
    g.add_node("write", writer(), input=lambda s: s.topic, output=lambda out: {"notes": [out]})
    g.add_node(check)
    g.add_edge(START, "plan")
    g.add_edge("plan", "write")
    g.add_edge("plan", "check")
    g.add_edge("write", END)
    g.add_edge("check", END)
    return g


async def test_a_graph_is_a_workflow_of_steps_of_visits(traces: Traces) -> None:
    await fork_and_join().compile().run()
    # The two of a step begin in either order.
    assert Counter(" < ".join(traces.chain(each)) for each in traces.spans) == Counter(
        [
            "invoke_workflow office",
            "step 0 < invoke_workflow office",
            "node plan < step 0 < invoke_workflow office",
            "step 1 < invoke_workflow office",
            "node write < step 1 < invoke_workflow office",
            "invoke_agent writer < node write < step 1 < invoke_workflow office",
            "chat scripted < invoke_agent writer < node write < step 1 < invoke_workflow office",
            "node check < step 1 < invoke_workflow office",
        ]
    )
    root, node = facts(traces.one("invoke_workflow office")), facts(traces.one("node write"))
    assert root["gen_ai.operation.name"] == "invoke_workflow"
    assert root["gen_ai.workflow.name"] == "office"
    assert root["openinference.span.kind"] == node["openinference.span.kind"] == "CHAIN"
    assert "gen_ai.operation.name" not in node
    assert node["tinyagents.after"] == ("root/plan[0]",)
    assert "tinyagents.state.updated" in notes(traces.one("step 1"))


async def test_a_graph_as_a_tool_is_a_nested_workflow(traces: Traces) -> None:
    graph = fork_and_join().compile()
    script = [call("office", topic="tea"), "Done."]
    await Agent(ScriptedModel(script), name="boss", subagents=[graph]).run("Go")
    span = traces.one("invoke_workflow office")
    assert facts(span)["gen_ai.workflow.nested"] is True
    assert traces.chain(span) == [
        "invoke_workflow office", "execute_tool office", "invoke_agent boss",
    ]  # fmt: skip


async def test_a_node_that_fails_says_why_after_all_its_tries(traces: Traces) -> None:
    def broken(state: State) -> dict[str, Any]:
        raise ConnectionError("no line")

    g = StateGraph(State, name="office").add_node(broken, retry=Retry(attempts=2, backoff_s=0))
    g.add_edge(START, "broken").add_edge("broken", END)
    with pytest.raises(ConnectionError):
        await g.compile().run()
    failed = [each for each in traces.spans if each.status.status_code is StatusCode.ERROR]
    assert {each.name: facts(each)["error.type"] for each in failed} == {
        "invoke_workflow office": "ConnectionError",
        "step 0": "ConnectionError",
        "node broken": "ConnectionError",
    }
    assert "tinyagents.node.retried" in notes(traces.one("node broken"))


async def test_a_run_that_waits_ends_its_trace_and_goes_on_in_a_linked_one(traces: Traces) -> None:
    async def price(state: State) -> Ask:
        return Ask("How much?", type=int, output="price")

    g = StateGraph(State, name="shop").add_node(price)
    graph = g.add_edge(START, "price").add_edge("price", END).compile()
    result = await graph.run(run_id="r-1")
    first = traces.one("invoke_workflow shop")
    assert facts(first)["tinyagents.unfinished"] == "parked"
    assert first.status.status_code is StatusCode.UNSET
    assert "tinyagents.ask.raised" in [name for each in traces.spans for name in notes(each)]
    traces.clear()
    result = await graph.resume(result.run_id, {result.pending[0].id: 3})
    assert result.output.price == 3
    second = traces.one("invoke_workflow shop")
    assert trace_of(second) != trace_of(first)
    assert [id_of(each) for each in second.links] == [id_of(first)]
    assert [trace_of(each) for each in second.links] == [trace_of(first)]
    assert facts(second)["tinyagents.run.id"] == facts(first)["tinyagents.run.id"] == "r-1"


async def test_an_eager_graph_has_visits_and_no_steps(traces: Traces) -> None:
    await fork_and_join().compile(mode="eager").run()
    above = {each.name: traces.parent(each) for each in traces.spans}
    root = traces.one("invoke_workflow office")
    assert [above[f"node {each}"] for each in ("plan", "write", "check")] == [root] * 3


async def test_a_graph_that_fails_in_its_routing_is_closed_whole(traces: Traces) -> None:
    def a(state: State) -> None:
        return None

    g = StateGraph(State, name="lost").add_node(a).add_edge(START, "a")
    g.add_conditional_edges("a", lambda state: "nowhere", {"somewhere": END})
    with pytest.raises(GraphError):
        await g.compile().run()
    assert {"invoke_workflow lost", "node a", "step 0"} == set(traces.names)
    assert facts(traces.one("step 0"))["error.type"] == "GraphError"


async def test_runs_of_a_thread_are_one_conversation(traces: Traces) -> None:
    graph, journal = fork_and_join().compile(), MemoryJournal()
    await graph.run(thread="desk", journal=journal)
    assert {facts(each)["gen_ai.conversation.id"] for each in traces.spans} == {"desk"}
