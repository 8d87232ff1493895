"""Runs that are kept in a journal: begun, gone on with after a crash, resumed when they waited.

run_kept ── open_tree ── segment ── segment ── …  until the run has ended, or waits for the human
               │            └─ what the past knows is looked up, the rest is done
               └─ the past, or a new tree
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tinyagents.errors import ConfigError, RunConflict
from tinyagents.execute import execute, paused
from tinyagents.messages import Message, from_dict, to_dict, user_message
from tinyagents.result import Result
from tinyagents.tools import cut
from tinyagents_graph.errors import Parked
from tinyagents_graph.journal.inbox import asks_of
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.opening import attach, open_tree, take_late
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.place import new_run_id
from tinyagents_graph.sink import EventSink

if TYPE_CHECKING:
    from tinyagents.state import AgentRun

__all__ = ["IN_MEMORY", "Begin", "Kept"]

IN_MEMORY = MemoryJournal()
"""Where runs wait for the human that are kept in no other journal: as long as the process lives."""

Begin = Callable[..., "AgentRun"]

_logger = logging.getLogger("tinyagents.journal")
_TASK_CHARS = 1_000


class Kept:
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
    ) -> None:
        self._begin = begin
        self._journal = journal
        self._name = name
        self._task = None if task is None else user_message(task)
        self._history = history
        self._run_id = run_id or new_run_id()
        self._sink = sink or EventSink()
        self._is_resumed = is_resumed
        self._ledger: Ledger | None = None

    async def open(self) -> AgentRun:
        """Open it, as it is in the journal.

        Raises:
            RunConflict: Somebody else has it, or it was asked something else.
            ConfigError: There is no such run, and there must be.
            JournalError: The journal cannot be read or written.
        """
        text = "" if self._task is None else cut(self._task.text, _TASK_CHARS)
        asked: dict[str, Any] = {}
        if self._task is not None:
            asked = {"task": to_dict(self._task)}
        if self._history:
            asked["history"] = [to_dict(message) for message in self._history]
        ledger = await open_tree(
            self._journal,
            self._run_id,
            self._sink,
            name=self._name,
            task=text,
            about=asked,
            is_resumed=self._is_resumed,
        )
        try:
            task, history = self._asked(ledger, asked)
            work = self._begin(task, history=history, run_id=self._run_id, sink=self._sink)
            attach(ledger, work.run)
        except BaseException:
            await ledger.close()
            raise
        self._ledger = ledger
        return work

    def _asked(self, ledger: Ledger, now: Any) -> tuple[Message | None, Sequence[Message]]:
        """What it was asked when it began, which is what it is asked now."""
        began = ledger.past.began_as
        if began not in ("", self._name):
            raise ConfigError(f"run {self._run_id!r} is one of {began!r}, not of {self._name!r}")
        then = ledger.about
        if now and then.get("task") != now["task"]:
            raise RunConflict(
                f"run {self._run_id!r}",
                "it was asked something else; give another run_id, or resume it without a task",
            )
        task = from_dict(then["task"]) if "task" in then else None
        return task, [from_dict(each) for each in then.get("history", ())]

    async def run(self) -> Result[Any]:
        """Open it and drive it; see these."""
        return await self.drive(await self.open())

    async def drive(self, work: AgentRun) -> Result[Any]:
        """Run what was opened, until it has ended or waits for an answer.

        Raises:
            RunConflict: Somebody else has taken it over.
            JournalError: It cannot be kept any more.
            Exception: Whatever failed the run.
        """
        while True:
            ledger = self._ledger
            assert ledger is not None
            try:
                work.run.enrol()
                take_late(ledger, work.run)
                result: Result[Any] = await execute(work)
            except Parked as parked:
                await self._close(ledger, parked)
                if ledger.is_silent or not ledger.has_news:
                    return paused(work, await asks_of(self._journal, self._run_id))
                work = await self.open()
            except BaseException as error:
                await self._close(ledger, error)
                raise
            else:
                await self._close(ledger, None)
                return result

    async def _close(self, ledger: Ledger, error: BaseException | None) -> None:
        await ledger.close()
        if self._journal is IN_MEMORY and not isinstance(error, Parked):
            await IN_MEMORY.drop([self._run_id])  # nobody could want it any more
        for each in ledger.drift:
            _logger.warning(
                "%s %s: its %s is not what it was when the run began: %s, then %s",
                self._run_id, each["path"], each["what"], _short(each["now"]), _short(each["then"]),
            )  # fmt: skip
        if ledger.error is not None and error is not ledger.error:
            vars(ledger.error)["result"] = getattr(error, "result", None)
            raise ledger.error from error


def _short(value: Any) -> str:
    return cut(repr(value), 80)
