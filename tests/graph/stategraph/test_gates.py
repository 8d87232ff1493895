"""A gate asks the human before a node runs."""

from typing import Any

import pytest

from tests.graph.stategraph.graphs import Log, ids, nodes_in, of, resume, run, says
from tinyagents import ConfigError
from tinyagents.graph import (
    END,
    START,
    Graph,
    GraphError,
    StateGraph,
)
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio


# --- gates ----------


def gated(approve: Any, **options: Any) -> Graph[Log]:
    graph = StateGraph(Log).add_node("plan", says("plan")).add_node("no", says("no"))
    graph.add_node("act", says("act"), approve=approve, **options)
    graph.add_sequence(START, "plan", "act", END).add_edge("no", END)
    return graph.compile(ignore={"UNREACHABLE"})


@pytest.mark.parametrize(("approve", "question"), [(True, "Run act?"), ("Really?", "Really?")])
async def test_a_gate_asks_before_the_node_runs(approve: Any, question: str) -> None:
    graph = gated(approve)
    result = await run(graph)
    assert result.output.said == ["plan"]
    (ask,) = result.pending
    assert (ask.id, ask.question, ask.gate) == ("root/act[0]/approve", question, True)
    assert await ask.approve(by="ann")
    done = await resume(graph, result)
    assert done.output.said == ["plan", "act"]
    assert of(done.events, "ask.answered", "answer", "by") == [(True, "ann")]
    assert nodes_in(done) == ["plan", "act"]


async def test_a_refusal_fails_the_run_and_tells_why() -> None:
    graph = gated(True)
    result = await run(graph)
    (ask,) = result.pending
    await ask.reject("too dear", by="ann")
    with pytest.raises(GraphError, match="REJECTED") as caught:
        await graph.resume(result.run_id)
    for told in ("ann did not approve of node 'act': too dear", "rejected='other'"):
        assert told in str(caught.value)
    check_tree(caught.value.result.events)
    assert of(caught.value.result.events, "ask.answered", "reason") == ["too dear"]


async def test_a_refusal_may_lead_elsewhere() -> None:
    graph = gated(True, rejected="no")
    result = await run(graph)
    done = await resume(graph, result, {ids(result)[0]: False})
    assert done.output.said == ["plan", "no"]


async def test_a_gate_may_be_a_function_of_the_state() -> None:
    async def approve(state: Log) -> str | None:
        return None if "fine" in state.said else f"After {state.said[-1]}?"

    graph = gated(approve)
    assert (await run(graph, {"said": ["fine"]})).output.said == ["fine", "plan", "act"]
    result = await run(graph)
    assert result.pending[0].question == "After plan?"


async def test_an_answer_to_a_gate_is_yes_or_no() -> None:
    graph = gated(True)
    result = await run(graph)
    with pytest.raises(ConfigError, match="'perhaps' is no answer .* which asks for bool"):
        await graph.resume(result.run_id, {ids(result)[0]: "perhaps"})


async def test_a_refusal_is_a_failure_that_a_node_may_take() -> None:
    graph = gated(True, on_error="no")
    result = await run(graph)
    done = await resume(graph, result, {ids(result)[0]: False})
    assert done.output.said == ["plan", "no"]
    assert isinstance(done.failures[0].error, GraphError)
