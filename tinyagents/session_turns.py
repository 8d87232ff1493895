"""`Turns`: how a session takes its turns: as children, as trees of their own, or kept ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeAlias, cast

from anyio import CancelScope

from tinyagents.dialects.cells import Cells
from tinyagents.errors import ConfigError, RunConflict
from tinyagents.execute import delegate
from tinyagents.keeping import Kept
from tinyagents.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    to_dict,
    user_message,
)
from tinyagents.remembering import Remembered, SessionState
from tinyagents.result import OutputT, Result
from tinyagents.running import Task
from tinyagents.session_store import SessionStore
from tinyagents.state import AgentRun
from tinyagents.subagents import SubAgent
from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import RunTree, current_place
from tinyagents_graph.sink import EventSink

__all__ = ["Compact", "Turns"]

Compact: TypeAlias = Callable[[Sequence[Message]], Sequence[Message] | Awaitable[Sequence[Message]]]
"""Makes a shorter transcript of a long one, before the next turn."""

_MESSAGES = (SystemMessage, UserMessage, AssistantMessage, ToolMessage)


class Turns(Generic[OutputT]):
    """The side of a session that takes turns.

    Attributes:
        subagent: Whom it is with.
        sink: Where the events of turns go that are no children.
        session_id: Its name.
        compact: Called with the transcript before each turn but the first.
    """

    def __init__(
        self,
        subagent: SubAgent,
        sink: EventSink,
        session_id: str,
        *,
        key: str,
        deps: Any,
        limits: RunLimits | None,
        compact: Compact | None,
        journal: Journal | None,
    ) -> None:
        self.subagent = subagent
        self.sink = sink
        self.session_id = session_id
        self.compact = compact
        self._store: SessionStore | None = None
        if journal is not None:
            self._store = SessionStore(journal, session_id, subagent.called)
        self._kept: Kept | None = None
        self._deps = deps
        self._limits = limits
        self._key = key
        self._remembered: Remembered | None = None
        self._transcript: tuple[Message, ...] = ()
        self._turns = 0
        self._variables: str | None = None
        self._sent = 0
        self._live: AgentRun | None = None
        self._turn: AgentRun | None = None  # as it was opened first: a kept run may be again
        self._busy = False

    async def _open(self, content: Task | None, *, deltas: bool, path: str = "") -> AgentRun:
        self._refuse_while_busy()
        self._busy = True
        try:
            place = current_place.get()
            if place is not None and not place.is_alive:
                place = None
            if place is not None:
                path = path or place.next_path(self.subagent.called)
                self._catch_up(place.run.tree.ledger, path)
            elif self._store is not None:
                work = await self._open_kept(self._store, content, deltas)
                return self._begun(work)
            if content is None:
                raise ConfigError(f"session {self.session_id!r} has no turn to go on with: say it")
            work = self._work(
                content,
                place=place,
                path=path or None,
                history=await self._history(),
                sink=self.sink,
                run_id=f"{self.session_id}-t{self._sent}",
                deltas=deltas,
            )
            return self._begun(work)
        except BaseException:
            self._busy = False
            self._kept = self._live = None
            raise

    def _work(self, content: Task | None, **options: Any) -> AgentRun:
        sub, limits = self.subagent, self._limits
        if sub.limits is not None:
            limits = sub.limits.narrowed(limits)
        deps = self._deps if self._deps is not None else sub.deps
        # Cycles are allowed, for a session says things twice.
        work = sub.agent.open(content, deps=deps, limits=limits, allow_cycles=True, **options)
        if not isinstance(work, AgentRun):
            raise ConfigError(
                f"SubAgentSession({sub.agent!r}): a session is with an agent; a graph "
                "remembers in its state"
            )
        self._live = work
        if any(tool.makes_calls for tool in work.plan.tools.values()):
            work.cells = Cells(self._variables, goes_on=True)
        return work

    def _begun(self, work: AgentRun) -> AgentRun:
        self._turn = work
        work.run.about = {**work.run.about, "session": self._told_id(work.run.tree)}
        self._sent += 1
        return work

    def _told_id(self, tree: RunTree) -> str:
        """What its turns call it; in a kept tree the same when they are made again."""
        if tree.ledger is None or self._key == self.session_id:
            return self.session_id
        return f"{tree.root_run_id}/{self._key}"

    async def _history(self) -> Sequence[Message]:
        history = self._transcript
        if self.compact is not None and self._turns:
            made = self.compact(history)
            history = _compacted(await made if isawaitable(made) else made, history)
        return history

    async def _take_turn(self, work: AgentRun) -> Result[OutputT]:
        if self._kept is not None:
            return await self._take_kept_turn(work, self._kept)
        above = (work.run.parent or work.run).origin
        try:
            result = await delegate(work, above, self._turns)
            if result.status == "completed":
                self._succeed(result)
                self._is_behind()
                if self._remembered is not None and (teller := work.run.parent) is not None:
                    self._remembered.keep(teller, work.run.path, self._state)
            return result
        finally:
            self._close(work)

    # --- turns that are kept ----------

    async def _open_kept(self, store: SessionStore, content: Task | None, deltas: bool) -> AgentRun:
        begun = await self._bring_together(store)
        if begun is None and content is None:
            raise ConfigError(f"session {self.session_id!r} has no turn to go on with: say it")
        if begun is not None and content is not None and not _asks(begun, content):
            raise RunConflict(
                f"session {self.session_id}",
                f"its turn {begun.run_id} was cut off or waits: go on with it by `resume()` first",
            )
        self._kept = Kept(
            partial(self._work, deltas=deltas),
            store.journal,
            name=self.subagent.agent.name,
            task=None if begun is not None else content,
            history=() if begun is not None else await self._history(),
            run_id=store.turn_id(self._state),
            sink=self.sink,
            is_resumed=begun is not None,
        )
        return await self._kept.open()

    async def _take_kept_turn(self, work: AgentRun, kept: Kept) -> Result[OutputT]:
        store = cast("SessionStore", self._store)
        try:
            result: Result[OutputT] = await kept.drive(work)
            if result.status == "paused":
                self._sent -= 1  # it is the same turn that goes on
                return result
            if result.status == "completed":
                self._succeed(result)
            await store.save(self._state)
            return result
        except (JournalError, RunConflict):
            self._sent -= 1  # nobody knows here how it ends
            raise
        except BaseException:
            with CancelScope(shield=True):
                await store.save(self._state)
            raise
        finally:
            self._close(work)

    async def _bring_together(self, store: SessionStore) -> TreeRecord | None:
        state, turn = await store.bring_together(self._state)
        self._take(state)
        return turn

    def _succeed(self, result: Result[OutputT]) -> None:
        self._transcript = result.messages
        self._turns += 1
        if self._live is not None and self._live.cells is not None:
            self._variables = self._live.cells.variables

    def _is_behind(self) -> None:
        if self._store is not None:
            self._store.is_behind = True

    def _take(self, state: SessionState) -> None:
        self._transcript, self._turns, self._sent = state.transcript, state.turns, state.sent
        self._variables = state.variables

    @property
    def _state(self) -> SessionState:
        return SessionState(self._transcript, self._turns, self._sent, self._variables)

    def _catch_up(self, ledger: Ledger | None, path: str) -> None:
        """In a tree that is kept, it is as far as the journal says."""
        if ledger is None:
            self._remembered = None
            return
        if self._remembered is None or self._remembered.ledger is not ledger:
            self._remembered = Remembered(ledger, self._key, self)
        self._take(self._remembered.state_at(path, self._state))

    def _close(self, work: AgentRun) -> None:
        if self._turn is work:
            self._busy = False
            self._kept = self._live = self._turn = None

    def _refuse_while_busy(self) -> None:
        if self._busy:
            raise RunConflict(
                f"session {self.session_id}",
                "a turn is under way; wait for it, or fork() the session",
            )


def _asks(begun: TreeRecord, content: Task) -> bool:
    """Whether a turn that began was asked this."""
    return bool(begun.about.get("task") == to_dict(user_message(content)))


def _compacted(made: object, before: Sequence[Message]) -> tuple[Message, ...]:
    """What `compact` made, if it is a transcript."""
    items: tuple[Any, ...] = tuple(cast("Any", made)) if isinstance(made, Sequence) else (made,)
    if not all(isinstance(each, _MESSAGES) for each in items):
        raise ConfigError(f"compact returned {made!r}: return a list of messages")
    # A turn replaces the system prompt in front. A summary that is a system message, or a
    # redirection, is no prompt: it keeps one in front of itself.
    if items and items[0].role == "system" and items[0] != before[0]:
        return (before[0] if before[0].role == "system" else SystemMessage(""), *items)
    return items
