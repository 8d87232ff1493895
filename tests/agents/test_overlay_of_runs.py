"""What an overlay says of a real run: agents in nested graphs, a retry, a question."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tinyagents import Agent, ConfigError
from tinyagents.graph import END, START, Append, Ask, Graph, Retry, StateGraph
from tinyagents.testing import ScriptedModel, check_tree

pytestmark = pytest.mark.anyio


class State(BaseModel):
    drafts: Annotated[list[str], Append()] = []


def flaky() -> Any:
    tries = 0

    async def work(state: State) -> dict[str, Any]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("down")
        return {"drafts": "flaky"}

    return work


async def ask(state: State) -> Ask:
    return Ask("Is it good?", bool, then="tell")


async def tell(is_good: bool) -> dict[str, Any]:
    return {"drafts": str(is_good)}


def report() -> Graph[State]:
    team = StateGraph(State, name="team")
    team.add_node("writer", Agent(ScriptedModel(["draft"]), name="w"), output="drafts")
    graph = StateGraph(State, name="report")
    graph.add_node("team", team.add_sequence(START, "writer", END).compile())
    graph.add_node("flaky", flaky(), retry=Retry(3, backoff_s=0))
    graph.add_node(ask).add_node(tell)
    graph.add_edge(START, "team").add_edge(START, "flaky").add_edge(["team", "flaky"], "ask")
    return graph.add_edge("tell", END).compile()


async def test_an_overlay_tells_what_each_node_took() -> None:
    graph = report()
    paused = await graph.run()
    result = await graph.resume(paused.run_id, {paused.pending[0].id: True})
    check_tree(result.events)
    seen = graph.overlay(result)
    facts = {
        name: (node.visits, node.tries, node.failures, node.usage.requests)
        for name, node in seen.nodes.items()
    }
    assert facts == {
        "team": (1, 1, 0, 1),
        "team/writer": (1, 1, 0, 1),
        "flaky": (1, 2, 0, 0),
        "ask": (1, 1, 0, 0),
        "tell": (1, 1, 0, 0),
    }
    assert seen.critical_path[0] in ("root/team[0]", "root/flaky[0]")
    assert seen.critical_path[1:] == ("root/ask[0]", "root/tell[0]")
    assert "1×" in graph.mermaid(overlay=seen)


async def test_a_run_of_another_graph_is_refused() -> None:
    other = (
        StateGraph(State, name="other").add_node(tell).add_sequence(START, "tell", END).compile()
    )
    result = await report().run()
    with pytest.raises(ConfigError, match="graph 'other' was given a run of graph 'report'"):
        other.overlay(result)
