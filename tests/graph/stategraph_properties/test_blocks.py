"""Random graphs of blocks come to the same eagerly and in steps, whatever comes between."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.graph.emitting import numbers, quick
from tests.graph.stategraph_properties.blocks import (
    BLOCKS,
    Block,
    Broken,
    Fork,
    Leaf,
    Notes,
    Sub,
    answer_to,
    expected_log,
    expected_saw,
    graph_of,
    leaves_of,
)
from tests.graph.stategraph_properties.built import Delays
from tinyagents.graph import Graph, GraphResult
from tinyagents.testing import check_tree
from tinyagents_graph import ConfigError, Event, EventSink, RunCancelled

pytestmark = pytest.mark.anyio

DELAYS = st.lists(st.integers(0, 4), max_size=7)
MODES = st.sampled_from(["superstep", "eager"])
WIDTHS = st.sampled_from([1, 2, 64])


def n_tasks() -> int:
    """How many tasks the event loop has."""
    try:
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    except RuntimeError:
        return len(asyncio.all_tasks())


def check_whole(sink: EventSink, n_before: int) -> None:
    check_tree(sink.events)
    assert numbers(sink.events) == list(range(len(sink.events)))
    assert n_tasks() == n_before


@quick
@given(BLOCKS("tells"), DELAYS, WIDTHS)
async def test_eager_and_step_by_step_come_to_the_same(
    block: Block, delays: list[int], width: int
) -> None:
    for mode in ("superstep", "eager"):
        sink, n_before = EventSink(), n_tasks()
        graph = graph_of(block, Delays(delays), mode=mode, max_concurrency=width)
        result = await graph.run(sink=sink)
        assert sorted(result.output.log) == expected_log(block)
        assert result.output.total == len(result.output.log)
        if mode == "eager":  # each one saw all that lay behind it, and nothing else
            assert sorted(result.output.saw) == expected_saw(block)
        check_whole(sink, n_before)


@quick
@given(BLOCKS("tells"), DELAYS, DELAYS)
@example(Sub(Fork((Leaf(), Leaf()))), [], [0, 1])  # a graph in it handed back who came first
async def test_an_eager_graph_does_not_depend_on_how_long_its_nodes_take(
    block: Block, some: list[int], others: list[int]
) -> None:
    one, other = [
        await graph_of(block, Delays(each), mode="eager").run() for each in (some, others)
    ]
    assert one.output == other.output
    assert one.steps == other.steps


async def answered(
    graph: Graph[Notes], sink: EventSink, choices: list[int], seen: list[str]
) -> GraphResult[Notes]:
    """Runs it, with its questions answered in the order that is chosen, one or several at once."""
    result = await graph.run(sink=sink)
    turns = iter(choices * 200)
    while result.status == "paused":
        check_tree(sink.events)
        pending = list(result.pending)
        assert pending
        first = next(turns) % len(pending)
        chosen = pending[first : first + 1 + next(turns) % 3]
        seen += [ask.id for ask in chosen]
        answers = {ask.id: answer_to(ask.question) for ask in chosen}
        result = await graph.resume(result.run_id, answers)
    return result


@quick
@given(
    BLOCKS("tells", "asks", "leaves", "gate"),
    DELAYS,
    st.lists(st.integers(0, 9), min_size=2, max_size=6),
    MODES,
)
async def test_answers_in_any_order_come_to_what_they_come_to_if_known_before(
    block: Block, delays: list[int], choices: list[int], mode: Any
) -> None:
    sink, n_before = EventSink(), n_tasks()
    seen: list[str] = []
    graph = graph_of(block, Delays(delays), mode=mode)
    result = await answered(graph, sink, choices, seen)
    assert sorted(result.output.log) == expected_log(block)
    assert len(seen) == len(set(seen))
    assert len(seen) == sum(leaves_of(block, how) for how in ("asks", "leaves", "gate"))
    kinds = [event.kind for event in sink.events]
    assert kinds.count("ask.raised") == kinds.count("ask.answered") == len(seen)
    check_whole(sink, n_before)


@quick
@given(BLOCKS("tells", "fails"), DELAYS, MODES, WIDTHS)
async def test_collected_failures_leave_the_rest_as_it_is(
    block: Block, delays: list[int], mode: Any, width: int
) -> None:
    sink, n_before = EventSink(), n_tasks()
    graph = graph_of(block, Delays(delays), mode=mode, max_concurrency=width, fail="collect")
    result = await graph.run(sink=sink)
    assert sorted(result.output.log) == expected_log(block)
    failed = [event for event in sink.events if event.kind == "node.failed"]
    assert len(failed) == leaves_of(block, "fails")
    check_whole(sink, n_before)


def leaves_in(error: BaseException) -> list[BaseException]:
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    return [leaf for each in inner for leaf in leaves_in(each)] or [error]


@quick
@given(BLOCKS("tells", "fails"), DELAYS, MODES, WIDTHS, st.sampled_from(["drain", "cancel"]))
async def test_a_failure_leaves_a_whole_tree_and_what_was_done_before(
    block: Block, delays: list[int], mode: Any, width: int, fail: Any
) -> None:
    sink, n_before = EventSink(), n_tasks()
    graph = graph_of(block, Delays(delays), mode=mode, max_concurrency=width, fail=fail)
    result: Any = None
    leaves: list[BaseException] = []
    try:
        result = await graph.run(sink=sink)
    except (Broken, ExceptionGroup) as error:
        leaves, result = leaves_in(error), getattr(error, "result", None)
    assert all(isinstance(each, Broken) for each in leaves)
    assert (result.status == "failed") == bool(leaves) == bool(leaves_of(block, "fails"))
    rest = expected_log(block)
    for each in result.output.log:
        rest.remove(each)
    check_whole(sink, n_before)


@quick
@given(
    BLOCKS("tells", "asks", "fails"),
    DELAYS,
    MODES,
    st.sampled_from(["drain", "cancel", "collect"]),
    st.integers(0, 60),
    st.integers(0, 5),
)
async def test_a_cancelled_run_leaves_a_whole_tree_and_no_task(
    block: Block, delays: list[int], mode: Any, fail: Any, at: int, whom: int
) -> None:
    sink, n_before = EventSink(), n_tasks()
    graph = graph_of(block, Delays(delays), mode=mode, fail=fail)
    with suppress(RunCancelled, Broken, ExceptionGroup):
        async with graph.stream(sink=sink, buffer=100_000) as run:

            def strike(event: Event) -> None:
                if event.seq == at:
                    known = sorted({each.path for each in sink.events})
                    living = [run.find(path) for path in known]
                    aims = [each for each in living if each is not None]
                    aims[whom % len(aims)].cancel("at random")

            sink.subscribe(strike)
            await run.result()
    check_whole(sink, n_before)
    await anyio.lowlevel.checkpoint()


@quick
@given(BLOCKS("tells", "asks", "leaves"), DELAYS, MODES, st.integers(0, 40))
async def test_a_resumed_run_that_is_cancelled_from_outside_is_whole_and_gone(
    block: Block, delays: list[int], mode: Any, after: int
) -> None:
    sink, n_before = EventSink(), n_tasks()
    graph = graph_of(block, Delays(delays), mode=mode)
    result = await graph.run(sink=sink)
    at = len(sink.events) + after
    with anyio.CancelScope() as scope:

        def strike(event: Event) -> None:
            if event.seq == at:
                scope.cancel()

        sink.subscribe(strike)
        while result.status == "paused":
            answers = {ask.id: answer_to(ask.question) for ask in result.pending}
            result = await graph.resume(result.run_id, answers)
    check_whole(sink, n_before)
    kinds = [event.kind for event in sink.events]
    if kinds[-1] == "run.cancelled":
        with pytest.raises(ConfigError, match="no such run"):
            await graph.resume(result.run_id)


@quick
@given(
    BLOCKS("tells", "asks", "leaves", "gate", "fails"),
    DELAYS,
    st.lists(st.integers(0, 9), min_size=2, max_size=6),
    MODES,
    st.sampled_from(["drain", "cancel", "collect"]),
)
async def test_questions_beside_failures_leave_a_whole_tree_under_any_policy(
    block: Block, delays: list[int], choices: list[int], mode: Any, fail: Any
) -> None:
    sink, n_before = EventSink(), n_tasks()
    graph = graph_of(block, Delays(delays), mode=mode, fail=fail)
    error: BaseException | None = None
    try:
        result = await answered(graph, sink, choices, [])
    except (Broken, ExceptionGroup) as raised:
        error = raised
    else:
        assert sorted(result.output.log) == expected_log(block)
    assert (error is not None) == (fail != "collect" and leaves_of(block, "fails") > 0)
    check_whole(sink, n_before)
