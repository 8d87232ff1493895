"""Graphs whose nodes are agents that answer without a provider."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents import Agent
from tinyagents.graph import START, Append, Graph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel
from tinyagents_graph import Event

__all__ = ["State", "begun", "echo", "row", "saying"]


class State(BaseModel):
    topic: str = "tea"
    plan: str = ""
    text: str = ""
    log: Annotated[list[str], Append()] = []


def saying(name: str, text: str = "", *, usd: float = 0.0, **options: Any) -> Agent[Any, Any]:
    """An agent that always says the same, by default its name."""
    model = FunctionModel(lambda _: text or name, usd_per_request=usd)
    return Agent(model, name=name, **options)


def row(*nodes: tuple[str, Any, str], **options: Any) -> Graph[State]:
    """A graph whose nodes run one after the other; each with the key that its answer goes to."""
    graph = StateGraph(State)
    for name, body, output in nodes:
        graph.add_node(name, body, output=output or None)
    return graph.add_sequence(START, *(name for name, _, _ in nodes)).compile(**options)


def begun(events: Iterable[Event]) -> list[str]:
    """The addresses of the runs that began."""
    return [event.path for event in events if event.kind == "run.started"]


def echo(request: ModelRequest) -> str:
    """What a model says that repeats what it heard last."""
    return request.messages[-1].text
