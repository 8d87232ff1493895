"""What a journal's file is asked, with a connection that may look at it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyagents_graph.events import Event
from tinyagents_graph.journal.protocol import AskRecord, Delivery, TreeRecord
from tinyagents_graph.journal.sqlite.failures import journal_error
from tinyagents_graph.journal.sqlite.rows import as_events, as_stored, from_stored, from_text
from tinyagents_graph.journal.sqlite.schema import is_current, open_to_read

__all__ = [
    "Readers", "asks_of", "deliveries_after", "deliveries_of", "delivery_with", "events_of",
    "last_delivery", "number_of", "record_of", "records", "text_of",
]  # fmt: skip

_RECORD = """
SELECT run_id, name, status, task, about,
    (SELECT coalesce(max(seq) + 1, 0) FROM event WHERE tree = id),
    epoch, owner, lease_until, created,
    max(updated, coalesce(
        (SELECT time FROM event WHERE tree = id ORDER BY seq DESC LIMIT 1), 0)),
    forked_run_id, forked_seq, usage
FROM tree """
_DELIVERY = """
SELECT number, run_id, kind, key, payload, time
FROM delivery JOIN tree ON tree.id = delivery.tree """


class Readers:
    """The connections that read a file; as many as there are threads that read at once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[sqlite3.Connection] = []
        self._lock = threading.RLock()

    @property
    def can_read(self) -> bool:
        """Whether the file is of this version, or not there: else it has to be migrated first.

        Raises:
            JournalError: The file cannot be read.
        """
        try:
            return is_current(self._path)
        except sqlite3.Error as error:
            raise journal_error(self._path, error) from error

    @contextmanager
    def one(self) -> Generator[sqlite3.Connection]:
        """A connection, for one reading; what it sees does not change meanwhile.

        Raises:
            JournalError: The file cannot be read.
        """
        with self._lock:
            connection = self._free.pop() if self._free else None
        try:
            if connection is None:
                connection = open_to_read(self._path)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error):
                raise journal_error(self._path, error) from error
            raise
        self._keep(connection)

    def _keep(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA database_list").fetchone()[2]:
            with self._lock:
                self._free.append(connection)
        else:  # what stood for a file that was not there; it may be next time
            connection.close()

    def close(self) -> None:
        """Let go of the file, until it is read again."""
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.close()


def number_of(db: sqlite3.Connection, where: object, run_id: str) -> int:
    """The journal's own name for a tree.

    Raises:
        LookupError: There is no such tree.
    """
    row = db.execute("SELECT id FROM tree WHERE run_id = ?", (as_stored(run_id),)).fetchone()
    if row is None:
        raise LookupError(f"{where} has no run {run_id!r}")
    number: int = row[0]
    return number


def record_of(db: sqlite3.Connection, run_id: str) -> TreeRecord | None:
    """The tree with this id."""
    row = db.execute(f"{_RECORD} WHERE run_id = ?", (as_stored(run_id),)).fetchone()
    return None if row is None else _record(row)


def records(
    db: sqlite3.Connection, status: str | None = None, most: int | None = None
) -> list[TreeRecord]:
    """The trees, the one that was opened last first."""
    rows = db.execute(
        f"{_RECORD} WHERE ?1 IS NULL OR status = ?1 ORDER BY opened DESC LIMIT ?2",
        (status, -1 if most is None else most),
    )
    return [_record(row) for row in rows]


def _record(row: Sequence[Any]) -> TreeRecord:
    run_id, name, status, task, about, n_events, epoch, owner, until, created, updated = row[:11]
    forked_run_id, forked_seq, usage = row[11:]
    return TreeRecord(
        from_stored(run_id),
        from_stored(name),
        status,
        from_stored(task),
        from_text(about),
        n_events,
        epoch,
        from_stored(owner),
        until,
        created,
        updated,
        None if forked_run_id is None else (from_stored(forked_run_id), forked_seq),
        from_text(usage),
    )


def events_of(
    db: sqlite3.Connection, number: int, run_id: str, since: int = 0, most: int | None = None
) -> list[Event]:
    """The events of a tree from `since` on."""
    rows = db.execute(
        """SELECT seq, time, kind, path, parent, depth, data FROM event
        WHERE tree = ? AND seq >= ? ORDER BY seq LIMIT ?""",
        (number, since, -1 if most is None else most),
    )
    return as_events(run_id, rows)


def asks_of(db: sqlite3.Connection, run_id: str | None = None) -> list[AskRecord]:
    """The questions of one tree, or of all, that wait for their answer."""
    rows = db.execute(
        """SELECT run_id, ask.id, path, data, time FROM ask
        JOIN tree ON tree.id = ask.tree
        JOIN event ON event.tree = ask.tree AND event.seq = ask.seq
        WHERE (?1 IS NULL OR run_id = ?1) AND NOT EXISTS (
            SELECT 1 FROM delivery WHERE delivery.tree = ask.tree AND key = ask.id)
        ORDER BY time, ask.tree, ask.seq""",
        (None if run_id is None else as_stored(run_id),),
    )
    return [
        AskRecord(from_stored(root), from_stored(name), from_stored(path), from_text(data), raised)
        for root, name, path, data, raised in rows
    ]


def deliveries_of(db: sqlite3.Connection, number: int) -> list[Delivery]:
    """All that was delivered to a tree, in order."""
    rows = db.execute(f"{_DELIVERY} WHERE delivery.tree = ? ORDER BY number", (number,))
    return [_delivery(row) for row in rows]


def delivery_with(db: sqlite3.Connection, number: int, key: str) -> Delivery:
    """What was delivered to a tree under a key."""
    where = "WHERE delivery.tree = ? AND key = ?"
    return _delivery(db.execute(f"{_DELIVERY} {where}", (number, as_stored(key))).fetchone())


def deliveries_after(db: sqlite3.Connection, last: int) -> list[tuple[int, Delivery]]:
    """What was delivered to any tree after the delivery with the number `last`, with the tree."""
    rows = db.execute(
        """SELECT delivery.tree, number, run_id, kind, key, payload, time
        FROM delivery JOIN tree ON tree.id = delivery.tree WHERE number > ? ORDER BY number""",
        (last,),
    )
    return [(number, _delivery(row)) for number, *row in rows]


def last_delivery(db: sqlite3.Connection) -> int:
    """Number of the last delivery to any tree."""
    number: int = db.execute("SELECT coalesce(max(number), 0) FROM delivery").fetchone()[0]
    return number


def _delivery(row: Sequence[Any]) -> Delivery:
    number, run_id, kind, key, payload, time = row
    return Delivery(number, from_stored(run_id), kind, from_stored(key), from_text(payload), time)


def text_of(db: sqlite3.Connection, name: str) -> str | None:
    """The text that was saved under a name."""
    row = db.execute("SELECT text FROM text WHERE name = ?", (as_stored(name),)).fetchone()
    return None if row is None else from_stored(row[0])
