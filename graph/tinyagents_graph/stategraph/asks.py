"""`NodeAsk`: a question of a graph to the human."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.stategraph.routing import Nothing
from tinyagents_graph.stategraph.state import explain, named
from tinyagents_graph.types_as_data import type_to_data
from tinyagents_graph.values_as_data import adapter_for, value_from_data

if TYPE_CHECKING:  # for their names only: it is a run that asks
    from tinyagents_graph.journal.ledger import Ledger
    from tinyagents_graph.run import Run

__all__ = ["NodeAsk", "hear", "put"]

_MISFIT: Any = object()


class NodeAsk(PendingAsk):
    """A question of a graph to the human.

    Attributes:
        node: The node that asks.
        type: Type of the answer.
        then: The node that gets the answer, if one does.
        output: The key of the state that it goes to, if it does.
        first_id: Its name, if it was not put before.
        edition: How often it was put before, in a tree that is kept, and came to nothing.
        since: The `seq` of the event by which its node ended, if a journal has that.
        visit: Address of the task that asks.
        key: What the question is called in the body that asks, if one does.
        bound: What it is about, as a fingerprint: an answer holds for nothing else.
        gate: Whether it is for leave to run the node at all.
        default: The answer if it is left to expire.
        is_told: Whether the event that tells what became of it is out.
    """

    __slots__ = (
        "bound", "default", "edition", "first_id", "gate", "is_told", "key", "node", "output",
        "since", "then", "type", "visit",
    )  # fmt: skip

    def __init__(self, id: str, path: str, question: str, node: str, type: Any = str) -> None:
        super().__init__(id, path, question, "human")
        self.first_id = id
        self.visit = path
        self.key = ""
        self.bound = ""
        self.edition = 0
        self.since: int | None = None
        self.node = node
        self.type = type
        self.then: str | None = None
        self.output: str | None = None
        self.gate = False
        self.default: Any = Nothing
        self.is_told = False

    def __repr__(self) -> str:
        kind = getattr(self.type, "__name__", self.type)
        return f"NodeAsk({self.id!r}, {self.question!r}, {kind}, {self.status})"

    async def answer(self, value: Any, *, by: str = "human") -> bool:
        """Answer it.

        Args:
            value: The answer, of the ask's type.
            by: Who gives it, for the events.

        Returns:
            False if it had been answered before, or had expired; then nothing has changed.

        Raises:
            ConfigError: The value is not of that type; the question stays open.
        """
        return self.settle("answered", reply=self.checked(value), by=by)

    async def approve(self, *, by: str = "human") -> bool:
        """Say yes."""
        return await self.answer(True, by=by)

    async def reject(self, reason: str = "", *, by: str = "human") -> bool:
        """Say no, and why."""
        return self.settle("answered", reply=self.checked(False), by=by, reason=reason)

    @property
    def facts(self) -> dict[str, Any]:
        """What `ask.raised` tells."""
        return {"ask_id": self.id, "question": self.question, "to": self.to, "node": self.node}

    def checked(self, value: Any) -> Any:
        """The answer that a value stands for.

        Raises:
            ConfigError: It stands for none.
        """
        try:
            return TypeAdapter(self.type).validate_python(value)
        except ValidationError as error:
            raise ConfigError(
                f"{value!r} is no answer to {self.id} ({self.question!r}), which asks for "
                f"{named(self.type)}: {explain(error)}"
            ) from error

    @property
    def kept_facts(self) -> dict[str, Any]:
        """What `ask.raised` tells besides in a tree that is kept, for whoever finds it there."""
        facts: dict[str, Any] = {
            "ask_id": self.first_id,
            "what": "approval" if self.gate else "question",
            "path": self.visit,
            "key": self.key,
            "type": type_to_data(self.type),
            "bound": f"{self.bound}#{self.edition}" if self.edition else self.bound,
        }
        told = {name: value for name, value in facts.items() if value not in ("", None)}
        return {**self.facts, **told}


def put(run: Run, ask: NodeAsk) -> None:
    """Put a question to the human.

    In a tree that is kept it may have been put before; of one that was dropped there with its run,
    or got an answer of another type, a further edition is put.
    """
    ledger = run.tree.ledger
    if ledger is None:
        run.emit("ask.raised", ask.facts)
        return
    known = ledger.past.asks.get(ask.first_id)
    if known is not None and ledger.candidates is None:
        # It is about what it was about; only a fork may have come to it with something else.
        ask.bound = known.data.get("bound", "")
    while True:
        event = ledger.raise_ask(run.origin, ask.kept_facts)
        ask.id = event.data["ask_id"]
        if ask.id not in ledger.past.visits.dropped:
            if _reply(ledger, ask) is not _MISFIT:
                return
            ledger.answer_to(run.origin, ask.kept_facts)  # it was said, and leads nowhere
        ask.edition += 1


def hear(run: Run, ask: NodeAsk) -> None:
    """Take the answer to a question that was put to the human, if there is one."""
    ledger = run.tree.ledger
    if ledger is None or ask.status != "open":
        return
    put(run, ask)
    reply = _reply(ledger, ask)
    given = ledger.answer_to(run.origin, ask.kept_facts)
    if given is not None:
        by, reason = given.get("by", ""), given.get("reason") or ""
        ask.settle("answered", reply=reply, by=by, reason=reason)
        ask.is_told = True


def _reply(ledger: Ledger, ask: NodeAsk) -> Any:
    """What a question was answered with, if it was."""
    given = ledger.answers.get(ask.id)
    if given is None:
        return Nothing
    verdict = given["verdict"]
    try:
        value = given.get("value") if verdict == "answer" else verdict == "approve"
        return value_from_data(adapter_for(ask.type), value)
    except ValidationError:
        return _MISFIT
