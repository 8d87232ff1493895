"""`Host`: what is kept of a run tree for whoever watches it from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyagents_graph.loops import Bell
from tinyagents_graph.place import RunTree
from tinyagents_graph.run import Run

if TYPE_CHECKING:
    from tinyagents_graph.asks import PendingAsk

__all__ = ["Host", "host_of"]


class Host:
    """The questions of a tree to the human, and what came of its runs.

    A tree that nobody watches has none: then there is nobody to ask, and nothing to keep.

    Attributes:
        asks: The open questions, by id.
        begun: The runs that took their place in the tree since somebody watches it, by path and in
            that order; ended ones too.
        ended: The runs that have ended, by path, each with its result or its error. They are kept
            as long as the tree is, so what holds a transcript does not belong here.
        bell: Rings when a run has ended.
    """

    __slots__ = ("asks", "begun", "bell", "ended")

    def __init__(self) -> None:
        self.asks: dict[str, PendingAsk] = {}
        self.begun: dict[str, Run] = {}
        self.ended: dict[str, tuple[Run, Any]] = {}
        self.bell = Bell()

    def keep(self, run: Run, outcome: Any) -> None:
        """A run has ended."""
        self.ended[run.path] = run, outcome
        self.bell.ring()


def host_of(tree: RunTree) -> Host:
    """The tree's host, from now on."""
    if tree.host is None:
        tree.host = Host()
    host: Host = tree.host
    return host
