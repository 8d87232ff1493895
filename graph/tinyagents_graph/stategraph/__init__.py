"""The state graph: workflows that are declared, checked, drawn, and run on the run tree."""

from __future__ import annotations

from tinyagents_graph.errors import GraphError
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph.builder import StateGraph
from tinyagents_graph.stategraph.caching import NodeCache
from tinyagents_graph.stategraph.compiled import Graph
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.reducers import Add, Append, Last, Merge, Reduce, Reducer
from tinyagents_graph.stategraph.routing import END, START, Ask, Command, Failure, Send, join

__all__ = [
    "END",
    "START",
    "Add",
    "Append",
    "Ask",
    "NodeCache",
    "Command",
    "Failure",
    "Finding",
    "Graph",
    "GraphError",
    "Last",
    "Merge",
    "Reduce",
    "Reducer",
    "Retry",
    "Send",
    "StateGraph",
    "join",
]
