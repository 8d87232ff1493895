"""Sessions are written down, taken up, forked, cancelled and brought back after a crash."""

import subprocess
import sys
from typing import Any

import anyio
import pytest

from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox import HostCall, Sandbox, Session

pytestmark = pytest.mark.anyio
KEY = b"a key of sixteen bytes or more"


async def value(session: Session, code: str) -> Any:
    result = await session.run(code)
    assert result.ok, result.feedback()
    return result.value


async def test_a_session_is_taken_up_where_it_was() -> None:
    box = Sandbox()
    async with box.session() as first, box.session() as second:
        await first.run("x = [1]\ndef f(): return x\nclass P:\n  def __init__(self): self.y = 2")
        data = await first.dump()
        await first.run("x.append(2)")
        await second.restore(data)
        assert await value(second, "f(), P().y") == ([1], 2)
        await first.restore(data)
        assert await value(first, "x") == [1]


async def test_what_was_set_is_written_down_with_it() -> None:
    box = Sandbox(values={"a": 1})
    async with box.session(values={"b": 2}) as first, box.session() as second:
        await first.set(c=3)
        await second.restore(await first.dump())
        assert await value(second, "a, b, c") == (1, 2, 3)


async def test_forks_go_their_own_ways() -> None:
    async with Sandbox().session() as session:
        await session.run("x = [0]")
        forks = [await session.fork() for _ in range(5)]
        for n, fork in enumerate(forks):
            await fork.run(f"x.append({n})")
        assert [await value(fork, "x") for fork in forks] == [[0, n] for n in range(5)]
        assert await value(session, "x") == [0]


async def test_a_session_goes_to_another_process_that_has_the_key() -> None:
    async with Sandbox(key=KEY).session() as session:
        await session.run("x = 41\ndef f(): return x + 1")
        data = await session.dump()
    code = (
        "import sys, anyio\nfrom tinyagents.sandbox import Sandbox\n"
        "async def main():\n"
        f"    async with Sandbox(key={KEY!r}).session() as session:\n"
        "        await session.restore(sys.stdin.buffer.read())\n"
        "        print((await session.run('f()')).value)\n"
        "anyio.run(main)\n"
    )
    done = await anyio.run_process([sys.executable, "-c", code], input=data)
    assert done.stdout == b"42\n"


async def test_a_dump_that_was_changed_or_is_anothers_is_refused() -> None:
    box = Sandbox(key=KEY)
    async with box.session() as session:
        await session.run("x = 1")
        data = await session.dump()
        places = (0, 40, len(data) // 2, len(data) - 1)
        changed = [data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for n in places]
        for each in (*changed, b"", data[:50], data[:-1], b"x" * 500):
            with pytest.raises(SandboxError):
                await session.restore(each)
        with pytest.raises(SandboxError, match="another key"):
            await Sandbox().session().restore(data)
        assert await value(session, "x") == 1


@pytest.mark.parametrize(
    "code",
    [
        "x = 2\nwhile True: pass",
        "x = 2\nwait()",
        "x = 2\nawait wait()",
        "import asyncio\nx = 2\nawait asyncio.gather(wait(), wait(), wait())",
        "import time\nx = 2\ntime.sleep(4)",
    ],
)
async def test_a_cancelled_cell_ends_at_once_and_leaves_nothing(code: str) -> None:
    n_waiting = 0

    async def wait(call: HostCall) -> None:
        nonlocal n_waiting
        n_waiting += 1
        try:
            await anyio.sleep_forever()
        finally:
            n_waiting -= 1

    async with Sandbox(time_limit_s=5, workers=1).session(functions=("wait",)) as session:
        await session.run("x = 1")
        for _ in range(3):
            began = anyio.current_time()
            with anyio.move_on_after(0.05) as scope:
                await session.run(code, on_call=wait)
            assert scope.cancelled_caught
            assert anyio.current_time() - began < 1.5
            assert n_waiting == 0
            assert await value(session, "x") == 1


async def test_a_worker_that_dies_in_a_cell_is_feedback_and_its_session_goes_on() -> None:
    box = Sandbox(workers=1)
    async with box.session(functions=("kill",)) as session:
        await session.run("x = [1]")

        async def kill(call: HostCall) -> None:
            _kill_workers()

        result = await session.run("x.append(2)\nkill()\nx.append(3)", on_call=kill)
        assert result.error is not None
        assert (result.error.kind, result.rolled_back) == ("crash", True)
        assert "nothing of this code took effect" in result.feedback()
        assert await value(session, "x") == [1]


async def test_a_worker_that_dies_between_cells_costs_one_cell_at_most() -> None:
    box = Sandbox(workers=1)
    async with box.session() as one, box.session() as other:
        await one.run("x = 1")
        _kill_workers()
        assert await value(other, "1") == 1  # which takes the dead one's place
        assert await value(one, "x") == 1
        _kill_workers()
        result = await one.run("x = 2")
        assert result.error is not None
        assert result.error.kind == "crash"
        assert await value(one, "x") == 1


def _kill_workers() -> None:
    subprocess.run(["pkill", "-9", "-P", str(_pid()), "monty"], check=True)


def _pid() -> int:
    import os

    return os.getpid()


async def test_a_closed_session_runs_nothing() -> None:
    async with Sandbox().session() as session:
        pass
    with pytest.raises(SandboxError, match="this session is closed"):
        await session.run("1")
    with pytest.raises(ConfigError):
        await session.set(**{"a b": 1})


async def test_what_is_set_while_a_cell_runs_is_there_in_the_next() -> None:
    async with Sandbox().session(functions=("late",), values={"a": 1}) as session:

        async def late(call: HostCall) -> None:
            await session.set(b=2)

        await session.run("late()", on_call=late)
        assert await value(session, "a, b") == (1, 2)
