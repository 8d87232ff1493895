"""What the writer changes inside a transaction: who holds a tree, and what is left for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from tinyagents_graph.errors import RunConflict
from tinyagents_graph.journal.protocol import Delivery, Lease, Opening, TreeRecord
from tinyagents_graph.journal.sqlite.owners import is_gone, this_process
from tinyagents_graph.journal.sqlite.reading import (
    deliveries_of,
    delivery_with,
    number_of,
    record_of,
)
from tinyagents_graph.journal.sqlite.rows import as_stored, as_text

__all__ = [
    "begin", "deliver", "give_up", "insert_tree", "is_held", "next_seq", "renew", "save", "take",
]  # fmt: skip

_TASK_CHARS = 1_000
_LATEST = "(SELECT coalesce(max(opened), 0) + 1 FROM tree)"


def take(
    db: sqlite3.Connection,
    record: TreeRecord,
    where: object,
    now: float,
    lease_s: float,
    given_up: Container[tuple[int, int]] = (),
) -> Opening:
    """Take a tree for this process, without its past.

    Args:
        db: The writer's connection.
        record: What the tree is like if it is a new one.
        where: The journal, for an error.
        now: The time.
        lease_s: How long it is held without being renewed, in seconds.
        given_up: Trees and epochs that this process holds no longer, whatever the file says.

    Raises:
        RunConflict: Somebody else holds it.
    """
    run_id = record.run_id
    if (begun := begin(db, record, where, now, lease_s)) is not None:
        return begun
    known = record_of(db, run_id)
    assert known is not None
    if (
        is_held(known.owner, known.lease_until, now)
        and (number_of(db, where, run_id), known.epoch) not in given_up
    ):
        until = datetime.fromtimestamp(known.lease_until, UTC).isoformat(" ", "seconds")
        raise RunConflict(
            f"run {run_id!r}",
            f"{_who(known.owner)} has it under way, and holds it until {until} at least; "
            "wait for it, or give another run_id",
        )
    db.execute(
        f"""UPDATE tree SET epoch = epoch + 1, owner = ?, lease_until = ?, opened = {_LATEST}
        WHERE run_id = ?""",
        (this_process(), now + lease_s, as_stored(run_id)),
    )
    number = number_of(db, where, run_id)
    return Opening(Lease(run_id, known.epoch + 1, number), known, (), deliveries_of(db, number))


def begin(
    db: sqlite3.Connection, record: TreeRecord, where: object, now: float, lease_s: float
) -> Opening | None:
    """Make a tree and take it for this process, unless there is one with this id."""
    mine = replace(record, epoch=1, owner=this_process(), lease_until=now + lease_s)
    number = insert_tree(db, mine, where)
    return None if number is None else Opening(Lease(record.run_id, 1, number), record, (), ())


def _who(owner: str) -> str:
    return f"this process ({owner})" if owner == this_process() else f"process {owner}"


def is_held(owner: str, until: float, now: float) -> bool:
    """Whether somebody holds a tree: the lease has not run out, and its process may be alive."""
    return bool(owner) and until > now and not is_gone(owner)


def insert_tree(db: sqlite3.Connection, record: TreeRecord, where: object) -> int | None:
    """Make a tree without events, unless there is one with this id.

    Returns:
        The journal's own name for it.
    """
    forked_run_id, forked_seq = record.forked_from or (None, None)
    done = db.execute(
        f"""INSERT INTO tree(run_id, name, task, about, status, usage, epoch, owner,
            lease_until, opened, created, updated, forked_run_id, forked_seq)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {_LATEST}, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
        (
            as_stored(record.run_id),
            as_stored(record.name),
            as_stored(record.task[:_TASK_CHARS]),
            as_text(str(where), record.about, f"what run {record.run_id!r} is about"),
            record.status,
            as_text(str(where), record.usage, f"the usage of run {record.run_id!r}"),
            record.epoch,
            record.owner,
            record.lease_until,
            record.created,
            record.updated,
            None if forked_run_id is None else as_stored(forked_run_id),
            forked_seq,
        ),
    )
    return done.lastrowid if done.rowcount else None


def next_seq(db: sqlite3.Connection, lease: Lease) -> int | None:
    """The number of the next event of a tree; `None` if the lease is no longer valid."""
    row = db.execute(
        """SELECT (SELECT coalesce(max(seq) + 1, 0) FROM event WHERE tree = id) FROM tree
        WHERE id = ? AND epoch = ? AND owner <> ''""",
        (lease.number, lease.epoch),
    ).fetchone()
    return None if row is None else row[0]


def give_up(db: sqlite3.Connection, lease: Lease) -> None:
    """Hold a tree no longer; an older lease than the last one changes nothing."""
    db.execute(
        "UPDATE tree SET owner = '', lease_until = 0 WHERE id = ? AND epoch = ?",
        (lease.number, lease.epoch),
    )


def renew(
    db: sqlite3.Connection, leases: Iterable[Lease], now: float, lease_s: float
) -> list[Lease]:
    """Hold trees for longer.

    Returns:
        Those that somebody else has taken over.
    """
    return [
        lease
        for lease in leases
        if not db.execute(
            "UPDATE tree SET lease_until = ? WHERE id = ? AND epoch = ? AND owner <> ''",
            (now + lease_s, lease.number, lease.epoch),
        ).rowcount
    ]


def deliver(db: sqlite3.Connection, given: Delivery, where: str) -> Delivery:
    """Leave something for a tree, unless there is something with this key.

    Returns:
        The one that stands.

    Raises:
        LookupError: There is no such tree.
        JournalError: Its payload is no JSON.
    """
    number = number_of(db, where, given.root_run_id)
    payload = as_text(where, given.payload, f"the payload of {given.key!r}")
    db.execute(
        "INSERT OR IGNORE INTO delivery(tree, kind, key, payload, time) VALUES (?, ?, ?, ?, ?)",
        (number, given.kind, as_stored(given.key), payload, given.time),
    )
    return delivery_with(db, number, given.key)


def save(db: sqlite3.Connection, name: str, text: str) -> None:
    """Keep a text by name; an earlier one is replaced."""
    db.execute("INSERT OR REPLACE INTO text VALUES (?, ?)", (as_stored(name), as_stored(text)))
