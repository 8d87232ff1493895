"""Whatever fails, is cancelled or runs out, in whatever order: every tree ends whole."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import numbers, quick
from tests.graph.trees import TREES, Broken, Growth, Plan, spared
from tinyagents.testing import check_tree
from tinyagents_graph import LimitExceeded, Run, RunCancelled

pytestmark = pytest.mark.anyio


async def grown(plan: Plan) -> Growth:
    growth = Growth()
    with anyio.fail_after(5), suppress(Broken, RunCancelled, LimitExceeded):
        await growth.grow(plan)
    # What was cancelled in there is over: this task goes on.
    await anyio.lowlevel.checkpoint()
    return growth


def check_whole(growth: Growth) -> None:
    """What holds of every tree that has ended."""
    check_tree(growth.sink.events)
    assert numbers(growth.sink.events) == list(range(len(growth.sink.events)))
    root = growth.root
    assert root is not None
    assert root.tree.live == {}
    kinds = Counter(event.kind for event in growth.sink.events)
    assert kinds["run.started"] == len(growth.runs)
    accounts = [getattr(root.accounts, slot) for slot in ("requests", "runs", "live_runs")]
    assert [each.held for each in accounts] == [0, 0, 0]
    assert [each.used for each in accounts] == [kinds["custom"], len(growth.runs), 0]
    assert all(each.used <= each.limit for each in accounts)


@quick
@given(TREES)
async def test_every_tree_ends_whole(plan: Plan) -> None:
    check_whole(await grown(plan))


@quick
@given(TREES)
async def test_every_run_ends_as_its_plan_says_unless_somebody_stops_it(plan: Plan) -> None:
    growth = await grown(plan)
    planned = {"well": "completed", "badly": "failed"}
    status = {run: run.status for run, _ in growth.runs}
    for run, what in growth.runs:
        broken = [
            each for each, _ in growth.runs if each.parent is run and status[each] != "completed"
        ]
        if not spared(run, growth.aimed_at) or (broken and not what.catches):
            assert status[run] != "running"
        elif not _beside_a_failure(run, growth, status):
            assert status[run] == planned[what.ending]


def _beside_a_failure(run: Run, growth: Growth, status: Mapping[Run, str]) -> bool:
    """Whether a sibling of the run, or of an ancestor, failed in a way that stops all of them."""
    plans = dict(growth.runs)
    while run.parent is not None:
        siblings = [each for each, _ in growth.runs if each.parent is run.parent]
        if not plans[run.parent].catches and any(status[s] != "completed" for s in siblings):
            return True
        run = run.parent
    return False


@quick
@given(TREES)
async def test_usage_adds_up_in_every_tree(plan: Plan) -> None:
    growth = await grown(plan)
    for run, _ in growth.runs:
        below = [each for each, _ in growth.runs if each.path.startswith(f"{run.path}/")]
        total = sum(each.usage.requests for each in [run, *below])
        assert run.tree_usage.requests == total
        ending = [event for event in growth.sink.events if event.origin is run.origin][-1]
        assert ending.data["tree_usage"]["requests"] == total
        assert ending.data["usage"]["requests"] == run.usage.requests


@quick
@given(TREES, st.integers(0, 12))
async def test_a_tree_cancelled_from_outside_at_any_point_ends_whole(plan: Plan, at: int) -> None:
    growth = Growth()
    ended: list[bool] = []

    async def grow() -> None:
        with scope, suppress(Broken, RunCancelled, LimitExceeded):
            await growth.grow(plan)
        ended.append(scope.cancelled_caught)
        await anyio.lowlevel.checkpoint()

    scope = anyio.CancelScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(grow)
            for _ in range(at):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    if growth.root is not None:
        check_whole(growth)
    assert len(ended) == 1


@quick
@given(TREES, st.integers(0, 12))
async def test_a_tree_whose_root_is_cancelled_at_any_point_ends_whole(plan: Plan, at: int) -> None:
    growth = Growth()

    async def grow() -> None:
        with suppress(Broken, RunCancelled, LimitExceeded):
            await growth.grow(plan)
        await anyio.lowlevel.checkpoint()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(grow)
            for _ in range(at):
                await anyio.lowlevel.checkpoint()
            if growth.root is not None:
                growth.root.cancel("from above")
    check_whole(growth)


@quick
@given(st.lists(TREES, min_size=2, max_size=3))
async def test_trees_in_one_sink_do_not_mix(plans: list[Plan]) -> None:
    growths = [Growth() for _ in plans]
    for growth in growths:
        growth.sink = growths[0].sink

    async def grow(growth: Growth, plan: Plan) -> None:
        with suppress(Broken, RunCancelled, LimitExceeded):
            await growth.grow(plan)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for growth, plan in zip(growths, plans, strict=True):
                group.start_soon(grow, growth, plan)
    check_tree(growths[0].sink.events)
    for growth in growths:
        assert growth.root is not None
        mine = growth.sink.events_under(growth.root.run_id)
        assert numbers(mine) == list(range(len(mine)))
    assert sum(len(growth.runs) for growth in growths) == len(
        [event for event in growths[0].sink.events if event.kind == "run.started"]
    )
