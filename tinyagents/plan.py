"""`Plan`: an agent's definition, looked up and checked once, ready for the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from tinyagents.context import RunContext
from tinyagents.dialect import Dialect
from tinyagents.errors import ConfigError
from tinyagents.middleware import Hooks
from tinyagents.models.protocol import Model, ModelSettings, ToolSpec
from tinyagents.output import FINAL_ANSWER, OutputPlan
from tinyagents.retry import Retry
from tinyagents.tools import Tool
from tinyagents_graph.frozen import frozen

__all__ = ["Instructions", "OnMistake", "OnUnknownTool", "Plan", "table_of"]

Instructions: TypeAlias = str | Callable[[RunContext[Any]], str | Awaitable[str]]
OnMistake: TypeAlias = Literal["tell", "fail"]
OnUnknownTool: TypeAlias = OnMistake | Mapping[str, str]


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
        dialect: How replies become calls.
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
    dialect: Dialect


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
        if FINAL_ANSWER in table:
            raise ConfigError(
                f"a tool is called {FINAL_ANSWER!r}, which output_type needs for the final answer: "
                "give it another name"
            )
        table[FINAL_ANSWER] = output.tool
    return table
