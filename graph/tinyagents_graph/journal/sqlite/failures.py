"""What SQLite's errors mean for whoever runs a journal, and what can be done about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from tinyagents_graph.errors import JournalError

__all__ = ["journal_error", "primary_code"]

_ADVICE: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full, or a quota is used up: make room, then open the run "
    "again; what was recorded before is safe",
    sqlite3.SQLITE_IOERR: "the disk did not do what it was told: make sure that it has room and is "
    "healthy, then open the run again; what was recorded before is safe",
    sqlite3.SQLITE_READONLY: "it cannot be written: give this user the right to write the file and "
    "its folder, or name another file",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: make sure that its folder can be written by "
    "this user and that nothing else has this name",
    sqlite3.SQLITE_PERM: "it cannot be opened: give this user the right to read and write it",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database, and is left as it is: name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged: copy it away together with its -wal file, then save "
    "what can be read with `sqlite3 FILE .recover`, or name another file",
    sqlite3.SQLITE_BUSY: "another process has kept it locked for more than 5 seconds: look for one "
    "that hangs, or that has it open in a database browser",
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its details; 0 if the error did not come from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def journal_error(path: Path, error: sqlite3.Error | OSError) -> JournalError:
    """The error to tell: which file, what to do, and what SQLite or the system said."""
    if isinstance(error, OSError):
        return JournalError(str(path), f"it cannot be opened ({error}): name another file")
    advice = _ADVICE.get(primary_code(error), "SQLite refuses")
    return JournalError(str(path), f"{advice} (SQLite says: {error})")
