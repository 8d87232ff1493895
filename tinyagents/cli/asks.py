"""Questions to the human as the command line tells them: in a few lines, and under a short code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from time import time
from typing import Any, TextIO

from tinyagents import ConfigError
from tinyagents.cli.text import ago, say
from tinyagents.console.text import call_label, one_line
from tinyagents_graph.journal.inbox import InboxAsk

__all__ = ["QUICKER", "answer_from", "code_of", "json_of", "say_asks", "what_it_wants"]

QUICKER = "Somebody was quicker, and answered otherwise: that stands."

_CODE_CHARS = 6
_SHOWN_CHARS = 300


def code_of(run_id: str, ask_id: str) -> str:
    """A few characters that stand for a question, always the same for the same one."""
    return blake2b(f"{run_id}\n{ask_id}".encode(), digest_size=8).hexdigest()[:_CODE_CHARS]


def say_asks(asks: Sequence[InboxAsk], option: str, out: TextIO) -> None:
    """Print questions, and how to answer them.

    Args:
        asks: The questions.
        option: What a command needs to find their journal.
        out: Where to.
    """
    for ask in asks:
        code = code_of(ask.root_run_id, ask.id)
        until = "" if ask.expires_at is None else f", expires in {ago(ask.expires_at - time())}"
        say(f"{code}  {ask.root_run_id} {ask.path}, {ago(time() - ask.raised)} ago{until}", out)
        say(f"    {what_it_wants(ask)}", out)
        if ask.reasoning.strip():
            say(f"    it says: {one_line(ask.reasoning, _SHOWN_CHARS)}", out)
        where = f"{ask.root_run_id} {code}"
        if not ask.is_yes_or_no:
            say(f"    tinyagents answer {where} TEXT{option}", out)
        else:
            say(
                f"    tinyagents approve {where}{option}"
                f" | tinyagents reject {where} --reason WHY{option}",
                out,
            )


def what_it_wants(ask: InboxAsk) -> str:
    """What a question is about, in one line."""
    if ask.what == "approval":
        more = ask.question.removeprefix(f"Run {ask.tool}?").strip()
        wants = f"wants to run {call_label(ask.tool, ask.arguments, _SHOWN_CHARS)}"
        return f"{wants}; {one_line(more, _SHOWN_CHARS)}" if more else wants
    called = f" {call_label(ask.tool, ask.arguments, _SHOWN_CHARS)}" if ask.tool else ""
    return f"{one_line(ask.question, _SHOWN_CHARS)}{called}"


def json_of(ask: InboxAsk) -> dict[str, Any]:
    """A question as plain data."""
    names = ("id", "path", "what", "question", "tool", "arguments", "reasoning", "raised")
    told = {name: getattr(ask, name) for name in names}
    code = code_of(ask.root_run_id, ask.id)
    return {"run_id": ask.root_run_id, "code": code, **told, "expires_at": ask.expires_at}


async def answer_from(ask: InboxAsk, line: str, by: str) -> str:
    """Answer a question with what somebody typed.

    Args:
        ask: The question.
        line: `y` or `n REASON` where a yes or no is wanted, else the answer.
        by: Who typed it.

    Returns:
        What is wrong with it, or that somebody was `QUICKER`; empty if it was taken.
    """
    word, _, rest = line.strip().partition(" ")
    if not ask.is_yes_or_no:
        return await _answered(ask, line.strip(), by)
    if word.lower() in ("y", "yes"):
        was_taken = await ask.approve(by=by)
    elif word.lower() in ("n", "no"):
        was_taken = await ask.reject(rest.strip(), by=by)
    elif ask.what == "doubt" and line.strip():
        was_taken = await ask.answer(line.strip(), by=by)
    else:
        return "answer y, or n and why"
    return "" if was_taken else QUICKER


async def _answered(ask: InboxAsk, text: str, by: str) -> str:
    try:
        was_taken = await ask.answer(text, by=by)
    except ConfigError as error:
        try:
            was_taken = await ask.answer(json.loads(text), by=by)
        except (ConfigError, ValueError):
            return one_line(str(error))
    return "" if was_taken else QUICKER
