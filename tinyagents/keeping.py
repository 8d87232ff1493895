"""Runs of agents that are kept in a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from tinyagents.data import Given, as_data
from tinyagents.errors import RunConflict
from tinyagents.execute import execute, paused
from tinyagents.inputs import check_same
from tinyagents.messages import Message, from_dict, to_dict, user_message
from tinyagents.result import Result
from tinyagents.tools import cut
from tinyagents_graph.journal import keeping
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.keeping import IN_MEMORY
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.sink import EventSink

if TYPE_CHECKING:
    from tinyagents.state import AgentRun

__all__ = ["IN_MEMORY", "Begin", "Kept"]

Begin = Callable[..., "AgentRun"]

_TASK_CHARS = 1_000


class Kept(keeping.Kept["AgentRun", Result[Any]]):
    """A root run of an agent that is kept in a journal.

    Args:
        begin: `Agent.open` with what is not kept: `deps`, limits.
        journal: Where it is kept.
        name: The agent's name.
        task: What it is asked; `None` for what it was asked when it began.
        history: What was said before.
        run_id: Id of the run; made up if not given.
        sink: Who gets its events, those of the past included.
        is_resumed: Whether it must have begun before.
        data: The data it is given, of which a reference is kept.
    """

    def __init__(
        self,
        begin: Begin,
        journal: Journal,
        *,
        name: str,
        task: Any,
        history: Sequence[Message] = (),
        run_id: str | None = None,
        sink: EventSink | None = None,
        is_resumed: bool = False,
        data: Given | None = None,
    ) -> None:
        asked: dict[str, Any] = {}
        text = ""
        if task is not None:
            message = user_message(task)
            asked["task"], text = to_dict(message), cut(message.text, _TASK_CHARS)
        self._data = None if data is None else as_data(data)
        if self._data is not None and task is not None:
            asked["data"] = self._data.describe()
        if history:
            asked["history"] = [to_dict(each) for each in history]
        super().__init__(
            journal,
            name=name,
            task=text,
            about=asked,
            run_id=run_id,
            sink=sink,
            is_resumed=is_resumed,
        )
        self._begin = begin
        self._now = asked

    def begin(self, ledger: Ledger) -> AgentRun:
        """Prepare the run, with what it was asked when it began, which is what it is asked now.

        Raises:
            RunConflict: It was asked something else, or given other data.
            ConfigError: It was given data, and that is not given again.
        """
        then, now = ledger.about, self._now
        check_same(then.get("data"), self._data, self.run_id)
        if now and then.get("task") != now["task"]:
            raise RunConflict(
                f"run {self.run_id!r}",
                "it was asked something else; give another run_id, or resume it without a task",
            )
        task = from_dict(then["task"]) if "task" in then else None
        history = [from_dict(each) for each in then.get("history", ())]
        more = {} if self._data is None else {"data": self._data}
        return self._begin(task, history=history, run_id=self.run_id, sink=self.sink, **more)

    def execute(self, work: AgentRun) -> Awaitable[Result[Any]]:
        """Run it to its result."""
        return execute(work)

    def paused(self, work: AgentRun, asks: Sequence[InboxAsk]) -> Result[Any]:
        """What there is of it while it waits for answers."""
        return paused(work, asks)
