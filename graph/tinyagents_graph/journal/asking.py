"""`Asking`: the questions of a kept tree to the human, and what was answered."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from math import inf
from time import time
from typing import Any

from tinyagents_graph.events import Event, EventKind, Origin
from tinyagents_graph.journal.past import Past
from tinyagents_graph.journal.protocol import AskRecord, Delivery

__all__ = ["Asking"]


class Asking:
    """The side of a ledger that asks the human.

    Args:
        past: What the tree did before.
        answers: What was answered.

    Attributes:
        past: What the tree did before.
        answers: The answers that were given to questions of the tree, by id.
        open_asks: The questions that were neither answered nor have expired, by id.
        untaken: Commands that were delivered and that no run has got yet.
    """

    __slots__ = ("_asks", "answers", "open_asks", "past", "untaken")

    def __init__(self, past: Past, answers: dict[str, Mapping[str, Any]]) -> None:
        self.past = past
        self.answers = answers
        self.untaken: list[Delivery] = []
        self._asks = dict(past.asks)
        self.open_asks = dict(past.open_asks)

    @abstractmethod
    def emit(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> Event:
        """Publish an event."""

    @property
    def has_news(self) -> bool:
        """Whether a tree that waits for the human has something to go on with."""
        return bool(self.news) or not self.open_asks

    @property
    def news(self) -> set[str]:
        """The open questions that have an answer or have expired, and commands that wait."""
        now = time()
        return {str(each.number) for each in self.untaken} | {
            ask_id
            for ask_id, event in self.open_asks.items()
            if self._given(ask_id, event.data) or event.data.get("expires_at", inf) <= now
        }

    @property
    def pending(self) -> list[AskRecord]:
        """The questions that nobody has answered."""
        return [
            AskRecord(event.root_run_id, ask_id, event.path, event.data, event.time)
            for ask_id, event in self.open_asks.items()
            if self._given(ask_id, event.data) is None
        ]

    def raise_ask(
        self, origin: Origin, facts: Mapping[str, Any], expires_s: float | None = None
    ) -> Event:
        """Ask the human, unless this very question was asked before.

        Args:
            origin: The run that asks.
            facts: The data of its `ask.raised`: `ask_id`, `question`, and `bound`, what it is about
                as a fingerprint. A question about something else gets an id of its own.
            expires_s: Seconds after which it takes its default.

        Returns:
            Its event.
        """
        first, n = facts["ask_id"], 1
        ask_id = first
        while (known := self._asks.get(ask_id)) is not None:
            is_same = known.data.get("bound") == facts.get("bound")
            if is_same and ask_id not in self.past.called_off:
                return known
            n += 1
            ask_id = f"{first}-{n}"
        facts = {**facts, "ask_id": ask_id}
        if expires_s is not None:
            facts["expires_at"] = time() + expires_s
        event = self.emit("ask.raised", origin, facts)
        self._asks[ask_id] = self.open_asks[ask_id] = event
        return event

    def answer_to(
        self,
        origin: Origin,
        facts: Mapping[str, Any],
        expires_s: float | None = None,
        default: Any = None,
    ) -> Mapping[str, Any] | None:
        """The answer to a question, which is asked if it was not.

        Args:
            origin: The run that asks.
            facts: As for `raise_ask`.
            expires_s: As for `raise_ask`.
            default: What its event says holds when nobody has answered in time.

        Returns:
            What was delivered: `verdict`, `by`, and with it `arguments`, `value` or `reason`; with
            the verdict `"expired"` if nobody answered in time; `None` while it is open.
        """
        raised = self.raise_ask(origin, facts, expires_s).data
        ask_id, told = raised["ask_id"], dict[str, Any]()
        given = self._given(ask_id, facts)
        if given is not None:
            told = {name: value for name, value in given.items() if value not in (None, "")}
            self.close_ask("ask.answered", origin, {"ask_id": ask_id, **told})
            return given
        ends = raised.get("expires_at")
        if ends is None or time() < ends:
            return None
        told = {"ask_id": ask_id, "reason": "nobody answered in time"}
        if default is not None:
            told["default"] = default
        self.close_ask("ask.expired", origin, told)
        return {"verdict": "expired", "by": "", "reason": told["reason"]}

    def _given(self, ask_id: str, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        given = self.answers.get(ask_id)
        is_bound = given is not None and given.get("bound", "") == facts.get("bound", "")
        return given if is_bound else None

    def note_ask(self, event: Event) -> None:
        """A question was raised, or needs no answer any more, without this having been asked."""
        if event.kind == "ask.raised" and event.data.get("to") == "human":
            self._asks[event.data["ask_id"]] = self.open_asks[event.data["ask_id"]] = event
        elif event.kind in ("ask.answered", "ask.expired"):
            self.open_asks.pop(event.data["ask_id"], None)

    def close_ask(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> None:
        """A question of `raise_ask` needs no answer any more: publish what became of it."""
        self.open_asks.pop(data["ask_id"], None)
        self.emit(kind, origin, data)

    def drop_asks(self, origin: Origin, reason: str) -> None:
        """A run ends without the answers that it waits for; should it go on, it asks anew."""
        for ask_id, event in list(self.open_asks.items()):
            if event.path == origin.path and event.data.get("to") == "human":
                told = {"ask_id": ask_id, "reason": reason, "called_off": True}
                self.close_ask("ask.expired", origin, told)
