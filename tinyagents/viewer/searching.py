"""`Texts`: what was said in a tree, to be searched: tasks, messages, arguments, results, code.

A text search in 200,000 events has to take no longer than a look, so the words lie in few long
texts, in which finding something takes as long as the machine needs to read them. They are taken
up when somebody searches first; a tree in which nobody does has none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from tinyagents.viewer.folding import Folded
from tinyagents_graph import Event

__all__ = ["Texts", "by_run"]

_SILENT = frozenset({
    "model.started", "model.delta", "thinking", "budget.reserved", "budget.released",
    "checkpoint.restored", "graph.step.started", "graph.step.completed", "state.updated",
    "tool.invalid", "tool.unknown",
})  # fmt: skip
"""Kinds whose texts others have as well, or that have none."""

_NO_TEXT = frozenset({
    "call_id", "run_id", "path", "input", "bound", "ask_id", "steer_id", "usage", "tree_usage",
    "spent", "typed", "trace", "stop_reason", "since", "delivery", "seconds", "to", "is_passive",
})  # fmt: skip
"""Fields of events that nobody said."""

_SAID_AT_CHECKPOINTS = ("messages", "said", "instructions")

_END = "\0"


class _Page(NamedTuple):
    """What some events say, in lower case, one behind the other."""

    text: str
    ends: array[int]
    seqs: array[int]


class Texts:
    """What was said in a tree.

    Attributes:
        n_events: How many events were taken in; the `seq` of the next one.
    """

    def __init__(self) -> None:
        self.n_events = 0
        self._pages: list[_Page] = []

    def take(self, events: Iterable[Event]) -> None:
        """Take in the next events."""
        ends, seqs = array("L"), array("L")
        parts: list[str] = []
        length = 0
        for event in events:
            self.n_events = event.seq + 1
            text = _said(event)
            if text:
                parts.append(text)
                length += len(text)
                ends.append(length)
                seqs.append(event.seq)
        if parts:
            self._pages.append(_Page("".join(parts), ends, seqs))

    def find(self, words: Sequence[str]) -> list[int]:
        """The `seq` of each event that has all of the words, in order.

        Args:
            words: In any case; none find nothing.
        """
        wanted = sorted({word.lower() for word in words if word}, key=len, reverse=True)
        found: list[int] = []
        if wanted:
            for page in self._pages:
                _find(page, wanted, found)
        return found


def by_run(seqs: Iterable[int], folded: Folded) -> list[tuple[int, int, int]]:
    """Events by the run that they are of.

    Returns:
        Of each run the number of its row, how many of them it has, and the `seq` of the first one.
    """
    found: dict[int, tuple[int, int]] = {}
    for seq in seqs:
        number = folded.row_number(seq)
        count, first = found.get(number, (0, seq))
        found[number] = count + 1, first
    found.pop(-1, None)
    return [(number, count, first) for number, (count, first) in found.items()]


def _find(page: _Page, words: Sequence[str], found: list[int]) -> None:
    text, ends, seqs = page
    rarest, others = words[0], words[1:]
    at = text.find(rarest)
    while at >= 0:
        number = bisect_right(ends, at)
        end = ends[number]
        start = ends[number - 1] if number else 0
        if all(text.find(word, start, end) >= 0 for word in others):
            found.append(seqs[number])
        at = text.find(rarest, end)


def _said(event: Event) -> str:
    """All that an event says, in lower case; empty if it says nothing."""
    kind, data = event.kind, event.data
    if kind in _SILENT:
        return ""
    if kind == "checkpoint.saved":
        values = [data.get(name) for name in _SAID_AT_CHECKPOINTS]
    else:
        values = [value for name, value in data.items() if name not in _NO_TEXT]
    words: list[str] = []
    left = values[::-1]
    while left:  # no function that calls itself: data may lie deeper than the stack goes
        value = left.pop()
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, Mapping):
            left += reversed(_values(cast("Mapping[str, Any]", value)))
        elif isinstance(value, list | tuple):
            left += reversed(cast("Sequence[Any]", value))
        elif value is not None and not isinstance(value, bool):
            words.append(str(value))
    return "\n".join(words).lower() + _END if words else ""


def _values(facts: Mapping[str, Any]) -> list[Any]:
    """What is said in an object: of a message and of its parts not what kind they are."""
    if "media_type" in facts:  # a picture
        return []
    if "role" in facts and ("parts" in facts or "content" in facts):
        return [facts.get("content"), facts.get("parts")]
    if facts.get("type") in ("text", "thinking"):
        return [facts.get("text")]
    if facts.get("type") == "tool_call":
        return [facts.get("name"), facts.get("arguments")]
    return list(facts.values())
