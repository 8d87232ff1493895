"""The parts of a recursive agent's plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyagents.recursion import Recursion
from tinyagents.recursive.calls import PartTool, map_tool
from tinyagents.tools import Tool

if TYPE_CHECKING:
    from tinyagents.agent import Agent

__all__ = ["calls_of"]

_READER = (
    "Answer from what you are given. Answer only what is asked, in the form that is asked for."
)


def calls_of(itself: Agent[Any, Any], given: Mapping[str, Any], how: Recursion) -> list[Tool]:
    """`llm`, `llm_map` and `recurse`.

    Args:
        itself: The agent that calls itself.
        given: What it was given.
        how: How it calls models and itself.
    """
    from tinyagents.agent import Agent

    reader: Agent[Any, Any] = Agent(
        how.sub_model or given["model"],
        name="llm",
        instructions=_READER,
        retry=given["retry"],
    )
    return [
        PartTool(reader, "llm", how.fits_chars),
        map_tool(reader, given["max_concurrency"], how),
        PartTool(itself, "recurse", how.fits_chars),
    ]
