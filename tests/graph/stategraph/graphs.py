"""Small graphs for tests, and runs of them whose events were checked."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, cast

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tinyagents.graph import Append, Graph, GraphHandle, GraphResult
from tinyagents.testing import check_tree
from tinyagents_graph import Event, EventSink

__all__ = [
    "Log",
    "MODES",
    "Meter",
    "Node",
    "Text",
    "asks_of",
    "fail",
    "hang",
    "nodes_in",
    "nothing",
    "of",
    "raises",
    "resume",
    "run",
    "says",
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


def asks_of(result: GraphResult[Any]) -> Sequence[str]:
    """The nodes that wait for an answer."""
    return sorted(ask.node for ask in result.pending)
