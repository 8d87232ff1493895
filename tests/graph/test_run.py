"""A run: one terminal event whatever happens in it, an address that lasts, and what it inherits."""

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.graph.emitting import numbers
from tests.graph.runs import Forever, child, during, hang, nothing, raising
from tinyagents.testing import check_tree, outline
from tinyagents_graph import (
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    Event,
    EventSink,
    LimitExceeded,
    Run,
    RunCancelled,
    RunConflict,
    RunLimits,
    RunStatus,
    Signal,
    Usage,
    current_place,
)
from tinyagents_graph.tasks import gather

pytestmark = pytest.mark.anyio


def last(sink: EventSink) -> Event:
    check_tree(sink.events)
    return sink.events[-1]


# --- one end ----------


async def test_a_run_that_ends_well_completes() -> None:
    sink = EventSink()
    async with Run("r", sink=sink, about={"agent": "x"}) as run:
        assert (run.status, run.is_alive) == ("running", True)
        run.complete({"output": 42})
    assert (run.status, run.is_alive) == ("completed", False)
    assert outline(sink.events) == ["run.started r", "run.completed"]
    assert sink.events[0].data["agent"] == "x"
    assert last(sink).data["output"] == 42


class Stop(Signal):
    pass


class Leave(BaseException):
    """What no listener is expected to raise, as an exit of the program."""


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("no"), "failed", {"error": {"type": "ValueError", "message": "no"}}),
        (ExceptionGroup("two", [ValueError(), KeyError()]), "failed", None),
        (LimitExceeded("max_x", allowed=1, used=2, path="p"), "failed", None),
        (RunCancelled("root/elsewhere[0]", "why"), "failed", None),
        (RunCancelled("root", "own words"), "cancelled", {"reason": "own words"}),
        (KeyboardInterrupt(), "cancelled", {"reason": "interrupted by KeyboardInterrupt"}),
        (SystemExit(1), "cancelled", {"reason": "interrupted by SystemExit"}),
        (GeneratorExit(), "cancelled", {"reason": "interrupted by GeneratorExit"}),
        (Stop(), "cancelled", {"reason": "interrupted by Stop"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
async def test_a_run_that_raises_ends_once_and_lets_the_error_through(
    error: BaseException, status: RunStatus, told: dict[str, Any] | None
) -> None:
    sink = EventSink()
    run = Run("r", sink=sink)

    async def work(run: Run) -> None:
        run.complete({"output": "not reached"})
        raise error

    with pytest.raises(type(error)) as caught:
        await during(run, work)
    assert caught.value is error
    assert run.status == status
    assert outline(sink.events) == ["run.started r", f"run.{status}"]
    ending = last(sink).data
    assert "output" not in ending
    assert told is None or told.items() <= ending.items()
    await anyio.lowlevel.checkpoint()


async def test_the_cause_of_an_error_is_kept() -> None:
    cause = KeyError("cause")

    async def work(run: Run) -> None:
        raise ValueError("effect") from cause

    with pytest.raises(ValueError, match="effect") as caught:
        await during(Run("r"), work)
    assert caught.value.__cause__ is cause


async def test_an_error_whose_text_cannot_be_had_still_ends_the_run() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise LookupError

    sink = EventSink()
    with pytest.raises(Odd):
        await during(Run("r", sink=sink), raising(Odd()))
    assert last(sink).data["error"]["type"] == "Odd"


async def test_a_limit_can_end_a_run_without_an_error() -> None:
    sink = EventSink()
    error = LimitExceeded("max_turns", allowed=1, used=1, path="root")
    async with Run("r", sink=sink, limits=RunLimits(on_limit="return")) as run:
        run.complete({"output": "so far"})
        raise error
    assert (run.status, run.stopped_by) == ("limited", error)
    ending = last(sink)
    assert (ending.kind, ending.data["status"]) == ("run.completed", "limited")
    assert (ending.data["limit"], ending.data["output"]) == ("max_turns", "so far")


async def test_a_failing_child_fails_its_parent_only_if_that_lets_it() -> None:
    sink = EventSink()
    async with Run("r", sink=sink) as run:
        with pytest.raises(ValueError, match="child"):
            await during(child(run), raising(ValueError("child")))
    assert outline(sink.events) == [
        "run.started r", "  run.started child", "  run.failed", "run.completed",
    ]  # fmt: skip
    check_tree(sink.events)


@pytest.mark.parametrize("backend_task", ["own", "same"])
@pytest.mark.parametrize(
    "kind", ["run.started", "budget.reserved", "budget.released", "run.completed"]
)
async def test_a_listener_that_exits_leaves_no_run_open(kind: str, backend_task: str) -> None:
    def leave(event: Event) -> None:
        if event.depth:
            raise Leave

    async def work(run: Run) -> None:
        below = child(run, limits=RunLimits(max_requests=1))
        if backend_task == "own":
            await gather([partial(during, below, nothing)], 1)
        else:
            await during(below, nothing)

    sink = EventSink()
    sink.subscribe(leave, kinds=kind)
    run = Run("r", sink=sink, limits=RunLimits(max_requests=5))
    with anyio.fail_after(5), pytest.raises(Leave):
        await during(run, work)
    check_tree(sink.events)
    assert run.tree.live == {}
    assert run.accounts.requests is not None
    assert run.accounts.requests.held == 0


# --- abandoned ----------


async def numbered(parent: Run | None, sink: EventSink | None = None) -> AsyncGenerator[int]:
    run = Run("r", sink=sink) if parent is None else child(parent)
    async with run:
        for n in range(10):
            yield n


async def test_closing_a_generator_ends_its_run() -> None:
    sink = EventSink()
    async with aclosing(numbered(None, sink)) as stream:
        async for n in stream:
            if n == 1:
                break
    assert last(sink).data["reason"] == "interrupted by GeneratorExit"


def test_forgetting_a_coroutine_ends_its_run() -> None:
    async def hang(sink: EventSink) -> None:
        async with Run("r", sink=sink) as run, child(run):
            await Forever()

    async def main() -> None:
        coroutine = hang(sink)
        coroutine.send(None)
        del coroutine
        gc.collect()

    sink = EventSink()
    anyio.run(main)
    assert outline(sink.events) == [
        "run.started r", "  run.started child", "  run.cancelled", "run.cancelled",
    ]  # fmt: skip
    check_tree(sink.events)


async def test_a_child_left_in_a_generator_ends_with_its_parent() -> None:
    sink = EventSink()
    run = Run("r", sink=sink)
    left = numbered(run)
    with anyio.fail_after(5):
        async with run:
            assert await anext(left) == 0
    check_tree(sink.events)
    assert outline(sink.events) == [
        "run.started r", "  run.started child", "  run.cancelled", "run.completed",
    ]  # fmt: skip
    assert sink.events[2].data["reason"] == "abandoned: root ended before it"
    before = len(sink.events)
    await left.aclose()
    assert len(sink.events) == before
    await anyio.lowlevel.checkpoint()


async def test_a_family_left_in_generators_ends_from_the_leaves_up() -> None:
    left: list[AsyncGenerator[int]] = []

    async def nested(parent: Run, depth: int) -> AsyncGenerator[int]:
        async with child(parent) as run:
            if depth:
                yield await anext(begun(run, depth - 1))
            yield depth

    def begun(parent: Run, depth: int) -> AsyncGenerator[int]:
        left.append(nested(parent, depth))
        return left[-1]

    async def work(run: Run) -> None:
        assert [await anext(begun(run, depth)) for depth in (2, 1)] == [0, 0]
        raise ValueError("outer")

    sink = EventSink()
    with anyio.fail_after(5), pytest.raises(ValueError, match="outer"):
        await during(Run("r", sink=sink), work)
    check_tree(sink.events)
    assert [event.kind for event in sink.events][-6:] == ["run.cancelled"] * 5 + ["run.failed"]
    for each in left:
        await each.aclose()


# --- children in tasks that are left behind ----------


async def test_a_child_in_a_task_of_its_own_ends_before_its_parent() -> None:
    sink = EventSink()
    began = anyio.Event()

    async def work(parent: Run) -> None:
        async def begin(run: Run) -> None:
            began.set()

        with pytest.raises(RunCancelled, match="root has ended"):
            await during(child(parent), begin, hang)

    async with anyio.create_task_group() as group, Run("r", sink=sink) as run:
        group.start_soon(work, run)
        await began.wait()
    check_tree(sink.events)
    assert outline(sink.events)[-2:] == ["  run.cancelled", "run.completed"]


async def test_children_left_behind_end_first_however_short_the_history_is() -> None:
    sink = EventSink(history=1)
    ended: list[Event] = []
    sink.subscribe(ended.append, kinds=["run.completed", "run.cancelled"])

    async def work(parent: Run) -> None:
        with suppress(RunCancelled):
            await during(child(parent), hang)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group, Run("r", sink=sink) as run:
            for _ in range(20):
                group.start_soon(work, run)
            await anyio.wait_all_tasks_blocked()
    assert [event.depth for event in ended] == [1] * 20 + [0]


# --- address ----------


async def test_ids_and_paths_follow_from_the_parent_and_the_order_of_calls() -> None:
    sink = EventSink()
    root = Run("boss", run_id="r-1", sink=sink)
    first, second = child(root, "a"), child(root, "b")
    grandchild, third = child(first, "a"), child(root, "a")
    runs = [root, first, second, grandchild, third]
    async with root, first, second, grandchild, third:
        for run in runs:
            assert root.tree.find(run.path) is root.tree.find(run.run_id) is run
    assert [(run.path, run.run_id, run.depth) for run in runs] == [
        ("root", "r-1", 0),
        ("root/a[0]", "r-1/a[0]", 1),
        ("root/b[0]", "r-1/b[0]", 1),
        ("root/a[0]/a[0]", "r-1/a[0]/a[0]", 2),
        ("root/a[1]", "r-1/a[1]", 1),
    ]
    for run in runs:
        started = next(event for event in sink.events_under(run.run_id))
        assert (started.run_id, started.path, started.depth) == (run.run_id, run.path, run.depth)
        assert started.parent_run_id == (run.parent.run_id if run.parent else None)
        assert started.root_run_id == "r-1"
        assert root.tree.find(run.path) is None
    check_tree(sink.events)


@pytest.mark.parametrize("run_id", ["root", "a/b", "r/a[0]", "/"])
def test_an_id_that_reads_like_a_path_is_refused(run_id: str) -> None:
    with pytest.raises(ConfigError, match="looks like a path"):
        Run("r", run_id=run_id)


async def test_root_ids_are_made_up_and_differ() -> None:
    ids = {Run("r").run_id for _ in range(100)}
    assert len(ids) == 100
    assert all(run_id.startswith("run-") for run_id in ids)


async def test_a_chosen_id_names_one_run_at_a_time_in_a_sink() -> None:
    sink = EventSink()
    async with Run("r", run_id="r-1", sink=sink):
        with pytest.raises(RunConflict, match="'r-1'.*another run_id"):
            await during(Run("r", run_id="r-1", sink=sink), nothing)
        await during(Run("r", run_id="r-2", sink=sink), nothing)
        await during(Run("r", run_id="r-1", sink=EventSink()), nothing)
    assert outline(sink.events_under("r-1")) == ["run.started r", "run.completed"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
async def test_a_chosen_id_is_free_again_however_its_run_ended(error: BaseException) -> None:
    sink = EventSink()
    with pytest.raises(type(error)):
        await during(Run("r", run_id="r-1", sink=sink), raising(error))
    await during(Run("r", run_id="r-1", sink=sink), nothing)
    assert numbers(sink.events) == [0, 1, 2, 3], "its events go on counting"


async def test_several_trees_share_a_sink() -> None:
    sink = EventSink()
    a, b = Run("a", run_id="a", sink=sink), Run("b", run_id="b", sink=sink)
    async with a, b, child(a), child(b):
        pass
    check_tree(sink.events)
    assert numbers(sink.events_under("a")) == numbers(sink.events_under("b")) == [0, 1, 2, 3]
    assert outline(sink.events_under("a")) == [
        "run.started a", "  run.started child", "  run.completed", "run.completed",
    ]  # fmt: skip


async def test_what_a_child_does_not_say_it_gets_from_its_parent() -> None:
    deps = object()
    run = Run("r", deps=deps, limits=RunLimits(max_output_tokens=50, max_seconds=60))
    heir = child(run)
    heir.enrol()
    assert (heir.deps, heir.max_output_tokens, heir.clock) == (deps, 50, run.clock)
    own = child(run, deps=0, limits=RunLimits(max_output_tokens=9))
    assert (own.deps, own.max_output_tokens) == (0, 9)
    assert child(own, limits=RunLimits(max_output_tokens=20)).max_output_tokens == 9
    assert heir.tree is own.tree is run.tree


async def test_outside_a_run_nobody_is_the_current_place() -> None:
    assert current_place.get() is None
    async with Run("r"):
        assert current_place.get() is None, "it is set by whoever calls user code"


# --- depth ----------


async def descend(run: Run, *limits: RunLimits) -> None:
    for each in limits:
        async with child(run, limits=each) as below:
            await descend(below, *limits[1:])
        return


async def test_depth_is_counted_from_the_root_and_refused_before_anything_begins() -> None:
    sink = EventSink()
    async with Run("r", sink=sink, limits=RunLimits(max_depth=1)) as run, child(run) as below:
        with pytest.raises(DepthExceeded, match="depth 2, but max_depth=1 here") as caught:
            child(below).enrol()
        error = caught.value
        assert (error.limit, error.allowed, error.used) == ("max_depth", 1, 2)
        assert error.path == "root/child[0]/child[0]"
    assert outline(sink.events) == [
        "run.started r",
        "  run.started child",
        "  limit.reached max_depth",
        "  run.completed",
        "run.completed",
    ]
    assert sink.events[2].data["path"] == "root/child[0]/child[0]"
    check_tree(sink.events)


async def test_the_default_depth_is_eight() -> None:
    async with Run("r") as run:
        await descend(run, *[RunLimits()] * 8)
        with pytest.raises(DepthExceeded, match="max_depth=8"):
            await descend(run, *[RunLimits()] * 9)


@pytest.mark.parametrize(
    ("root", "limits", "ok"),
    [
        (2, [None, None], True),
        (2, [5, 5, 5], False),
        (5, [2, None], True),
        (5, [2, 9, 9], False),
        (0, [], True),
        (0, [None], False),
        (float("inf"), [None] * 12, True),
    ],
)
async def test_a_child_can_only_narrow_the_depth(
    root: float, limits: list[float | None], ok: bool
) -> None:
    async with Run("r", limits=RunLimits(max_depth=root)) as run:
        below = [RunLimits(max_depth=limit) for limit in limits]
        if ok:
            await descend(run, *below)
        else:
            with pytest.raises(DepthExceeded):
                await descend(run, *below)


# --- cycles ----------


async def test_the_same_task_coming_back_along_a_chain_is_refused_with_the_chain() -> None:
    sink = EventSink()
    run = Run("boss", sink=sink, task="write")
    a = child(run, "a", task="Write  the\nREPORT")
    b = child(a, "b", task="write the report")
    async with run, a, b:
        with pytest.raises(DelegationCycle) as caught:
            child(b, "a", task=" write the report ").enrol()
        chain = ("root/a[0]", "root/a[0]/b[0]", "root/a[0]/b[0]/a[0]")
        assert caught.value.chain == chain
        assert " -> ".join(chain) in str(caught.value)
    assert [e.data["limit"] for e in sink.events if e.kind == "limit.reached"] == ["cycle"]
    check_tree(sink.events)


@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        ("a", "another task", {}),
        ("b", "the task", {}),
        ("a", "", {}),
        ("a", "the task", {"allow_cycles": True}),
    ],
)
async def test_what_is_no_cycle_is_allowed(name: str, task: str, options: dict[str, Any]) -> None:
    run = Run("a", task="the task")
    async with run, child(run, name, task=task, **options) as below:
        assert below.status == "running"


async def test_siblings_may_do_the_same_task() -> None:
    sink = EventSink()
    async with Run("boss", task="t", sink=sink) as run:
        first = child(run, "a", task="x")
        async with first, child(run, "a", task="x"):
            pass
        await during(child(run, "a", task="x"), nothing)
    started = [event.path for event in sink.events if event.kind == "run.started"]
    assert started == ["root", "root/a[0]", "root/a[1]", "root/a[2]"]
    check_tree(sink.events)


# --- usage ----------

CALL = Usage(requests=1, input_tokens=10, output_tokens=5, usd=0.5)


async def test_usage_is_a_runs_own_and_tree_usage_counts_its_descendants_live_and_after() -> None:
    sink = EventSink()
    run = Run("r", sink=sink)
    middle = child(run)
    leaf = child(middle)

    def check() -> None:
        assert [each.tree_usage.requests for each in (run, middle, leaf)] == [4, 3, 2]

    async with run:
        run.add_usage(CALL)
        async with middle:
            middle.add_usage(CALL)
            async with leaf:
                leaf.add_usage(CALL)
                leaf.add_usage(CALL)
                check()
            check()
            await during(child(middle), nothing)
    check()
    assert [each.usage.requests for each in (run, middle, leaf)] == [1, 1, 2]
    assert run.tree_usage == Usage(requests=4, input_tokens=40, output_tokens=20, usd=2.0)
    ends = {e.path: e.data for e in sink.events if e.kind == "run.completed"}
    assert Usage.from_dict(ends["root"]["tree_usage"]) == run.tree_usage
    assert Usage.from_dict(ends["root"]["usage"]) == CALL
    assert Usage.from_dict(ends["root/child[0]/child[1]"]["tree_usage"]) == Usage()


async def test_what_a_failed_or_cancelled_child_spent_is_counted() -> None:
    async def spend(run: Run) -> None:
        run.add_usage(CALL)

    async def cancel(run: Run) -> None:
        run.cancel()

    run = Run("r")
    async with run:
        with pytest.raises(ValueError, match="no"):
            await during(child(run), spend, raising(ValueError("no")))
        with pytest.raises(RunCancelled):
            await during(child(run), spend, cancel, hang)
    assert run.tree_usage.requests == 2
    assert run.usage.requests == 0
