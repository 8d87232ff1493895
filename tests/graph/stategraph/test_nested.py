"""Graphs and agents in one tree; map and reduce; what a run of any shape adds up to."""

import json
from itertools import product
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import MODES, Log, fail, nodes_in, of, run, says
from tinyagents import Agent, ConfigError, RunCancelled, RunLimits
from tinyagents.graph import (
    END,
    START,
    Graph,
    NodeContext,
    Send,
    StateGraph,
    join,
)
from tinyagents.testing import ScriptedModel, TestModel, call, check_tree
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio


class Report(BaseModel):
    topic: str = "tea"
    draft: str = ""
    stars: int = 0


class Review(BaseModel):
    stars: int


def writer(*script: Any) -> Agent[Any, Any]:
    return Agent(ScriptedModel(list(script) or ["a draft"]), name="writer")


# --- agents as nodes ----------


@pytest.mark.parametrize("mode", MODES)
async def test_an_agents_answer_becomes_an_update(mode: Any) -> None:
    """Behaviour 133: one child with its own id and usage, under the same root."""

    def task(state: Report) -> str:
        return f"Write about {state.topic}."

    graph = StateGraph(Report).add_node("write", writer(), input=task, output="draft")
    result = await run(graph.add_sequence(START, "write", END).compile(mode=mode))
    assert result.output.draft == "a draft"
    (child,) = [e for e in result.events if e.kind == "run.started" and e.path != "root"]
    assert child.path == "root/write[0]"
    assert child.run_id == f"{result.run_id}/write[0]"
    assert child.root_run_id == result.run_id
    assert child.data["name"] == "writer"
    assert result.usage.requests == 0
    assert result.tree_usage.requests == 1
    kinds = [event.kind for event in result.events if event.path == "root"]
    assert kinds.index("subagent.started") < kinds.index("subagent.completed")
    assert of(result.events, "subagent.completed", "run_id", "status") == [
        (child.run_id, "completed")
    ]


async def test_an_agents_typed_answer_fills_keys_of_the_same_names() -> None:
    """Behaviour 133: the mapper is the type of the answer, or a function."""
    reviewer = Agent(TestModel(), name="reviewer", output_type=Review)

    def keep(review: Review) -> dict[str, Any]:
        return {"stars": review.stars + 10}

    for output in (None, keep):
        graph = StateGraph(Report).add_node("review", reviewer, output=output)
        result = await run(graph.add_sequence(START, "review", END).compile())
        assert (result.output.stars >= 10) == (output is not None)
        assert result.output.draft == ""


def test_what_is_no_agent_is_no_node() -> None:
    """Behaviour 134: there are no names to look up that could be missing."""
    graph: StateGraph[Any] = StateGraph(Report)
    with pytest.raises(ConfigError, match=r"add_node\('write', 'writer'\): give a function, an"):
        graph.add_node("write", "writer")


@pytest.mark.parametrize("policy", ["drain", "cancel", "collect"])
async def test_a_budget_of_the_run_holds_for_its_agents(policy: Any) -> None:
    """Behaviour 134."""

    def again(state: Report) -> str:
        return "write"

    graph = StateGraph(Report).add_node("write", Agent(TestModel()), output="draft")
    graph.add_edge(START, "write").add_conditional_edges("write", again, ["write", END])
    error, partial = await fail(
        graph.compile(fail=policy), LimitExceeded, limits=RunLimits(max_requests=3)
    )
    assert (error.limit, error.path) == ("max_requests", "root")
    assert partial.tree_usage.requests == 3
    assert nodes_in(partial, "node.completed") == ["write"] * 3


# --- map and reduce ----------


class Items:
    """A fan-out over numbers and a join behind it; each item is a task of `work`."""

    def __init__(self, work: Any, n: int = 4, least: int | None = None, **options: Any) -> None:
        limits = {name: options.pop(name) for name in ("timeout_s",) if name in options}
        self.failed: list[Any] = []

        def spread(state: Log) -> list[Send]:
            return [Send("work", each) for each in range(n)]

        async def reduce(state: Log, ctx: NodeContext) -> dict[str, Any]:
            self.failed += [failure.payload for failure in ctx.failures]
            return {"said": [f"{len(state.said)} of {n}"]}

        graph = StateGraph(Log).add_node("work", work, **limits).add_node("reduce", reduce)
        graph.add_conditional_edges(START, spread, ["work"])
        graph.add_edge(join("work", min_ok=least), "reduce").add_edge("reduce", END)
        self.graph: Graph[Log] = graph.compile(**options)


@pytest.mark.parametrize("mode", MODES)
async def test_what_was_mapped_is_in_the_order_of_the_input(mode: Any) -> None:
    """Behaviour 137: whatever finishes first."""
    done = [anyio.Event() for _ in range(5)]
    done[4].set()

    async def work(n: int) -> dict[str, Any]:
        await done[n + 1].wait()
        done[n].set()
        return {"said": [str(n)]}

    items = Items(work, mode=mode)
    result = await run(items.graph)
    assert result.output.said == ["0", "1", "2", "3", "4 of 4"]
    assert of(result.events, "node.completed", "path")[:4] == [
        f"root/work[{n}]" for n in (3, 2, 1, 0)
    ]


async def odd_fails(n: int) -> dict[str, Any]:
    if n % 2:
        raise ValueError(f"odd {n}")
    return {"said": [str(n)]}


async def test_all_errors_of_a_map_are_told_in_the_order_of_the_input() -> None:
    """Behaviour 137: fail fast raises the one; by default ours raises all, in order."""
    group, partial = await fail(Items(odd_fails).graph, ExceptionGroup)
    assert [str(error) for error in group.exceptions] == ["odd 1", "odd 3"]
    assert partial.output.said == ["0", "2"]
    error, _ = await fail(Items(odd_fails, fail="cancel", max_concurrency=1).graph, ValueError)
    assert str(error) == "odd 1"


@pytest.mark.parametrize(("least", "is_enough"), [(None, True), (2, True), (3, False)])
async def test_a_map_may_do_with_some_of_its_items(least: int | None, is_enough: bool) -> None:
    """Behaviour 137: best effort, and a quorum at and below its threshold."""
    items = Items(odd_fails, least=least, fail="collect")
    if not is_enough:
        group, _ = await fail(items.graph, ExceptionGroup)
        assert "needs min_ok=3, and 2 succeeded" in str(group)
        assert len(group.exceptions) == 2
        return
    result = await run(items.graph)
    assert result.output.said == ["0", "2", "2 of 4"]
    assert items.failed == [1, 3]


async def test_a_slow_item_fails_alone() -> None:
    """Behaviour 137: the time of an item."""

    async def work(n: int) -> dict[str, Any]:
        if n == 1:
            await anyio.sleep_forever()
        return {"said": [str(n)]}

    items = Items(work, timeout_s=0.02, fail="collect")
    assert (await run(items.graph)).output.said == ["0", "2", "3", "3 of 4"]
    assert items.failed == [1]


async def test_the_time_of_the_run_ends_the_whole_map() -> None:
    """Behaviour 137: the time of all; what was finished is in the partial result."""

    async def work(n: int) -> dict[str, Any]:
        if n:
            await anyio.sleep_forever()
        return {"said": [str(n)]}

    for policy in ("drain", "cancel", "collect"):
        items = Items(work, fail=policy)
        _, partial = await fail(items.graph, LimitExceeded, limits=RunLimits(max_seconds=0.05))
        assert partial.output.said == ["0"]


async def test_a_cancelled_map_leaves_no_item_at_work() -> None:
    """Behaviour 137."""

    async def work(n: int) -> None:
        await anyio.sleep_forever()

    async with Items(work).graph.stream() as live:
        await anyio.wait_all_tasks_blocked()
        assert len(of(live.events, "node.started")) == 4
        live.cancel("enough")
        with pytest.raises(RunCancelled) as caught:
            await live.result()
    check_tree(caught.value.result.events)
    assert len(of(caught.value.result.events, "node.failed")) == 4


# --- shapes ----------


def test_a_graph_is_drawn_with_its_routes_and_told_as_json() -> None:
    """Behaviour 138."""
    graph = StateGraph(Log).add_node("a", says("a")).add_node("b", says("b"))

    def route(state: Log) -> str:
        return "more"

    graph.add_edge(START, "a").add_conditional_edges("a", route, {"more": "b", "done": END})
    compiled = graph.add_edge("b", END).compile()
    drawn = compiled.mermaid()
    assert drawn == compiled.mermaid()
    assert "more" in drawn
    assert "done" in drawn
    told = json.loads(compiled.to_json())
    assert {node["id"] for node in told["nodes"]} == {START, "a", "b", END}


SHAPES = ("chain", "fan", "loop")
BODIES = ("function", "agent", "graph", "agent with a tool", "agent with a sub-agent")


def shape(kind: str, body: Any, n: int, **options: Any) -> Graph[Log]:
    """Nodes of the same kind, laid out in one of some shapes: `n` visits in all."""

    def task(state: Log) -> str:
        return "go"

    def update(answer: Any) -> dict[str, Any]:
        return {"said": [answer]}

    is_agent = isinstance(body, Agent)
    settings: dict[str, Any] = {"input": task, "output": update} if is_agent else {}
    graph = StateGraph(Log)
    if kind == "loop":

        def route(state: Log) -> str:
            return "n0" if len(state.said) < n else END

        graph.add_node("n0", body, **settings).add_edge(START, "n0")
        return graph.add_conditional_edges("n0", route, ["n0", END]).compile(**options)
    names = [f"n{i}" for i in range(n)]
    for name in names:
        graph.add_node(name, body, **settings)
        if kind == "fan":
            graph.add_edge(START, name).add_edge(name, END)
    if kind == "chain":
        graph.add_sequence(START, *names, END)
    return graph.compile(**options)


async def look_up() -> str:
    """Look something up."""
    return "found"


def body(kind: str) -> Any:
    if kind == "function":
        return says("done")
    if kind == "graph":
        inner = StateGraph(Log).add_node("in", says("done"))
        return inner.add_sequence(START, "in", END).compile()
    helper = Agent(TestModel(), name="helper", description="Helps.")
    tools = {"agent with a tool": [look_up]}.get(kind, [])
    agents = [helper] if kind == "agent with a sub-agent" else []
    first = {
        "agent with a tool": call("look_up"),
        "agent with a sub-agent": call("helper", input="x"),
    }

    def script() -> Any:
        return ([first[kind]] if kind in first else []) + ["done"]

    return Agent(ScriptedModel(script() * 4), name="worker", tools=tools, subagents=agents)


@pytest.mark.parametrize(("kind", "what"), list(product(SHAPES, BODIES)))
@pytest.mark.parametrize("mode", MODES)
async def test_what_happens_in_a_run_adds_up(kind: str, what: str, mode: Any) -> None:
    """Behaviour 139: visits, answers, calls and events of every shape with every body."""
    n = 4
    graph = shape(kind, body(what), n, mode=mode, max_concurrency=1)
    result = await run(graph)
    assert result.output.said == ["done"] * n
    expected = ["n0"] * n if kind == "loop" else [f"n{i}" for i in range(n)]
    own = [event for event in result.events if event.path == "root"]
    assert of(own, "node.started", "node") == expected
    assert of(own, "node.completed", "node") == expected
    assert result.steps == (1 if kind == "fan" else n)
    kinds = [event.kind for event in result.events]
    n_calls = n if what.startswith("agent with") else 0
    n_agents = 0 if not what.startswith("agent") else n
    n_helpers = n if what == "agent with a sub-agent" else 0
    assert kinds.count("model.started") == n_agents + n_calls + n_helpers
    assert kinds.count("tool.started") == n_calls
    n_children = (n if what != "function" else 0) + n_helpers
    assert kinds.count("run.started") == kinds.count("run.completed") == 1 + n_children
    assert kinds.count("subagent.started") == kinds.count("subagent.completed") == n_children
    assert result.tree_usage.requests == n_agents + n_calls + n_helpers
