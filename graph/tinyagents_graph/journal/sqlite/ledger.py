"""`Ledger`: what the writer's thread does in the file, and what it remembers of it.

What waits is written in one transaction, so that all trees share one wait for the disk.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import Event
from tinyagents_graph.journal.protocol import Delivery, Done, Lease, Opening, TreeRecord
from tinyagents_graph.journal.sqlite.failures import journal_error, primary_code
from tinyagents_graph.journal.sqlite.leasing import begin, give_up, next_seq, renew
from tinyagents_graph.journal.sqlite.reading import deliveries_after
from tinyagents_graph.journal.sqlite.rows import EventRow, as_rows, as_stored, as_text
from tinyagents_graph.journal.sqlite.schema import immediate, open_to_write
from tinyagents_graph.journal.standing import ask_changes, standing_after, why_not_next
from tinyagents_graph.loops import Mailbox

__all__ = ["Batch", "Job", "Ledger"]

_logger = logging.getLogger("tinyagents.journal")
_POLL_S = 0.1
_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
Key: TypeAlias = tuple[int, int]
"""A tree and the epoch of a lease."""


class Batch:
    """Events to append."""

    __slots__ = ("done", "events", "lease")

    def __init__(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        self.lease = lease
        self.events = events
        self.done = done

    def tell(self, outcome: Any) -> None:
        """Say how it went; `outcome` is an error, or nothing."""
        self.done(outcome)


class Job:
    """Anything else to do in a transaction.

    Args:
        do: Does it. It raises what is the caller's own mistake before it changes anything, and may
            be called again if the transaction that it was part of has failed.
        tell: Called with what it returned, or with the error, once that is durable.
        is_apart: Whether it changes nothing for those who hold other trees.
    """

    __slots__ = ("do", "is_apart", "tell")

    def __init__(
        self,
        do: Callable[[Ledger], object],
        tell: Callable[[Any], None],
        *,
        is_apart: bool = False,
    ) -> None:
        self.do = do
        self.tell = tell
        self.is_apart = is_apart


Item: TypeAlias = Batch | Job


class _Held:
    """A tree that is held here, and who is told of what is delivered to it.

    Attributes:
        last: Number of the last delivery that its holder knows of.
    """

    __slots__ = ("heard", "last", "lease")

    def __init__(self, lease: Lease, last: int) -> None:
        self.lease = lease
        self.last = last
        self.heard: Callable[[Delivery], None] | None = None


class Ledger:
    """The one connection of a journal that writes; used by one thread at a time.

    Args:
        path: The file.
        synchronous: How long a commit waits for the disk, as `PRAGMA synchronous` takes it.
        lease_s: How long a tree is held without being renewed, in seconds.
        clock: The time, in seconds since the epoch.

    Attributes:
        given_up: Trees that are held no longer, though the file could not be told.
    """

    def __init__(
        self, path: Path, synchronous: str, lease_s: float, clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.clock = clock
        self.lease_s = lease_s
        self._synchronous = synchronous
        self._connection: sqlite3.Connection | None = None
        self._rows: list[EventRow] = []
        # What each lease's next event is; kept while nobody else has written to the file.
        self._next: dict[Key, int | None] = {}
        self._seen_version = -1
        self._broken: dict[Key, JournalError] = {}
        self._held: dict[int, _Held] = {}
        self._going: set[Key] = set()  # given up in this transaction
        self.given_up: set[Key] = set()
        self._renew_at = 0.0
        self._is_listened_to = False
        self._poll_at = 0.0
        self._heard_version = -1

    @property
    def db(self) -> sqlite3.Connection:
        """The connection, in a transaction; the events before are in."""
        self._flush()
        assert self._connection is not None
        return self._connection

    @property
    def where(self) -> str:
        """The journal, for errors."""
        return str(self.path)

    @property
    def wait_s(self) -> float | None:
        """How long there is nothing to do, in seconds; `None` for good."""
        if not self._held:
            return None
        due = min(self._renew_at, self._poll_at) if self._is_listened_to else self._renew_at
        return max(due - monotonic(), 0)

    # --- writing ----------

    def commit(self, items: Sequence[Item]) -> None:
        """Do all of this in one transaction, and tell each how it went.

        If that fails each is tried alone: what is wrong with one is not its neighbours' fault.
        """
        try:
            with immediate(self._open()):
                outcomes = self._do_all(items)
            self.given_up -= self._going
            self._going.clear()
        except Exception as error:
            is_their_fault = self._connection is not None and not _is_busy(error)
            failure = self._after(error)
            if is_their_fault and len(items) > 1:
                for item in items:
                    self.commit([item])
                return
            outcomes = list[Any]([failure]) * len(items)
        self._tell(items, outcomes)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = open_to_write(self.path, self._synchronous)
            except (sqlite3.Error, OSError) as error:
                raise journal_error(self.path, error) from error
            self._seen_version = self._heard_version = -1
        return self._connection

    def _do_all(self, items: Sequence[Item]) -> list[Any]:
        assert self._connection is not None
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._seen_version:  # another connection has committed something
            self._next.clear()
            self._seen_version = version
        outcomes = [
            self._append(item) if isinstance(item, Batch) else self._do(item) for item in items
        ]
        self._flush()
        return outcomes

    def _do(self, job: Job) -> Any:
        if not job.is_apart:  # it may take a tree away, so what is known of leases is looked up
            self._next.clear()
        try:
            return job.do(self)
        except (LookupError, JournalError, RunConflict) as error:
            return error

    def _append(self, batch: Batch) -> BaseException | None:
        lease = batch.lease
        key = lease.number, lease.epoch
        if (broken := self._broken.get(key)) is not None:
            return broken
        if (due := self._due(lease, key)) is None:
            return RunConflict(f"run {lease.run_id!r}", "it was closed, or taken over by another")
        events = batch.events
        try:
            if why := why_not_next(lease.run_id, due, events):
                raise JournalError(self.where, why)
            self._rows += as_rows(self.where, lease.number, events)
        except JournalError as error:
            self._broken[key] = error
            return error
        self._next[key] = due + len(events)
        self.project(lease.number, events)
        return None

    def _due(self, lease: Lease, key: Key) -> int | None:
        if key not in self._next:
            self._next[key] = next_seq(self.db, lease)
        return self._next[key]

    def project(self, number: int, events: Sequence[Event], *, stands: bool = True) -> None:
        """Note what these events tell of a tree's questions, and of how it `stands`; in a job."""
        assert self._connection is not None
        for change, event in ask_changes(events):
            ask_id = as_stored(event.data["ask_id"])
            if change == "raised":
                self._connection.execute(
                    "INSERT OR REPLACE INTO ask VALUES (?, ?, ?)", (number, ask_id, event.seq)
                )
            else:
                self._connection.execute(
                    "DELETE FROM ask WHERE tree = ? AND id = ?", (number, ask_id)
                )
        if stands and (standing := standing_after(events)):
            status, usage = standing
            self._connection.execute(
                "UPDATE tree SET status = ?, usage = ? WHERE id = ?",
                (status, as_text(self.where, usage, "usage"), number),
            )

    def put(self, number: int, events: Sequence[Event]) -> None:
        """Insert a tree's events; in a job."""
        self.db.executemany(_INSERT, as_rows(self.where, number, events))

    def _flush(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            assert self._connection is not None
            self._connection.executemany(_INSERT, rows)

    def _after(self, error: Exception) -> JournalError:
        """Forget what the failed transaction seemed to have done."""
        self._rows.clear()
        self._next.clear()
        self.given_up |= self._going
        self._going.clear()
        if isinstance(error, JournalError):
            return error
        if not isinstance(error, sqlite3.Error):
            _logger.error("journal %s: a transaction failed", self.path, exc_info=error)
            return JournalError(self.where, f"a transaction failed: {error!r}")
        if not _is_busy(error):
            self.close()  # what is wrong may be wrong with the connection
        return journal_error(self.path, error)

    def _tell(self, items: Sequence[Item], outcomes: Sequence[Any]) -> None:
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(item, Batch) and isinstance(outcome, JournalError):
                self._broken.setdefault((item.lease.number, item.lease.epoch), outcome)
        # Those whose events became durable together go on together, and so write together next.
        with Mailbox.held_back():
            for item, outcome in zip(items, outcomes, strict=True):
                try:
                    item.tell(outcome)
                except Exception:
                    _logger.exception("journal %s: %r failed when told", self.path, item.tell)

    # --- holding trees ----------

    def begin(self, record: TreeRecord) -> Opening | None:
        """Make a tree and take it, unless there is one with this id; in a job."""
        opening = begin(self.db, record, self.where, self.clock(), self.lease_s)
        if opening is not None:
            self._next[opening.lease.number, opening.lease.epoch] = 0
        return opening

    def hold(self, lease: Lease, last: int) -> None:
        """Keep a lease alive from now on.

        Args:
            lease: The lease.
            last: Number of the last delivery that its holder knows of.
        """
        if not self._held:
            self._renew_at = monotonic() + self.lease_s / 3
        self._held[lease.number] = _Held(lease, last)

    def let_go(self, *leases: Lease) -> None:
        """Hold trees no longer; in a job."""
        for lease in leases:  # kept alive no longer even if the file cannot be told
            self._forget(lease)
            self._next.pop((lease.number, lease.epoch), None)
            self._going.add((lease.number, lease.epoch))
        for lease in leases:
            give_up(self.db, lease)

    def let_all_go(self) -> None:
        """Hold no tree any longer; in a job."""
        self.let_go(*[held.lease for held in self._held.values()])

    def _forget(self, lease: Lease) -> None:
        self._broken.pop((lease.number, lease.epoch), None)
        held = self._held.get(lease.number)
        if held is not None and held.lease.epoch == lease.epoch:
            del self._held[lease.number]
            self._is_listened_to = any(each.heard is not None for each in self._held.values())

    def look_around(self) -> None:
        """Do what is due by the clock: renew leases, hear what other processes delivered."""
        now = monotonic()
        if self._held and now >= self._renew_at:
            self._renew_at = now + self.lease_s / 3
            self.commit([Job(Ledger._renew, self._renewed)])
        if self._is_listened_to and now >= self._poll_at:
            self._poll_at = now + _POLL_S
            self._poll()

    def _renew(self) -> list[Lease]:
        leases = [held.lease for held in self._held.values()]
        return renew(self.db, leases, self.clock(), self.lease_s)

    def _renewed(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            _logger.warning("leases could not be renewed, which is tried again: %s", outcome)
            return
        for lease in outcome:  # somebody else has them
            self._forget(lease)

    # --- hearing ----------

    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        """Tell of what is delivered to a tree, from when it was opened; in a job."""
        held = self._held.get(lease.number)
        if held is not None and held.lease.epoch == lease.epoch:
            held.heard, self._is_listened_to = heard, True
            self.hear()

    def hear(self) -> None:
        """Something may have been delivered: who listens is told before anything else is done."""
        self._poll_at, self._heard_version = 0.0, -1

    def _poll(self) -> None:
        try:
            connection = self._open()
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._heard_version:
                return
            self._heard_version = version
            listening = [held for held in self._held.values() if held.heard is not None]
            found = deliveries_after(connection, min(held.last for held in listening))
        except (sqlite3.Error, JournalError) as error:
            _logger.warning("deliveries cannot be read, which is tried again: %s", error)
            self._poll_at = monotonic() + self.lease_s / 3
            self.close()
            return
        for number, delivery in found:
            self._tell_of(self._held.get(number), delivery)
        if found:
            for held in listening:
                held.last = max(held.last, found[-1][1].number)

    def _tell_of(self, held: _Held | None, delivery: Delivery) -> None:
        if held is None or held.heard is None or delivery.number <= held.last:
            return
        try:
            held.heard(delivery)
        except Exception:
            _logger.exception("%r failed when told of a delivery", held.heard)

    def close(self) -> None:
        """Let go of the file, until there is something to do."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY
