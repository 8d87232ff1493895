"""Journals for tests: each kind, in an empty place, and a second one on the same store."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from tinyagents.testing.probes import delivery, event, opened
from tinyagents_graph.journal import Journal, SqliteJournal

J = TypeVar("J", bound=Journal)

__all__ = ["Files", "delivery", "event", "kept", "opened"]


class Files:
    """Makes SQLite journals in a folder: each in a file of its own, or in that of the last one."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self._paths: Iterator[Path] = (folder / f"runs-{number}.db" for number in count())
        self._given = given
        self.path = folder

    def new(self) -> SqliteJournal:
        self.path = next(self._paths)
        return self.again()

    def again(self) -> SqliteJournal:
        return SqliteJournal(self.path, **self._given)


async def kept(make: Callable[[], J], run_id: str = "r", n: int = 3) -> J:
    """A journal with one tree that nobody holds."""
    journal = make()
    opening = await opened(journal, run_id, *[event(run_id, seq) for seq in range(n)])
    await journal.close(opening.lease)
    return journal
