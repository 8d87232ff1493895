"""Cancelling a run ends its subtree and nothing else, whoever cancels, and when."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.graph.runs import Body, child, during, hang, nothing, raising
from tinyagents.testing import check_tree, outline
from tinyagents_graph import (
    Event,
    EventSink,
    LimitExceeded,
    Run,
    RunCancelled,
    RunLimits,
)
from tinyagents_graph.tasks import gather

pytestmark = pytest.mark.anyio


class Ended:
    """A run in a task of its own, and what came of it."""

    def __init__(self, run: Run, *bodies: Body) -> None:
        self.run = run
        self.error: BaseException | None = None
        self.bodies = bodies

    async def go(self) -> None:
        try:
            await during(self.run, *self.bodies)
        except AssertionError:
            raise
        except Exception as error:
            self.error = error
        # What was cancelled is the run: the task goes on.
        await anyio.lowlevel.checkpoint()

    def events(self) -> list[Event]:
        check_tree(self.run.tree.sink.events)
        return list(self.run.tree.sink.events)

    def reasons(self) -> dict[str, str]:
        return {e.path: e.data["reason"] for e in self.events() if e.kind == "run.cancelled"}


async def interrupted(run: Run, *bodies: Body, by: Callable[[], Any]) -> Ended:
    """Open `run` in a task of its own, and once it waits for something, call `by`."""
    ended = Ended(run, *bodies)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(ended.go)
            await anyio.wait_all_tasks_blocked()
            by()
    return ended


def delegating(*bodies: Body, to: str = "child") -> Body:
    """What a run does that has one child, which does `bodies`."""

    async def delegate(run: Run) -> None:
        await during(child(run, to), *bodies)

    return delegate


def fanning_out(*bodies: Body) -> Body:
    """What a run does that has a child for each of `bodies`, all at once; failures stay theirs."""

    async def fan_out(run: Run) -> None:
        ended = [Ended(child(run), body) for body in bodies]
        await gather([each.go for each in ended], len(ended))

    return fan_out


# --- from inside the program ----------


async def test_a_run_is_cancelled_from_another_task() -> None:
    run = Run("r")
    ended = await interrupted(run, hang, by=lambda: run.cancel("enough"))
    assert isinstance(ended.error, RunCancelled)
    assert (ended.error.path, ended.error.reason) == ("root", "enough")
    assert str(ended.error) == "root was cancelled: enough"
    assert run.status == "cancelled"
    assert outline(ended.events()) == ["run.started r", "run.cancelled"]
    assert ended.reasons() == {"root": "enough"}


async def test_cancelling_a_run_cancels_its_descendants_and_says_so() -> None:
    run = Run("r")
    nested = delegating(delegating(hang), to="a")
    ended = await interrupted(run, nested, by=lambda: run.cancel("enough"))
    assert outline(ended.events()) == [
        "run.started r",
        "  run.started a",
        "    run.started child",
        "    run.cancelled",
        "  run.cancelled",
        "run.cancelled",
    ]
    assert ended.reasons() == {
        "root": "enough",
        "root/a[0]": "root was cancelled: enough",
        "root/a[0]/child[0]": "root was cancelled: enough",
    }


async def test_cancelling_a_branch_leaves_its_siblings_and_parent_alone() -> None:
    run = Run("r")
    gate = anyio.Event()

    async def wait(run: Run) -> None:
        await gate.wait()

    def cancel() -> None:
        found = run.tree.find("root/child[1]")
        assert found is not None
        assert found.cancel("this one")
        gate.set()

    branch = delegating(hang, to="grandchild")
    ended = await interrupted(run, fanning_out(wait, branch, wait), by=cancel)
    assert ended.error is None
    assert ended.reasons() == {
        "root/child[1]": "this one",
        "root/child[1]/grandchild[0]": "root/child[1] was cancelled: this one",
    }
    completed = {event.path for event in ended.events() if event.kind == "run.completed"}
    assert completed == {"root", "root/child[0]", "root/child[2]"}


async def test_a_wide_and_deep_tree_is_cancelled_whole() -> None:
    run = Run("r")
    leaves = fanning_out(*[hang] * 4)
    ended = await interrupted(
        run, fanning_out(*[fanning_out(*[leaves] * 3)] * 4), by=lambda: run.cancel("all")
    )
    assert isinstance(ended.error, RunCancelled)
    kinds = [event.kind for event in ended.events()]
    assert kinds.count("run.started") == kinds.count("run.cancelled") == 1 + 4 + 12 + 48
    assert run.tree.live == {}


async def test_a_parent_may_go_on_after_its_child_was_cancelled() -> None:
    run = Run("r")
    below = child(run)

    async def work(run: Run) -> None:
        with pytest.raises(RunCancelled, match="root/child\\[0\\] was cancelled: you"):
            await during(below, hang)
        await anyio.lowlevel.checkpoint()

    ended = await interrupted(run, work, by=lambda: below.cancel("you"))
    assert ended.error is None
    assert outline(ended.events())[-2:] == ["  run.cancelled", "run.completed"]


async def test_cancelling_the_parent_beats_cancelling_the_child_at_once() -> None:
    run = Run("r")
    below = child(run)

    async def work(run: Run) -> None:
        await during(below, hang)

    def cancel() -> None:
        below.cancel("child")
        run.cancel("parent")

    ended = await interrupted(run, work, by=cancel)
    assert isinstance(ended.error, RunCancelled)
    assert ended.error.path == "root"
    assert set(ended.reasons()) == {"root", "root/child[0]"}


# --- from its own task ----------


async def cancel_itself(run: Run) -> None:
    assert run.cancel("had enough")


async def test_a_run_that_cancels_itself_ends_at_its_next_await() -> None:
    run = Run("r")
    with anyio.fail_after(5), pytest.raises(RunCancelled, match="had enough"):
        await during(run, cancel_itself, hang)
    assert run.status == "cancelled"
    await anyio.lowlevel.checkpoint()


async def test_a_run_that_cancels_itself_ends_at_its_next_safe_checkpoint() -> None:
    async def check(run: Run) -> None:
        assert run.needs_attention
        await run.checkpoint()

    with pytest.raises(RunCancelled, match="had enough"):
        await during(Run("r"), cancel_itself, check)
    await anyio.lowlevel.checkpoint()


async def test_a_cancellation_that_was_never_delivered_does_not_leak() -> None:
    run = Run("r")
    await during(run, cancel_itself)
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    assert run.status == "completed"

    with pytest.raises(ValueError, match="first"):
        await during(Run("r"), cancel_itself, raising(ValueError("first")))
    for _ in range(3):
        await anyio.lowlevel.checkpoint()


async def test_a_child_may_cancel_its_parent_from_within() -> None:
    run = Run("r")

    async def cancel_parent(below: Run) -> None:
        assert run.cancel("from below")

    with pytest.raises(RunCancelled, match="root was cancelled: from below"):
        await during(run, delegating(cancel_parent, hang))
    assert outline(run.tree.sink.events)[-2:] == ["  run.cancelled", "run.cancelled"]
    check_tree(run.tree.sink.events)
    await anyio.lowlevel.checkpoint()


async def test_a_child_in_another_task_may_cancel_its_parent() -> None:
    run = Run("r")

    async def cancel_parent(below: Run) -> None:
        run.cancel("from below")
        await anyio.sleep_forever()

    ended = Ended(run, fanning_out(hang, cancel_parent, hang))
    with anyio.fail_after(5):
        await ended.go()
    assert isinstance(ended.error, RunCancelled)
    assert [event.kind for event in ended.events()].count("run.cancelled") == 4


async def test_a_listener_may_cancel_the_run_it_watches() -> None:
    sink = EventSink()
    run = Run("r", sink=sink)
    sink.subscribe(lambda event: run.cancel("seen enough"), kinds="custom")

    async def work(run: Run) -> None:
        run.emit("custom", {})
        await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(RunCancelled, match="seen enough"):
        await during(run, work)
    check_tree(sink.events)


# --- again, too late, too early ----------


async def test_only_the_first_cancellation_counts() -> None:
    run = Run("r")

    def cancel() -> None:
        assert [run.cancel("first"), run.cancel("second")] == [True, False]

    ended = await interrupted(run, hang, by=cancel)
    assert ended.reasons() == {"root": "first"}


async def test_cancelling_without_a_reason_has_one_to_tell() -> None:
    run = Run("r")
    ended = await interrupted(run, hang, by=lambda: run.cancel(""))
    assert ended.reasons() == {"root": "cancelled"}


async def test_cancelling_a_run_that_has_ended_harms_nobody() -> None:
    run = Run("r")
    answers: list[bool] = []

    async def cancel() -> None:
        answers.append(run.cancel("too late"))

    await during(run, nothing)
    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        # This task was the run's: the cancellation must not reach it.
        await anyio.wait_all_tasks_blocked()
    await anyio.lowlevel.checkpoint()
    assert (answers, run.status) == ([False], "completed")


async def test_a_run_cancelled_before_it_opens_ends_at_its_first_await() -> None:
    run = Run("r")
    assert run.cancel("never mind")
    with anyio.fail_after(5), pytest.raises(RunCancelled, match="never mind"):
        await during(run, hang)
    assert outline(run.tree.sink.events) == ["run.started r", "run.cancelled"]


async def test_a_run_is_cancelled_from_a_thread() -> None:
    run = Run("r")

    async def work(run: Run) -> None:
        thread = threading.Thread(target=run.cancel, args=("from a thread",))
        thread.start()
        await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(RunCancelled, match="from a thread"):
        await during(run, work)
    await anyio.lowlevel.checkpoint()


async def test_a_thread_that_cancels_as_the_run_ends_harms_nobody() -> None:
    async def work(run: Run) -> None:
        threads.append(threading.Thread(target=run.cancel))
        threads[-1].start()

    threads: list[threading.Thread] = []
    for _ in range(50):
        run = Run("r")
        ended = Ended(run, work)
        await ended.go()
        threads[-1].join()
        await anyio.lowlevel.checkpoint()
        assert run.status in ("completed", "cancelled")
        check_tree(run.tree.sink.events)


# --- from outside ----------


async def test_a_timeout_around_a_run_cancels_it() -> None:
    run = Run("r")
    with anyio.move_on_after(0.01) as scope:
        await during(run, delegating(hang))
    assert scope.cancelled_caught
    assert run.status == "cancelled"
    ended = Ended(run)
    assert outline(ended.events()) == [
        "run.started r", "  run.started child", "  run.cancelled", "run.cancelled",
    ]  # fmt: skip
    assert all(reason.startswith("interrupted by Cancelled") for reason in ended.reasons().values())


async def test_a_timeout_within_a_run_is_its_own_affair() -> None:
    async def work(run: Run) -> None:
        with anyio.move_on_after(0.01) as scope:
            await during(child(run), hang)
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await during(child(run), fanning_out(hang, hang))

    run = Run("r")
    await during(run, work)
    assert run.status == "completed"
    check_tree(run.tree.sink.events)


async def test_an_outer_cancellation_at_the_same_time_is_not_lost() -> None:
    run = Run("r")
    reached: list[str] = []

    async def work() -> None:
        with outer:
            with suppress(RunCancelled):  # asyncio may bring the one, and trio both at once
                await during(run, hang)
            await anyio.lowlevel.checkpoint()
            reached.append("in the cancelled scope")
        reached.append("after it")

    outer = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        run.cancel("inner")
        outer.cancel()
    assert run.status == "cancelled"
    assert reached == ["after it"]
    check_tree(run.tree.sink.events)


async def test_an_outer_cancellation_goes_on_after_the_run_has_closed() -> None:
    run = Run("r")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await during(run, hang)
    assert scope.cancelled_caught
    assert run.status == "cancelled"


# --- cleaning up ----------


async def test_a_run_may_clean_up_and_tell_of_it() -> None:
    run = Run("r")

    async def work(run: Run) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            run.emit("custom", {"name": "cleaned"})

    ended = await interrupted(run, work, by=run.cancel)
    assert outline(ended.events()) == ["run.started r", "custom cleaned", "run.cancelled"]


async def test_a_run_may_answer_a_cancellation_with_a_result() -> None:
    run = Run("r")

    async def work(run: Run) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            run.complete({"output": "so far"})

    ended = await interrupted(run, work, by=run.cancel)
    assert (ended.error, run.status) == (None, "completed")
    assert ended.events()[-1].data["output"] == "so far"


async def test_an_error_while_cleaning_up_is_the_runs_end() -> None:
    run = Run("r")

    async def work(run: Run) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("cleaning up")

    ended = await interrupted(run, work, by=run.cancel)
    assert isinstance(ended.error, OSError)
    assert outline(ended.events()) == ["run.started r", "run.failed"]


async def test_errors_of_a_task_group_while_cleaning_up_leave_one_terminal_event() -> None:
    run = Run("r")

    async def clean_up_badly() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("cleaning up")

    async def work(run: Run) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(clean_up_badly)
            group.start_soon(anyio.sleep_forever)

    ended = await interrupted(run, work, by=run.cancel)
    assert ended.error is not None
    assert len(ended.events()) == 2
    assert run.tree.live == {}


async def test_a_task_group_in_a_cancelled_run_ends_as_cancelled() -> None:
    run = Run("r")

    async def work(run: Run) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(anyio.sleep_forever)

    ended = await interrupted(run, work, by=partial(run.cancel, "enough"))
    assert isinstance(ended.error, RunCancelled)
    assert ended.reasons() == {"root": "enough"}


# --- when time is up ----------


async def test_a_run_out_of_time_is_stopped_with_a_limit() -> None:
    run = Run("r", limits=RunLimits(max_seconds=0.01))
    with anyio.fail_after(5), pytest.raises(LimitExceeded, match="max_seconds=0.01 of root") as e:
        await during(run, hang)
    assert (e.value.limit, e.value.path) == ("max_seconds", "root")
    assert outline(run.tree.sink.events) == [
        "run.started r", "limit.reached max_seconds", "run.failed",
    ]  # fmt: skip
    assert run.remaining_s < 0
    await anyio.lowlevel.checkpoint()


async def test_time_that_is_up_ends_the_descendants_too() -> None:
    run = Run("r", limits=RunLimits(max_seconds=0.01))
    ended = Ended(run, fanning_out(hang, delegating(hang)))
    with anyio.fail_after(5):
        await ended.go()
    assert isinstance(ended.error, LimitExceeded)
    assert set(ended.reasons().values()) == {"max_seconds of root reached"}
    assert len(ended.reasons()) == 3


async def test_a_childs_time_is_its_own_and_its_parent_goes_on() -> None:
    async def work(run: Run) -> None:
        below = child(run, limits=RunLimits(max_seconds=0.01))
        with pytest.raises(LimitExceeded) as caught:
            await during(below, hang)
        assert caught.value.path == "root/child[0]"
        await anyio.lowlevel.checkpoint()

    run = Run("r", limits=RunLimits(max_seconds=60))
    with anyio.fail_after(5):
        await during(run, work)
    assert run.status == "completed"
    check_tree(run.tree.sink.events)


async def test_a_child_has_no_more_time_than_its_parent() -> None:
    async def work(run: Run) -> None:
        below = child(run, limits=RunLimits(max_seconds=60))
        below.enrol()
        assert below.clock is run.clock
        with pytest.raises(LimitExceeded) as caught:
            await during(below, hang)
        assert caught.value.path == "root", "whose limit it is"

    run = Run("r", limits=RunLimits(max_seconds=0.01))
    ended = Ended(run, work)
    with anyio.fail_after(5):
        await ended.go()
    check_tree(run.tree.sink.events)


async def test_a_busy_run_notices_at_its_checkpoint_that_its_time_is_up() -> None:
    async def work(run: Run) -> None:
        assert run.needs_attention
        await run.checkpoint()

    run = Run("r", limits=RunLimits(max_seconds=0))
    with pytest.raises(LimitExceeded, match="max_seconds=0"):
        await during(run, work)
    assert [e.kind for e in run.tree.sink.events].count("limit.reached") == 1
    await anyio.lowlevel.checkpoint()


async def test_time_that_is_up_can_end_a_run_without_an_error() -> None:
    run = Run("r", limits=RunLimits(max_seconds=0.01, on_limit="return"))
    with anyio.fail_after(5):
        await during(run, hang)
    assert run.status == "limited"
    assert run.stopped_by is not None
    assert run.stopped_by.limit == "max_seconds"


async def test_a_run_that_ends_in_time_is_not_reached_by_its_deadline() -> None:
    await during(Run("r", limits=RunLimits(max_seconds=0.01)), nothing)
    with anyio.move_on_after(0.03) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_what_came_first_is_why_a_run_ends() -> None:
    run = Run("r", limits=RunLimits(max_seconds=0.02))

    async def clean_up_slowly(run: Run) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(0.04, shield=True):
                await anyio.sleep_forever()

    ended = await interrupted(run, clean_up_slowly, by=partial(run.cancel, "before its time"))
    assert isinstance(ended.error, RunCancelled)
    assert outline(ended.events()) == ["run.started r", "run.cancelled"]


async def test_a_producer_that_waits_for_a_reader_can_run_out_of_time() -> None:
    sink = EventSink()
    stream = aiter(sink.stream(policy="block", buffer=1))

    async def work(run: Run) -> None:
        run.emit("custom", {})
        run.emit("custom", {})
        await run.checkpoint()

    run = Run("r", sink=sink, limits=RunLimits(max_seconds=0.01))
    with anyio.fail_after(5), pytest.raises(LimitExceeded, match="max_seconds"):
        await during(run, work)
    await stream.aclose()
