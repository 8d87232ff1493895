"""Graphs under rough treatment: threads, several event loops, signals, listeners, lost handles."""

import asyncio
import gc
import logging
import weakref
from functools import partial
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Append, Graph, NodeContext
from tinyagents.testing import check_tree
from tinyagents_graph import ConfigError, Event, EventSink, RunConflict, RunLimits

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])
BACKENDS = ["asyncio", "trio"]


class State(BaseModel):
    log: Annotated[list[str], Append()] = []


async def asks(state: State, ctx: NodeContext) -> Any:
    return {"log": await ctx.ask(str, "Well?", key="well")}


async def hangs(state: State) -> None:
    await anyio.sleep_forever()


def graph_of(*bodies: Any, **options: Any) -> Graph[State]:
    """A graph of these nodes, side by side."""
    graph = StateGraph(State)
    for body in bodies:
        graph.add_node(body).add_edge(START, body.__name__)
    return graph.compile(**options)


# --- threads and event loops --------------------------------------------------------------------


def calling(graph: Graph[State]) -> Any:
    """A plain node that runs a graph."""

    def calls(state: State) -> Any:
        return {"log": [*graph.run_sync().output.log, "up"]}

    return calls


def test_plain_nodes_run_graphs_that_run_graphs() -> None:
    def leaf(state: State) -> Any:
        return {"log": "leaf"}

    graph = graph_of(leaf)
    for _ in range(3):
        graph = graph_of(calling(graph))
    result = graph.run_sync()
    assert result.output.log == ["leaf", "up", "up", "up"]
    check_tree(result.events)


def test_more_plain_nodes_wait_for_graphs_than_there_are_threads() -> None:
    def leaf(state: State) -> Any:
        return {"log": "leaf"}

    calls = calling(graph_of(leaf))
    graph, names = StateGraph(State), [f"n{number}" for number in range(100)]
    for name in names:
        graph.add_node(name, calls).add_edge(START, name)
    result = graph.compile(max_concurrency=100).run_sync()
    assert result.output.log == ["leaf", "up"] * 100
    check_tree(result.events)


@MODES
@pytest.mark.parametrize("second", BACKENDS)
@pytest.mark.parametrize("first", BACKENDS)
def test_what_one_event_loop_parked_another_resumes(mode: Any, first: Any, second: Any) -> None:
    graph = graph_of(asks, mode=mode)
    limits = RunLimits(max_seconds=60, max_live_runs=1)
    paused: Any = anyio.run(partial(graph.run, limits=limits), backend=first)
    answers = {ask.id: "yes" for ask in paused.pending}
    result = anyio.run(graph.resume, paused.run_id, answers, backend=second)
    assert result.output.log == ["yes"]
    check_tree(result.events)


# --- signals ------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_keyboard_interrupt_in_a_node_ends_all_of_it(mode: Any, backend: Any) -> None:
    sink = EventSink()

    async def interrupted(state: State) -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    graph = graph_of(hangs, interrupted, mode=mode)
    with pytest.raises(KeyboardInterrupt):
        anyio.run(partial(graph.run, sink=sink), backend=backend)
    check_tree(sink.events)
    assert sink.events[-1].kind == "run.cancelled"


@pytest.mark.anyio
@MODES
async def test_a_listener_that_fails_harms_nothing(mode: Any, caplog: Any) -> None:
    sink = EventSink()

    def listen(event: Event) -> None:
        raise ValueError("no")

    sink.subscribe(listen)
    graph = graph_of(asks, mode=mode)
    with caplog.at_level(logging.CRITICAL + 1):
        result = await graph.run(sink=sink)
        result = await graph.resume(result.run_id, {result.pending[0].id: "yes"})
    assert result.output.log == ["yes"]
    check_tree(sink.events)


# --- handles and paused runs --------------------------------------------------------------------


def test_a_graph_goes_away_with_its_paused_runs() -> None:
    graph = graph_of(asks)
    assert graph.run_sync().status == "paused"
    gone = weakref.ref(graph)
    del graph
    gc.collect()
    assert gone() is None


@pytest.mark.anyio
async def test_a_stream_ends_when_its_run_parks() -> None:
    graph = graph_of(asks)
    async with graph.stream() as run:
        kinds = [event.kind async for event in run]
        paused = await run.result()
    assert (kinds[-1], paused.status) == ("run.paused", "paused")
    result = await graph.resume(run.run_id, {paused.pending[0].id: "yes"})
    assert result.output.log == ["yes"]
    check_tree(result.events)


@pytest.mark.anyio
async def test_a_stream_that_is_still_open_tells_how_its_run_went_on() -> None:
    graph = graph_of(asks)
    async with graph.stream() as run:
        paused = await run.result()
        await graph.resume(run.run_id, {paused.pending[0].id: "yes"})
        kinds = [event.kind async for event in run]
    assert kinds[-1] == "run.completed"
    check_tree(run.events)


@pytest.mark.anyio
async def test_two_cannot_go_on_with_a_run_at_once() -> None:
    began = anyio.Event()

    async def waits(state: State, ctx: NodeContext) -> Any:
        await ctx.ask(str, "Well?", key="well")
        began.set()
        await anyio.sleep_forever()

    graph = graph_of(waits)
    paused = await graph.run()
    answers = {paused.pending[0].id: "yes"}
    async with anyio.create_task_group() as group:
        group.start_soon(graph.resume, paused.run_id, answers)
        await began.wait()
        with pytest.raises(RunConflict):
            await graph.resume(paused.run_id, answers)
        group.cancel_scope.cancel()
    with pytest.raises(ConfigError, match="no such run"):
        await graph.resume(paused.run_id)
    check_tree(paused.events)


@pytest.mark.anyio
async def test_answers_are_checked_before_any_of_them_counts() -> None:
    async def both(state: State, ctx: NodeContext) -> Any:
        n = await ctx.ask(int, "How many?", key="n")
        return {"log": str(n + await ctx.ask(int, "And?", key="more"))}

    graph = graph_of(both)
    paused = await graph.run()
    [first] = paused.pending
    for bad in ({first.id: "many"}, {first.id: 1, "root/both[0]/mre": 2}):
        with pytest.raises(ConfigError):
            await graph.resume(paused.run_id, bad)
        assert first.status == "open"
    paused = await graph.resume(paused.run_id, {first.id: "1"})
    paused = await graph.resume(paused.run_id, {first.id: 1})
    with pytest.raises(ConfigError, match="answered already"):
        await graph.resume(paused.run_id, {first.id: 2})
    result = await graph.resume(paused.run_id, {first.id: 1, paused.pending[0].id: 2})
    assert result.output.log == ["3"]
    check_tree(result.events)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_lost_handle_keeps_no_reference_to_its_graph() -> None:
    graph, n_before = graph_of(asks), len(asyncio.all_tasks())
    async with graph.stream() as run:
        await run.result()
    gone = weakref.ref(graph)
    del graph, run
    gc.collect()
    assert gone() is None
    assert len(asyncio.all_tasks()) == n_before


@pytest.mark.anyio
async def test_a_plain_node_is_given_up_when_its_run_is_cancelled(eager_threads: None) -> None:
    began, goes_on = anyio.Event(), anyio.Event()

    def works(state: State) -> None:
        anyio.from_thread.run_sync(began.set)
        anyio.from_thread.run(goes_on.wait)

    async with graph_of(works).stream() as run:
        await began.wait()
        run.cancel("enough")
        goes_on.set()
    check_tree(run.events)
    assert run.status == "cancelled"
