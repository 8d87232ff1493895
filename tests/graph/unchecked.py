"""Graphs that are not checked when they are compiled, for tests of what runs do with any graph."""

from typing import Any

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph import stategraph
from tinyagents_graph.stategraph.checks import find

__all__ = ["StateGraph"]

StateT = TypeVar("StateT", bound=BaseModel)


class StateGraph(stategraph.StateGraph[StateT]):
    """A state graph whose findings are left out, all of them."""

    def compile(self, **options: Any) -> stategraph.Graph[StateT]:
        declared = self.declare(
            mode=options.get("mode", "superstep"), on_limit=options.get("on_limit")
        )
        return super().compile(ignore={each.code for each in find(declared)}, **options)
