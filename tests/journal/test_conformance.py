"""Both journals keep what the protocol promises, and the suite notices one that does not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.journal.stores import Files
from tinyagents.testing import check_journal
from tinyagents_graph.events import Event
from tinyagents_graph.journal import Journal, MemoryJournal
from tinyagents_graph.journal.protocol import (
    AskRecord,
    Delivery,
    Done,
    Lease,
    Opening,
    TreeRecord,
)

pytestmark = pytest.mark.anyio


async def test_a_memory_journal_keeps_the_rules() -> None:
    await check_journal(MemoryJournal)
    assert isinstance(MemoryJournal(), Journal)


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_a_sqlite_journal_keeps_the_rules(tmp_path: Path, synchronous: str) -> None:
    files = Files(tmp_path, synchronous=synchronous)
    await check_journal(files.new, again=files.again)
    assert isinstance(files.new(), Journal)


class KeepsAnything(MemoryJournal):
    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        self._trees[lease.run_id].keep(events)
        done(None)


class KeepsNothing(MemoryJournal):
    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        done(None)


class TellsTwice(MemoryJournal):
    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        super().append(lease, events, done)
        done(None)


class TellsNever(MemoryJournal):
    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        super().append(lease, events, lambda _: None)


class TellsTooEarly(MemoryJournal):
    """One batch late: what was told is not yet there."""

    late: Callable[[], None] | None = None

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        if self.late is not None:
            self.late()
        done(None)
        keep = super().append
        self.late = lambda: keep(lease, events, lambda _: None)

    async def close(self, lease: Lease) -> None:
        if self.late is not None:
            self.late()
        await super().close(lease)


class KnowsNoOldLease(MemoryJournal):
    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        tree = self._trees.get(lease.run_id)
        epoch, number = (tree.epoch, tree.number) if tree else (0, 0)
        super().append(Lease(lease.run_id, epoch, number), events, done)


class LetsAllIn(MemoryJournal):
    async def open(self, run_id: str, **given: Any) -> Opening:
        if run_id in self._trees:
            self._trees[run_id].is_held = False
        return await super().open(run_id, **given)


class ForgetsThePast(MemoryJournal):
    async def open(self, run_id: str, **given: Any) -> Opening:
        return replace(await super().open(run_id, **given), past=())


class RoundsTimes(MemoryJournal):
    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        found = await super().read(run_id, since, most)
        return [each._replace(time=round(each.time)) for each in found]


class ReadsAll(MemoryJournal):
    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        return await super().read(run_id, since)


class TakesNoOddText(MemoryJournal):
    async def load(self, name: str) -> str | None:
        text = await super().load(name)
        return text and text.encode(errors="replace").decode()


class ReplacesDeliveries(MemoryJournal):
    async def deliver(self, delivery: Delivery) -> Delivery:
        if delivery.root_run_id in self._trees:
            self._trees[delivery.root_run_id].deliveries.pop(delivery.key, None)
        return await super().deliver(delivery)


class TellsNobody(MemoryJournal):
    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        pass


class TellsOfNewOnesOnly(MemoryJournal):
    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        tree = self._trees[lease.run_id]
        tree.n_known = len(tree.deliveries)
        super().listen(lease, heard)


class AsksForEver(MemoryJournal):
    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        trees = [each for each in self._trees.values() if run_id in (None, each.run_id)]
        return [ask for tree in trees for ask in tree.asks.values()]


class ListsByAge(MemoryJournal):
    async def trees(self, **given: Any) -> list[TreeRecord]:
        return sorted(await super().trees(**given), key=lambda each: -each.created)


class KnowsNoStatus(MemoryJournal):
    async def find(self, run_id: str) -> TreeRecord | None:
        record = await super().find(run_id)
        return record and replace(record, status="running")


class DropsWhatIsHeld(MemoryJournal):
    async def drop(self, run_ids: Sequence[str]) -> int:
        return len([each for each in run_ids if self._trees.pop(each, None)])


class AddsAnything(MemoryJournal):
    async def add(self, record: TreeRecord, events: Sequence[Event]) -> None:
        self._trees.pop(record.run_id, None)
        await super().add(record, events)


class SavesOnce(MemoryJournal):
    async def save(self, name: str, text: str) -> None:
        self._texts.setdefault(name, text)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (KeepsAnything, "an old lease may not append: a lease that is closed got None"),
        (KeepsNothing, "an old lease may not append: a lease that is closed got None"),
        (TellsTwice, "done was called 2 times"),
        (TellsTooEarly, "an old lease may not append"),
        (KnowsNoOldLease, "a lease that is old got None"),
        (LetsAllIn, "a tree is held by one: opened while it is held: None instead of a RunConfli"),
        (ForgetsThePast, r"closing waits for what was appended: the past: events \[\]"),
        (RoundsTimes, "time of event 0 is"),
        (ReadsAll, r"reading begins and stops where it is told: read\(since=3, most=4\)"),
        (TakesNoOddText, "any text comes back: a saved text changed"),
        (ReplacesDeliveries, "of two deliveries with one key the first stands"),
        (AsksForEver, "was delivered|it was answered"),
        (ListsByAge, "trees are listed last opened first: 'c.*' instead of 'acb'"),
        (KnowsNoStatus, "a record says how a tree stands: running after run.paused of root"),
        (DropsWhatIsHeld, "what is dropped is gone: only one could be dropped"),
        (AddsAnything, "a tree is put in as it is: added twice"),
        (SavesOnce, "texts are saved by name: an earlier text was not replaced"),
    ],
)
async def test_a_journal_that_breaks_a_rule_is_found(
    broken: Callable[[], Journal], rule: str
) -> None:
    with pytest.raises(AssertionError, match=rule):
        await check_journal(broken)


@pytest.mark.parametrize("broken", [TellsNever, TellsNobody, TellsOfNewOnesOnly])
async def test_a_journal_that_says_nothing_is_found(
    broken: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyagents.testing.probes.WAIT_S", 0.1)
    with pytest.raises(AssertionError, match="after 0.1 s"):
        await check_journal(broken)


async def test_two_journals_that_share_nothing_are_found() -> None:
    with pytest.raises(AssertionError, match="what one keeps the other sees: LookupError"):
        await check_journal(MemoryJournal, again=MemoryJournal)
