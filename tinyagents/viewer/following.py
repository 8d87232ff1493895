"""`Trees`: the run trees that somebody looks at, folded, and kept up to date while somebody does.

Nothing runs in the background: whoever watches a tree lets it catch up, in turns. So a tree that
nobody looks at costs nothing, and one that many look at is read once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

import anyio

from tinyagents.errors import ConfigError
from tinyagents.viewer.folding import Folded
from tinyagents.viewer.searching import Texts
from tinyagents_graph import Event
from tinyagents_graph.events import RunStatus
from tinyagents_graph.journal.protocol import AskRecord, TreeRecord

__all__ = ["Source", "Tree", "Trees", "Watcher"]

_PAGE = 4_000
_KEPT_TREES = 16


class Source(Protocol):
    """What the viewer reads: the half of a `Journal` that looks."""

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        """The events of a tree from `seq` `since` on."""
        ...

    async def find(self, run_id: str) -> TreeRecord | None:
        """The tree with this id."""
        ...

    async def trees(
        self, *, status: RunStatus | None = None, most: int | None = None
    ) -> list[TreeRecord]:
        """The trees, the one that was opened last first."""
        ...

    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        """The questions that wait for their answer."""
        ...

    async def load(self, name: str) -> str | None:
        """The text that was saved under this name."""
        ...


class Watcher:
    """What one page has yet to be told of a tree.

    Attributes:
        changed: Numbers of rows that have changed since it was told last. However slow the page is,
            there is never more than each row once.
        is_reset: Whether the tree is another one than before, so that all it knows is void.
    """

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self.is_reset = False

    def take(self) -> set[int]:
        """Which rows have changed, from here on told."""
        taken, self.changed = self.changed, set()
        return taken


class Tree:
    """A tree that is looked at.

    Attributes:
        run_id: Id of its root.
        record: How the journal lists it.
        folded: Its runs.
        texts: What was said in it, as far as somebody has searched.
    """

    def __init__(self, source: Source, record: TreeRecord) -> None:
        self.run_id = record.run_id
        self.record = record
        self.folded = Folded()
        self.texts = Texts()
        self._source = source
        self._lock = anyio.Lock()
        self._watchers: list[Watcher] = []

    @property
    def is_watched(self) -> bool:
        """Whether a page is open on it."""
        return bool(self._watchers)

    async def catch_up(self, seconds: float) -> bool:
        """Read what is new, for about so long.

        Returns:
            Whether there may be more.

        Raises:
            ConfigError: The tree is gone.
            JournalError: The journal cannot be read.
        """
        until = monotonic() + seconds
        async with self._lock:
            await self._look()
            while self.folded.n_events < self.record.n_events:
                events = await self._source.read(self.run_id, self.folded.n_events, _PAGE)
                if not events:
                    return False
                changed = self.folded.see(events)
                for watcher in self._watchers:
                    watcher.changed |= changed
                if monotonic() > until:
                    return True
                await anyio.lowlevel.checkpoint()
        return False

    async def read_texts(self, seconds: float) -> bool:
        """Take up what was said in the events that are known, for about so long.

        Returns:
            Whether there is more.

        Raises:
            JournalError: The journal cannot be read.
        """
        until = monotonic() + seconds
        async with self._lock:
            while self.texts.n_events < self.folded.n_events:
                events = await self._source.read(self.run_id, self.texts.n_events, _PAGE)
                if not events:
                    return False
                self.texts.take(events)
                if monotonic() > until:
                    return True
                await anyio.lowlevel.checkpoint()
        return False

    async def _look(self) -> None:
        record = await self._source.find(self.run_id)
        if record is None:
            raise ConfigError(f"there is no run {self.run_id!r} any more")
        is_other = record.created != self.record.created or record.n_events < self.folded.n_events
        self.record = record
        if is_other:  # it was dropped, and one of the same name has begun
            self.folded, self.texts = Folded(), Texts()
            for watcher in self._watchers:
                watcher.is_reset, watcher.changed = True, set()

    @contextmanager
    def watched(self, since: int = 0) -> Generator[Watcher]:
        """Be told of what changes, as long as this lasts.

        Args:
            since: What was before this `seq` is known.
        """
        watcher = Watcher()
        watcher.changed = {row.number for row in self.folded.rows if row.last >= since}
        for number in list(watcher.changed):
            while (number := self.folded.rows[number].parent) >= 0:
                watcher.changed.add(number)
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)


class Trees:
    """The trees that are or were looked at; of those that nobody watches, the last ones.

    Args:
        source: Where they are.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._open: OrderedDict[str, Tree] = OrderedDict()

    async def tree(self, run_id: str) -> Tree:
        """The tree with this id.

        Raises:
            ConfigError: There is none.
            JournalError: The journal cannot be read.
        """
        tree = self._open.get(run_id)
        if tree is None:
            record = await self.source.find(run_id)
            if record is None:
                raise ConfigError(f"there is no run {run_id!r}")
            # Somebody else may have asked for it meanwhile.
            tree = self._open.setdefault(run_id, Tree(self.source, record))
        self._open.move_to_end(run_id)
        idle = [each for each in self._open.values() if not each.is_watched and each is not tree]
        for each in idle[: max(len(self._open) - _KEPT_TREES, 0)]:
            del self._open[each.run_id]
        return tree
