"""The journal: what keeps run trees, so that they outlive their process.

The arrows between its modules point one way:

    sqlite, memory, transfer -> standing -> protocol
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyagents_graph.journal.memory import MemoryJournal
    from tinyagents_graph.journal.protocol import Journal
    from tinyagents_graph.journal.sqlite import SqliteJournal
    from tinyagents_graph.journal.transfer import export_journal, import_journal

__all__ = ["Journal", "MemoryJournal", "SqliteJournal", "export_journal", "import_journal"]


def __getattr__(name: str) -> object:
    # Imported when asked for: what stands below the journals themselves needs the protocol only.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tinyagents_graph.journal import memory, protocol, sqlite, transfer

    for module in (protocol, memory, sqlite, transfer):
        globals().update({each: getattr(module, each) for each in __all__ if hasattr(module, each)})
    return globals()[name]
