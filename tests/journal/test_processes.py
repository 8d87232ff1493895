"""Several processes on one file; ones that are killed, or stopped and go on."""

import gc
import os
import signal
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread
import pytest

from tests.journal.processes import process, run_code
from tests.journal.stores import delivery, event, opened
from tinyagents.testing.probes import Probe, append
from tinyagents_graph import RunConflict
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import Opening

pytestmark = pytest.mark.anyio

WAIT_S = 15


async def taken(journal: SqliteJournal, run_id: str) -> Opening:
    """Open a tree as soon as it can be."""
    deadline = monotonic() + WAIT_S
    while True:
        try:
            return await journal.open(run_id)
        except RunConflict:
            assert monotonic() < deadline, "it never came free"


async def test_processes_write_to_one_file_at_once(tmp_path: Path) -> None:
    path, n = tmp_path / "runs.db", 300
    with ExitStack() as stack:
        workers = [stack.enter_context(process(path)) for _ in range(3)]
        for number, worker in enumerate(workers):
            worker.tell("open", f"r-{number}")
        assert [worker.answer() for worker in workers] == [0, 0, 0]
        for number, worker in enumerate(workers):
            worker.tell("append", f"r-{number}", 0, n)
        assert [worker.answer() for worker in workers] == [[], [], []]
    journal = SqliteJournal(path)
    assert [record.n_events for record in await journal.trees()] == [n] * 3
    assert await journal.check() == []


async def test_of_many_processes_one_gets_a_tree(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with ExitStack() as stack:
        workers = [stack.enter_context(process(path)) for _ in range(4)]
        for contest in range(25):
            for worker in workers:
                worker.tell("open", f"r-{contest}")
            answers = [worker.answer() for worker in workers]
            assert answers.count(0) == 1, answers
            lost = [each for each in answers if each != 0]
            assert all("RunConflict" in each and "has it under way" in each for each in lost)
    records = await SqliteJournal(path).trees()
    assert [record.epoch for record in records] == [1] * 25


@pytest.mark.parametrize("n_events", [1, 50, 200])
async def test_a_killed_process_leaves_all_that_was_durable(tmp_path: Path, n_events: int) -> None:
    path = tmp_path / "runs.db"
    with process(path) as worker:
        worker.tell("flood", "r")
        for seq in range(n_events):
            assert worker.line() == f"{seq}\n"
        worker.signal(signal.SIGKILL)
        last = max([n_events - 1, *(int(each) for each in worker.running.stdout or [])])
        # Its lease would hold for an hour, but it is gone.
        journal = SqliteJournal(path)
        opening = await taken(journal, "r")
    assert [each.seq for each in opening.past] == list(range(len(opening.past)))
    assert last < len(opening.past) <= last + 2
    assert opening.lease.epoch == 2
    assert await append(journal, opening.lease, [event("r", len(opening.past))]) is None
    assert await journal.check() == []
    await journal.close(opening.lease)


async def test_a_process_that_was_stopped_comes_back_too_late(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    with process(path, lease_s=0.3) as worker:
        assert worker.ask("open", "r") == 0
        assert worker.ask("append", "r", 0, 3) == []
        worker.signal(signal.SIGSTOP)
        opening = await taken(journal, "r")
        assert len(opening.past) == 3
        assert await append(journal, opening.lease, [event("r", 3)]) is None
        worker.tell("append", "r", 3, 2)
        worker.signal(signal.SIGCONT)
        refused = await anyio.to_thread.run_sync(worker.answer)
        assert [each.partition(":")[0] for each in refused] == ["RunConflict"] * 2
        assert worker.ask("close", "r") is None
        assert await append(journal, opening.lease, [event("r", 4)]) is None
    await journal.close(opening.lease)
    assert [each.seq for each in await journal.read("r")] == [0, 1, 2, 3, 4]


async def test_a_lease_is_kept_alive_while_the_loop_is_blocked(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    with process(path, lease_s=0.5) as worker:
        assert worker.ask("open", "r") == 0  # and then it waits for a line
        first = await journal.find("r")
        assert first is not None
        last = first
        while last.lease_until < first.lease_until + 1.0:  # two leases later
            with pytest.raises(RunConflict, match="has it under way, and holds it until"):
                await journal.open("r")
            last = await journal.find("r") or last
        assert last.owner == first.owner
        assert first.owner.split(":")[1] == str(worker.running.pid)


async def test_what_another_process_delivers_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    opening = await journal.open("r")
    heard = Probe()
    journal.listen(opening.lease, heard)
    with process(path) as worker:
        assert worker.ask("deliver", "r", "ask-1") == 1
        assert worker.ask("deliver", "r", "ask-2") == 2
        assert "LookupError" in worker.ask("deliver", "gone", "ask-1")
        told = await heard.wait(2, "deliveries")
    assert [each.key for each in told] == ["ask-1", "ask-2"]
    await journal.close(opening.lease)


FORGOTTEN = """
import logging
import anyio
from tinyagents_graph.journal import SqliteJournal
from tinyagents.testing.probes import event

async def main():
    journal = SqliteJournal("runs.db", lease_s=3600)
    opening = await journal.open("r")
    for seq in range(500):
        journal.append(opening.lease, [event("r", seq)], lambda outcome: None)
    print(len(await journal.read("r")) <= 500)
    {}

logging.getLogger("asyncio").setLevel("ERROR")  # which in dev mode tells of a slow machine
anyio.run(main, backend={!r})
"""


@pytest.mark.parametrize("end", ["return", "global kept; kept = journal", "raise SystemExit(0)"])
async def test_a_forgotten_journal_loses_nothing_and_hangs_nobody(
    end: str, tmp_path: Path, anyio_backend_name: str
) -> None:
    done = await anyio.to_thread.run_sync(
        run_code, FORGOTTEN.format(end, anyio_backend_name), tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    record = await SqliteJournal(tmp_path / "runs.db").find("r")
    assert record is not None
    assert (record.n_events, record.owner) == (500, "")


async def test_a_journal_that_nobody_has_any_more_gives_up_its_trees(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    forgotten = SqliteJournal(path, lease_s=3_600)
    await opened(forgotten, "r", event("r", 0))
    with pytest.raises(RunConflict, match="this process"):
        await SqliteJournal(path).open("r")
    del forgotten
    gc.collect()
    opening = await taken(SqliteJournal(path), "r")
    assert opening.lease.epoch == 2


async def test_an_owner_of_another_machine_is_believed_until_its_lease_runs_out(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "runs.db", 1_000.0
    journal = SqliteJournal(path, clock=lambda: now)
    await journal.close((await journal.open("r")).lease)
    _own(path, f"elsewhere:{os.getpid()}:1", until=now + 60)
    with pytest.raises(RunConflict, match="process elsewhere"):
        await journal.open("r")
    now += 61
    assert (await journal.open("r")).lease.epoch == 2


async def test_a_number_that_the_system_gave_away_again_is_no_owner(tmp_path: Path) -> None:
    path, now = tmp_path / "runs.db", 1_000.0
    journal = SqliteJournal(path, clock=lambda: now)
    opening = await journal.open("r")
    owner = (await journal.trees())[0].owner
    await journal.close(opening.lease)
    host, pid, start = owner.split(":")
    _own(path, f"{host}:{pid}:7{start}", until=now + 60)  # this process began at another time
    assert (await journal.open("r")).lease.epoch == 2


def _own(path: Path, owner: str, until: float) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE tree SET owner = ?, lease_until = ?", (owner, until))
    db.close()


async def test_deliveries_wait_for_whoever_opens_the_tree_next(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    await journal.close((await journal.open("r")).lease)
    with process(path) as worker:
        assert worker.ask("deliver", "r", "ask-1") == 1
    opening = await journal.open("r")
    assert [each.key for each in opening.deliveries] == ["ask-1"]
    assert (await journal.deliver(delivery("r", "ask-1"))).number == 1
