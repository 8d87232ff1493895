"""The text of ReAct: what a model wrote, as steps; and steps as a model should write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from json import JSONDecoder
from typing import Any, NamedTuple, cast

__all__ = ["LABEL", "Action", "Steps", "asked_in_json", "parse", "render"]

LABEL = re.compile(
    r"^[ \t]*(?:[#>*\-•]+[ \t]*|\d+[.)][ \t]*)?[*_`]*"
    r"(?P<label>thought|action[ _]?input|action|observation|final[ _]?answer)"
    r"[ \t]*#?\d*[*_`]*[ \t]*[:：][*_`]*[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
"""What is taken for a label."""

_INPUT = re.compile(r"\s*[*_`]*input[*_`]*[ \t]*:[*_`]*[ \t]*", re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t]*[*_`]*answer[*_`]*[ \t]*:[*_`]*[ \t]*", re.IGNORECASE | re.MULTILINE)
_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\s*(?P<marks>```+)[^\n`]*\n(?P<body>.*?)\n?[ \t]*(?P=marks)`*", re.DOTALL)
_NAME = re.compile(r"[\s`\"'*\[(]*(?P<name>[A-Za-z0-9_-]+)[`\"'*]*[ \t]*(?P<rest>.*)", re.DOTALL)
_OPENED = {"(": ")", "[": "]"}
_ASKED_AS = (("action", "tool", "name", "function"), ("action_input", "arguments", "input", "args"))
_NOTHING = frozenset({"none", "null", "n/a", "no action", "nothing"})
_decoder = JSONDecoder()


class Action(NamedTuple):
    """A wish to use a tool.

    Attributes:
        name: The tool's name, as far as it can be told from what stands beside it; maybe empty.
        input: What it is given, as it was written.
    """

    name: str
    input: str


class Steps(NamedTuple):
    """What a reply says.

    Attributes:
        thoughts: What was thought before the first action, or the answer.
        actions: What is asked for, in order.
        answer: The final answer, `None` if there is none.
        text: The reply as far as it is the model's own: what it made up of results, and what it
            wrote after that, is left out.
        is_early: Whether there was an answer behind actions whose results it had not seen.
    """

    thoughts: str
    actions: tuple[Action, ...]
    answer: str | None
    text: str
    is_early: bool = False


def render(thoughts: str, actions: Iterable[Action] = (), answer: str | None = None) -> str:
    """Steps as a model should write them; `parse` reads the same out of it."""
    lines = [f"Thought: {thoughts}"] if thoughts else []
    for action in actions:
        lines += [f"Action: {action.name}", f"Action Input: {action.input}"]
    if answer is not None:
        lines.append(f"Final Answer: {answer}")
    return "\n".join(lines)


def parse(text: str) -> Steps:
    """Read a reply, however carelessly it is labelled.

    A text without any label is an answer. Results that the model made up end what is read, and so
    does an answer behind actions: it was given before their results were seen.
    """
    text = _THINK.sub("", text, count=1)
    found = _Reader(text)
    found.read()
    if found.actions:
        return Steps(
            "\n".join(found.thoughts),
            tuple(found.actions),
            None,
            text[: found.end].rstrip(),
            found.answer is not None,
        )
    answer = found.answer
    if answer is None and found.is_bare:
        plain = _ANSWER.search(text)
        answer = text[plain.end() :].strip() if plain is not None else None
        if answer is None and not found.thoughts:
            answer = text.strip()
    return Steps("\n".join(found.thoughts), (), answer, text.rstrip())


class _Reader:
    """Goes through a reply from label to label."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.thoughts: list[str] = []
        self.actions: list[Action] = []
        self.answer: str | None = None
        self.end = len(text)
        self.is_bare = True  # no label that asks for anything
        self._named = ""  # an action that waits for its input

    def read(self) -> None:
        label = LABEL.search(self.text)
        before = self.text[: label.start()] if label is not None else ""
        if before.strip():
            self.thoughts.append(before.strip())
        while label is not None:
            kind = re.sub(r"[ _]", "", label["label"].lower())
            at = label.end()
            if kind == "finalanswer":
                self._finish()
                self.answer = self.text[at:].strip()
                break
            if kind == "observation" and (self.actions or self._named):
                break
            label = LABEL.search(self.text, self._take(kind, at))
        self._finish()

    def _take(self, kind: str, at: int) -> int:
        """Take what stands behind a label.

        Returns:
            Where it ends.
        """
        if kind == "thought":
            end = self._until_label(at)
            if not self.actions and (thought := self.text[at:end].strip()):
                self.thoughts.append(thought)
            return end
        if kind == "observation":  # of nothing: an echo of what it was told
            return self._until_label(at)
        self.is_bare = False
        if kind == "actioninput":
            end = self._end_of_input(at)
            self._act(self._named, self.text[at:end], end)
            self._named = ""
            return end
        self._finish()
        return self._take_action(at)

    def _take_action(self, at: int) -> int:
        whole = self._end_of_value(at)
        if whole is not None:
            end, asked = whole, asked_in_json(self.text[at:whole])
            if asked is not None:
                self._act(asked.name, asked.input, end)
                return end
        end = self._until_label(at)
        line_end = self.text.find("\n", at, end)
        first = self.text[at : end if line_end < 0 else line_end]
        given = _INPUT.match(self.text, at + len(first))
        if given is not None and given.end() <= end:
            end = self._end_of_input(given.end())
            self._act(first, self.text[given.end() : end], end)
            return end
        self._named = self.text[at:end].strip()
        self.end = end
        return end

    def _finish(self) -> None:
        """An action that was named, and got no input."""
        if self._named:
            name, rest = _split(self._named)
            self._act(name, rest, self.end)
            self._named = ""

    def _act(self, name: str, given: str, end: int) -> None:
        name = name.strip().strip("`\"'*").strip()
        key = re.sub(r"[ _]", "", name.lower())
        if name.lower() in _NOTHING or not (name or given.strip()):
            return
        if key == "finalanswer":
            self.answer = given.strip() if not self.actions else self.answer
            return
        self.actions.append(Action(_split(name)[0], given.strip()))
        self.end = end

    def _until_label(self, at: int) -> int:
        label = LABEL.search(self.text, at)
        # A label right here, on the same line, is none: the pattern wants a line's beginning.
        return label.start() if label is not None else len(self.text)

    def _end_of_input(self, at: int) -> int:
        """An input that is whole by itself may have labels in it."""
        end = self._end_of_value(at)
        return self._until_label(at) if end is None else end

    def _end_of_value(self, at: int) -> int | None:
        fence = _FENCE.match(self.text, at)
        if fence is not None:
            return fence.end()
        start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
        if self.text[start : start + 1] in ("{", "["):
            try:
                return _decoder.raw_decode(self.text, start)[1]
            except (ValueError, RecursionError):
                return None
        return None


def _split(text: str) -> tuple[str, str]:
    """The name of a tool, and what stands behind it: `search[tea]`, `search("tea")`."""
    found = _NAME.match(text)
    if found is None:
        return text.strip(), ""
    rest = found["rest"].strip()
    closing = _OPENED.get(rest[:1])
    if closing is not None and rest.endswith(closing):
        rest = rest[1:-1]
    elif rest[:1] == ":":
        rest = rest[1:].strip()
    elif rest and rest[:1] not in "{[\"'`":
        return text.strip(), ""  # some words, and no call
    return found["name"], rest


def asked_in_json(text: str) -> Action | None:
    """An action that is JSON as a whole: `{"action": "search", "action_input": …}`."""
    fence = _FENCE.match(text)
    try:
        data: Any = json.loads(fence["body"] if fence is not None else text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    data = cast("dict[str, Any]", data)
    name = next((data[key] for key in _ASKED_AS[0] if isinstance(data.get(key), str)), None)
    if name is None:
        return None
    empty: dict[str, Any] = {}
    given: Any = next((data[key] for key in _ASKED_AS[1] if key in data), empty)
    return Action(name, given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
