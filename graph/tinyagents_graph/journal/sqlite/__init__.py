"""A journal in one SQLite file.

The arrows between its modules point one way:

    store -> writer -> ledger -> leasing -> owners
    store -> reading -> schema, rows, failures
             ledger -> schema, rows, failures
"""

from __future__ import annotations

from tinyagents_graph.journal.sqlite.store import SqliteJournal, Synchronous

__all__ = ["SqliteJournal", "Synchronous"]
