"""The tools by which a parent's model watches, steers, awaits and answers what it started."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import anyio.lowlevel
from pydantic import Field

from tinyagents.children import Child
from tinyagents.context import RunContext
from tinyagents.errors import ModelRetry
from tinyagents.tools import Tool
from tinyagents_graph.acks import Ack
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.commands import Cancel, Redirect
from tinyagents_graph.events import is_at_or_below
from tinyagents_graph.live import send
from tinyagents_graph.time_limit import time_limit

__all__ = ["CHILD_TOOLS"]


async def list_children(ctx: RunContext[Any]) -> list[dict[str, Any]]:
    """What your background agents are doing: state, progress, last words, what they have spent."""
    return [child.describe() for child in _children(ctx).values()]


async def steer_child(ctx: RunContext[Any], path: str, instruction: str) -> dict[str, Any]:
    """Give a background agent, or one below it, a new instruction; it reads it at its next turn.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
        instruction: What to do from now on.
    """
    return _told(send(ctx.run, Redirect(instruction), _below(ctx, path), None))


async def cancel_child(ctx: RunContext[Any], path: str, reason: str = "") -> dict[str, Any]:
    """Stop a background agent, or one below it, at once, with all it delegated.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
        reason: Why.
    """
    return _told(send(ctx.run, Cancel(reason), _below(ctx, path), None))


async def wait_for_children(
    ctx: RunContext[Any],
    until: Literal["all", "any", "news"] = "all",
    paths: Annotated[list[str], Field(default_factory=list)] = [],  # noqa: B006  # pydantic copies it
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Wait for background agents. What came of them you read in the messages that follow.

    It also returns when somebody writes to you, and while one of them waits for your answer.

    Args:
        ctx: Where the call stands.
        until: "all" or "any" of them have ended, or "news": one has ended or reported.
        paths: Which ones; all if not given.
        timeout_s: Seconds to wait at most.
    """
    chosen = [_find(ctx, path) for path in paths] or list(_children(ctx).values())
    controls = ctx.run.controls
    # Who had ended before would end an "any" at once, again and again.
    running = [child for child in chosen if not child.has_settled or child.has_news]

    def is_over() -> bool:
        settled = [child.has_settled for child in running]
        enough = all(settled) if until == "all" else any(settled) or not settled
        is_asked = any(child.asks for child in running)
        is_called = controls.is_called or (until == "news" and bool(controls.mail))
        return enough or is_asked or is_called

    # A call beside this one in the same turn may be about to answer what they ask.
    await anyio.lowlevel.checkpoint()
    with time_limit(timeout_s, ctx.run) as scope:
        await controls.bell.wait_until(is_over)
    questions = {ask.id: ask.question for child in chosen for ask in child.asks}
    return {
        "ended": [child.path for child in chosen if child.has_settled],
        "at_work": [child.path for child in chosen if not child.has_settled],
        **({"questions": questions} if questions else {}),
        **({"timed_out": True} if scope.cancelled_caught else {}),
    }


async def read_child(ctx: RunContext[Any], path: str) -> dict[str, Any]:
    """The whole result of a background agent, or how far it is.

    Args:
        ctx: Where the call stands.
        path: Its path, as you were given it.
    """
    child = _find(ctx, path)
    if (ending := child.ending) is None:
        return child.describe()
    if ending.state == "completed":
        return {**child.describe(), "result": ending.answer}
    return {**child.describe(), "reason": ending.reason}


async def answer_child(ctx: RunContext[Any], path: str, answer: str) -> str:
    """Answer a question that a background agent waits with.

    Args:
        ctx: Where the call stands.
        path: Path of the question, as you were given it; or of the agent, if it asks only one.
        answer: The answer.
    """
    ask = _asked(ctx, path)
    if not await ask.answer(answer, by=ctx.run.path):
        raise ModelRetry(f"{path} waits for no answer")
    return f"{ask.path} goes on"


CHILD_TOOLS = tuple(
    Tool(each)
    for each in (
        list_children, wait_for_children, steer_child, cancel_child, read_child, answer_child,
    )
)  # fmt: skip
"""What a parent with children in the background gets besides its own tools."""

for _each in CHILD_TOOLS:
    _each.is_of_tree = True


def _children(ctx: RunContext[Any]) -> dict[str, Child]:
    """The background children by path, in an order that does not depend on who began first."""
    children: dict[str, Child] = ctx.run.work.background
    return {path: children[path] for path in sorted(children, key=_place_of)}


def _place_of(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _find(ctx: RunContext[Any], path: str) -> Child:
    children = _children(ctx)
    if path not in children:
        known = ", ".join(children) or "none yet"
        raise ModelRetry(f"you have no background agent {path!r}; there is: {known}")
    return children[path]


def _below(ctx: RunContext[Any], path: str) -> str:
    """The path, if it leads to a background agent or below one."""
    if not any(path == known or path.startswith(f"{known}/") for known in _children(ctx)):
        _find(ctx, path)
    return path


def _asked(ctx: RunContext[Any], path: str) -> PendingAsk:
    """The open question with this path, or the only one of the agent with it."""
    known = _children(ctx).values()
    at = [child for child in known if is_at_or_below(path, child.path)] or [_find(ctx, path)]
    asks = [ask for ask in at[0].asks if path in (ask.id, at[0].path)]
    if not asks:
        raise ModelRetry(f"{path} waits for no answer")
    if len(asks) > 1:
        each = "\n".join(f"{ask.id}: {ask.question}" for ask in asks)
        raise ModelRetry(f"{path} waits for several answers; give each by its own path:\n{each}")
    return asks[0]


def _told(ack: Ack) -> dict[str, Any]:
    told = {"path": ack.path, "status": ack.status, "reason": ack.reason}
    return {name: value for name, value in told.items() if value}
