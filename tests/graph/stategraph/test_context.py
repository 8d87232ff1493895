"""What a node's context knows, and what whoever watches a run sees."""

from math import inf
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.graph.stategraph.graphs import Log, hang, of, resume, run, says, single, watched
from tinyagents import ConfigError, RunLimits, SetMetadata
from tinyagents.graph import (
    END,
    START,
    Ask,
    NodeContext,
    StateGraph,
)

pytestmark = pytest.mark.anyio


# --- the context ----------


async def test_a_node_knows_where_it_stands() -> None:
    seen: dict[str, Any] = {}

    async def n(state: Log, ctx: NodeContext) -> None:
        seen.update(
            node=ctx.node, path=ctx.path, step=ctx.superstep, attempt=ctx.attempt,
            failures=ctx.failures, deps=ctx.deps, metadata=dict(ctx.metadata),
            left=ctx.remaining_s, key=ctx.idempotency_key,
        )  # fmt: skip

    graph = StateGraph(Log).add_node("a", says("a")).add_node(n).add_sequence(START, "a", "n", END)
    await run(graph.compile(), deps={"db": 1}, run_id="t1")
    assert seen == {
        "node": "n", "path": "root/n[0]", "step": 1, "attempt": 0, "failures": (),
        "deps": {"db": 1}, "metadata": {}, "left": inf, "key": "t1/n[0]",
    }  # fmt: skip
    await run(graph.compile(), limits=RunLimits(max_seconds=50))
    assert 0 < seen["left"] <= 50


async def test_deps_reach_graphs_below() -> None:
    seen: list[Any] = []

    async def n(state: Log, ctx: NodeContext) -> None:
        seen.append(ctx.deps)

    outer = StateGraph(Log).add_node("sub", single(n)).add_sequence(START, "sub", END).compile()
    await run(outer, deps="ours")
    assert seen == ["ours"]


async def test_an_idempotency_key_is_the_same_when_the_body_runs_again() -> None:
    keys: list[str] = []

    async def n(state: Log, ctx: NodeContext) -> Ask | None:
        keys.append(ctx.idempotency_key)
        await ctx.ask(str, "?", key="k")
        return None

    graph = single(n)
    result = await run(graph)
    await resume(graph, result, {"root/n[0]/k": "x"})
    assert keys == [f"{result.run_id}/n[0]"] * 2
    other = await run(graph)
    assert keys[2] == f"{other.run_id}/n[0]" != keys[0]


async def test_metadata_of_the_run_is_seen_by_its_nodes_and_those_below() -> None:
    seen: list[Any] = []
    gate = anyio.Event()

    async def wait(state: Log) -> None:
        await gate.wait()

    async def look(state: Log, ctx: NodeContext) -> None:
        seen.append(dict(ctx.metadata))

    graph = StateGraph(Log).add_node(wait).add_node("sub", single(look)).add_node(look)
    async with graph.add_sequence(START, "wait", "sub", "look", END).compile().stream() as live:
        await anyio.wait_all_tasks_blocked()
        ack = await live.steer(SetMetadata({"user": "ann"}))
        gate.set()
        await live.result()
    assert seen == [{"user": "ann"}] * 2
    assert ack.status == "applied"


async def test_a_nodes_own_events_are_custom_events() -> None:
    class Thing:
        def __str__(self) -> str:
            return "a thing"

    late: list[NodeContext] = []

    async def n(state: Log, ctx: NodeContext) -> None:
        late.append(ctx)
        event = ctx.emit("progress", done=1, of=2, thing=Thing(), bad=inf)
        assert event is not None

    result = await run(single(n))
    assert of(result.events, "custom") == [
        {"name": "progress", "node": "n", "path": "root/n[0]", "done": 1, "of": 2,
         "thing": "a thing", "bad": None}
    ]  # fmt: skip
    assert late[0].emit("too late") is None


async def test_views_of_a_stream_show_values_updates_and_custom_events() -> None:
    async def n(state: Log, ctx: NodeContext) -> dict[str, Any]:
        ctx.emit("hi")
        return {"said": ["n"]}

    graph = StateGraph(Log).add_node("a", says("a")).add_node(n).add_sequence(START, "a", "n", END)
    compiled = graph.compile()
    async with compiled.stream() as live:
        assert [value.said async for value in live.values()] == [["a"], ["a", "n"]]
    async with compiled.stream() as live:
        found = [each async for each in live.updates()]
    assert found == [{"a": {"said": ["a"]}}, {"n": {"said": ["n"]}}]
    async with compiled.stream() as live:
        both = [each async for each in live.view("custom", "updates")]
    assert [name for name, _ in both] == ["updates", "custom", "updates"]
    assert both[1][1]["name"] == "hi"
    wrong: Any = "update"
    async with compiled.stream() as live:
        with pytest.raises(ConfigError, match=r"did you mean 'updates'\?"):
            _ = [each async for each in live.view(wrong)]


async def test_a_stream_that_is_left_early_cancels_the_run() -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("n", hang)
    graph.add_sequence(START, "a", "n", END)
    async with graph.compile().stream() as live:
        async for event in live:
            if event.kind == "node.completed":
                break
    assert live.status == "cancelled"
    from tinyagents.testing import check_tree

    check_tree(live.events)
    last = live.events[-1]
    assert (last.kind, last.data["reason"]) == (
        "run.cancelled",
        "abandoned: its stream was left before it ended",
    )


async def test_a_slow_reader_loses_nothing() -> None:
    graph = StateGraph(Log)
    names = [f"n{n}" for n in range(30)]
    for name in names:
        graph.add_node(name, says(name))
    graph.add_sequence(START, *names, END)
    for policy in ("block", "drop_deltas", "coalesce"):
        how: Any = policy
        async with graph.compile().stream(policy=how, buffer=5) as live:
            completed: list[str] = []
            async for event in live:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                if event.kind == "node.completed":
                    completed.append(event.data["node"])
            result = await live.result()
        assert completed == names, policy
        assert result.output.said == names
    events, result = await watched(graph.compile().stream())
    assert [event.seq for event in events] == list(range(len(result.events)))
