"""A full disk, a file that cannot be written, or is damaged, or of another version; odd clocks."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.journal.processes import process
from tests.journal.stores import delivery, event, kept, opened
from tinyagents.testing.probes import append
from tinyagents_graph import ConfigError, RunConflict
from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal import Journal, SqliteJournal
from tinyagents_graph.journal.sqlite.schema import MIGRATIONS, open_to_write

pytestmark = pytest.mark.anyio


async def failing(journal: Journal, said: str) -> None:
    """Whatever is asked of it, the error names the file and says this."""
    with pytest.raises(JournalError, match=said) as caught:
        await journal.open("new")
    assert caught.value.where in str(caught.value)
    with pytest.raises(JournalError, match=said):
        await journal.save("name", "text")


async def test_a_full_disk_fails_the_run_and_not_its_past(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with process(path) as worker:
        assert worker.ask("open", "r") == 0
        assert worker.ask("open", "other") == 0
        assert worker.ask("append", "r", 0, 10) == []
        worker.ask("limit", 300_000)
        errors = worker.ask("append", "r", 10, 200, 10_000)
        assert 0 < len(errors) < 200
        said = f"JournalError: journal {path}: the disk "
        assert all(each.startswith(said) and "then open the run again" in each for each in errors)
        n_kept = 10 + 200 - len(errors)
        assert worker.ask("read", "r") == n_kept
        worker.ask("limit", -1)
        # It has lost events, so that nothing may follow; its neighbour has not.
        assert worker.ask("append", "r", n_kept, 1) == errors[-1:]
        assert worker.ask("append", "other", 0, 1) == []
        worker.ask("close", "r")
        assert worker.ask("open", "r") == n_kept
        assert worker.ask("append", "r", n_kept, 5) == []
    assert await SqliteJournal(path).check() == []


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can get at."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


async def test_a_file_whose_maker_was_killed_in_the_middle_of_it_can_be_used(
    tmp_path: Path,
) -> None:
    made, path = tmp_path / "made.db", tmp_path / "runs.db"
    maker = sqlite3.connect(made, isolation_level=None)
    maker.execute("PRAGMA cache_size=1")
    maker.execute("CREATE TABLE of_nobody(x)")
    maker.execute("BEGIN")
    maker.execute("DROP TABLE of_nobody")
    maker.execute("CREATE TABLE big AS SELECT zeroblob(100000) AS x")
    for ending in ("", "-journal"):  # what is on the disk if it dies now
        path.with_name(path.name + ending).write_bytes(
            made.with_name(made.name + ending).read_bytes()
        )
    maker.close()
    async with SqliteJournal(path) as journal:
        with pytest.raises(JournalError, match="the database of another program"):
            await journal.find("r")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("of_nobody",)]
    db.close()


async def test_a_file_that_cannot_be_written_can_be_read(open_folder: Path) -> None:
    path = open_folder / "runs.db"
    await (await kept(lambda: SqliteJournal(path))).aclose()
    allow(path, 0o444)
    allow(open_folder, 0o555)
    with process(path) as worker:
        worker.ask("be_nobody")
        assert worker.ask("read", "r") == 3
        refused = worker.ask("open", "r")
    allow(open_folder, 0o777)
    assert refused.startswith(f"JournalError: journal {path}: it cannot be written: give this user")


async def test_a_folder_that_cannot_be_written_gets_no_file(open_folder: Path) -> None:
    allow(open_folder, 0o555)
    with process(open_folder / "runs.db") as worker:
        worker.ask("be_nobody")
        refused = worker.ask("open", "r")
        assert "LookupError" in worker.ask("read", "r")
    allow(open_folder, 0o777)
    assert "JournalError" in refused
    assert "make sure that its folder can be written" in refused


@pytest.mark.parametrize("name", ["folder", "file/runs.db", "file/deeper/runs.db"])
def test_a_path_that_cannot_be_a_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(JournalError, match="it is a folder|is no folder"):
        SqliteJournal(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SqliteJournal(""),
        lambda: SqliteJournal(":memory:"),
        lambda: SqliteJournal("runs.db", synchronous="OFF"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: SqliteJournal("runs.db", lease_s=0),
        lambda: SqliteJournal("runs.db", lease_s=float("nan")),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Journal]) -> None:
    with pytest.raises(ConfigError):
        make()


async def test_folders_are_made_when_something_is_recorded(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "a" / "b" / "runs.db")
    assert await journal.trees() == []
    assert not (tmp_path / "a").exists()
    await journal.save("name", "text")
    assert (tmp_path / "a" / "b" / "runs.db").exists()


def content(path: Path) -> bytes:
    return path.read_bytes()


async def unchanged(path: Path, said: str) -> None:
    """A journal does nothing to this file but say this."""
    before = content(path)
    journal = SqliteJournal(path)
    await failing(journal, said)
    with pytest.raises(JournalError, match=said):
        await journal.trees()
    await journal.aclose()
    assert content(path) == before


async def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("important " * 1_000)
    await unchanged(path, "it is no SQLite database, and is left as it is")


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE note(text TEXT)", "PRAGMA user_version=3", "PRAGMA application_id=7"],
)
async def test_the_database_of_another_program_is_left_as_it_is(
    statement: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.db"
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()
    await unchanged(path, "it is the database of another program")


async def test_a_file_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    await (await kept(lambda: SqliteJournal(path))).aclose()
    _execute(path, "PRAGMA user_version=99")
    await unchanged(path, "its version is 99, and this tinyagents knows versions up to .: upgrade")


def _execute(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(statement)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def overwrite(path: Path) -> None:
    """Leave only the first page, and the last."""
    n_bytes = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xde\xad" * ((n_bytes - 8_192) // 2))


async def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = await kept(lambda: SqliteJournal(path), n=2_000)
    await journal.aclose()
    overwrite(path)
    journal = SqliteJournal(path)
    assert any(
        "it is damaged" in each or "the file is damaged" in each for each in await journal.check()
    )
    with pytest.raises(JournalError, match=r"it is damaged: copy it away .*sqlite3 FILE .recover"):
        await journal.read("r")
    await failing(journal, "it is damaged")


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM event WHERE seq = 1", "run 'r': seq 1 was due, and 2 is there"),
        ("UPDATE event SET data = '{' WHERE seq = 2", "run 'r': the data of seq 2 is no JSON"),
        ("DELETE FROM ask", "run 'r': its open questions are not those of its events"),
        ("UPDATE tree SET id = 7", "3 rows of 'event' are of tree 1, which is not there"),
    ],
)
async def test_what_does_not_fit_together_is_found(
    statement: str, finding: str, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    events = [event("r", 0), event("r", 1, "ask.raised", ask_id="a"), event("r", 2)]
    await journal.close((await opened(journal, "r", *events)).lease)
    assert await journal.check() == []
    await journal.aclose()
    _execute(path, statement)
    assert any(each.startswith(finding) for each in await journal.check())


async def test_a_file_that_somebody_keeps_locked_is_told_and_free_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyagents_graph.journal.sqlite.schema.BUSY_S", 0.05)
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    opening = await opened(journal, "r", event("r", 0))
    browser = sqlite3.connect(path, isolation_level=None)
    browser.execute("BEGIN IMMEDIATE")
    error = await append(journal, opening.lease, [event("r", 1)])
    assert "another process has kept it locked" in str(error)
    await failing(journal, "another process has kept it locked")
    assert len(await journal.read("r")) == 1
    browser.execute("ROLLBACK")
    browser.close()
    assert await append(journal, opening.lease, [event("r", 1)]) is error
    await journal.close(opening.lease)
    assert (await journal.open("r")).lease.epoch == 2


# --- versions ----------


async def test_a_file_of_an_older_version_is_brought_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    await (await kept(lambda: SqliteJournal(path))).aclose()
    newer = [*MIGRATIONS, ["ALTER TABLE tree ADD COLUMN color TEXT", "UPDATE tree SET color = 'x'"]]
    for _ in range(2):
        db = open_to_write(path, "FULL", newer)
        assert db.execute("SELECT run_id, color FROM tree").fetchall() == [("r", "x")]
        assert db.execute("PRAGMA user_version").fetchone() == (len(newer),)
        db.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = await kept(lambda: SqliteJournal(path))
    await journal.aclose()
    with pytest.raises(sqlite3.OperationalError):
        open_to_write(path, "FULL", [*MIGRATIONS, ["DROP TABLE event", "NONSENSE"]])
    assert len(await journal.read("r")) == 3


@pytest.mark.parametrize("fixture", sorted(Path(__file__).parent.glob("version_*.sql")))
async def test_files_of_all_versions_there_ever_were_open(fixture: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    db = sqlite3.connect(path)
    db.executescript(content(fixture).decode())
    db.close()
    journal = SqliteJournal(path)
    assert await journal.check() == []
    first, second = await journal.trees()
    assert (first.run_id, first.status, first.forked_from) == ("fork", "running", ("old", 2))
    assert (second.run_id, second.status, second.usage) == ("old", "paused", {"requests": 3})
    assert (second.name, second.task, second.about) == ("boss", "Write it", {"model": "test"})
    assert [each.path for each in await journal.read("old")] == [
        "root", "root/writer[0]", "root/writer[0]", "root"
    ]  # fmt: skip
    (ask,) = await journal.asks()
    assert (ask.root_run_id, ask.id, ask.path) == ("old", "ask-2", "root/writer[0]")
    assert [each.payload for each in await journal.deliveries("old")] == [{"value": 1}]
    assert await journal.load("session") == "a text"
    opening = await journal.open("old")
    assert (len(opening.past), opening.lease.epoch) == (4, 2)
    assert await append(journal, opening.lease, [event("old", 4)]) is None


# --- clocks ----------


class Clock:
    """One that can be set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("jumps", [(3_600.0,), (-3_600.0,), (86_400.0, -86_400.0, 1.0)])
async def test_a_clock_that_jumps_costs_no_event(jumps: Sequence[float], tmp_path: Path) -> None:
    path, clock = tmp_path / "runs.db", Clock(1_000_000.0)
    journal = SqliteJournal(path, clock=clock)
    opening = await opened(journal, "r", event("r", 0))
    for seq, jump in enumerate(jumps, 1):
        clock.now += jump
        assert await append(journal, opening.lease, [event("r", seq)]) is None
        await journal.deliver(delivery("r", f"a-{seq}"))
    await journal.close(opening.lease)
    again = await journal.open("r")
    assert [each.seq for each in again.past] == list(range(len(jumps) + 1))
    assert [each.key for each in again.deliveries] == [f"a-{seq + 1}" for seq in range(len(jumps))]


async def test_who_loses_a_tree_to_a_clock_that_is_ahead_is_told(tmp_path: Path) -> None:
    path, clock = tmp_path / "runs.db", Clock(1_000_000.0)
    journal = SqliteJournal(path, clock=clock)
    opening = await opened(journal, "r", event("r", 0))
    ahead = SqliteJournal(path, clock=lambda: clock.now + 3_600)
    taken = await ahead.open("r")
    assert isinstance(await append(journal, opening.lease, [event("r", 1)]), RunConflict)
    assert await append(ahead, taken.lease, [event("r", 1)]) is None
    # Nor is the same journal taken in by its own clock.
    clock.now += 86_400
    again = await journal.open("r")
    assert isinstance(await append(journal, opening.lease, [event("r", 2)]), RunConflict)
    assert await append(journal, again.lease, [event("r", 2)]) is None
