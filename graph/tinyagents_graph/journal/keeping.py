"""Root runs that are kept in a journal: begun, gone on with after a crash, resumed after a wait.

run ── open ── drive ── segment ── segment ── …  until it has ended, or waits for the human
         │                └─ what the past knows is looked up, the rest is done
         └─ the past, or a new tree
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError, Parked
from tinyagents_graph.journal.inbox import InboxAsk, asks_of
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.opening import attach, open_tree, take_late
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.place import check_run_id, check_sink, new_run_id
from tinyagents_graph.sink import EventSink

if TYPE_CHECKING:  # for its name only: whoever is kept has a run
    from tinyagents_graph.handle import Work

__all__ = ["IN_MEMORY", "Kept"]

IN_MEMORY = MemoryJournal()
"""Where runs wait for the human that are kept in no other journal: as long as the process lives."""

_logger = logging.getLogger("tinyagents.journal")
_TASK_CHARS = 1_000
_SHOWN_CHARS = 80
WorkT = TypeVar("WorkT", bound="Work", default=Any)
ResultT = TypeVar("ResultT", default=Any)


class Kept(Generic[WorkT, ResultT]):
    """A root run that is kept in a journal; what it runs is said by a subclass.

    Args:
        journal: Where it is kept.
        name: What runs: an agent's name, or a graph's.
        task: What it is asked, as text.
        about: What is kept of a new one besides its events.
        run_id: Id of the run; made up if not given.
        sink: Who gets its events, those of the past included.
        is_resumed: Whether it must have begun before.

    Attributes:
        has_news: Whether it goes on in any case, also if it waits and nothing was answered.
        on_reopen: Told of the run that goes on in the place of one that was parked, for whoever
            watches that.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        name: str,
        task: str = "",
        about: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        sink: EventSink | None = None,
        is_resumed: bool = False,
    ) -> None:
        self.journal = _checked(journal)
        self.name = name
        self.run_id = check_run_id(run_id) if run_id else new_run_id()
        self.sink = check_sink(sink or EventSink())
        self._task = task[:_TASK_CHARS]
        self._about = about or {}
        self._is_resumed = is_resumed
        self._ledger: Ledger | None = None
        self.has_news = False
        self.on_reopen: Callable[[WorkT], None] | None = None

    def begin(self, ledger: Ledger) -> WorkT:
        """Prepare the run, as the ledger says that it began.

        Raises:
            RunConflict: It was asked something else then.
            Exception: It cannot be gone on with.
        """
        raise NotImplementedError

    def execute(self, work: WorkT) -> Awaitable[ResultT]:
        """Run it to its result."""
        raise NotImplementedError

    def paused(self, work: WorkT, asks: Sequence[InboxAsk]) -> ResultT:
        """What there is of it while it waits for answers."""
        raise NotImplementedError

    async def open(self) -> WorkT:
        """Open it, as it is in the journal.

        Raises:
            RunConflict: Somebody else has it, or it was asked something else.
            ConfigError: There is no such run, and there must be.
            JournalError: The journal cannot be read or written.
        """
        ledger = await open_tree(
            self.journal,
            self.run_id,
            self.sink,
            name=self.name,
            task=self._task,
            about=self._about,
            is_resumed=self._is_resumed,
            has_news=self.has_news,
        )
        try:
            began = ledger.past.began_as
            if began not in ("", self.name):
                raise ConfigError(f"run {self.run_id!r} is one of {began!r}, not of {self.name!r}")
            work = self.begin(ledger)
            attach(ledger, work.run)
        except BaseException:
            await ledger.close()
            raise
        self._ledger = ledger
        return work

    async def run(self) -> ResultT:
        """Open it and drive it; see these."""
        return await self.drive(await self.open())

    async def drive(self, work: WorkT) -> ResultT:
        """Run what was opened, until it has ended or waits for an answer.

        Raises:
            RunConflict: Somebody else has taken it over.
            JournalError: It cannot be kept any more.
            Exception: Whatever failed the run.
        """
        while True:
            ledger = self._ledger
            assert ledger is not None
            known = ledger.news
            try:
                work.run.enrol()
                take_late(ledger, work.run)
                result = await self.execute(work)
            except Parked as parked:
                await self._close(ledger, parked, self.paused(work, ()))
                asks = await asks_of(self.journal, self.run_id)
                # What did not help this time will not the next time; but an answer that came while
                # it was given up was not heard any more.
                has_news = ledger.has_news if not known else not ledger.news <= known
                unheard = len(asks) < len(ledger.pending)
                if ledger.is_silent or not (has_news or unheard):
                    return self.paused(work, asks)
                work = await self.open()
                if self.on_reopen is not None:
                    self.on_reopen(work)
            except BaseException as error:
                await self._close(ledger, error)
                raise
            else:
                await self._close(ledger, None, result)
                return result

    async def _close(
        self, ledger: Ledger, error: BaseException | None, result: ResultT | None = None
    ) -> None:
        await ledger.close()
        if self.journal is IN_MEMORY and not isinstance(error, Parked):
            await IN_MEMORY.drop([self.run_id])  # nobody could want it any more
        for each in ledger.drift:
            _logger.warning(
                "%s %s: its %s is not what it was when the run began: %s, then %s",
                self.run_id, each["path"], each["what"], _short(each["now"]), _short(each["then"]),
            )  # fmt: skip
        if ledger.error is not None and error is not ledger.error:
            vars(ledger.error)["result"] = getattr(error, "result", result)
            raise ledger.error from error


def _checked(journal: Any) -> Journal:
    if hasattr(journal, "begin"):
        return cast("Journal", journal)
    hint = "SqliteJournal('runs.db')"
    if isinstance(journal, (str, PathLike)):
        hint = f"SqliteJournal({fspath(cast('str', journal))!r})"
    raise ConfigError(f"journal={journal!r}: give a journal, such as {hint}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
