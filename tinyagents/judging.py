"""Judging: somebody picks one of several results, a function or an agent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from tinyagents.errors import NoAnswer
from tinyagents.result import Result
from tinyagents.runnable import Runnable
from tinyagents.tools import cut, render

__all__ = ["AskJudge", "Judge", "pick"]

Judge: TypeAlias = Runnable | Callable[[Sequence[Result[Any]]], Any]
"""Who picks one of several results: an agent, or a function that returns its index."""

AskJudge: TypeAlias = Callable[[Runnable, str], Awaitable[Result[Any]]]
"""Lets an agent answer a question, as one more child of whoever needs it judged."""

_JUDGED_CHARS = 20_000
_QUOTED_CHARS = 1_000
_TRIES = 2

# The whole reply, or its last line. Rejected: the last number of the reply, for "I rate A 3 and
# B 5 out of 10" picks nobody.
_ONLY = re.compile(r"(?:answer\s+)?([0-9]+)\s*\.?", re.IGNORECASE)
_LAST_LINE = re.compile(r"[*_\s]*best[*_\s]*:[*_\s]*(?:answer\s*)?([0-9]+)[*_.\s]*", re.IGNORECASE)


async def pick(
    judge: Judge, task: Any, shown: Sequence[Result[Any]], ask: AskJudge, path: str
) -> int:
    """Which of the results the judge picks, from 0.

    An agent that names none of them is asked once more, and told so.

    Args:
        judge: Who picks.
        task: What was to be done.
        shown: What came of it.
        ask: How an agent is asked.
        path: The run that wants to know.

    Raises:
        NoAnswer: The judge picked none of them.
    """
    n = len(shown)
    if not isinstance(judge, Runnable):
        made = cast("Any", judge)(shown)
        chosen = await made if isawaitable(made) else made
        if type(chosen) is int and 0 <= chosen < n:
            return chosen
        why = f"the judge picked {chosen!r}, and there are {n} answers: return 0 to {n - 1}"
        raise NoAnswer(path, why, shown)
    question = request = _question(task, shown)
    said: Any = None
    for _ in range(_TRIES):
        said = (await ask(judge, request)).output
        number = _number_in(said)
        if number is not None and 1 <= number <= n:
            return number - 1
        request = f"{question}\n\nYou replied before:\n{_text(said)}\n\nThat has no such line."
    why = f"the judge said {_text(said)!r}, which has no line 'Best: <1 to {n}>' at its end"
    raise NoAnswer(path, why, shown)


def _number_in(said: Any) -> int | None:
    if type(said) is int:  # of a judge whose output_type it is
        return said
    text = str(render(said)).strip()
    last = text.splitlines()[-1] if text else ""
    found = _ONLY.fullmatch(text) or _LAST_LINE.fullmatch(last)
    return int(found[1]) if found else None


def _text(said: Any) -> str:
    return cut(str(render(said)), _QUOTED_CHARS)


def _question(task: Any, shown: Sequence[Result[Any]]) -> str:
    answers = "\n\n".join(
        f"Answer {number}:\n{cut(str(render(each.output)), _JUDGED_CHARS)}"
        for number, each in enumerate(shown, 1)
    )
    return (
        f"Which of these {len(shown)} answers to the task is the best?\n\n"
        f"The task:\n{task}\n\n{answers}\n\n"
        f"End your reply with a line that has its number, 1 to {len(shown)}, in this form:\nBest: 1"
    )
