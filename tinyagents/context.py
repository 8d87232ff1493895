"""`RunContext`: what tools, hooks and instructions may know of the run they work for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Generic, cast

from pydantic_core import to_jsonable_python
from typing_extensions import TypeVar

from tinyagents.messages import Message
from tinyagents_graph.events import Event
from tinyagents_graph.place import Place
from tinyagents_graph.run import Run
from tinyagents_graph.usage import Usage

__all__ = ["DepsT", "RunContext"]

DepsT = TypeVar("DepsT", default=Any)


class RunContext(Place, Generic[DepsT]):
    """Where a piece of the user's code stands: in which run, and in which call of it.

    A run started from code that has a context (also without being handed it) becomes a child of
    `run`, with its events, limits and cancellation.

    Attributes:
        run: The live run.
        path: Address of the call in the tree, or of the run outside of a call.
        messages: The run's transcript so far. It is the live list: read only.
        call_id: Id of the tool call, empty outside of one.
        tool: Name of the tool, empty outside of a call.
        attempt: 0 for the first try of the call, then 1, 2, …
        turn: How many model exchanges have begun; kept up to date for hooks.
    """

    __slots__ = ("_run", "attempt", "call_id", "messages", "tool", "turn")

    def __init__(
        self,
        run: Run,
        path: str,
        messages: Sequence[Message],
        *,
        call_id: str = "",
        tool: str = "",
    ) -> None:
        self._run = run
        self.path = path
        self._counts = None
        self.messages = messages
        self.call_id = call_id
        self.tool = tool
        self.attempt = 0
        self.turn = 0

    @property
    def run(self) -> Run:
        """The live run."""
        return self._run

    def next_path(self, name: str) -> str:
        """The path of the next thing called `name` here; asking counts it."""
        # Outside of a call this is the run's own place: two counters would give one path twice.
        return super().next_path(name) if self.call_id else self.run.next_path(name)

    @property
    def deps(self) -> DepsT:
        """What the caller of `Agent.run` handed in."""
        return cast("DepsT", self.run.deps)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What `SetMetadata` set for the run, or for the nearest run above it; else empty."""
        return self.run.metadata

    @property
    def model_call_id(self) -> str:
        """Id of the model call that is under way, as in its `model.*` events."""
        return f"model-{self.turn - 1}"

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.run.run_id

    @property
    def idempotency_key(self) -> str:
        """A name for what the call does on the outside, the same whenever it is done again.

        32 hexadecimal digits, made of the run's id and the call's path: stable over tries, resume
        and processes. Whoever gives two pieces of work the same `run_id` gives them the same keys.
        """
        return sha256(f"{self.run.run_id}\n{self.path}".encode()).hexdigest()[:32]

    @property
    def depth(self) -> int:
        """Depth of the run, 0 for a root."""
        return self.run.depth

    @property
    def usage(self) -> Usage:
        """What the run itself has used so far."""
        return self.run.usage

    @property
    def tree_usage(self) -> Usage:
        """What the run and its descendants have used so far."""
        return self.run.tree_usage

    @property
    def remaining_s(self) -> float:
        """Seconds until the run's deadline, `inf` without one."""
        return self.run.remaining_s

    def progress(
        self,
        message: str = "",
        *,
        done: float | None = None,
        total: float | None = None,
        **data: Any,
    ) -> None:
        """Publish how far a tool call is, as a `tool.progress` event. Callable from any thread.

        Once the run has ended, which a thread that was left behind may outlive, it does nothing.

        Args:
            message: What is going on.
            done: How much of it is done.
            total: How much there is to do.
            data: What else there is to say; what is no JSON is made JSON, at worst its text.
        """
        if not self.is_alive:
            return
        facts = {"message": message, "done": done, "total": total}
        known = {name: value for name, value in facts.items() if value not in (None, "")}
        about = {"call_id": self.call_id, "tool": self.tool}
        self.run.emit("tool.progress", {**_plain(data), **_plain(known), **about})

    def emit(self, name: str, **data: Any) -> Event | None:
        """Publish an event of your own, of the kind `custom` with `name` in its data.

        Args:
            name: What happened.
            data: What there is to say; what is no JSON is made JSON, at worst its text.

        Returns:
            The event, or `None` once the run has ended: nothing comes after its last event.
        """
        if not self.is_alive:
            return None
        return self.run.emit("custom", {**_plain(data), "name": name, "call_id": self.call_id})


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", to_jsonable_python(data, fallback=str, inf_nan_mode="null"))
