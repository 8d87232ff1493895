"""`GraphHandle`: a live run of a graph, and the views on its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import Event
from tinyagents_graph.handle import Handle
from tinyagents_graph.stategraph.findings import did_you_mean
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stream import Policy

__all__ = ["GraphHandle", "Piece", "View"]

StateT = TypeVar("StateT", default=Any)
View: TypeAlias = Literal["values", "updates", "messages", "custom"]


class Piece(NamedTuple):
    """A bit of what a model says.

    Attributes:
        node: The node whose agent says it.
        path: The address of the agent's run.
        text: What it says.
    """

    node: str
    path: str
    text: str


class GraphHandle(Handle[GraphResult[StateT]]):
    """A run of a graph that goes on while you watch: `async with graph.stream(input) as run`.

    Iterate over it for all events of the nested tree; or over one of its views, which are made of
    the same events: `values()`, `updates()`, `messages()`, `custom()`, or several at once with
    `view("updates", "messages")`. Read one of these: what one has read, another does not get.
    """

    def __init__(
        self,
        begin: Callable[[], GraphRun | Awaitable[GraphRun]],
        drive: Callable[[GraphRun], Awaitable[GraphResult[StateT]]],
        *,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> None:
        super().__init__(begin, drive, policy=policy, buffer=buffer)

    async def values(self) -> AsyncIterator[StateT]:
        """The state after each step."""
        async for _, value in self.view("values"):
            yield value

    async def updates(self) -> AsyncIterator[dict[str, Any]]:
        """What each node wrote as soon as it has finished: `{node: update}`, as plain data."""
        async for _, update in self.view("updates"):
            yield update

    async def messages(self) -> AsyncIterator[Piece]:
        """What models say, bit by bit."""
        async for _, piece in self.view("messages"):
            yield piece

    async def custom(self) -> AsyncIterator[dict[str, Any]]:
        """What nodes and tools emit: the data of `custom` events."""
        async for _, data in self.view("custom"):
            yield data

    async def view(self, *views: View) -> AsyncIterator[tuple[View, Any]]:
        """Several views at once, each item behind the name of its view.

        Raises:
            ConfigError: There is no such view.
        """
        for name in views:
            if name not in get_args(View):
                near = did_you_mean(str(name), get_args(View))
                raise ConfigError(f"view({name!r}): there is {', '.join(get_args(View))}{near}")
        async for event in self:
            found = self._seen(event, views)
            if found is not None:
                yield found

    def _seen(self, event: Event, views: Collection[View]) -> tuple[View, Any] | None:
        kind, data = event.kind, event.data
        is_own = event.run_id == self.run_id
        if kind == "state.updated" and is_own:
            work: Any = self._work
            values = work.snapshots.popleft()
            return (
                ("values", work.graph.schema.final(values, is_live=True))
                if "values" in views
                else None
            )
        if kind == "node.completed" and is_own and "updates" in views:
            return "updates", {data["node"]: data["update"]}
        if kind == "model.delta" and "messages" in views and (text := data.get("text")):
            return "messages", Piece(self._node_of(event.path), event.path, text)
        if kind == "custom" and "custom" in views:
            return "custom", dict(data)
        return None

    def _node_of(self, path: str) -> str:
        return path[len(self.path) + 1 :].split("/")[0].rsplit("[", 1)[0]
