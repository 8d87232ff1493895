"""Agents whose models write code, and what their tests look at."""

from collections.abc import Sequence
from typing import Any

from tinyagents import Agent, CodeAct, Event, Result, tool
from tinyagents.sandbox import Sandbox
from tinyagents.testing import ScriptedModel

__all__ = ["SANDBOX", "add", "cell", "codeact", "executed", "find", "of_kind", "told"]

SANDBOX = Sandbox(time_limit_s=2)


@tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return a + b


@tool
async def find(query: str, limit: int = 2) -> list[dict[str, Any]]:
    """Search the web.

    In all of it.
    """
    return [{"title": query, "n": n} for n in range(limit)]


def cell(code: str) -> str:
    return f"I try.\n```python\n{code}\n```"


def codeact(
    *script: Any, tools: Sequence[Any] = (add, find), dialect: Any = None, **options: Any
) -> Agent[Any, Any]:
    dialect = dialect or CodeAct(SANDBOX)
    return Agent(ScriptedModel(script), tools=list(tools), dialect=dialect, **options)


def told(result: Result[Any]) -> list[str]:
    """What the model was told, after the task."""
    said = result.messages[result.n_opening :]
    return [message.text for message in said if message.role == "user"]


def of_kind(result: Result[Any], *kinds: str) -> list[Event]:
    return [event for event in result.events if event.kind in kinds]


def executed(result: Result[Any]) -> list[dict[str, Any]]:
    return [dict(event.data) for event in of_kind(result, "code.executed")]
