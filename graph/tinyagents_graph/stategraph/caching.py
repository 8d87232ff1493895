"""`NodeCache`: what a node has once worked out for the same input need not be worked out again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import Any

from pydantic_core import to_json

from tinyagents_graph.errors import ConfigError

__all__ = ["NodeCache"]


class NodeCache:
    """Keeps what a node returned, by its input; shared by all runs of the graph.

    What several nodes are given as `cache=` they share as well, each under its own name.

    Args:
        ttl_s: Seconds that an entry is good for; for ever if not given.
        key: Makes the key of the node's input; by default its JSON. It must be hashable.
        max_entries: How many are kept; the one that was not used for longest goes first.

    Raises:
        ConfigError: `ttl_s` or `max_entries` is no positive number.
    """

    __slots__ = ("_entries", "_key", "_max", "_ttl_s")

    def __init__(
        self,
        ttl_s: float | None = None,
        *,
        key: Callable[[Any], Any] | None = None,
        max_entries: int = 1_000,
    ) -> None:
        if ttl_s is not None and ttl_s <= 0:
            raise ConfigError(f"NodeCache(ttl_s={ttl_s}): give a number above 0, or None")
        if max_entries < 1:
            raise ConfigError(f"NodeCache(max_entries={max_entries}): give at least 1")
        self._ttl_s = ttl_s
        self._key = key
        self._max = max_entries
        self._entries: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

    def key_of(self, node: str, given: Any) -> Any:
        """The key of an input of a node.

        Raises:
            TypeError: The key function returned something that is not hashable.
            ValueError: The input is no JSON, so that it needs a key function.
        """
        if self._key is not None:
            made = self._key(given)
            hash(made)
            return node, made
        return node, sha256(to_json(given)).digest()

    def get(self, key: Any) -> Any | None:
        """What is kept under a key, or `None`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        kept_at, value = entry
        if self._ttl_s is not None and monotonic() - kept_at >= self._ttl_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: Any, value: Any) -> None:
        """Keep something."""
        self._entries[key] = monotonic(), value
        self._entries.move_to_end(key)
        while len(self._entries) > self._max:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
