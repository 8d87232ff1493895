"""What is kept of a session outside of any run: as text, in a file or by name in a journal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from json import dumps, loads
from typing import Annotated, Any, NotRequired, cast

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from tinyagents.errors import ConfigError
from tinyagents.messages import from_json, to_json
from tinyagents.remembering import SessionState
from tinyagents.schema import describe_invalid
from tinyagents.tools import cut
from tinyagents_graph.journal.protocol import Journal, TreeRecord

__all__ = ["SessionStore", "read_session", "write_session"]

_SCHEMA = 1
_NO_RESULT = ("failed", "cancelled")


class _Saved(TypedDict):
    schema: Annotated[int, Field(ge=1)]
    agent: str
    session_id: str
    turns: Annotated[int, Field(ge=0)]
    sent: Annotated[int, Field(ge=0)]
    transcript: list[dict[str, Any]]
    variables: NotRequired[str]


@cache
def _saved() -> TypeAdapter[_Saved]:
    return TypeAdapter(_Saved)


def write_session(agent: str, session_id: str, state: SessionState) -> str:
    """A session as JSON: what was said, not the agent.

    Args:
        agent: The sub-agent's name.
        session_id: The session's name.
        state: How far it is.
    """
    told = {
        "schema": _SCHEMA,
        "agent": agent,
        "session_id": session_id,
        "turns": state.turns,
        "sent": state.sent,
        "transcript": loads(to_json(state.transcript)),
    }
    if state.variables is not None:
        told["variables"] = state.variables
    return dumps(told, ensure_ascii=False)


def read_session(text: object, agent: str) -> tuple[str, SessionState]:
    """What `write_session` wrote.

    Args:
        text: What it wrote.
        agent: Name of the sub-agent that it is to go on with.

    Returns:
        The session's name, and how far it is.

    Raises:
        ConfigError: The text is no session, is of a newer version, or of another sub-agent.
    """
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
        transcript = tuple(from_json(dumps(saved["transcript"])))
    except ValidationError as error:
        wrong = "; ".join(describe_invalid(error))
        raise ConfigError(f"this is no saved session: {wrong}") from error
    if saved["agent"] != agent:
        raise ConfigError(f"the session is with {saved['agent']!r}, not with {agent!r}")
    state = SessionState(transcript, saved["turns"], saved["sent"], saved.get("variables"))
    return saved["session_id"], state


class SessionStore:
    """A session's end of a journal, for turns that are trees of their own.

    What is in the journal holds: another process may have taken turns meanwhile.

    Args:
        journal: Where the session and its turns are kept.
        session_id: The session's name.
        agent: The sub-agent's name.

    Attributes:
        is_behind: Whether the session was changed here and the journal has yet to learn of it.
    """

    def __init__(self, journal: Journal, session_id: str, agent: str) -> None:
        self.journal = journal
        self.is_behind = False
        self._session_id = session_id
        self._agent = agent

    def turn_id(self, state: SessionState) -> str:
        """Id of the run that is the next turn."""
        return f"{self._session_id}-t{state.sent}"

    async def bring_together(self, now: SessionState) -> tuple[SessionState, TreeRecord | None]:
        """How far the session is, as the journal knows it and with what was changed here.

        Args:
            now: How far it is as far as this process knows.

        Returns:
            The state, and the turn that began and has yet to come to its end, if there is one.

        Raises:
            ConfigError: What is kept under this name is no session with this sub-agent.
            JournalError: The journal cannot be read.
        """
        text = await self.journal.load(self._name)
        kept = now if text is None else read_session(text, self._agent)[1]
        if self.is_behind:
            kept = replace(now, sent=max(now.sent, kept.sent))
        # A turn that came to nothing is over, if its process died before it could say so.
        while (turn := await self.journal.find(self.turn_id(kept))) is not None:
            if turn.status not in _NO_RESULT:
                return kept, turn
            kept = replace(kept, sent=kept.sent + 1)
        return kept, None

    async def save(self, state: SessionState) -> None:
        """Write down how far the session is.

        Raises:
            JournalError: The journal cannot be written.
        """
        text = write_session(self._agent, self._session_id, state)
        await self.journal.save(self._name, text)
        self.is_behind = False

    @property
    def _name(self) -> str:
        return f"session/{self._session_id}"
