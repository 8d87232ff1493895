"""`MemoryJournal`: a journal that lasts as long as its process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any

from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.journal.protocol import (
    AskRecord,
    Delivery,
    Done,
    Lease,
    Opening,
    TreeRecord,
)
from tinyagents_graph.journal.standing import (
    ENDED,
    ask_changes,
    prunable,
    standing_after,
    why_not_next,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["MemoryJournal"]

_logger = logging.getLogger("tinyagents.journal")
_TASK_CHARS = 1_000


class _Tree:
    """What is kept of one tree."""

    __slots__ = (
        "about", "asks", "broken", "created", "deliveries", "epoch", "events", "forked_from",
        "heard", "is_held", "is_telling", "n_known", "name", "number", "run_id", "status", "task",
        "updated", "usage",
    )  # fmt: skip

    def __init__(
        self, number: int, run_id: str, name: str, task: str, about: Mapping[str, Any]
    ) -> None:
        self.number = number  # another one of the same id is another tree
        self.run_id = run_id
        self.name = name
        self.task = task[:_TASK_CHARS]
        self.about = about
        self.events: list[Event] = []
        self.asks: dict[str, AskRecord] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.n_known = 0  # deliveries that the holder knows of
        self.heard: Callable[[Delivery], None] | None = None
        self.broken: JournalError | None = None
        self.status: RunStatus = "running"
        self.usage: Mapping[str, Any] = {}
        self.epoch = 0
        self.is_held = self.is_telling = False
        self.created = self.updated = time()
        self.forked_from: tuple[str, int] | None = None

    def keep(self, events: Sequence[Event]) -> None:
        self.events += events
        if standing := standing_after(events):
            self.status, self.usage = standing
        for change, event in ask_changes(events):
            ask_id = event.data["ask_id"]
            if change == "raised":
                root_id, path = event.origin.root_run_id, event.origin.path
                self.asks[ask_id] = AskRecord(root_id, ask_id, path, event.data, event.time)
            else:
                self.asks.pop(ask_id, None)

    @property
    def record(self) -> TreeRecord:
        return TreeRecord(
            self.run_id,
            self.name,
            self.status,
            self.task,
            self.about,
            len(self.events),
            self.epoch,
            "this process" if self.is_held else "",
            0.0,
            self.created,
            self.updated,
            self.forked_from,
            self.usage,
        )


class MemoryJournal:
    """Keeps run trees in memory: for tests, and for questions that this process waits for.

    It has all that `SqliteJournal` has but the file.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._trees: dict[str, _Tree] = {}
        self._texts: dict[str, str] = {}
        self._n_made = 0
        self._n_delivered = 0

    def __repr__(self) -> str:
        return f"MemoryJournal({len(self._trees)} trees)"

    async def open(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening:
        """Take a tree, to append to it; see `Journal.open`."""
        with self._lock:
            tree = self._trees.get(run_id) or self._made(run_id, name, task, about or {})
            if tree.is_held:
                raise RunConflict(
                    f"run {run_id!r}",
                    "this process has it under way; wait for it, or give another run_id",
                )
            return self._take(tree)

    def _take(self, tree: _Tree) -> Opening:
        record, run_id = tree.record, tree.run_id
        self._trees[run_id] = self._trees.pop(run_id, tree)  # to the end, as the last opened
        tree.epoch += 1
        tree.is_held, tree.broken = True, None
        tree.n_known = len(tree.deliveries)
        lease = Lease(run_id, tree.epoch, tree.number)
        return Opening(lease, record, tuple(tree.events), tuple(tree.deliveries.values()))

    async def begin(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening | None:
        """Make a tree and take it; see `Journal.begin`."""
        with self._lock:
            if run_id in self._trees:
                return None
            return self._take(self._made(run_id, name, task, about or {}))

    def _made(self, run_id: str, name: str, task: str, about: Mapping[str, Any]) -> _Tree:
        self._n_made += 1
        return _Tree(self._n_made, run_id, name, task, about)

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        """Keep events; see `Journal.append`."""
        with self._lock:
            error = self._append(lease, events)
        done(error)

    def _append(self, lease: Lease, events: Sequence[Event]) -> RunConflict | JournalError | None:
        tree = self._held(lease)
        if tree is None:
            return RunConflict(f"run {lease.run_id!r}", "it was closed, or taken over by another")
        if tree.broken is None and (why := why_not_next(lease.run_id, len(tree.events), events)):
            tree.broken = JournalError(repr(self), why)
        if tree.broken is None:
            tree.keep(events)
            tree.updated = max(tree.updated, events[-1].time)
        return tree.broken

    async def close(self, lease: Lease) -> None:
        """Give up a tree; see `Journal.close`."""
        with self._lock:
            if (tree := self._held(lease)) is not None:
                tree.is_held, tree.heard = False, None

    def _held(self, lease: Lease) -> _Tree | None:
        tree = self._trees.get(lease.run_id)
        if tree is None or not tree.is_held:
            return None
        return tree if (tree.number, tree.epoch) == (lease.number, lease.epoch) else None

    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        """Be told of what is delivered to a tree; see `Journal.listen`."""
        with self._lock:
            if (tree := self._held(lease)) is None:
                return
            tree.heard = heard
        self._tell(tree)

    def _tell(self, tree: _Tree) -> None:
        """Tell of the deliveries that the holder does not know of, one thread at a time."""
        while True:
            with self._lock:
                if tree.is_telling or tree.heard is None or tree.n_known >= len(tree.deliveries):
                    return
                delivery = list(tree.deliveries.values())[tree.n_known]
                tree.n_known, tree.is_telling, heard = tree.n_known + 1, True, tree.heard
            # Not under the lock, for whoever hears it may wait for what waits for the lock.
            try:
                heard(delivery)
            except Exception:
                _logger.exception("%r failed when told of a delivery", heard)
            finally:
                tree.is_telling = False

    async def deliver(self, delivery: Delivery) -> Delivery:
        """Leave something for a tree; see `Journal.deliver`."""
        with self._lock:
            tree = self._tree(delivery.root_run_id)
            if (first := tree.deliveries.get(delivery.key)) is not None:
                return first
            self._n_delivered += 1
            number, given = self._n_delivered, delivery
            delivery = Delivery(
                number, given.root_run_id, given.kind, given.key, given.payload, given.time
            )
            tree.deliveries[delivery.key] = delivery
        self._tell(tree)
        return delivery

    # --- reading ----------

    def _tree(self, run_id: str) -> _Tree:
        tree = self._trees.get(run_id)
        if tree is None:
            raise LookupError(f"{self!r} has no run {run_id!r}")
        return tree

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        """The events of a tree; see `Journal.read`."""
        with self._lock:
            events = self._tree(run_id).events
            return events[since : None if most is None else since + most]

    async def find(self, run_id: str) -> TreeRecord | None:
        """The tree with this id."""
        with self._lock:
            tree = self._trees.get(run_id)
            return None if tree is None else tree.record

    async def trees(
        self, *, status: RunStatus | None = None, most: int | None = None
    ) -> list[TreeRecord]:
        """The trees, the one that was opened last first; see `Journal.trees`."""
        with self._lock:
            records = [tree.record for tree in reversed(self._trees.values())]
        return [each for each in records if status in (None, each.status)][:most]

    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        """The questions that wait for their answer; see `Journal.asks`."""
        with self._lock:
            trees = [
                tree for tree in self._trees.values() if run_id is None or tree.run_id == run_id
            ]
            found = [
                ask for tree in trees for ask in tree.asks.values() if ask.id not in tree.deliveries
            ]
        return sorted(found, key=lambda ask: ask.raised)

    async def deliveries(self, run_id: str) -> list[Delivery]:
        """All that was ever delivered to a tree, in order."""
        with self._lock:
            return list(self._tree(run_id).deliveries.values())

    async def load(self, name: str) -> str | None:
        """The text that was saved under this name."""
        return self._texts.get(name)

    # --- keeping house ----------

    async def save(self, name: str, text: str) -> None:
        """Keep a text by name."""
        self._texts[name] = text

    async def add(self, record: TreeRecord, events: Sequence[Event]) -> None:
        """Put in a tree as it is; see `Journal.add`."""
        with self._lock:
            if record.run_id in self._trees:
                raise RunConflict(f"run {record.run_id!r}", "there is one with this id already")
            if events and (why := why_not_next(record.run_id, 0, events)):
                raise JournalError(repr(self), why)
            tree = self._made(record.run_id, record.name, record.task, record.about)
            tree.keep(events)
            tree.status, tree.usage, tree.epoch = record.status, record.usage, record.epoch
            tree.created, tree.updated = record.created, record.updated
            tree.forked_from = record.forked_from
            self._trees[record.run_id] = tree

    async def drop(self, run_ids: Sequence[str]) -> int:
        """Forget trees; see `Journal.drop`."""
        with self._lock:
            known = [each for each in run_ids if each in self._trees]
            free = [each for each in known if not self._trees[each].is_held]
            for each in free:
                del self._trees[each]
        return len(free)

    async def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        status: Collection[RunStatus] = ENDED,
    ) -> int:
        """Forget trees that are over; see `SqliteJournal.prune`."""
        named = prunable(
            await self.trees(), time(), older_than_s=older_than_s, keep=keep, status=status
        )
        return await self.drop(named)

    async def aclose(self) -> None:
        """Nothing is left to write."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
