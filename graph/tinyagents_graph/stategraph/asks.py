"""`NodeAsk`: a question of a graph to the human."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.stategraph.routing import Nothing
from tinyagents_graph.stategraph.state import explain, named

__all__ = ["NodeAsk"]


class NodeAsk(PendingAsk):
    """A question of a graph to the human.

    Attributes:
        node: The node that asks.
        type: Type of the answer.
        then: The node that gets the answer, if one does.
        output: The key of the state that it goes to, if it does.
        gate: Whether it is for leave to run the node at all.
        default: The answer if it is left to expire.
        is_told: Whether the event that tells what became of it is out.
    """

    __slots__ = ("default", "gate", "is_told", "node", "output", "then", "type")

    def __init__(self, id: str, path: str, question: str, node: str, type: Any = str) -> None:
        super().__init__(id, path, question, "human")
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
