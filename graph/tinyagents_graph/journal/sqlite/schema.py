"""The tables of a journal's file, how they came to be, and how a file is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TypeAlias

from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal.sqlite.failures import primary_code

__all__ = [
    "APPLICATION_ID", "BUSY_S", "MIGRATIONS", "Migration", "immediate", "is_current", "open_empty",
    "open_to_read", "open_to_write",
]  # fmt: skip

Migration: TypeAlias = Sequence[str]
"""The statements that bring a file from one version to the next."""

APPLICATION_ID = 0x74_61_6A_6C
"""Says in the file's header whose it is."""

BUSY_S = 5.0
"""How long to wait for another process that writes, in seconds."""

# Events have a rowid besides their key, so that each new one goes to the end of the table, whatever
# tree it is of. Rejected, as measured with 32 trees that write in turns: WITHOUT ROWID, and the key
# as the rowid. Both spread a commit over a page for each tree: two thirds as many events a second,
# half as many where they are large.
_FIRST: Migration = (
    """CREATE TABLE tree(
        id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        task TEXT NOT NULL, about TEXT NOT NULL, status TEXT NOT NULL, usage TEXT NOT NULL,
        epoch INTEGER NOT NULL, owner TEXT NOT NULL, lease_until REAL NOT NULL,
        opened INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
        forked_run_id TEXT, forked_seq INTEGER)""",
    "CREATE INDEX tree_opened ON tree(opened)",
    """CREATE TABLE event(
        tree INTEGER NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
        path TEXT NOT NULL, parent TEXT, depth INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY(tree, seq))""",
    """CREATE TABLE ask(
        tree INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY(tree, id)) WITHOUT ROWID""",
    """CREATE TABLE delivery(
        number INTEGER PRIMARY KEY AUTOINCREMENT, tree INTEGER NOT NULL, kind TEXT NOT NULL,
        key TEXT NOT NULL, payload TEXT NOT NULL, time REAL NOT NULL, UNIQUE(tree, key))""",
    "CREATE TABLE text(name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
)

MIGRATIONS: Sequence[Migration] = (_FIRST,)
"""The n-th brings a file from version n to n + 1; a new file goes through all of them."""


@contextmanager
def immediate(connection: sqlite3.Connection) -> Generator[None]:
    """A transaction that writes, and so waits for others that do at its start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled it back already
            connection.execute("ROLLBACK")
        raise


def open_to_write(
    path: Path, synchronous: str, migrations: Sequence[Migration] = MIGRATIONS
) -> sqlite3.Connection:
    """Open a journal's file, and make it, or bring it to this version, where that is needed.

    Raises:
        JournalError: It is not a journal's, or of a newer version. It is left as it is.
        sqlite3.Error: It cannot be opened or written.
        OSError: Its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(str(path))
    try:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        version = _version(connection, path, migrations)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _make_wal(connection)
        if version < len(migrations):
            _migrate(connection, path, migrations)
        # Else the file that new events go to stays as large as it ever was.
        connection.execute(f"PRAGMA journal_size_limit={64 << 20}")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    with immediate(connection):
        # Another process may have done it meanwhile, so it looks again.
        for step in migrations[_version(connection, path, migrations) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(migrations)}")


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal's file without the right to change anything.

    One that does not exist is empty, and is not made.

    Raises:
        JournalError: It is not a journal's, or of another version.
        sqlite3.Error: It cannot be opened or read.
    """
    if not path.exists():
        return open_empty()
    connection = _connect(_read_only_address(path))
    try:
        version = _version(connection, path, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    if version == len(MIGRATIONS):
        return connection
    connection.close()
    if version == 0:  # somebody is just about to make it
        return open_empty()
    raise JournalError(str(path), "it is of an older version: open it once where it can be written")


def open_empty() -> sqlite3.Connection:
    """What a file that is not there reads like."""
    connection = _connect(":memory:")
    for step in MIGRATIONS:
        for statement in step:
            connection.execute(statement)
    return connection


_TO_BE_RECOVERED = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)


def is_current(path: Path) -> bool:
    """Whether a file can be read as it is, or is not there: else it has to be written first.

    That is so if it is of an older version, or if who made it was killed in the middle of that.
    """
    if not path.exists():
        return True
    connection = _connect(_read_only_address(path))
    try:
        return _version(connection, path, MIGRATIONS) in (0, len(MIGRATIONS))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in _TO_BE_RECOVERED:
            return False
        raise
    finally:
        connection.close()


def _connect(address: str) -> sqlite3.Connection:
    # One thread at a time uses it, but not always the same one.
    return sqlite3.connect(
        address,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        uri=address.startswith("file:"),
    )


def _read_only_address(path: Path) -> str:
    address = f"{path.absolute().as_uri()}?mode=ro"
    beside = [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]
    # SQLite cannot read such a file in a folder in which it may make none beside it, unless it is
    # told that nobody will write.
    if not any(each.exists() for each in beside) and not _may_write(path.parent):
        address += "&immutable=1"
    return address


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _marks(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """The file's version, whose it is, and whether it has no table; all as of one moment."""
    is_alone = not connection.in_transaction  # another process may be about to make the file
    if is_alone:
        connection.execute("BEGIN")
    try:
        is_empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    finally:
        if is_alone and connection.in_transaction:
            connection.execute("ROLLBACK")
    return version, owner, is_empty


def _version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    version, owner, is_empty = _marks(connection)
    if owner != APPLICATION_ID and (owner or version or not is_empty):
        raise JournalError(
            str(path), "it is the database of another program, and is left as it is: name another"
        )
    if version > len(migrations):
        raise JournalError(
            str(path),
            f"its version is {version}, and this tinyagents knows versions up to "
            f"{len(migrations)}: upgrade tinyagents, or name another file",
        )
    return version


def _make_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once; the file remembers it.

    Unlike anything else it fails at once while another process does the same.
    """
    deadline = monotonic() + BUSY_S
    while True:
        try:
            # Has to come before there is any table, and lets `prune` give space back.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        sleep(0.005)
