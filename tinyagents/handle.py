"""`RunHandle`: a live run of an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic

from tinyagents.execute import execute
from tinyagents.result import OutputT, Result
from tinyagents.state import AgentRun
from tinyagents_graph.handle import Handle
from tinyagents_graph.stream import Policy

__all__ = ["RunHandle"]


class RunHandle(Handle[Result[OutputT]], Generic[OutputT]):
    """A run that goes on while you watch: `async with agent.stream(task) as run`.

    Iterate over it for the events of the whole nested tree as they happen; `await run.result()` for
    what came of it. Leaving the `async with` early cancels the run. It is steered, and its tree
    looked at, as any `LiveRun`.
    """

    def __init__(
        self,
        begin: Callable[[], AgentRun | Awaitable[AgentRun]],
        drive: Callable[[AgentRun], Awaitable[Result[Any]]] = execute,
        *,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> None:
        super().__init__(begin, drive, policy=policy, buffer=buffer)
