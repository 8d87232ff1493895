"""`SubAgentSession`: a sub-agent kept over several turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from inspect import isawaitable
from json import dumps, loads
from typing import Annotated, Any, Generic, TypeAlias, cast
from uuid import uuid4

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict, TypeVar

from tinyagents.agent import Agent
from tinyagents.errors import ConfigError, RunConflict
from tinyagents.execute import delegate
from tinyagents.handle import RunHandle
from tinyagents.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    from_json,
    to_json,
)
from tinyagents.remembering import Remembered, SessionState
from tinyagents.result import OutputT, Result
from tinyagents.running import Task
from tinyagents.schema import describe_invalid
from tinyagents.state import AgentRun
from tinyagents.subagents import SubAgent
from tinyagents.tools import as_task, cut
from tinyagents_graph.acks import Ack
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.live import call_off, send
from tinyagents_graph.place import Place, current_place
from tinyagents_graph.sink import EventSink
from tinyagents_graph.steering import undelivered

__all__ = ["Compact", "SubAgentSession"]

Compact: TypeAlias = Callable[[Sequence[Message]], Sequence[Message] | Awaitable[Sequence[Message]]]
"""Makes a shorter transcript of a long one, before the next turn."""

SavedT = TypeVar("SavedT", default=str)
_SCHEMA = 1
_MESSAGES = (SystemMessage, UserMessage, AssistantMessage, ToolMessage)


class _Saved(TypedDict):
    """What `SubAgentSession.save` writes."""

    schema: Annotated[int, Field(ge=1)]
    agent: str
    session_id: str
    turns: Annotated[int, Field(ge=0)]
    sent: Annotated[int, Field(ge=0)]
    transcript: list[dict[str, Any]]


@cache
def _saved() -> TypeAdapter[_Saved]:
    return TypeAdapter(_Saved)


class SubAgentSession(Generic[OutputT]):
    """Several turns with one sub-agent, which remembers what was said.

    Each turn is a run of its own over the whole transcript; the system prompt stands in it exactly
    once. A turn that fails changes nothing: the transcript is as before, what there was is in
    `error.result`. One turn at a time: a second `send` meanwhile raises `RunConflict`.

    A turn sent from a tool (or another piece of a running agent's code) is a child of that run, in
    its sink; elsewhere each turn is a tree of its own in `sink`.

    Args:
        subagent: Whom to talk with, a `SubAgent` or an `Agent`.
        sink: Where the events go when no run is around; one of its own if not given.
        deps: What its tools get as `ctx.deps`.
        limits: Limits of each turn, besides the agent's own.
        session_id: Name of the session; made up if not given. Turns are `{session_id}-t{turn}`.
        compact: Called with the transcript before each turn but the first.

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
    ) -> None:
        self.subagent = subagent if isinstance(subagent, SubAgent) else SubAgent(subagent)
        self.sink = sink or EventSink()
        self.session_id = _checked_id(session_id or f"{self.subagent.called}-{uuid4().hex[:12]}")
        if compact is not None and not callable(compact):
            raise ConfigError(f"SubAgentSession(compact={compact!r}): give a function, or None")
        self.compact = compact
        self._deps = deps
        self._limits = limits
        self._key = session_id or self.subagent.called
        self._remembered: Remembered | None = None
        self._transcript: tuple[Message, ...] = ()
        self._turns = 0
        self._sent = 0
        self._live: AgentRun | None = None
        self._busy = False

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

    async def run_at(self, task: Any, place: Place, path: str) -> Result[OutputT]:
        """Take a turn as a child of a node of a graph, with that address."""
        del place  # it is where this is called
        return await self._take_turn(await self._open(as_task(task), deltas=False, path=path))

    @asynccontextmanager
    async def stream(self, content: Task) -> AsyncGenerator[RunHandle[OutputT]]:
        """Say something and watch: `async with session.stream(text) as run`, as `Agent.stream`."""
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
        """Forget everything that was said.

        Raises:
            RunConflict: A turn is under way.
        """
        self._refuse_while_busy()
        self._transcript = ()
        self._turns = 0
        place = current_place.get()
        if self._remembered is not None and place is not None and place.is_alive:
            self._remembered.keep(place.run, "", self._state)

    def fork(self, *, session_id: str | None = None) -> SubAgentSession[OutputT]:
        """Another session that begins with all that was said in this one."""
        other: SubAgentSession[OutputT] = SubAgentSession(
            self.subagent,
            sink=self.sink,
            deps=self._deps,
            limits=self._limits,
            session_id=session_id,
            compact=self.compact,
        )
        other._transcript = self._transcript
        other._turns = self._turns
        return other

    def save(self) -> str:
        """The session as JSON: what was said, not the agent."""
        return dumps(
            {
                "schema": _SCHEMA,
                "agent": self.subagent.called,
                "session_id": self.session_id,
                "turns": self._turns,
                "sent": self._sent,
                "transcript": loads(to_json(self._transcript)),
            },
            ensure_ascii=False,
        )

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
        saved, transcript = _read(text)
        options.setdefault("session_id", saved["session_id"])
        made = SubAgentSession(subagent, **options)
        if saved["agent"] != made.subagent.called:
            raise ConfigError(
                f"the session is with {saved['agent']!r}, not with {made.subagent.called!r}"
            )
        made._transcript, made._turns, made._sent = transcript, saved["turns"], saved["sent"]
        return made

    # --- inside ----------

    async def _open(self, content: Task, *, deltas: bool, path: str = "") -> AgentRun:
        self._refuse_while_busy()
        self._busy = True
        try:
            place = current_place.get()
            if place is not None and not place.is_alive:
                place = None
            sub = self.subagent
            if place is not None:
                path = path or place.next_path(sub.called)
                self._catch_up(place.run.tree.ledger, path)
            history = self._transcript
            if self.compact is not None and self._turns:
                made = self.compact(history)
                history = _compacted(await made if isawaitable(made) else made, history)
            limits = self._limits
            if sub.limits is not None:
                limits = sub.limits.narrowed(limits)
            work = sub.agent.open(
                content,
                place=place,
                path=path or None,
                deps=self._deps if self._deps is not None else sub.deps,
                history=history,
                sink=self.sink,
                run_id=f"{self.session_id}-t{self._sent}",
                limits=limits,
                deltas=deltas,
                allow_cycles=True,  # a session says things twice
            )
            if not isinstance(work, AgentRun):
                raise ConfigError(
                    f"SubAgentSession({sub.agent!r}): a session is with an agent; a graph "
                    "remembers in its state"
                )
        except BaseException:
            self._busy = False
            raise
        self._live = work
        self._sent += 1
        return work

    async def _take_turn(self, work: AgentRun) -> Result[OutputT]:
        above = (work.run.parent or work.run).origin
        try:
            result = await delegate(work, above, self._turns)
            if result.status == "completed":
                self._transcript = result.messages
                self._turns += 1
                if self._remembered is not None and (teller := work.run.parent) is not None:
                    self._remembered.keep(teller, work.run.path, self._state)
            return result
        finally:
            self._close(work)

    @property
    def _state(self) -> SessionState:
        return SessionState(self._transcript, self._turns, self._sent)

    def _catch_up(self, ledger: Ledger | None, path: str) -> None:
        """In a tree that is kept, it is as far as the journal says."""
        if ledger is None:
            self._remembered = None
            return
        if self._remembered is None or self._remembered.ledger is not ledger:
            self._remembered = Remembered(ledger, self._key, self)
        state = self._remembered.state_at(path, self._state)
        self._transcript, self._turns, self._sent = state.transcript, state.turns, state.sent

    def _close(self, work: AgentRun) -> None:
        if self._live is work:
            self._busy = False
            self._live = None

    def _refuse_while_busy(self) -> None:
        if self._busy:
            raise RunConflict(
                f"session {self.session_id}",
                "a turn is under way; wait for it, or fork() the session",
            )


def _checked_id(given: object) -> str:
    """The name of a session, from which the ids of its turns are made."""
    if not isinstance(given, str) or not given or "/" in given:
        raise ConfigError(f"session_id={given!r}: give a name without '/'")
    return given


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


def _read(text: object) -> tuple[_Saved, tuple[Message, ...]]:
    """What `save` wrote, and the transcript in it."""
    try:
        data: Any = loads(cast("str", text))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this is no saved session, but {cut(repr(text), 200)}") from error
    schema: object = cast("Any", data).get("schema") if isinstance(data, dict) else None
    if type(schema) is int and schema > _SCHEMA:
        raise ConfigError(
            f"the session has schema {schema}, this version reads up to {_SCHEMA}: "
            "upgrade tinyagents-graph"
        )
    try:
        saved = _saved().validate_python(data, strict=True)
        return saved, tuple(from_json(dumps(saved["transcript"])))
    except ValidationError as error:
        wrong = "; ".join(describe_invalid(error))
        raise ConfigError(f"this is no saved session: {wrong}") from error
