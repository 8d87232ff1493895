"""The state graph: workflows that are declared, checked, drawn, and run on the run tree.

builder ── compiled ── running ── engine, eager ── following ── work ── tasks, state, joins
   │           └─ nesting ── running                  └─ performing ── nodes
   └─ declared ── routing, reducers, caching          └─ questions, finishing, breaking
"""

from __future__ import annotations

from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.builder import StateGraph
from tinyagents_graph.stategraph.caching import NodeCache
from tinyagents_graph.stategraph.compiled import Graph
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.moments import StateRecord
from tinyagents_graph.stategraph.reducers import Add, Append, Last, Merge, Reduce, Reducer
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.routing import END, START, Ask, Command, Failure, Join, Send, join
from tinyagents_graph.stategraph.tasks import NodeContext
from tinyagents_graph.stategraph.views import GraphHandle, Piece

__all__ = [
    "END",
    "START",
    "Add",
    "Append",
    "Ask",
    "Command",
    "Failure",
    "Finding",
    "Graph",
    "GraphHandle",
    "GraphResult",
    "Join",
    "Last",
    "Merge",
    "NodeAsk",
    "NodeCache",
    "NodeContext",
    "Piece",
    "Reduce",
    "Reducer",
    "Send",
    "StateGraph",
    "StateRecord",
    "join",
]
