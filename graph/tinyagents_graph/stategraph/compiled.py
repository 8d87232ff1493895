"""`Graph`: a workflow that runs."""

from __future__ import annotations

from typing import Any, Generic

from typing_extensions import TypeVar

from tinyagents_graph.stategraph.declared import Declared

__all__ = ["Graph"]

StateT = TypeVar("StateT")


class Graph(Generic[StateT]):
    """A workflow that runs."""

    node_kind = "graph"

    def __init__(self, declared: Declared, **options: Any) -> None:
        self.declared = declared
        self.name = declared.name
        self.description = declared.description
