"""`Plan`: an agent's definition, looked up and checked once, ready for the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from hashlib import blake2b
from json import dumps
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from tinyagents.autonomy import Autonomy
from tinyagents.context import RunContext
from tinyagents.dialect import Speech
from tinyagents.errors import ConfigError
from tinyagents.listening import Listeners
from tinyagents.middleware import Hooks
from tinyagents.models.protocol import Model, ModelSettings, ToolSpec
from tinyagents.output import OutputPlan
from tinyagents.recursion import Recursion
from tinyagents.sharing import Sharing
from tinyagents.tools import Tool
from tinyagents_graph.frozen import frozen
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.retry import Retry
from tinyagents_graph.steering import SteerPolicy

__all__ = [
    "Instructions",
    "OnMistake",
    "OnUnknownTool",
    "Plan",
    "check_modes",
    "items",
    "limits_of",
    "table_of",
]

Instructions: TypeAlias = str | Callable[[RunContext[Any]], str | Awaitable[str]]
OnMistake: TypeAlias = Literal["tell", "fail"]
OnUnknownTool: TypeAlias = OnMistake | Mapping[str, str]

_KEPT_OPENINGS = 32


@frozen
class Plan:
    """What the loop needs to know of an agent.

    Attributes:
        name: The agent's name.
        model: Whom it asks.
        instructions: The system prompt, or what makes it.
        tools: By name, the one for the final answer included.
        specs: What the model is told of them.
        tool_choice: Whether it must call one.
        settings: How the model should answer.
        output: What the final answer must be.
        hooks: Its middleware.
        retry: How failed model calls are tried again.
        output_retries: How often the model is told that its answer does not do.
        on_unknown_tool: What a call of an unknown tool becomes; a mapping gives other names.
        on_invalid_arguments: What a call with wrong arguments becomes.
        max_concurrency: Calls of one turn that run at once.
        dialect: Name of the dialect.
        speech: How replies become calls.
        steering: Who may steer its runs.
        autonomy: Which of its tools it may use by itself; `None` for all.
        sharing: What it reads and writes that others share; `None` for nothing.
        listeners: Who is told of the events of its runs; it may grow.
        guidance: What stands in the system prompt of an agent that calls itself from code.
        recursion: How it calls models and itself from code, if it does.
        plain: How it works where it does not go deeper.
        openings: What `opening` has made so far.
        kept: What `facts` has made.
    """

    name: str
    model: Model
    instructions: Instructions
    tools: Mapping[str, Tool]
    specs: tuple[ToolSpec, ...]
    tool_choice: str
    settings: ModelSettings
    output: OutputPlan
    hooks: Hooks
    retry: Retry
    output_retries: int
    on_unknown_tool: OnUnknownTool
    on_invalid_arguments: OnMistake
    max_concurrency: int
    dialect: str
    speech: Speech
    steering: SteerPolicy
    autonomy: Autonomy | None
    sharing: Sharing | None
    listeners: Listeners

    guidance: str = ""
    recursion: Recursion | None = None
    plain: Plan | None = None

    openings: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    kept: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def opening(self, turn: int) -> Mapping[str, str]:
        """What `model.started` tells in the `turn`-th turn, from 0.

        It is the same for every run, so the first ones are made once: a blocked child costs that
        much less memory.
        """
        if turn < len(self.openings):
            return self.openings[turn]
        # Read-only, for a listener that changed it would change it for all runs.
        made = MappingProxyType({"call_id": f"model-{turn}", "model": self.model.name})
        if turn == len(self.openings) < _KEPT_OPENINGS:
            self.openings.append(made)
        return made

    @property
    def asks_leave(self) -> bool:
        """Whether it may come to ask a human, or an agent that it delegates to."""
        if self.autonomy is not None and self.autonomy.asks:
            return True
        return any(tool.asks_leave for tool in self.tools.values())

    def facts(self) -> Mapping[str, Any]:
        """What a journal keeps of the definition, to tell when it has changed."""
        if not self.kept:
            shown = {name: dict(tool.parameters) for name, tool in self.tools.items()}
            digest = blake2b(dumps(shown, sort_keys=True).encode(), digest_size=8).hexdigest()
            text = self.instructions if isinstance(self.instructions, str) else None
            facts = {
                "model": self.model.name,
                "instructions": text,
                "tools": sorted(self.tools),
                "schemas": digest,
            }
            if self.dialect != "native":  # which older journals do not tell
                facts["dialect"] = self.dialect
            self.kept.append(MappingProxyType(facts))
        return self.kept[0]

    def __post_init__(self) -> None:
        instructions, unknown = self.instructions, self.on_unknown_tool
        is_text = _is_a(str, instructions) or callable(instructions)
        is_policy = _is_a(Mapping, unknown) or unknown in ("tell", "fail")
        _require(is_text, "instructions", instructions, "a text, or a function of the context")
        _require_a(ModelSettings, "settings", self.settings)
        _require_a(Retry, "retry", self.retry)
        _require_a(SteerPolicy, "steering", self.steering)
        if self.autonomy is not None:
            _require_a(Autonomy, "autonomy", self.autonomy)
        _require(self.output_retries >= 0, "output_retries", self.output_retries, "0 or more")
        _require(is_policy, "on_unknown_tool", unknown, "'tell', 'fail', or a mapping of names")
        invalid = self.on_invalid_arguments
        _require(invalid in ("tell", "fail"), "on_invalid_arguments", invalid, "'tell' or 'fail'")
        _require(self.max_concurrency >= 1, "max_concurrency", self.max_concurrency, "1 or more")


def limits_of(given: object) -> RunLimits:
    """The limits an agent was given.

    Raises:
        ConfigError: They are no `RunLimits`.
    """
    if given is None:
        return RunLimits()
    _require_a(RunLimits, "limits", given)
    return cast("RunLimits", given)


def items(name: str, given: object) -> list[Any]:
    """What was given as the argument `name`.

    Raises:
        ConfigError: It is no list.
    """
    is_list = _is_a(Iterable, given) and not _is_a(str, given) and not _is_a(Mapping, given)
    _require(is_list, name, given, f"a list, {name}=[...]")
    return list(cast("Iterable[Any]", given))


def table_of(tools: Sequence[Tool], output: OutputPlan) -> dict[str, Tool]:
    """The tools by name.

    Raises:
        ConfigError: Two have the same name, or one has the name kept for the final answer.
    """
    table: dict[str, Tool] = {}
    for tool in tools:
        if tool.name in table:
            raise ConfigError(
                f"two tools are called {tool.name!r}: give one another name, Tool(..., name=...)"
            )
        table[tool.name] = tool
    if output.tool is not None:
        name = output.tool.name
        if name in table:
            raise ConfigError(
                f"a tool is called {name!r}, which output_type needs for the final answer: "
                "give it another name"
            )
        table[name] = output.tool
    return table


def check_modes(autonomy: object, tools: Mapping[str, Tool]) -> None:
    """A mode for a tool that nobody has would protect nothing.

    Args:
        autonomy: What an agent was given.
        tools: Its tools; those of its sub-agents, and of theirs, are meant as well.

    Raises:
        ConfigError: It names a tool that there is not, or is no `Autonomy`.
    """
    _require_a(Autonomy, "autonomy", autonomy)
    known: dict[str, Tool] = {}
    ahead = [tools]
    while ahead:
        for name, tool in ahead.pop().items():
            if name not in known:
                known[name] = tool
                ahead.append(tool.tools_behind)
    for name, near in cast("Autonomy", autonomy).unknown_names(known).items():
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"autonomy names a tool {name!r}, and there is none{hint}")


def _require(is_fine: bool, name: str, given: object, allowed: str) -> None:
    if not is_fine:
        raise ConfigError(f"{name}={given!r}: give {allowed}")


def _require_a(kind: type[Any], name: str, given: object) -> None:
    _require(_is_a(kind, given), name, given, f"{kind.__name__}(...)")


def _is_a(kind: type[Any], given: object) -> bool:
    # Whoever runs a type checker knows it; this is for whoever does not.
    return isinstance(given, kind)
