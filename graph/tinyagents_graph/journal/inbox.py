"""The inbox: questions of run trees to the human, that wait in a journal for their answer."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.journal.protocol import AskRecord, Delivery, Journal
from tinyagents_graph.types_as_data import type_from_data
from tinyagents_graph.values_as_data import adapter_for, value_to_data

__all__ = ["InboxAsk", "asks_of", "inbox"]

_SAID = ("verdict", "arguments", "value", "bound")


class InboxAsk:
    """A question that waits in a journal, whether its run is alive or not.

    It can be answered from any process. The first answer stands; giving the same one again is
    harmless. It holds for this very question, and for nothing that looks like it.

    Attributes:
        id: Its name in its tree.
        root_run_id: Id of the tree's root run, to resume it with.
        path: The run that asks.
        question: What it wants to know.
        what: What kind of answer it needs: `"approval"` of a call, `"doubt"` whether a call that
            was cut off happened, or an answer to a `"question"`.
        tool: The tool, if it is about a call.
        arguments: The call's arguments.
        reasoning: What the model said with the call.
        raised: When it was asked, in seconds since the epoch.
        expires_at: When it takes its default, in seconds since the epoch; `None` for never.
    """

    def __init__(self, journal: Journal, record: AskRecord) -> None:
        facts = record.facts
        self._journal = journal
        self._bound = facts.get("bound", "")
        self.facts = facts
        self.id = record.id
        self.root_run_id = record.root_run_id
        self.path = record.path
        self.question: str = facts.get("question", "")
        self.what: str = facts.get("what", "question")
        self.tool: str = facts.get("tool", "")
        self.arguments: Mapping[str, Any] = facts.get("arguments") or {}
        self.reasoning: str = facts.get("reasoning", "")
        self.raised = record.raised
        self.expires_at: float | None = facts.get("expires_at")

    def __repr__(self) -> str:
        about = f"{self.tool}({self.arguments})" if self.tool else repr(self.question)
        return f"InboxAsk({self.id!r}, {self.what}: {about})"

    @property
    def has_expired(self) -> bool:
        """Whether it takes its default now."""
        return self.expires_at is not None and time() >= self.expires_at

    async def approve(
        self, *, arguments: Mapping[str, Any] | None = None, by: str = "human", reason: str = ""
    ) -> bool:
        """Let the call be made, or say yes. Of a call in doubt: make it again.

        Args:
            arguments: Make it with these instead. They are checked when it is made: if they do not
                fit the tool, the question is asked again, and says what is wrong.
            by: Who says so, for the events.
            reason: Why, for the events.

        Returns:
            False if it had been answered otherwise before.

        Raises:
            ConfigError: It is no question of yes or no, or the arguments are no JSON.
        """
        self._require(self.is_yes_or_no, "it wants an answer: ask.answer(…)")
        given = None if arguments is None else self._plain(dict(arguments))
        return await self._give("approve", by, {"arguments": given, "reason": reason})

    async def reject(self, reason: str = "", *, by: str = "human") -> bool:
        """Do not let the call be made, or say no; the model is told why.

        Of a call in doubt: it failed.

        Returns:
            False if it had been answered otherwise before.

        Raises:
            ConfigError: It is no question of yes or no.
        """
        self._require(self.is_yes_or_no, "it wants an answer: ask.answer(…)")
        return await self._give("reject", by, {"reason": reason})

    @property
    def is_yes_or_no(self) -> bool:
        """Whether it takes `approve` and `reject`."""
        return self.what != "question" or self.facts.get("type") == "bool"

    async def answer(self, value: Any, *, by: str = "human") -> bool:
        """Answer it. Of a call in doubt: this is what came of it.

        Returns:
            False if it had been answered otherwise before.

        Raises:
            ConfigError: It is a question of yes or no, or the value is no JSON, or not of the type
                that the question wants.
        """
        said = self.said(value)
        return await self._give(said.pop("verdict"), by, said)

    def said(self, value: Any) -> dict[str, Any]:
        """What is delivered for an answer.

        Raises:
            ConfigError: As for `answer`.
        """
        if self.what == "approval":
            self._require(isinstance(value, bool), "it wants ask.approve() or ask.reject(reason)")
            return {"verdict": "approve" if value else "reject"}
        return {"verdict": "answer", "value": self._typed(value)}

    def _typed(self, value: Any) -> Any:
        """The value as data of the type that the question wants, as far as that is known here."""
        if "type" not in self.facts:
            return self._plain(value)
        try:
            adapter = adapter_for(type_from_data(self.facts["type"]))
        except ConfigError:  # nobody here has the type: whoever asks will look at it
            return self._plain(value)
        try:
            return value_to_data(adapter, adapter.validate_python(value))
        except ValueError as error:
            wanted = type_from_data(self.facts["type"])
            raise ConfigError(
                f"{value!r:.80} is no answer to {self.id} ({self.question!r}), which asks for "
                f"{getattr(wanted, '__name__', wanted)}: {error}"
            ) from error

    def _plain(self, value: Any) -> Any:
        try:
            return to_jsonable_python(value)
        except PydanticSerializationError as error:
            raise ConfigError(f"the answer to {self.id} is no JSON: {error}") from error

    def _require(self, is_so: bool, instead: str) -> None:
        if not is_so:
            raise ConfigError(f"{self.id}: {instead}")

    async def _give(self, verdict: str, by: str, more: Mapping[str, Any]) -> bool:
        payload = {"verdict": verdict, "by": by, "bound": self._bound, **more}
        given = Delivery(0, self.root_run_id, "answer", self.id, payload, time())
        stands = await self._journal.deliver(given)
        return [stands.payload.get(name) for name in _SAID] == [payload.get(name) for name in _SAID]


async def inbox(journal: Journal) -> list[InboxAsk]:
    """The open questions of all run trees in a journal, the oldest first."""
    return await asks_of(journal, None)


async def asks_of(journal: Journal, run_id: str | None) -> list[InboxAsk]:
    """The open questions of one tree, or of all."""
    found = [InboxAsk(journal, record) for record in await journal.asks(run_id)]
    return [ask for ask in found if not ask.has_expired]
