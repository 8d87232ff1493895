"""`stream`: what a page is told while it is open, as server-sent events.

rows    rows of the tree it shows that have changed      {seq, rows, kinds, is_reset}
tree    how that tree stands                             {tree}
trees   trees of the list that have changed              {trees, gone}
asks    the questions that wait                          {asks}
trouble why nothing can be told, until it can again      {message}
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from time import monotonic
from typing import Any

import anyio

from tinyagents.errors import ConfigError
from tinyagents.viewer.following import Source, Tree, Watcher
from tinyagents.viewer.plain import as_json
from tinyagents.viewer.shapes import open_asks, rows_of, tree_facts
from tinyagents_graph.errors import JournalError

__all__ = ["stream"]

_LIVE_S, _CALM_S = 0.1, 0.5
_LOOK_S = 0.7
_READ_S = 0.2
_BEAT_S = 15.0


async def stream(
    source: Source, tree: Tree | None, since: int, is_over: Callable[[], bool]
) -> AsyncGenerator[bytes]:
    """Tell a page what is new, until it leaves.

    Args:
        source: Where the trees are.
        tree: The tree that the page shows; `None` for the list of all.
        since: What it knows of the tree: everything before this `seq`.
        is_over: Whether the server is about to end.
    """
    overview = _Overview(source, tree is None)
    beat = monotonic()
    yield b"retry: 1000\n\n"
    if tree is None:
        while not is_over():
            for told in await _without_trouble(overview.news):
                yield told
                beat = monotonic()
            if monotonic() - beat > _BEAT_S:
                beat = monotonic()
                yield b": beat\n\n"
            await anyio.sleep(_CALM_S)
        return
    with tree.watched(since) as watcher:
        shown = _Shown(tree, watcher)
        while not is_over():
            for told in [
                *await _without_trouble(shown.news),
                *await _without_trouble(overview.news),
            ]:
                yield told
                beat = monotonic()
            if monotonic() - beat > _BEAT_S:
                beat = monotonic()
                yield b": beat\n\n"
            await anyio.sleep(shown.rest)


async def _without_trouble(news: Callable[[], Any]) -> list[bytes]:
    try:
        told: list[bytes] = await news()
    except (ConfigError, JournalError) as error:
        await anyio.sleep(_CALM_S)
        return [_event("trouble", {"message": str(error)})]
    return told


class _Shown:
    """What a page knows of the tree it shows."""

    def __init__(self, tree: Tree, watcher: Watcher) -> None:
        self._tree, self._watcher = tree, watcher
        self._facts: dict[str, Any] = {}
        self.rest = 0.0

    async def news(self) -> list[bytes]:
        """What has changed."""
        tree, watcher = self._tree, self._watcher
        is_behind = await tree.catch_up(_READ_S)
        told: list[bytes] = []
        if watcher.is_reset or watcher.changed:
            is_reset, watcher.is_reset = watcher.is_reset, False
            rows = rows_of(tree, sorted(watcher.take()))
            folded = tree.folded
            facts = {"seq": folded.n_events, "rows": rows, "kinds": folded.kinds}
            told.append(_event("rows", {**facts, "is_reset": is_reset, "is_behind": is_behind}))
        if (facts := tree_facts(tree.record)) != self._facts:
            self._facts = facts
            told.append(_event("tree", {"tree": facts}))
        is_live = self._facts.get("is_live")
        self.rest = 0.0 if is_behind else _LIVE_S if is_live else _CALM_S
        return told


class _Overview:
    """What a page knows of all trees."""

    def __init__(self, source: Source, lists_trees: bool) -> None:
        self._source, self._lists_trees = source, lists_trees
        self._trees: dict[str, Any] = {}
        self._asks: list[dict[str, Any]] | None = None
        self._next = 0.0

    async def news(self) -> list[bytes]:
        """What has changed since the last time that it was worth a look."""
        started = monotonic()
        if started < self._next:
            return []
        told: list[bytes] = []
        asks = await open_asks(self._source)
        if asks != self._asks:
            self._asks = asks
            told.append(_event("asks", {"asks": asks}))
        if self._lists_trees:
            told += await self._trees_news()
        # However many there are, looking takes a small part of the time.
        now = monotonic()
        self._next = now + max(_LOOK_S, 20 * (now - started))
        return told

    async def _trees_news(self) -> list[bytes]:
        known, self._trees = self._trees, {}
        for record in await self._source.trees():
            self._trees[record.run_id] = tree_facts(record)
        changed = [facts for run_id, facts in self._trees.items() if known.get(run_id) != facts]
        gone = [run_id for run_id in known if run_id not in self._trees]
        return [_event("trees", {"trees": changed, "gone": gone})] if changed or gone else []


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + as_json(data) + b"\n\n"
