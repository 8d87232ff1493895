"""The text of CodeAct: what a model wrote, as code, as an answer, or as neither."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

__all__ = ["CodeReply", "read_reply"]

_OPENING = re.compile(
    r"(?:^|(?<=>))[ \t]*(?P<marks>`{3,})[ \t]*(?:python3?|py|tool_code|code)?[ \t]*\r?\n"
    r"|<code>[ \t]*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,})[^`\n]*$", re.MULTILINE)
_FINISH = re.compile(r"<finish>(?P<body>.*?)(?:</finish>|\Z)", re.DOTALL | re.IGNORECASE)
_CLOSING_TAG = re.compile(r"</code>", re.IGNORECASE)


class CodeReply(NamedTuple):
    """What a reply says.

    Attributes:
        thinking: What stands in the thinking tags.
        code: The code to run, `None` if there is none.
        answer: The answer, `None` if there is code instead.
        text: The reply as far as the first block of code: what a model writes behind it, it writes
            without having seen what came of it.
        n_ignored: How many more blocks of code there were.
    """

    thinking: str
    code: str | None
    answer: str | None
    text: str
    n_ignored: int = 0


def read_reply(text: str, thinking_tag: str = "") -> CodeReply:
    """Read a reply.

    An answer in `<finish>` comes before code: who gives both has decided. A block without an end
    goes as far as the reply. Other fences than Python's are no code.

    Args:
        text: What the model wrote.
        thinking_tag: Name of the tags in which it thinks, if it was told to.
    """
    thinking, rest = _thought(text, thinking_tag)
    blocks = _blocks(rest)
    outside = rest
    for start, end, _ in reversed(blocks):
        outside = outside[:start] + outside[end:]
    if (finish := _FINISH.search(outside)) is not None:
        return CodeReply(thinking, None, finish["body"].strip(), text.rstrip())
    if not blocks:
        return CodeReply(thinking, None, rest.strip(), text.rstrip())
    _, end, code = blocks[0]
    kept = text[: len(text) - len(rest) + end].rstrip()
    return CodeReply(thinking, code, None, kept, len(blocks) - 1)


def _thought(text: str, tag: str) -> tuple[str, str]:
    """What is thought, and what stands behind it."""
    if not tag:
        return "", text
    name = re.escape(tag)
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL | re.IGNORECASE)
    if found is None:
        return "", text
    return found[1].strip(), text[found.end() :]


def _blocks(text: str) -> list[tuple[int, int, str]]:
    """The blocks of code in a text: where each begins and ends, and what is in it."""
    found: list[tuple[int, int, str]] = []
    at = 0
    while (block := _next_block(text, at)) is not None:
        start, at, code = block
        if code is not None:
            found.append((start, at, code))
    return found


def _next_block(text: str, at: int) -> tuple[int, int, str | None] | None:
    """The next block from a position on; its code is `None` if it is of another language."""
    opening = _OPENING.search(text, at)
    other = _FENCE.search(text, at)
    if other is not None and (opening is None or other.start() < opening.start()):
        closing = _closing(other["marks"])
        end = closing.search(text, other.end())
        return other.start(), len(text) if end is None else end.end(), None
    if opening is None:
        return None
    marks: str | None = opening["marks"]
    closing = _CLOSING_TAG if marks is None else _closing(marks)
    stop, code = _until(text, opening.end(), closing)
    return opening.start(), stop, code


def _closing(marks: str) -> re.Pattern[str]:
    """What closes a fence; a tag may follow on its line, where a word would open another one."""
    return re.compile(rf"^[ \t]*{marks}`*(?=[ \t]*(?:$|<))", re.MULTILINE)


def _until(text: str, at: int, closing: re.Pattern[str]) -> tuple[int, str]:
    """A block's end, and its code.

    A text in the code may hold what closes a block: then it goes on, if that makes it whole.
    """
    ends = list(closing.finditer(text, at))
    if not ends:
        return len(text), text[at:].strip()
    for end in ends[:8]:
        code = text[at : end.start()].strip()
        if _is_whole(code):
            return end.end(), code
    return ends[0].end(), text[at : ends[0].start()].strip()


def _is_whole(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError as error:
        # Another mistake than a text that does not end: more lines do not mend it.
        return "unterminated" not in str(error)
    except (ValueError, RecursionError, MemoryError):
        return True
    return True
