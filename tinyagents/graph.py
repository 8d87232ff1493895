"""State graphs: declared workflows whose nodes are agents, functions and graphs.

```python
from tinyagents.graph import END, START, Append, StateGraph
```
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from tinyagents.messages import Message, user_message
from tinyagents_graph.errors import GraphError
from tinyagents_graph.frozen import frozen
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph import (
    END,
    START,
    Add,
    Append,
    Ask,
    Command,
    Failure,
    Finding,
    Graph,
    GraphHandle,
    GraphResult,
    Join,
    Last,
    Merge,
    NodeAsk,
    NodeCache,
    NodeContext,
    Piece,
    Reduce,
    Reducer,
    Send,
    StateGraph,
    StateRecord,
    join,
)
from tinyagents_graph.stategraph.overlay import NodeFacts, Overlay
from tinyagents_graph.stategraph.sketch import Sketch

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
    "GraphError",
    "GraphHandle",
    "GraphResult",
    "Join",
    "Last",
    "Merge",
    "Messages",
    "NodeAsk",
    "NodeCache",
    "NodeContext",
    "NodeFacts",
    "Overlay",
    "Piece",
    "Reduce",
    "Reducer",
    "Retry",
    "Send",
    "Sketch",
    "StateGraph",
    "StateRecord",
    "join",
]

_Said = Annotated[
    Message, BeforeValidator(lambda each: user_message(each) if isinstance(each, str) else each)
]


@frozen
class Messages(Append):
    """A transcript grows by what an update says: messages, or text, which the user says.

    `chat: Annotated[list[Message], Messages()] = []`
    """

    def operand(self, annotation: Any) -> Any:
        """A list of messages and texts."""
        return list[_Said]

    def coerce(self, annotation: Any) -> Any:
        """One message, or a text."""
        return _Said
