"""Runs whose journal fails them: they end in order, say why, and go on when it is there again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from time import time

import anyio.lowlevel
import pytest

from tests.journal.keeper import RUN_ID, waiting_agent
from tests.journal.prefixes import Stage
from tests.journal.scenes import SCENES
from tests.journal.stories import check_deeds, check_resumed
from tests.project import ROOT
from tinyagents import Agent, EventSink, RunContext, RunLimits, tool
from tinyagents.testing import call, check_tree
from tinyagents_graph import Event, RunConflict
from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal import MemoryJournal, SqliteJournal
from tinyagents_graph.journal.protocol import Done, Lease

pytestmark = pytest.mark.anyio


class LosingJournal(MemoryJournal):
    """It refuses what comes after so many batches, for ever or until it is told otherwise."""

    def __init__(self, n_kept: int, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.n_left = n_kept
        self._error = error

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        self.n_left -= 1
        if self.n_left < 0:
            done(self._error())
        else:
            super().append(lease, events, done)


def full_disk() -> Exception:
    return JournalError("runs.db", "the disk is full")


def taken_over() -> Exception:
    return RunConflict("run 'r-1'", "it was closed, or taken over by another")


@pytest.mark.parametrize("error", [full_disk, taken_over])
@pytest.mark.parametrize("name", ["three_deep", "many_in_a_tool", "background", "streamed"])
async def test_a_run_that_loses_its_journal_ends_in_order_and_goes_on_later(
    name: str, error: Callable[[], Exception]
) -> None:
    scene = SCENES[name]
    whole = await scene.play(Stage(MemoryJournal()))
    for n_kept in count():
        journal = LosingJournal(n_kept, error)
        sink = EventSink()
        agent = scene.make(Stage(journal))
        lost: Exception | None = None
        try:
            await agent.run(scene.task, run_id="r-1", journal=journal, sink=sink)
        except type(error()) as raised:
            lost = raised
        if lost is None:
            assert n_kept
            return
        assert str(lost) == str(error())
        assert vars(lost)["result"].status in ("cancelled", "failed", "completed")
        check_tree(sink.events)
        kept = await journal.read("r-1")
        assert list(sink.events)[: len(kept)] == kept, "it was seen before it was kept"
        journal.n_left = 1_000_000
        resumed = await scene.play(Stage(journal))
        check_resumed(whole, resumed, kept, varies=scene.varies)


def counting(stage: Stage, n: int = 40) -> Agent:
    @tool
    async def look(ctx: RunContext, x: int) -> str:
        stage.did(ctx)
        return f"{x} {'x' * 2_000}"

    turns = [call("look", x=x) for x in range(n)]
    return Agent(stage.model(*turns, "the end"), tools=[look], limits=RunLimits(max_turns=99))


@contextmanager
def files_up_to(n_bytes: int) -> Generator[None]:
    """No file may get larger, as if the disk was full."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files")
async def test_a_full_disk_ends_a_run_and_room_lets_it_go_on(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        stage, sink = Stage(journal), EventSink()
        with files_up_to(150_000), pytest.raises(JournalError, match="the disk") as caught:
            await counting(stage).run("go", run_id="r", journal=journal, sink=sink)
        assert str(tmp_path / "runs.db") in str(caught.value)
        check_tree(sink.events)
        before = await journal.read("r")
        assert 0 < len(before) < len(sink.events)
        again = Stage(journal)
        result = await counting(again).run("go", run_id="r", journal=journal)
        assert result.output == "the end"
        check_deeds(again.deeds, before, ())
        check_tree(await journal.read("r"))


async def test_a_damaged_file_fails_the_run_and_is_left_for_repair(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await counting(Stage(journal)).run("go", run_id="r", journal=journal)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
    damaged = path.read_bytes()
    sink = EventSink()
    async with SqliteJournal(path) as journal:
        with pytest.raises(JournalError, match="it is damaged: copy it away"):
            await counting(Stage(journal)).run("go", run_id="new", journal=journal, sink=sink)
    assert path.read_bytes() == damaged
    assert not list(sink.events)
    path.write_bytes(whole)
    async with SqliteJournal(path) as journal:
        stage = Stage(journal)
        result = await counting(stage).run("go", run_id="r", journal=journal)
    assert (result.output, stage.deeds) == ("the end", [])


@pytest.mark.parametrize(
    "jumps", [(0.0, 3_600.0, -3_600.0), (0.0, -1e9, 1e9), (1e9, 0.0, 0.0)], ids=str
)
async def test_a_clock_that_jumps_changes_no_run(jumps: Sequence[float], tmp_path: Path) -> None:
    times = cycle(jumps)
    scene = SCENES["assisted"]
    whole = await scene.play(Stage(MemoryJournal()))
    path = tmp_path / "runs.db"
    async with SqliteJournal(path, clock=lambda: time() + next(times)) as journal:
        check_resumed(whole, await scene.play(Stage(journal)), ())
        again = Stage(journal)
        check_resumed(whole, await scene.play(again), whole.events[:0])
        assert not again.deeds


@contextmanager
def keeper(path: Path, lease_s: float) -> Generator[subprocess.Popen[str]]:
    """Another process, which runs the agent up to where its tool waits."""
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.journal.keeper", path, str(lease_s)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert read_line(running) == "waits"
        yield running
    finally:
        running.kill()
        running.communicate()


def read_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def tell(running: subprocess.Popen[str], line: str) -> None:
    assert running.stdin is not None
    running.stdin.write(f"{line}\n")
    running.stdin.flush()


async def test_a_second_process_cannot_run_what_runs(tmp_path: Path) -> None:
    path, sink = tmp_path / "runs.db", EventSink()
    with keeper(path, 3_600) as running:
        async with SqliteJournal(path) as journal:
            with pytest.raises(RunConflict, match="has it under way"):
                await waiting_agent([]).run("go", run_id=RUN_ID, journal=journal, sink=sink)
            assert not list(sink.events)
            tell(running, "word")
            assert read_line(running) == "ended heard"
            result = await waiting_agent([]).run("go", run_id=RUN_ID, journal=journal)
            assert [m.text for m in result.messages if m.role == "tool"] == ["word"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes that are stopped")
async def test_a_process_that_was_stopped_and_comes_back_is_told_that_it_lost_its_run(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    with keeper(path, 60) as running:
        async with SqliteJournal(path) as journal:
            while (await journal.read(RUN_ID))[-1].kind != "tool.started":
                await anyio.lowlevel.checkpoint()
        running.send_signal(signal.SIGSTOP)
        async with SqliteJournal(path, clock=lambda: time() + 61) as journal:
            result = await waiting_agent(["mine"]).run("go", run_id=RUN_ID, journal=journal)
            assert [m.text for m in result.messages if m.role == "tool"] == ["mine"]
            events = await journal.read(RUN_ID)
        running.send_signal(signal.SIGCONT)
        tell(running, "late")
        assert "taken over by another" in read_line(running)
        async with SqliteJournal(path) as journal:
            assert await journal.read(RUN_ID) == events
            check_tree(events)
