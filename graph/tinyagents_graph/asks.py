"""`PendingAsk`: a question that waits for its answer."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.loops import Bell
from tinyagents_graph.pausing import lock

__all__ = ["AskStatus", "PendingAsk"]

AskStatus: TypeAlias = Literal["open", "answered", "expired"]


class PendingAsk:
    """A question that a run waits for the answer of.

    Attributes:
        id: Its name, the path of the call with `/ask[n]` behind it.
        path: The run that asks.
        question: What it wants to know.
        to: Whom it asks: the path of a run, or `"human"`.
        status: How it stands.
        reply: The answer.
        by: Who gave it.
        reason: Why it expired.
    """

    __slots__ = ("bell", "by", "id", "path", "question", "reason", "reply", "status", "to")

    def __init__(self, id: str, path: str, question: str, to: str) -> None:
        self.id = id
        self.path = path
        self.question = question
        self.to = to
        self.status: AskStatus = "open"
        self.reply = self.by = self.reason = ""
        self.bell = Bell()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.question!r}, {self.status})"

    async def answer(self, value: str, *, by: str = "human") -> bool:
        """Answer it; the run that asks goes on.

        Args:
            value: The answer.
            by: Who gives it, for the events.

        Returns:
            False if it had been answered before, or had expired; then nothing has changed.

        Raises:
            ConfigError: `value` or `by` is no text.
        """
        given: dict[str, Any] = {"value": value, "by": by}
        for name, text in given.items():
            if not isinstance(text, str):
                raise ConfigError(f"answer({name}={text!r}) to {self.id}: give a text")
        return self.settle("answered", reply=value, by=by)

    async def approve(self, *, by: str = "human") -> bool:
        """Say yes, to a question of yes or no.

        Raises:
            ConfigError: It is none.
        """
        raise ConfigError(f"{self.id} is no question of yes or no: ask.answer(…)")

    async def reject(self, reason: str = "", *, by: str = "human") -> bool:
        """Say no, and why, to a question of yes or no.

        Raises:
            ConfigError: It is none.
        """
        raise ConfigError(f"{self.id} is no question of yes or no: ask.answer(…)")

    def settle(self, status: AskStatus, *, reply: str = "", by: str = "", reason: str = "") -> bool:
        """It needs no answer any more; false if it did not before."""
        with lock:  # of two threads that answer at once, one is told that it came late
            if self.status != "open":
                return False
            self.reply, self.by, self.reason = reply, by, reason
            self.status = status
        self.bell.ring()
        return True
