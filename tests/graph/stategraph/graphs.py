"""Small graphs for tests, and runs of them whose events were checked."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, TypeAlias, TypeVar, cast

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tinyagents.graph import END, START, Append, Ask, Graph, GraphHandle, GraphResult, StateGraph
from tinyagents.testing import check_tree
from tinyagents_graph import Event, EventSink

__all__ = [
    "Log",
    "MODES",
    "Meter",
    "Node",
    "Text",
    "Trip",
    "asking",
    "drink",
    "fail",
    "hang",
    "how_many",
    "ids",
    "nodes_in",
    "nothing",
    "of",
    "only",
    "raises",
    "resume",
    "run",
    "says",
    "single",
    "watched",
]

ErrorT = TypeVar("ErrorT", bound=BaseException)
Node: TypeAlias = Callable[[Any], Awaitable[Any]]

MODES = ("superstep", "eager")


class Log(BaseModel):
    """What was said, in order; several nodes may say something at once."""

    said: Annotated[list[str], Append()] = []


class Text(BaseModel):
    """Plain keys: in one step only one node may write each."""

    topic: str = "tea"
    text: str = ""
    n: int = 0


def says(*words: str) -> Node:
    """A node that says something."""

    async def say(state: Any) -> dict[str, Any]:
        return {"said": list(words)}

    return say


def raises(error: BaseException, after: anyio.Event | None = None) -> Node:
    """A node that fails."""

    async def fail(state: Any) -> None:
        if after is not None:
            await after.wait()
        raise error

    return fail


async def hang(state: Any) -> None:
    """A node that never ends by itself."""
    await anyio.sleep_forever()


async def nothing(state: Any) -> None:
    """A node that changes nothing."""


class Meter:
    """Counts how many of its nodes run at once; each lets others run for some turns."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.ended: list[str] = []

    def node(self, name: str, turns: int = 1) -> Node:
        async def run(state: Log) -> dict[str, Any]:
            self.now += 1
            self.most = max(self.most, self.now)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            self.now -= 1
            self.ended.append(name)
            return {"said": [name]}

        return run


def single(body: Any, state: type[BaseModel] = Log, **options: Any) -> Graph[Any]:
    """A graph of one node, `n`."""
    return StateGraph(state).add_node("n", body, **options).add_sequence(START, "n", END).compile()


class Trip(BaseModel):
    """What the graphs that ask are about."""

    said: Annotated[list[str], Append()] = []
    cups: int = 0


async def how_many(state: Trip) -> Ask:
    """A node that asks, and is done."""
    return Ask("How many cups?", int, output="cups", update={"said": ["asked"]})


async def drink(state: Trip) -> dict[str, Any]:
    """A node that says what was answered."""
    return {"said": [f"{state.cups} cups"]}


def asking(ask: Any = how_many, **options: Any) -> Graph[Trip]:
    """A graph of three nodes, of which the second one asks."""
    graph = StateGraph(Trip).add_node("start", says("start")).add_node("ask", ask)
    graph.add_node(drink).add_sequence(START, "start", "ask", "drink", END)
    return graph.compile(**options)


# --- running ----------


async def run(graph: Graph[Any], input: Any = None, **options: Any) -> GraphResult[Any]:
    """Run a graph that must not fail, and check its events."""
    result = await graph.run(input, **options)
    check_tree(result.events)
    return result


async def resume(
    graph: Graph[Any], result: GraphResult[Any], answers: Mapping[str, Any] | None = None
) -> GraphResult[Any]:
    """Go on with a run, and check the events of all of it."""
    again = await graph.resume(result.run_id, answers)
    check_tree(again.events)
    assert again.run_id == result.run_id
    return again


async def fail(
    graph: Graph[Any], kind: type[ErrorT], input: Any = None, **options: Any
) -> tuple[ErrorT, GraphResult[Any]]:
    """Run a graph that must fail; its error, and what there was until then."""
    sink: EventSink = options.setdefault("sink", EventSink())
    with anyio.fail_after(10), pytest.raises(kind) as caught:
        await graph.run(input, **options)
    check_tree(sink.events)
    error = caught.value
    partial: Any = vars(error).get("result")
    assert isinstance(partial, GraphResult), "a failed run keeps its partial result"
    assert partial.error is error
    return error, cast("GraphResult[Any]", partial)


async def watched(handle: GraphHandle[Any]) -> tuple[list[Event], GraphResult[Any]]:
    """Read a stream to its end."""
    events: list[Event] = []
    async with handle as live:
        async for event in live:
            events.append(event)
        result = await live.result()
    check_tree(result.events)
    return events, result


# --- reading ----------


def of(events: Iterable[Event], kind: str, *names: str) -> list[Any]:
    """One fact, or several, of all events of a kind, in order."""
    found = [event.data for event in events if event.kind == kind]
    if len(names) == 1:
        return [data[names[0]] for data in found]
    return [tuple(data[name] for name in names) if names else dict(data) for data in found]


def nodes_in(result: GraphResult[Any], kind: str = "node.started") -> list[str]:
    """The nodes in the order they began (or what `kind` says)."""
    return of(result.events, kind, "node")


def ids(result: GraphResult[Any]) -> list[str]:
    """The open questions of a paused run."""
    assert all(ask.status == "open" for ask in result.pending)
    return sorted(ask.id for ask in result.pending)


def only(result: GraphResult[Any]) -> str:
    """The one open question."""
    (ask_id,) = ids(result)
    return ask_id
