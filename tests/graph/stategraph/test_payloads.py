"""What nodes are sent, the commands they return, and graphs that they return."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import MODES, Log, Node, fail, nodes_in, of, run, says, single
from tinyagents import RunLimits
from tinyagents.graph import (
    END,
    START,
    Command,
    Graph,
    GraphError,
    Send,
    StateGraph,
)
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio


def sending(body: Any, *payloads: Any, **options: Any) -> Graph[Log]:
    """A node that is sent payloads out of START."""

    def spread(state: Log) -> list[Send]:
        return [Send("n", each) for each in payloads]

    graph = StateGraph(Log).add_node("n", body, **options).add_edge("n", END)
    return graph.add_conditional_edges(START, spread, ["n"]).compile()


# --- what is sent ----------


class Job(BaseModel):
    name: str
    size: int = 1


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_sent_is_checked_against_the_first_parameter(mode: Any) -> None:
    seen: list[Any] = []

    async def model(job: Job) -> None:
        seen.append(job)

    async def number(n: int) -> None:
        seen.append(n)

    async def anything(x: Any) -> None:
        seen.append(x)

    def spread(state: Log) -> list[Send]:
        return [
            Send("model", {"name": "a", "size": "2"}),
            Send("model", Job(name="b")),
            Send("number", "7"),
            Send("anything", {"x": [1]}),
        ]

    graph = StateGraph(Log)
    for body in (model, number, anything):
        graph.add_node(body).add_edge(body.__name__, END)
    graph.add_conditional_edges(START, spread, ["model", "number", "anything"])
    await run(graph.compile(mode=mode, max_concurrency=1))
    assert seen == [Job(name="a", size=2), Job(name="b"), 7, {"x": [1]}]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"size": 1}, "name: Field required"),
        ("x", "Input should be a valid dictionary"),
        (None, ""),
    ],
)
async def test_what_is_sent_and_does_not_fit_is_told(payload: Any, told: str) -> None:
    async def n(job: Job) -> None: ...

    error, partial = await fail(sending(n, payload), GraphError)
    assert error.has("INVALID_PAYLOAD")
    for each in (f"node 'n' was sent {payload!r}", "type of its first parameter", told):
        assert each in str(error)
    assert "test_payloads.py:" in str(error)
    assert nodes_in(partial, "node.failed") == ["n"]


async def test_the_type_of_what_is_sent_may_be_declared() -> None:
    async def n(job: Any) -> dict[str, Any]:
        return {"said": [type(job).__name__]}

    assert (await run(sending(n, {"name": "a"}, input_type=Job))).output.said == ["Job"]


async def test_a_state_may_be_sent() -> None:
    async def n(state: Log) -> dict[str, Any]:
        return {"said": [", ".join(state.said)]}

    result = await run(sending(n, {"said": ["a", "b"]}, Log(said=["c"])))
    assert result.output.said == ["a, b", "c"]


async def test_a_node_may_return_sends() -> None:
    async def plan(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(2)]

    async def single_send(state: Log) -> Send:
        return Send("work", 7)

    async def work(n: int) -> dict[str, Any]:
        return {"said": [str(n)]}

    for body, said in ((plan, ["0", "1"]), (single_send, ["7"])):
        graph = StateGraph(Log).add_node("plan", body, goto=["work"]).add_node(work)
        graph.add_edge(START, "plan").add_edge("work", END)
        assert (await run(graph.compile())).output.said == said


# --- commands ----------


async def test_a_command_says_in_its_hint_where_it_may_go() -> None:
    async def pick(state: Log) -> Command[Literal["left", "right"]]:
        return Command(goto="right", update={"said": ["pick"]})

    graph = StateGraph(Log).add_node(pick).add_node("left", says("left"))
    graph.add_node("right", says("right")).add_edge(START, "pick")
    graph.add_edge("left", END).add_edge("right", END)
    assert (await run(graph.compile())).output.said == ["pick", "right"]


async def test_a_command_may_name_nodes_and_sends_together() -> None:
    async def pick(state: Log) -> Command:
        return Command(goto=["left", Send("job", 5), END])

    async def job(n: int) -> dict[str, Any]:
        return {"said": [f"job {n}"]}

    graph = StateGraph(Log).add_node("pick", pick, goto=["left", "job"]).add_node(job)
    graph.add_node("left", says("left")).add_edge(START, "pick")
    graph.add_edge("left", END).add_edge("job", END)
    result = await run(graph.compile())
    assert result.output.said == ["left", "job 5"]
    assert of(result.events, "node.completed")[0]["goto"] == ["left", "job", END]


async def test_a_command_without_goto_follows_the_edges() -> None:
    async def a(state: Log) -> Command:
        return Command(update={"said": ["a"]})

    graph = StateGraph(Log).add_node(a).add_node("b", says("b")).add_sequence(START, "a", "b", END)
    assert (await run(graph.compile())).output.said == ["a", "b"]


# --- nodes that return a graph ----------


@pytest.mark.parametrize("is_compiled", [False, True])
async def test_a_node_may_return_a_graph_that_runs_in_its_place(is_compiled: bool) -> None:
    async def plan(state: Log) -> Any:
        graph = StateGraph(Log, name="planned")
        for word in state.said:
            graph.add_node(word, says(f"did {word}"))
        graph.add_sequence(START, *state.said, END)
        return graph.compile() if is_compiled else graph

    result = await run(single(plan), {"said": ["a", "b"]})
    assert result.output.said == ["a", "b", "did a", "did b"]
    assert of(result.events, "run.started", "path", "name") == [
        ("root", "graph"),
        ("root/n[0]", "planned"),
    ]


async def test_a_returned_graph_that_is_wrong_is_told() -> None:
    async def plan(state: Log) -> Any:
        return StateGraph(Log, name="planned").add_node("a", says("a")).add_edge(START, "b")

    error, _ = await fail(single(plan), GraphError)
    assert error.graph == "planned"


async def test_graphs_that_return_themselves_end_at_the_depth_of_the_tree() -> None:
    async def again(state: Log) -> Any:
        return graph

    graph = single(again)
    error, partial = await fail(graph, LimitExceeded, limits=RunLimits(max_depth=3))
    assert error.limit == "max_depth"
    assert of(partial.events, "run.started", "path")[-1] == "root/n[0]/n[0]/n[0]"


def test_nodes_are_told_by_name() -> None:
    graph = StateGraph(Log).add_node("a", says("a"), description="says a")
    assert list(graph.nodes) == ["a"]
    assert graph.nodes["a"].description == "says a"
    body: Node = graph.nodes["a"].body
    assert callable(body)
