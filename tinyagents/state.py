"""`AgentRun`: an agent at work, all that changes while it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from tinyagents.context import RunContext
from tinyagents.errors import InvalidOutput
from tinyagents.letters import message_of
from tinyagents.messages import Message
from tinyagents_graph.commands import Inject, SteerCommand
from tinyagents_graph.run import Run

if TYPE_CHECKING:
    from tinyagents.autonomy import Autonomy
    from tinyagents.children import Child
    from tinyagents.dialects.cells import Cells
    from tinyagents.inputs import Input
    from tinyagents.plan import Plan

__all__ = ["MISSING", "AgentRun"]

MISSING: Any = object()
_NO_CHILDREN: Mapping[str, Any] = MappingProxyType({})


class AgentRun:
    """The working state of one run of an agent; the functions of the loop act on it.

    Attributes:
        autonomy: Which tools it may use by itself; `None` for all.
        plan: The agent's definition, prepared for running.
        run: Its place in the tree.
        task: What it is asked.
        history: What was said before.
        input: The data it was given, if it was given any.
        messages: The transcript, which only grows.
        n_opening: How many messages stood there when the model was first asked.
        turns: Model exchanges so far.
        corrections: How often the model had to be told that its answer does not do.
        output: The answer, `MISSING` until there is one.
        answer: The one before, in a turn that the run takes though it had an answer already.
        obstacle: Why it takes no further turn, if that is settled.
        stop_reason: Why the last reply stopped.
        context_tokens: Tokens of the transcript as far as the provider has counted them.
        counted: How many messages of the transcript `context_tokens` covers.
        seen: Ids of all tool calls so far.
        wider: Factor on the reply's length limit, after a reply that was used up by thinking.
        background: Its children that work, or worked, in the background, by path.
        progress: What it last reported of how far it is.
        prints: How much of the transcript its fingerprint covers, and that; `None` at first.
        speaks_for: The run in whose place it answers a question, if that is what it is there for.
        cells: What its code has run in; `None` until there is some.
    """

    __slots__ = (
        "_ctx", "answer", "autonomy", "background", "cells", "context_tokens", "corrections",
        "counted", "history", "input", "messages", "n_opening", "obstacle", "output", "plan",
        "prints", "progress", "run", "seen", "speaks_for", "stop_reason", "task", "turns", "wider",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        run: Run,
        task: Message | None,
        history: Sequence[Message],
        given: Input | None = None,
    ) -> None:
        self.plan = plan
        self.run = run
        self.task = task
        self.history = history
        self.input = given
        self.messages: list[Message] = []
        self.n_opening = 0
        self._ctx: RunContext[Any] | None = None
        self.turns = 0
        self.corrections = 0
        self.output: Any = MISSING
        self.answer: Any = MISSING
        self.obstacle = ""
        self.stop_reason = "stop"
        self.context_tokens = 0
        self.counted = 0
        self.seen: set[str] | None = None
        self.wider = 1
        self.prints: Any = None
        self.background: Mapping[str, Child] = _NO_CHILDREN
        self.progress = ""
        self.speaks_for: Run | None = None
        self.cells: Cells | None = None
        run.work, run.policy = self, plan.steering
        self.autonomy = plan.autonomy
        if plan.autonomy is not None or run.tree.is_guarded:
            self._inherit()

    def _inherit(self) -> None:
        """What it may do by itself is what all above it may, and it."""
        self.run.tree.is_guarded = True
        above = self.run.parent
        while above is not None and not isinstance(above.work, AgentRun):
            above = above.parent
        if above is None or above.work.autonomy is None:
            return
        given: Autonomy = above.work.autonomy
        self.autonomy = given if self.autonomy is None else given.narrowed(self.autonomy)

    @property
    def ctx(self) -> RunContext[Any]:
        """The context that hooks and instructions get."""
        if self._ctx is None:
            self._ctx = RunContext(self.run, self.run.path, self.messages)
        self._ctx.turn = self.turns
        return self._ctx

    @property
    def has_budget(self) -> bool:
        """Whether tokens or money are limited, so that calls have to be covered beforehand."""
        return self.run.accounts.tokens is not None or self.run.accounts.usd is not None

    def keep(self, child: Child) -> None:
        """Keep a child that goes to work in the background."""
        if self.background is _NO_CHILDREN:
            self.background = {}
        cast("dict[str, Child]", self.background)[child.path] = child  # read-only for others

    def check(self, command: SteerCommand) -> None:
        """A command is about to be sent to the run.

        Raises:
            ConfigError: It says nothing a model can read.
        """
        if isinstance(command, Inject):
            message_of(command)

    def count_correction(self, text: str, wrong: tuple[str, ...]) -> None:
        """The model has to be told that its answer does not do.

        Raises:
            InvalidOutput: It was told so often enough.
        """
        self.corrections += 1
        if self.corrections > self.plan.output_retries:
            raise InvalidOutput(
                f"{self.run.path} gave no usable answer in {self.corrections} tries: "
                f"{'; '.join(wrong)}",
                text=text,
                errors=wrong,
            )
