"""Code that wants out finds nothing, and code that wants everything ends in time."""

import socket
import time
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from tests.sandbox.hostile import GREEDY, REACHING, snippets
from tinyagents.sandbox import CellResult, Sandbox

pytestmark = pytest.mark.timeout(120)
TIME_LIMIT_S = 0.2
CANARY = "a-canary-of-this-machine"


class Ran(NamedTuple):
    code: str
    result: CellResult
    seconds: float


async def run_all(box: Sandbox, codes: list[str], at_once: int = 4) -> list[Ran]:
    """Run each snippet in a session of its own, and then see whether the session still works."""
    places = anyio.CapacityLimiter(at_once)
    ran: list[Ran] = []

    async def one(code: str) -> None:
        async with places, box.session(values={"kept": "kept"}) as session:
            await session.run("before = kept")
            began = time.monotonic()
            result = await session.run(code)
            ran.append(Ran(code, result, time.monotonic() - began))
            assert (await session.run("before")).value == "kept", code

    async with anyio.create_task_group() as tasks:
        for code in codes:
            tasks.start_soon(one, code)
    return ran


def ended_late(ran: list[Ran]) -> list[Ran]:
    return [each for each in ran if each.seconds > TIME_LIMIT_S + 2]


def test_nothing_of_the_host_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYAGENTS_CANARY", CANARY)
    secret, out = tmp_path / "secret.txt", tmp_path / "out.txt"
    secret.write_text(CANARY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        facts = {"secret": secret, "out": out, "port": server.getsockname()[1], "pid": 1}
        codes = [each.format(**facts) for each in snippets(REACHING)]
        assert len(codes) >= 130
        ran = anyio.run(run_all, Sandbox(time_limit_s=TIME_LIMIT_S, workers=4), codes)
        with pytest.raises(BlockingIOError):
            server.accept()
    told = [each for each in ran if CANARY in f"{each.result.value!r} {each.result.feedback()}"]
    assert told == []
    assert ended_late(ran) == []
    assert [each.name for each in tmp_path.iterdir()] == ["secret.txt"]
    assert secret.read_text() == CANARY
    assert {each.result.error.kind for each in ran if each.result.error} <= {"code", "syntax"}


def test_whatever_is_wanted_ends_in_time() -> None:
    box = Sandbox(
        time_limit_s=TIME_LIMIT_S, memory_limit_mb=64, max_output_chars=100_000, workers=4
    )
    codes = [each.format() for each in snippets(GREEDY)]
    assert len(codes) >= 100
    ran = anyio.run(run_all, box, codes)
    assert ended_late(ran) == []
    assert max(len(each.result.feedback()) for each in ran) <= 20_000
    assert {each.result.error.kind for each in ran if each.result.error} == {
        "code", "limit", "syntax",
    }  # fmt: skip


def test_what_ends_a_cell_cannot_be_caught_in_it() -> None:
    box = Sandbox(time_limit_s=0.1, memory_limit_mb=32, max_output_chars=1_000)
    guard = (
        "seen = []\nwhile True:\n  try:\n    {0}\n  except BaseException as e:\n    seen.append(1)"
    )
    for greedy in (
        "while True: pass",
        "'x' * 10**9",
        "print('x' * 10_000)",
        "import time; time.sleep(9)",
    ):
        result = box.run(guard.format(greedy))
        assert result.error is not None
        assert (result.error.kind, result.rolled_back) == ("limit", True), greedy
        assert box.run("seen").error is not None  # not even the list is left


def test_a_recursion_error_can_be_caught_but_the_limit_not_passed() -> None:
    box = Sandbox(recursion_limit=50)
    box.run("def g(d):\n  try: return g(d + 1)\n  except RecursionError: return d")
    assert box.run("g(1)").value <= 50
