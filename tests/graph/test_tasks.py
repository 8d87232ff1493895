"""`gather`: many jobs at once, at most so many, and what fails is told as it is."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from tinyagents_graph.tasks import Job, gather

pytestmark = pytest.mark.anyio


class Work:
    """Jobs that note when they run."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.done: list[int] = []

    def job(self, n: int) -> Job:
        async def work() -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            for _ in range(1 + n % 3):
                await anyio.lowlevel.checkpoint()
            self.running -= 1
            self.done.append(n)

        return work


@pytest.mark.parametrize(("n", "limit", "most"), [(10, 3, 3), (10, 1, 1), (4, 10, 4), (0, 5, 0)])
async def test_all_jobs_run_and_never_more_than_so_many_at_once(
    n: int, limit: int, most: int
) -> None:
    work = Work()
    await gather([work.job(index) for index in range(n)], limit)
    assert sorted(work.done) == list(range(n))
    assert (work.most, work.running) == (most, 0)


async def test_one_at_a_time_keeps_the_order() -> None:
    work = Work()
    await gather([work.job(index) for index in range(6)], 1)
    assert work.done == list(range(6))


async def test_a_job_waits_for_a_place_not_for_a_batch() -> None:
    slow, passed = anyio.Event(), list[int]()

    async def wait() -> None:
        await slow.wait()

    async def last() -> None:
        passed.append(1)
        slow.set()

    async def quick() -> None:
        pass

    with anyio.fail_after(5):
        await gather([wait, quick, quick, quick, last], 2)
    assert passed == [1]


class Failing:
    """A job that waits until it is cancelled, and one that fails."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def wait(self) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise

    async def clean_up_badly(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("cleaning up")

    async def fail(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError("failed") from KeyError("cause")


@pytest.mark.parametrize("limit", [3, 2])
async def test_a_job_that_fails_cancels_the_others_and_its_error_comes_out_bare(limit: int) -> None:
    jobs = Failing()
    with anyio.fail_after(5), pytest.raises(ValueError, match="failed") as caught:
        await gather([jobs.wait, jobs.fail, jobs.wait], limit)
    assert jobs.cancelled == limit - 1
    assert isinstance(caught.value.__cause__, KeyError)
    assert getattr(caught.value, "__notes__", []) == []
    await anyio.lowlevel.checkpoint()


async def test_other_errors_are_noted_on_the_first() -> None:
    jobs = Failing()
    with anyio.fail_after(5), pytest.raises((ValueError, OSError)) as caught:
        await gather([jobs.fail, jobs.clean_up_badly, jobs.wait], 5)
    told = [repr(caught.value), *caught.value.__notes__]
    assert sorted(word for word in ("ValueError", "OSError") if word in str(told)) == [
        "OSError", "ValueError",
    ]  # fmt: skip
    assert len(told) == 2


async def test_errors_that_say_the_same_are_told_once() -> None:
    jobs = Failing()
    with pytest.raises(ValueError, match="failed") as caught:
        await gather([jobs.fail, jobs.fail, jobs.fail], 5)
    assert getattr(caught.value, "__notes__", []) == []


async def test_an_error_below_an_error_is_found() -> None:
    jobs = Failing()

    async def nested() -> None:
        await gather([jobs.fail, jobs.wait], 2)

    with anyio.fail_after(5), pytest.raises(ValueError, match="failed"):
        await gather([nested, jobs.wait], 2)


async def test_cancelling_a_gather_cancels_its_jobs() -> None:
    jobs = Failing()
    with anyio.move_on_after(0.01) as scope:
        await gather([jobs.wait] * 3, 2)
    assert scope.cancelled_caught
    assert jobs.cancelled == 2
    await anyio.lowlevel.checkpoint()


async def test_tasks_have_a_name_for_debuggers() -> None:
    names: list[str | None] = []

    async def note() -> None:
        names.append(anyio.get_current_task().name)

    await gather([note, note], 2, name="root/child[0]")
    assert names == ["root/child[0]"] * 2


def test_gathering_needs_no_trio() -> None:
    work = Work()
    asyncio.run(gather([work.job(1), work.job(2)], 2))
    assert sorted(work.done) == [1, 2]
