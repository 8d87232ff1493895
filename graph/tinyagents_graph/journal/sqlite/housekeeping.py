"""Forgetting trees, putting them in, and looking for damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.journal.protocol import TreeRecord
from tinyagents_graph.journal.sqlite.leasing import insert_tree, is_held
from tinyagents_graph.journal.sqlite.ledger import Ledger
from tinyagents_graph.journal.sqlite.reading import records
from tinyagents_graph.journal.sqlite.rows import as_events, as_stored, from_stored
from tinyagents_graph.journal.standing import ask_changes, prunable, why_not_next

__all__ = ["add", "drop", "findings", "free_pages", "prune"]

_PAGES = 1_000


def add(ledger: Ledger, record: TreeRecord, events: Sequence[Event]) -> None:
    """Put in a tree as it is.

    Raises:
        RunConflict: There is one with this id.
        JournalError: The events are not this tree's from 0 on, or their data is no JSON.
    """
    db = ledger.db
    if events and (why := why_not_next(record.run_id, 0, events)):
        raise JournalError(ledger.where, why)
    db.execute("SAVEPOINT adding")  # an event's data may turn out to be no JSON
    try:
        number = insert_tree(db, replace(record, owner="", lease_until=0.0), ledger.where)
        if number is None:
            raise RunConflict(f"run {record.run_id!r}", "there is one with this id already")
        ledger.put(number, events)
        ledger.project(number, events, stands=False)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK TO adding")
        raise
    db.execute("RELEASE adding")


def drop(ledger: Ledger, run_ids: Sequence[str]) -> int:
    """Forget trees, but none that is held.

    Returns:
        How many there were.
    """
    return sum(_drop(ledger, run_id) for run_id in run_ids)


def _drop(ledger: Ledger, run_id: str) -> bool:
    db = ledger.db
    row = db.execute(
        "SELECT id, owner, lease_until FROM tree WHERE run_id = ?", (as_stored(run_id),)
    ).fetchone()
    if row is None or is_held(row[1], row[2], ledger.clock()):
        return False
    for table, column in (("event", "tree"), ("ask", "tree"), ("delivery", "tree"), ("tree", "id")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", row[:1])
    return True


def prune(
    ledger: Ledger, older_than_s: float | None, keep: int | None, status: Collection[RunStatus]
) -> int:
    """Forget the trees that `prunable` names; see `SqliteJournal.prune`."""
    named = prunable(
        records(ledger.db), ledger.clock(), older_than_s=older_than_s, keep=keep, status=status
    )
    return drop(ledger, named)


def free_pages(ledger: Ledger) -> int:
    """Give some of the room that nothing needs back to the system.

    Returns:
        How many pages are left that nothing needs.
    """
    ledger.db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    left: int = ledger.db.execute("PRAGMA freelist_count").fetchone()[0]
    return left


def findings(db: sqlite3.Connection) -> Iterator[str]:
    """What is wrong in a file: damage, and events that do not fit together."""
    try:
        for (told,) in db.execute("PRAGMA integrity_check"):
            if told != "ok":
                yield f"the file is damaged: {told}"
        yield from _left_over(db)
        for number, run_id in db.execute("SELECT id, run_id FROM tree ORDER BY id").fetchall():
            yield from _wrong_in(db, number, from_stored(run_id))
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"


def _left_over(db: sqlite3.Connection) -> Iterator[str]:
    for table in ("event", "ask", "delivery"):
        for number, n in db.execute(
            f"""SELECT tree, count(*) FROM {table} WHERE tree NOT IN (SELECT id FROM tree)
            GROUP BY tree"""
        ):
            yield f"{n} rows of {table!r} are of tree {number}, which is not there"


def _wrong_in(db: sqlite3.Connection, number: int, run_id: str) -> Iterator[str]:
    asked: dict[str, int] = {}
    due = 0
    rows = db.execute(
        """SELECT seq, time, kind, path, parent, depth, data FROM event
        WHERE tree = ? ORDER BY seq""",
        (number,),
    )
    for row in rows:
        if row[0] != due:
            yield f"run {run_id!r}: seq {due} was due, and {row[0]} is there"
        due = row[0] + 1
        try:
            (event,) = as_events(run_id, [row])
        except ValueError as error:
            yield f"run {run_id!r}: the data of seq {row[0]} is no JSON: {error}"
            continue
        for change, ask in ask_changes([event]):
            if change == "raised":
                asked[ask.data["ask_id"]] = ask.seq
            else:
                asked.pop(ask.data["ask_id"], None)
    listed = db.execute("SELECT id, seq FROM ask WHERE tree = ?", (number,)).fetchall()
    if {from_stored(name): seq for name, seq in listed} != asked:
        yield f"run {run_id!r}: its open questions are not those of its events"
