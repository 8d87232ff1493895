"""Few workers for many sessions, deep trees and many event loops: nobody waits for ever."""

import gc
import threading
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tinyagents.errors import SandboxError
from tinyagents.sandbox import HostCall, Sandbox

pytestmark = pytest.mark.anyio


async def _deep(box: Sandbox, depth: int) -> Any:
    async def below(call: HostCall) -> Any:
        return await _deep(box, call.args[0])

    async with box.session(functions=("below",)) as session:
        await session.run("total = 1")
        result = await session.run(f"total += below({depth - 1}) if {depth} else 0\ntotal",
                                   on_call=below)  # fmt: skip
        assert result.ok, result.feedback()
        return result.value


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_twenty_levels_need_no_more_workers_than_there_are(workers: int) -> None:
    assert await _deep(Sandbox(workers=workers), 20) == 21


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_wide_and_deep_tree_ends(workers: int) -> None:
    box = Sandbox(workers=workers)

    async def spread(depth: int) -> Any:
        async def below(call: HostCall) -> Any:
            return await spread(call.args[0])

        async with box.session(functions=("below",)) as session:
            many = f"await asyncio.gather(*[below({depth - 1}) for _ in range(3)])"
            code = f"import asyncio\nsum({many})" if depth else "1"
            result = await session.run(code, on_call=below)
            assert result.ok, result.feedback()
            return result.value

    assert await spread(4) == 81


async def test_many_sessions_share_few_workers() -> None:
    box = Sandbox(workers=2)
    totals: list[Any] = []

    async def one(n: int) -> None:
        async with box.session(functions=("add",), values={"total": 0}) as session:
            for _ in range(3):
                await session.run("total = add(total)", on_call=_added(n))
            totals.append((await session.run("total")).value)

    async with anyio.create_task_group() as tasks:
        for n in range(30):
            tasks.start_soon(one, n)
    assert sorted(totals) == [3 * n for n in range(30)]


def _added(n: int) -> Any:
    async def add(call: HostCall) -> int:
        await anyio.lowlevel.checkpoint()
        return int(call.args[0]) + n

    return add


async def test_those_that_compute_are_waited_for_and_no_longer_than_their_limit() -> None:
    box = Sandbox(workers=1, time_limit_s=0.3)
    kinds: list[str] = []

    async def one() -> None:
        result = await box.session().run("while True: pass")
        kinds.append(result.error.kind if result.error else "")

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(one)
    assert kinds == ["limit"] * 4


async def test_who_is_cancelled_while_waiting_takes_no_worker() -> None:
    box = Sandbox(workers=1, time_limit_s=5)
    computes = anyio.Event()

    async def compute() -> None:
        code = "print('it computes')\nwhile True: pass"
        await box.session().run(code, on_print=lambda _: computes.set())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(compute)
        await computes.wait()
        for _ in range(5):
            with anyio.move_on_after(0.01) as scope:
                await box.session().run("1")
            assert scope.cancelled_caught
        tasks.cancel_scope.cancel()
    assert (await box.session().run("1")).value == 1


async def test_a_session_that_is_forgotten_gives_its_worker_back() -> None:
    box = Sandbox(workers=1)
    for n in range(10):
        assert (await box.session().run(f"{n}")).value == n
    gc.collect()
    assert (await box.session().run("1")).value == 1


async def test_closing_the_sandbox_fails_what_waits_and_what_comes() -> None:
    box = Sandbox()
    session = box.session()
    await session.run("x = 1")
    box.close()
    with pytest.raises(SandboxError, match="closed"):
        await session.run("x")


def test_threads_and_event_loops_share_a_sandbox() -> None:
    box = Sandbox(workers=2)
    found: list[Any] = []

    async def main(n: int) -> None:
        async with box.session() as session:
            await session.run(f"x = {n}")
            for _ in range(10):
                await session.run("x += 1")
            found.append((await session.run("x")).value)

    backends = ["asyncio", "trio"] * 4
    threads = [
        threading.Thread(target=partial(anyio.run, main, n, backend=backend))
        for n, backend in enumerate(backends)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [n + 10 for n in range(8)]


async def test_calls_one_after_the_other_take_one_thread() -> None:
    """Two that take turns would be woken in turn: a call cost twice as much."""

    async def answer(call: HostCall) -> int:
        return call.n

    def n_threads() -> int:
        return sum(each.name == "tinyagents-sandbox" for each in threading.enumerate())

    with Sandbox(workers=4) as box:
        before = n_threads()
        async with box.session(functions=("f",)) as session:
            result = await session.run("for i in range(200): f(i)", on_call=answer)
        assert (result.ok, result.n_calls) == (True, 200)
        assert n_threads() - before == 1
