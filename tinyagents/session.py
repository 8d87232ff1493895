"""`SubAgentSession`: a sub-agent kept over several turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from typing_extensions import TypeVar

from tinyagents.agent import Agent
from tinyagents.errors import ConfigError
from tinyagents.handle import RunHandle
from tinyagents.messages import (
    Message,
)
from tinyagents.result import OutputT, Result
from tinyagents.running import Task
from tinyagents.session_store import read_session, write_session
from tinyagents.session_turns import Compact, Turns
from tinyagents.subagents import SubAgent
from tinyagents.tools import as_task
from tinyagents_graph.acks import Ack
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.live import call_off, send
from tinyagents_graph.place import Place, current_place
from tinyagents_graph.sink import EventSink
from tinyagents_graph.steering import undelivered

__all__ = ["SubAgentSession"]

SavedT = TypeVar("SavedT", default=str)


class SubAgentSession(Turns[OutputT]):
    """Several turns with one sub-agent, which remembers what was said.

    Each turn is a run of its own over the whole transcript; the system prompt stands in it exactly
    once. A turn that fails changes nothing: the transcript is as before, what there was is in
    `error.result`. One turn at a time: a second `send` meanwhile raises `RunConflict`.

    A turn sent from a tool (or another piece of a running agent's code) is a child of that run, in
    its sink; elsewhere each turn is a tree of its own in `sink`. With a journal those trees are
    kept, and so is the session under its name: made anew with that name, it goes on where it was,
    and a turn that was cut off or waits for an answer goes on with `resume`.

    Args:
        subagent: Whom to talk with, a `SubAgent` or an `Agent`.
        sink: Where the events go when no run is around; one of its own if not given.
        deps: What its tools get as `ctx.deps`.
        limits: Limits of each turn, besides the agent's own.
        session_id: Name of the session; made up if not given. Turns are `{session_id}-t{turn}`.
        compact: Called with the transcript before each turn but the first.
        journal: Where the session and its turns are kept, outside of other runs; with a
            `session_id`.

    Raises:
        ConfigError: An argument does not do.
    """

    node_kind = "session"

    def __init__(
        self,
        subagent: SubAgent | Agent[Any, OutputT],
        *,
        sink: EventSink | None = None,
        deps: Any = None,
        limits: RunLimits | None = None,
        session_id: str | None = None,
        compact: Compact | None = None,
        journal: Journal | None = None,
    ) -> None:
        sub = subagent if isinstance(subagent, SubAgent) else SubAgent(subagent)
        if compact is not None and not callable(compact):
            raise ConfigError(f"SubAgentSession(compact={compact!r}): give a function, or None")
        if journal is not None and session_id is None:
            raise ConfigError("SubAgentSession(journal=…) needs session_id=…, to be found again by")
        super().__init__(
            sub,
            sink or EventSink(),
            _checked_id(session_id or f"{sub.called}-{uuid4().hex[:12]}"),
            key=session_id or sub.called,
            deps=deps,
            limits=limits,
            compact=compact,
            journal=journal,
        )

    @property
    def name(self) -> str:
        """The sub-agent's name."""
        return self.subagent.called

    @property
    def output_type(self) -> Any:
        """What it answers with."""
        return self.subagent.output_type

    @property
    def transcript(self) -> tuple[Message, ...]:
        """All that was said in the turns that succeeded."""
        return self._transcript

    @property
    def turns(self) -> int:
        """How many turns have succeeded."""
        return self._turns

    async def send(self, content: Task) -> Result[OutputT]:
        """Say something and wait for the answer.

        Raises:
            RunConflict: A turn is under way.
            Exception: Whatever failed the turn, as for `Agent.run`; the session is as before.
        """
        return await self._take_turn(await self._open(content, deltas=False))

    async def resume(self) -> Result[OutputT] | None:
        """Go on with the turn that was cut off, or waited for answers.

        Returns:
            What came of it, as of `send`; `None` if there is no such turn.

        Raises:
            ConfigError: The session has no journal.
            RunConflict: The turn is under way, here or elsewhere.
            Exception: As for `send`.
        """
        if await self.take_up() is None:
            return None
        return await self._take_turn(await self._open(None, deltas=False))

    async def take_up(self) -> str | None:
        """Be as far as the journal says; every turn begins with that by itself.

        Returns:
            Id of the turn that was cut off or waits for answers; `None` if there is none.

        Raises:
            ConfigError: The session has no journal, or that has something else by its name.
            RunConflict: A turn is under way here.
            JournalError: The journal cannot be read or written.
        """
        self._refuse_while_busy()
        if self._store is None:
            raise ConfigError(f"session {self.session_id!r} has no journal to go on from")
        turn = await self._bring_together(self._store)
        if self._store.is_behind:
            await self._store.save(self._state)
        return None if turn is None else turn.run_id

    async def run_at(self, task: Any, place: Place, path: str) -> Result[OutputT]:
        """Take a turn as a child of a node of a graph, with that address."""
        del place  # it is where this is called
        return await self._take_turn(await self._open(as_task(task), deltas=False, path=path))

    @asynccontextmanager
    async def stream(self, content: Task | None) -> AsyncGenerator[RunHandle[OutputT]]:
        """Say something and watch: `async with session.stream(text) as run`, as `Agent.stream`.

        With `None` it is the turn that was cut off or waits, as with `resume`.
        """
        work = await self._open(content, deltas=True)
        try:
            async with RunHandle[OutputT](lambda: work, self._take_turn) as handle:
                yield handle
        finally:
            self._close(work)

    async def steer(
        self,
        command: SteerCommand | Sequence[SteerCommand],
        to: str | None = None,
        *,
        by: str | None = None,
    ) -> Ack:
        """Send a command to the turn that is under way, or to a run below it; see `LiveRun.steer`.

        Without a turn under way it is expired.

        Raises:
            ConfigError: As for `LiveRun.steer`.
        """
        if self._live is None:
            address = self.session_id if to is None else to
            sender = "human" if by is None else by
            return undelivered(command, address, sender, "no turn is under way")
        return send(self._live.run, command, to, by)

    def cancel(self, reason: str = "cancelled by the host") -> bool:
        """Cancel the turn that is under way.

        Returns:
            False if there is none, or its policy refuses it from here; see `LiveRun.cancel`.
        """
        return self._live is not None and call_off(self._live.run, reason)

    def reset(self) -> None:
        """Forget everything that was said. A journal learns of it with the next turn, or `take_up`.

        Raises:
            RunConflict: A turn is under way.
        """
        self._refuse_while_busy()
        self._transcript = ()
        self._turns = 0
        self._variables = None
        self._is_behind()
        place = current_place.get()
        if self._remembered is not None and place is not None and place.is_alive:
            self._remembered.keep(place.run, "", self._state)

    def fork(self, *, session_id: str | None = None) -> SubAgentSession[OutputT]:
        """Another session that begins with all that was said in this one.

        It has the same journal if it is given a name to be found again by.
        """
        other: SubAgentSession[OutputT] = SubAgentSession(
            self.subagent,
            sink=self.sink,
            deps=self._deps,
            limits=self._limits,
            session_id=session_id,
            compact=self.compact,
            journal=self._store.journal if self._store is not None and session_id else None,
        )
        other._transcript = self._transcript
        other._turns = self._turns
        other._variables = self._variables
        other._is_behind()
        return other

    def save(self) -> str:
        """The session as JSON: what was said, not the agent."""
        return write_session(self.subagent.called, self.session_id, self._state)

    @staticmethod
    def load(
        text: str, subagent: SubAgent | Agent[Any, SavedT], **options: Any
    ) -> SubAgentSession[SavedT]:
        """The session that `save` wrote.

        Args:
            text: What it wrote.
            subagent: The sub-agent, of the same name.
            options: As for `SubAgentSession(…)`; its name is as saved, if not given.

        Raises:
            ConfigError: The text is no session, is of a newer version, or of another sub-agent.
        """
        called = subagent.called if isinstance(subagent, SubAgent) else subagent.name
        session_id, state = read_session(text, called)
        options.setdefault("session_id", session_id)
        made = SubAgentSession(subagent, **options)
        made._take(state)
        made._is_behind()
        return made


def _checked_id(given: object) -> str:
    """The name of a session, from which the ids of its turns are made."""
    if not isinstance(given, str) or not given or "/" in given:
        raise ConfigError(f"session_id={given!r}: give a name without '/'")
    return given
