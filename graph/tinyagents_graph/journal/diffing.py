"""`diff`: where two run trees part, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import TERMINAL, Event
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.opening import unknown_run
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.usage import Usage

__all__ = ["Change", "RunDiff", "StepDiff", "diff"]

Change: TypeAlias = Literal["same", "changed", "only in a", "only in b"]

_SIGNS: Mapping[Change, str] = {"same": "=", "changed": "~", "only in a": "-", "only in b": "+"}
_WORDS = 60
_TELLING = ("content", "output", "update", "value", "verdict", "error")
_OPENERS: Mapping[str, str] = {end: kind for kind, ends in TERMINAL.items() for end in ends}
_STEPS = frozenset({"run", "model", "tool", "node"})
# What a step is called and counted by, and what it came from: no part of what came of it.
_ASIDE = frozenset(
    {"call_id", "ask_id", "bound", "usage", "tree_usage", "input", "request_id", "recalled_from",
     "edited", "run_id", "path", "after", "step", "stop_reason", "tool", "node", "limit"}
)  # fmt: skip


@frozen
class StepDiff:
    """A step of two trees, at the same address.

    Attributes:
        kind: `"model"`, `"tool"`, `"ask"`, `"node"`, `"run"` or `"task"`.
        address: Where it is: the path of a run, a call or a node's visit; of a model call the run's
            path and the call's id.
        change: What is different.
        a: What came of it in the first tree; `None` if it is not there, or has not ended.
        b: The same of the second one.
        seq_a: Position of the event that says so; `None` if there is none.
        seq_b: The same of the second one.
    """

    kind: str
    address: str
    change: Change
    a: Any
    b: Any
    seq_a: int | None = None
    seq_b: int | None = None

    def __str__(self) -> str:
        told = {"only in a": _short(self.a), "only in b": _short(self.b), "same": _short(self.a)}
        values = told.get(self.change) or f"{_short(self.a)} -> {_short(self.b)}"
        return f"{_SIGNS[self.change]} {self.kind:5} {self.address}: {values}"


@frozen
class RunDiff:
    """How two run trees differ; `str()` is for reading.

    Attributes:
        run_a: Id of the first tree's root.
        run_b: Id of the second one's.
        steps: What they did, in order.
        output_a: What the first one answered; `None` if it has not.
        output_b: What the second one answered.
        usage_a: What the whole first tree used.
        usage_b: What the whole second tree used, with what it took over from another one.
    """

    run_a: str
    run_b: str
    steps: tuple[StepDiff, ...]
    output_a: Any
    output_b: Any
    usage_a: Usage
    usage_b: Usage

    @property
    def changed(self) -> tuple[StepDiff, ...]:
        """The steps that are not the same."""
        return tuple([step for step in self.steps if step.change != "same"])

    @property
    def first(self) -> StepDiff | None:
        """Where they part; `None` if they did the same."""
        return next(iter(self.changed), None)

    def __str__(self) -> str:
        changed = self.changed
        n_steps = len(self.steps)
        if not changed:
            return f"{self.run_a} and {self.run_b} did the same, in {n_steps} steps"
        lines = [f"{self.run_a} -> {self.run_b}: {len(changed)} of {n_steps} steps differ"]
        lines += [f"  {step}" for step in changed]
        if self.usage_a != self.usage_b:
            lines.append(f"  usage: {_spent(self.usage_a)} -> {_spent(self.usage_b)}")
        return "\n".join(lines)


async def diff(journal: Journal, run_a: str, run_b: str) -> RunDiff:
    """Compare what two trees did, fork and origin or any others.

    Steps are the same if they have the same address and the same came of them. What it cost, and
    the ids that a provider gave, are not looked at.

    Args:
        journal: Where both are kept.
        run_a: Id of the first one's root.
        run_b: Id of the second one's.

    Raises:
        ConfigError: There is no such run.
        JournalError: The journal cannot be read.
    """
    first, second = await _events(journal, run_a), await _events(journal, run_b)
    before, after = _steps(first), _steps(second)
    steps = [_compared(key, before.get(key), after.get(key)) for key in {**before, **after}]
    steps.sort(key=_position)
    output = "run", "root"
    return RunDiff(
        run_a,
        run_b,
        tuple(steps),
        _output(before.get(output)),
        _output(after.get(output)),
        _usage(first),
        _usage(second),
    )


async def _events(journal: Journal, run_id: str) -> list[Event]:
    if await journal.find(run_id) is None:
        raise ConfigError(await unknown_run(journal, "diff", run_id))
    return await journal.read(run_id)


Key: TypeAlias = tuple[str, str]
Found: TypeAlias = tuple[int, Any]
"""Position of the event, and what came of the step."""


def _steps(events: Sequence[Event]) -> dict[Key, Found]:
    found: dict[Key, Found] = {}
    called: dict[tuple[str, Any], Event] = {}
    for event in events:
        path, data = event.path, event.data
        if event.kind == "tool.started":
            called[path, data["call_id"]] = event
        for key, value in _told(event, called):
            found[key] = event.seq, value
    return found


def _told(event: Event, called: Mapping[tuple[str, Any], Event]) -> Iterator[tuple[Key, Any]]:
    """What an event tells of steps: that they began, or what came of them."""
    kind, path, data = event.kind, event.path, event.data
    group, _, what = kind.rpartition(".")
    if kind == "run.started" and "task" in data:
        yield ("task", path), data["task"]
    if group == "ask":
        yield ("ask", data["ask_id"]), data["question"] if what == "raised" else _came(data)
    if group not in _STEPS or (kind not in TERMINAL and kind not in _OPENERS):
        return
    value = None if kind in TERMINAL else _came(data)
    if group == "model":
        yield (group, f"{path} {data['call_id']}"), _said(data) if what == "completed" else value
    elif group == "tool":
        start = called.get((path, data["call_id"]), event)
        place = start.data.get("path") or f"{path} {data['call_id']}"
        call = {"tool": data["tool"], "arguments": start.data.get("arguments")}
        yield (group, place), value if value is None else {**call, **value}
    else:
        if value is not None and group == "run":
            value = {"status": what, **value}
        yield (group, path if group == "run" else data["path"]), value


def _came(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in _ASIDE}


def _said(data: Mapping[str, Any]) -> Any:
    """What a model answered: its words, or with calls a list of both; without ids."""
    parts = data["message"]["parts"]
    words = [each["text"] for each in parts if each["type"] == "text"]
    calls = [each for each in parts if each["type"] == "tool_call"]
    if not calls:
        return "".join(words)
    return [*words, *({"tool": each["name"], "arguments": each["arguments"]} for each in calls)]


def _compared(key: Key, a: Found | None, b: Found | None) -> StepDiff:
    change: Change = "same"
    if a is None or b is None:
        change = "only in b" if a is None else "only in a"
    elif a[1] != b[1]:
        change = "changed"
    seq_a, value_a = a or (None, None)
    seq_b, value_b = b or (None, None)
    return StepDiff(*key, change, value_a, value_b, seq_a, seq_b)


def _position(step: StepDiff) -> int:
    return min(each for each in (step.seq_a, step.seq_b) if each is not None)


def _output(root: Found | None) -> Any:
    value = root[1] if root is not None else None
    return cast("Mapping[str, Any]", value).get("output") if isinstance(value, Mapping) else None


def _usage(events: Sequence[Event]) -> Usage:
    last = events[-1] if events else None
    if last is not None and last.parent_run_id is None and "tree_usage" in last.data:
        return Usage.from_dict(last.data["tree_usage"])
    told = [event.data for event in events if event.kind == "model.completed"]
    return sum((Usage.from_dict(data["usage"]) for data in told), Usage())


def _spent(usage: Usage) -> str:
    return ", ".join(f"{name} {value}" for name, value in usage.to_dict().items())


def _short(value: Any) -> str:
    text = " ".join(_words(value).split())
    return repr(text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…")


def _words(value: Any) -> str:
    """A value for reading: of a step what came of it, of calls what is called."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_words(each) for each in cast("list[Any]", value))
    if isinstance(value, Mapping):
        facts = cast("Mapping[str, Any]", value)
        found = [facts[name] for name in _TELLING if name in facts]
        if found:
            return _words(found[0])
        if set(facts) == {"tool", "arguments"}:
            given = ", ".join(f"{name}={each!r}" for name, each in facts["arguments"].items())
            return f"{facts['tool']}({given})"
    return json.dumps(value, ensure_ascii=False, default=str)
