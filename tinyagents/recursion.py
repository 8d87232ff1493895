"""`Recursion`: how an agent calls models, and itself, from the code that it writes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from tinyagents.errors import ConfigError
from tinyagents.models.protocol import Model
from tinyagents_graph.frozen import frozen

__all__ = ["OnFailure", "Recursion"]

OnFailure: TypeAlias = Literal["none", "text"]
"""What stands in the list of `llm_map` for a call that failed: `None`, or a text that says why."""


@frozen
class Recursion:
    """How an agent that writes code calls models and itself: `Agent(…, recursive=Recursion(…))`.

    Attributes:
        sub_model: Whom `llm` and `llm_map` ask; the agent's own model if `None`.
        max_depth: How many levels of agents that write code there are: the run itself is the first.
            At the last one, `recurse` is a plain call.
        fits_chars: Data of at most so many characters is put into the prompt, and no code is
            needed; more never is. About a quarter of it are tokens.
        on_failure: What `llm_map` gives for a call that failed.

    Raises:
        ConfigError: A value does not do.
    """

    sub_model: str | Model | None = None
    max_depth: int = 2
    fits_chars: int = 100_000
    on_failure: OnFailure = "none"

    def __post_init__(self) -> None:
        for name, least in (("max_depth", 1), ("fits_chars", 0)):
            value: Any = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"{name}={value!r}: give a number from {least} on")
        if self.on_failure not in ("none", "text"):
            raise ConfigError(f"on_failure={self.on_failure!r}: give 'none' or 'text'")
