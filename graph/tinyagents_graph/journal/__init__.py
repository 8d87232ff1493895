"""The journal: what keeps run trees, so that they outlive their process.

The arrows between its modules point one way:

    sqlite, memory, transfer -> standing -> protocol
    forking, diffing -> opening -> ledger -> candidates -> sources -> past, shadows
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tinyagents_graph.journal.protocol import (
    AskRecord,
    Delivery,
    DeliveryKind,
    Done,
    Journal,
    Lease,
    Opening,
    TreeRecord,
)

if TYPE_CHECKING:
    from tinyagents_graph.journal.memory import MemoryJournal
    from tinyagents_graph.journal.sqlite import SqliteJournal
    from tinyagents_graph.journal.transfer import export_journal, import_journal

__all__ = [
    "AskRecord",
    "Delivery",
    "DeliveryKind",
    "Done",
    "Journal",
    "Lease",
    "MemoryJournal",
    "Opening",
    "SqliteJournal",
    "TreeRecord",
    "export_journal",
    "import_journal",
]

# Imported when asked for: runs know the protocol, and few programs have more than one journal.
_LATER = {
    "MemoryJournal": "memory",
    "SqliteJournal": "sqlite",
    "export_journal": "transfer",
    "import_journal": "transfer",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
