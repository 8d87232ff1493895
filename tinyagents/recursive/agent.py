"""`RecursiveAgent`: an agent for inputs that are too long to read."""

from __future__ import annotations

from typing import Any

from tinyagents.agent import Agent
from tinyagents.context import DepsT
from tinyagents.models.protocol import Model
from tinyagents.recursion import OnFailure, Recursion
from tinyagents.result import OutputT

__all__ = ["RecursiveAgent"]


class RecursiveAgent(Agent[DepsT, OutputT]):
    """An agent whose long input is a variable of the code that its model writes.

    `await agent.run(task, data=Path("log.txt"))`: the model is told what kind of data it is, how
    long, and how it begins. Its code looks at it, cuts it, and calls `llm`, `llm_map` and `recurse`
    on parts; each of these calls is a run in the same tree. Data that fits into a prompt is put
    there, and the model is asked once.

    It is `Agent(model, dialect="codeact", recursive=Recursion(…), …)`.

    Args:
        model: Who writes the code.
        sub_model: Whom `llm` and `llm_map` ask; the same model if `None`.
        max_depth: How many levels of agents that write code there are, this one included.
        fits_chars: How many characters of data a prompt may hold.
        on_failure: What `llm_map` gives for a call that failed: `None` (`"none"`), or a text that
            says why (`"text"`).
        options: Everything else that an `Agent` takes.

    Raises:
        ConfigError: An argument does not do.
    """

    __slots__ = ()

    def __init__(
        self,
        model: str | Model,
        *,
        sub_model: str | Model | None = None,
        max_depth: int = 2,
        fits_chars: int = 100_000,
        on_failure: OnFailure = "none",
        **options: Any,
    ) -> None:
        recursion = Recursion(sub_model, max_depth, fits_chars, on_failure)
        given: dict[str, Any] = {"dialect": "codeact", "recursive": recursion, **options}
        super().__init__(model, **given)
