"""`SqliteJournal`: a journal in one file."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from sqlite3 import Connection
from time import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, get_args

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar, checkpoint_if_cancelled

from tinyagents_graph.errors import ConfigError, JournalError
from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.journal.protocol import (
    AskRecord,
    Delivery,
    Done,
    Lease,
    Opening,
    TreeRecord,
)
from tinyagents_graph.journal.sqlite.housekeeping import add, drop, findings, free_pages, prune
from tinyagents_graph.journal.sqlite.leasing import deliver, save, take
from tinyagents_graph.journal.sqlite.ledger import Batch, Job, Ledger
from tinyagents_graph.journal.sqlite.reading import (
    Readers,
    asks_of,
    deliveries_of,
    events_of,
    last_delivery,
    number_of,
    record_of,
    records,
    text_of,
)
from tinyagents_graph.journal.sqlite.writer import Writer
from tinyagents_graph.journal.standing import ENDED
from tinyagents_graph.loops import EventLoop, Mailbox

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["SqliteJournal", "Synchronous"]

T = TypeVar("T")

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]
"""What is safe when the power fails: all that was recorded, or all but the last moment."""

_MAX_READERS = 4


class SqliteJournal:
    """Keeps run trees in one SQLite file, for any number of processes on one machine.

    It is read while runs write, in any event loop and thread, but not in a process forked from one
    that has used it: make a new one there. It needs no closing: what was appended is written before
    the interpreter exits. `async with` closes it early.

    Args:
        path: The file; it and the folders above it are made when something is first recorded. Not
            on a network drive.
        synchronous: `"FULL"`: what is recorded survives a power failure. `"NORMAL"`: it survives
            the end of the process, however sudden, but a power failure may take the last moments.
        lease_s: How long a process that no longer answers keeps its trees from others, in seconds.
            One that has ended on this machine keeps them no longer.
        clock: The time, in seconds since the epoch; for tests.

    Raises:
        ConfigError: An argument is not what it may be.
        JournalError: The path cannot be a file's.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        lease_s: float = 30.0,
        clock: Callable[[], float] = time,
    ) -> None:
        if synchronous not in get_args(Synchronous):
            raise ConfigError(f"synchronous={synchronous!r}: choose 'FULL' or 'NORMAL'")
        if not (isfinite(lease_s) and lease_s > 0):
            raise ConfigError(f"lease_s={lease_s!r}: give seconds, more than 0")
        self._path = _file(fspath(path))
        self._clock = clock
        self._readers = Readers(self._path)
        self._ledger = Ledger(self._path, synchronous, lease_s, clock)
        self._writer = Writer(self._ledger)
        self._is_current = False
        weakref.finalize(self, _let_go, self._writer, self._readers)

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self._path)!r})"

    # --- holding a tree ----------

    async def open(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening:
        """Take a tree, to append to it; see `Journal.open`."""
        record = self._new(run_id, name, task, about)
        opening = await self._taken(
            lambda ledger: take(
                ledger.db, record, self._path, ledger.clock(), ledger.lease_s, ledger.given_up
            )
        )
        assert opening is not None
        return opening

    async def begin(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening | None:
        """Make a tree and take it; see `Journal.begin`."""
        record = self._new(run_id, name, task, about)
        return await self._taken(lambda ledger: ledger.begin(record), is_apart=True)

    def _new(
        self, run_id: str, name: str, task: str, about: Mapping[str, Any] | None
    ) -> TreeRecord:
        now = self._clock()
        return TreeRecord(
            run_id, name, "running", task, about or {}, 0, 0, "", 0.0, now, now, None, {}
        )

    async def _taken(
        self, take: Callable[[Ledger], Opening | None], *, is_apart: bool = False
    ) -> Opening | None:
        leases: list[Lease] = []
        is_wanted = True

        def do(ledger: Ledger) -> tuple[Opening | None, int]:
            return take(ledger), last_delivery(ledger.db)

        def keep(ledger: Ledger, done: tuple[Opening | None, int]) -> None:
            opening, last = done
            if opening is None:
                return
            ledger.hold(opening.lease, last)
            leases.append(opening.lease)
            if not is_wanted:
                self._give_up(leases)

        await checkpoint_if_cancelled()
        try:
            opening, _ = await self._write(do, keep, is_apart=is_apart)
            await checkpoint_if_cancelled()
            if opening is None or not opening.record.n_events:
                return opening
            past = await self.read(opening.lease.run_id, most=opening.record.n_events)
        except BaseException:
            # Whoever asked will not close it. A task that asyncio itself cancels is gone at once,
            # and the tree not yet taken.
            is_wanted = False
            self._give_up(leases)
            raise
        return replace(opening, past=past)

    def _give_up(self, leases: Sequence[Lease]) -> None:
        if leases:
            self._writer.submit(Job(lambda ledger: ledger.let_go(*leases), _skip, is_apart=True))

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        """Keep events; see `Journal.append`."""
        self._writer.submit(Batch(lease, events, done))

    async def close(self, lease: Lease) -> None:
        """Give up a tree; see `Journal.close`."""
        await self._write(lambda ledger: ledger.let_go(lease), is_apart=True)

    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        """Be told of what is delivered to a tree; see `Journal.listen`."""
        self._writer.submit(Job(lambda ledger: ledger.listen(lease, heard), _skip, is_apart=True))

    async def deliver(self, delivery: Delivery) -> Delivery:
        """Leave something for a tree; see `Journal.deliver`."""
        return await self._write(
            lambda ledger: deliver(ledger.db, delivery, str(self._path)),
            lambda ledger, _: ledger.hear(),
        )

    async def _write(
        self,
        do: Callable[[Ledger], T],
        then: Callable[[Ledger, T], None] | None = None,
        *,
        is_apart: bool = False,
    ) -> T:
        """Do something in the writer's next transaction, and wait for it even if cancelled.

        Args:
            do: Does it, in the writer's thread.
            then: Called there with what `do` returned, once it is durable.
            is_apart: Whether it changes nothing for those who hold other trees.
        """
        mailbox, outcomes, ledger = Mailbox.here(), list[T | BaseException](), self._ledger
        over = mailbox.loop.new_event()

        def tell(outcome: T | BaseException) -> None:
            if then is not None and not isinstance(outcome, BaseException):
                then(ledger, outcome)
            outcomes.append(outcome)
            mailbox.post(over.set)

        self._writer.submit(Job(do, tell, is_apart=is_apart))
        with anyio.CancelScope(shield=True):
            await over.wait()
        outcome = outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    # --- reading ----------

    async def _read(self, look: Callable[[Connection], T]) -> T:
        """Ask the file something, in a thread."""

        def in_thread() -> tuple[bool, T | None]:
            if not self._is_current and not self._readers.can_read:
                return False, None
            with self._readers.one() as db:
                return True, look(db)

        is_done, value = await anyio.to_thread.run_sync(in_thread, limiter=_limiter())
        if not is_done:  # it is of an older version: the writer knows how to change that
            await self._write(lambda _: None)
            _, value = await anyio.to_thread.run_sync(in_thread, limiter=_limiter())
        self._is_current = True
        return cast("T", value)

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        """The events of a tree; see `Journal.read`."""
        return await self._read(
            lambda db: events_of(db, number_of(db, self, run_id), run_id, since, most)
        )

    async def find(self, run_id: str) -> TreeRecord | None:
        """The tree with this id."""
        return await self._read(lambda db: record_of(db, run_id))

    async def trees(
        self, *, status: RunStatus | None = None, most: int | None = None
    ) -> list[TreeRecord]:
        """The trees, the one that was opened last first; see `Journal.trees`."""
        return await self._read(lambda db: records(db, status, most))

    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        """The questions that wait for their answer; see `Journal.asks`."""
        return await self._read(lambda db: asks_of(db, run_id))

    async def deliveries(self, run_id: str) -> list[Delivery]:
        """All that was ever delivered to a tree, in order."""
        return await self._read(lambda db: deliveries_of(db, number_of(db, self, run_id)))

    async def load(self, name: str) -> str | None:
        """The text that was saved under this name."""
        return await self._read(lambda db: text_of(db, name))

    async def check(self) -> list[str]:
        """Look for damage: in the file, and in how what it keeps fits together.

        It reads everything, and does not stop who writes.

        Returns:
            What is wrong, as sentences; none if all is well.
        """
        try:
            return await self._read(lambda db: list(findings(db)))
        except JournalError as error:
            return [str(error)]

    # --- keeping house ----------

    async def save(self, name: str, text: str) -> None:
        """Keep a text by name; an earlier one is replaced."""
        await self._write(lambda ledger: save(ledger.db, name, text))

    async def add(self, record: TreeRecord, events: Sequence[Event]) -> None:
        """Put in a tree as it is; see `Journal.add`."""
        await self._write(lambda ledger: add(ledger, record, events))

    async def drop(self, run_ids: Sequence[str]) -> int:
        """Forget trees; see `Journal.drop`."""
        return await self._write(lambda ledger: drop(ledger, run_ids))

    async def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        status: Collection[RunStatus] = ENDED,
    ) -> int:
        """Forget trees that are over, and give the room they took back to the system.

        One that somebody holds is never forgotten. A fork is a tree of its own and needs no other.

        Args:
            older_than_s: Only those to which nothing was appended for so long, in seconds.
            keep: How many to keep: the ones that were opened last.
            status: Which ones: those that have ended, if not said otherwise. `"running"` are also
                those whose process died and that somebody may want to go on with.

        Returns:
            How many trees it forgot.
        """
        n_dropped = await self._write(lambda ledger: prune(ledger, older_than_s, keep, status))
        left, before = await self._write(free_pages), -1
        while left not in (0, before):
            left, before = await self._write(free_pages), left
        return n_dropped

    async def aclose(self) -> None:
        """Write what is left and let go of the file. Afterwards it can be used again."""
        # The last one to let go tidies up, and a reader may not.
        self._readers.close()
        loop, over = EventLoop(), anyio.Event()
        self._writer.stop(lambda: loop.call(over.set))
        await over.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _file(given: str | bytes) -> Path:
    if not isinstance(given, str) or not given or given == ":memory:" or "\0" in given:
        raise ConfigError(f"path={given!r}: name a file; for none there is MemoryJournal()")
    path = Path(given)
    if path.is_dir():
        raise JournalError(given, "it is a folder: name a file in it")
    above = next((each for each in path.parents if each.exists()), None)
    if above is not None and not above.is_dir():
        raise JournalError(given, f"{str(above)!r} is no folder: name another file")
    return path


def _let_go(writer: Writer, readers: Readers) -> None:
    readers.close()
    writer.retire()


def _skip(outcome: object) -> None:
    """Nobody waits to be told."""


_limiters: RunVar[anyio.CapacityLimiter] = RunVar("tinyagents_journal_threads")


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MAX_READERS)
        _limiters.set(limiter)
        return limiter
