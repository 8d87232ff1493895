"""Pruning, closing, and one journal used from many loops and threads."""

import gc
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.journal.stores import delivery, event, opened
from tinyagents.testing.probes import append
from tinyagents_graph.events import EventKind, RunStatus
from tinyagents_graph.journal import MemoryJournal, SqliteJournal

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryJournal | SqliteJournal:
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db")


async def left(
    journal: MemoryJournal | SqliteJournal,
    older_than_s: float | None,
    keep: int | None,
    status: Collection[RunStatus] | None,
) -> tuple[str, int]:
    """The trees that are left of six, and how many are said to be gone."""
    ends: dict[str, EventKind] = {
        "a": "run.completed", "b": "run.failed", "c": "run.paused", "d": "run.started",
        "e": "run.completed", "f": "run.completed",
    }  # fmt: skip
    for name, kind in ends.items():
        opening = await opened(journal, name, event(name, 0, kind))
        if name != "f":
            await journal.close(opening.lease)
    given = {} if status is None else {"status": status}
    n = await journal.prune(older_than_s=older_than_s, keep=keep, **given)
    return "".join(sorted(each.run_id for each in await journal.trees())), n


@pytest.mark.parametrize(
    ("older_than_s", "keep", "status", "wanted"),
    [
        (None, None, None, ("cdf", 3)),
        (None, 1, None, ("cdf", 3)),  # the one that is kept is the one that is held
        (None, 2, None, ("cdef", 2)),
        (None, 9, None, ("abcdef", 0)),
        (0.0, None, {"paused"}, ("abdef", 1)),
        (None, None, {"running", "paused"}, ("abef", 2)),
        (1e9, None, None, ("abcdef", 0)),
    ],
)
async def test_pruning_drops_what_is_over_and_never_what_is_held(
    older_than_s: float | None,
    keep: int | None,
    status: Collection[RunStatus] | None,
    wanted: tuple[str, int],
    journal: MemoryJournal | SqliteJournal,
) -> None:
    assert await left(journal, older_than_s, keep, status) == wanted


async def test_pruning_gives_room_back_and_harms_no_fork(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    events = [event("r", seq, text="x" * 1_000) for seq in range(2_000)]
    opening = await opened(journal, "r", *events, event("r", 2_000, "run.completed"))
    await journal.close(opening.lease)
    record = await journal.find("r")
    assert record is not None
    await journal.aclose()
    before = size(path)
    fork = opening.record.__class__(
        "fork", "", "running", "", {}, 1, 0, "", 0.0, 1.0, 1.0, ("r", 1), {}
    )
    await journal.add(fork, [event("fork", 0)])
    assert await journal.prune() == 1
    assert [each.seq for each in await journal.read("fork")] == [0]
    assert await journal.check() == []
    await journal.aclose()
    assert size(path) < before / 10


def size(path: Path) -> int:
    return path.stat().st_size


async def test_closing_leaves_one_file_and_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        opening = await opened(journal, "r", event("r", 0))
        await journal.close(opening.lease)
        assert len(await journal.read("r")) == 1
        new = set(threading.enumerate()) - before
        (thread,) = [each for each in new if each.name == "tinyagents-journal"]
    thread.join()
    assert names(tmp_path) == ["runs.db"]
    async with SqliteJournal(tmp_path / "never.db") as journal:
        assert await journal.trees() == []
    assert names(tmp_path) == ["runs.db"]


async def test_a_file_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "runs.db")
    await journal.open("r")  # and never closed
    await journal.aclose()
    assert names(tmp_path) == ["runs.db"]
    remove(tmp_path / "runs.db")
    del journal
    gc.collect()
    assert names(tmp_path) == []


def remove(path: Path) -> None:
    path.unlink()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_one_journal_is_used_by_many_loops_at_once(
    journal: MemoryJournal | SqliteJournal,
) -> None:
    n_events = 50

    async def work(run_id: str) -> None:
        opening = await opened(journal, run_id, event(run_id, 0))
        for seq in range(1, n_events):
            assert await append(journal, opening.lease, [event(run_id, seq)]) is None
        await journal.close(opening.lease)

    def loop(backend: str, run_id: str) -> Callable[[], None]:
        return lambda: anyio.run(work, run_id, backend=backend)

    threads = [
        threading.Thread(target=loop(backend, f"{backend}-{number}"))
        for backend in ("asyncio", "trio")
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    assert [each.n_events for each in await journal.trees()] == [n_events] * 6


async def test_who_is_cancelled_while_opening_holds_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "runs.db")
    for number in range(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.open, f"r-{number}")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        opening = await journal.open(f"r-{number}")
        await journal.close(opening.lease)


async def test_a_listener_that_fails_harms_no_other(
    journal: MemoryJournal | SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fail(delivery: object) -> None:
        heard.append("failed")
        raise ValueError("no")

    journal.listen((await journal.open("bad")).lease, fail)
    journal.listen((await journal.open("good")).lease, lambda each: heard.append(each.key))
    for number, run_id in enumerate(("bad", "good", "bad")):
        await journal.deliver(delivery(run_id, f"a-{number}"))
    await journal.close((await journal.open("last")).lease)
    assert heard == ["failed", "a-1", "failed"]
    assert "failed when told of a delivery" in caplog.text
