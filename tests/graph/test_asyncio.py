"""Runs among asyncio's own ways to cancel: each takes back its own cancellation, and no other."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from tests.graph.runs import child, during, hang, nothing
from tinyagents.testing import check_tree, outline
from tinyagents_graph import Run, RunCancelled, RunStatus
from tinyagents_graph.tasks import AsyncioScope, gather


def cancelling() -> int:
    """How many cancellations the current task still has to take back."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def run_in_asyncio(main: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(5):
            await main
            assert cancelling() == 0
            await asyncio.sleep(0)

    asyncio.run(whole())


def ended(run: Run, status: RunStatus) -> bool:
    check_tree(run.tree.sink.events)
    return run.status == status and not run.tree.live


def test_a_timeout_around_a_run() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await during(run, hang)

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")


def test_a_timeout_in_a_run() -> None:
    async def work(run: Run) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await during(child(run), hang)
        await asyncio.sleep(0)

    run = Run("r")
    run_in_asyncio(during(run, work))
    assert ended(run, "completed")
    assert outline(run.tree.sink.events)[2:] == ["  run.cancelled", "run.completed"]


def test_cancelling_the_task() -> None:
    async def main() -> None:
        task = asyncio.create_task(during(run, hang))
        await asyncio.sleep(0)
        task.cancel("from outside")
        with pytest.raises(asyncio.CancelledError):
            await task

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")
    reason = run.tree.sink.events[-1].data["reason"]
    assert reason == "interrupted by CancelledError"


@pytest.mark.parametrize("first", ["run", "task"])
def test_cancelling_the_run_and_its_task_at_once_is_both(first: str) -> None:
    async def main() -> None:
        async def work() -> None:
            with suppress(RunCancelled):
                await during(run, hang)
            counts.append(cancelling())
            await asyncio.sleep(0)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        for _ in range(2):
            task.cancel() if first == "task" else run.cancel()
            run.cancel() if first == "task" else task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    counts: list[int] = []
    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")
    assert counts == [], "the outer cancellation went through the run"


def test_cancelling_a_run_leaves_no_trace_in_its_task() -> None:
    async def main() -> None:
        async def work() -> None:
            with pytest.raises(RunCancelled):
                await during(run, hang)
            assert cancelling() == 0
            await asyncio.sleep(0)
            # A timeout that comes later counts from zero again.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        run.cancel()
        await task

    run = Run("r")
    run_in_asyncio(main())


def test_a_run_that_cancels_itself_and_never_waits_again() -> None:
    async def main() -> None:
        async with Run("outer") as outer:
            async with child(outer) as run:
                run.cancel()
            await asyncio.sleep(0)
            assert cancelling() == 0
            async with child(outer) as run:
                run.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(0)
            assert cancelling() == 0
            await asyncio.sleep(0)
        assert outer.status == "completed"
        assert {event.kind for event in outer.tree.sink.events} == {"run.started", "run.completed"}

    run_in_asyncio(main())


def test_a_run_in_a_task_that_was_cancelled_before_can_still_do_its_work() -> None:
    async def main() -> None:
        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                # Cleaning up: the cancellation of before is not the run's.
                await during(run, slow)
                with pytest.raises(RunCancelled, match="own"):
                    await during(other, cancel)
                counts.append(cancelling())

        async def slow(run: Run) -> None:
            await asyncio.sleep(0)

        async def cancel(run: Run) -> None:
            run.cancel("own")
            await asyncio.sleep(0)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    counts: list[int] = []
    run, other = Run("r"), Run("other")
    run_in_asyncio(main())
    assert counts == [1], "the cancellation of before is still there, and no other"
    assert ended(run, "completed")
    assert ended(other, "cancelled")


def test_a_task_group_in_a_run() -> None:
    async def main() -> None:
        async def work(run: Run) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(during(child(run), hang))
                group.create_task(during(child(run), hang))

        task = asyncio.create_task(during(run, work))
        for _ in range(3):
            await asyncio.sleep(0)
        run.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            await task

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")
    assert [event.kind for event in run.tree.sink.events].count("run.cancelled") == 3


async def fail() -> None:
    raise ValueError("failed")


async def wait() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_gather_that_failed_leaves_no_cancellation_behind() -> None:
    # `asyncio.TaskGroup` does, until Python 3.13.
    async def work(run: Run) -> None:
        with pytest.raises(ValueError, match="failed"):
            await gather([fail, wait], 2)
        assert cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait()
        run.cancel("own")
        await wait()

    async def main() -> None:
        with pytest.raises(RunCancelled, match="own"):
            await during(run, work)

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")


def test_a_cancellation_while_a_failed_gather_cleans_up_is_not_lost() -> None:
    async def clean_up() -> None:
        try:
            await wait()
        finally:
            cleaning.set()
            await gate.wait()

    async def main() -> None:
        task = asyncio.create_task(gather([clean_up, fail], 2))
        await cleaning.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done(), "it waits for its jobs, however often it is cancelled"
        gate.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        notes.extend(caught.value.__notes__)

    cleaning, gate, notes = asyncio.Event(), asyncio.Event(), list[str]()
    run_in_asyncio(main())
    assert notes == ["and beside it: ValueError('failed')"]


def test_a_job_that_is_cancelled_alone_harms_no_other() -> None:
    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def note() -> None:
        await asyncio.sleep(0)
        done.append(1)

    done: list[int] = []
    run_in_asyncio(gather([note, cancelled, note], 3))
    assert done == [1, 1]


def test_a_run_in_a_generator_that_is_finalised_elsewhere() -> None:
    async def main() -> None:
        async def stream() -> AsyncGenerator[int]:
            async with run:
                yield 1

        async for _ in stream():
            break
        # asyncio closes the forgotten generator in a task of its own.
        for _ in range(3):
            await asyncio.sleep(0)

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled")


def test_a_scope_that_was_left_cancels_nobody() -> None:
    async def main() -> None:
        scope = AsyncioScope()
        scope.enter()
        assert scope.is_here
        assert scope.leave(None) is False
        assert not scope.is_here
        asyncio.get_running_loop().call_soon(scope.cancel)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scope.is_cancelled

    run_in_asyncio(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.parametrize("waits", [False, True])
def test_a_child_in_an_eager_task_cancels_its_parent(waits: bool) -> None:
    async def main() -> None:
        async def cancel() -> None:
            run.cancel("eager")

        async def work(run: Run) -> None:
            # It runs at once, in the middle of this task's own step.
            task = asyncio.create_task(cancel())
            assert task.done()
            if waits:
                await asyncio.get_running_loop().create_future()

        # Not as an attribute, which type checkers do not find in Python 3.11.
        asyncio.get_running_loop().set_task_factory(vars(asyncio)["eager_task_factory"])
        with pytest.raises(RunCancelled) if waits else nullcontext():
            await during(run, work)
        await asyncio.sleep(0)
        await during(Run("next"), nothing)

    run = Run("r")
    run_in_asyncio(main())
    assert ended(run, "cancelled" if waits else "completed")
