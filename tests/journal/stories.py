"""What is told of a run tree, and whether a resumed one tells the story of the undisturbed one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tinyagents import Event, Message, Usage
from tinyagents.testing import check_tree

__all__ = ["Deed", "Story", "check_deeds", "check_resumed", "doubts", "facts", "intents"]

Step: TypeAlias = tuple[str, str, str]
"""A step: its group, the path of its run, and its name there."""

_NAMES: Mapping[str, str] = {
    "model": "call_id", "tool": "call_id", "node": "path", "subagent": "path", "graph.step": "step",
}  # fmt: skip
_ENDS = ("completed", "failed", "cancelled")
# What each segment says anew, and what only tells that there were several.
_OF_A_TRY = frozenset({"tool.retried", "node.retried"})
_OF_SEGMENT = frozenset(
    {"model.delta", "run.paused", "run.resumed", "checkpoint.restored", "budget.reserved",
     "budget.released"}
)  # fmt: skip
# What depends on when something was told, not on what happened.
_MOMENTARY = frozenset(
    {"since", "expires_at", "delivery", "input", "seconds", "variables", "n_bytes"}
)


@dataclass(frozen=True)
class Deed:
    """Something that was really done: a model was asked, or a tool's body ran.

    Attributes:
        what: `"model"`, or the tool's name.
        key: The idempotency key that the outside world would see.
        path: Of a call its run and its id; of a node its address, and of a step in it its name.
    """

    what: str
    key: str
    path: str = ""


@dataclass(frozen=True)
class Story:
    """All that whoever ran a tree, and whoever watched it, got to know.

    Attributes:
        status: How it ended.
        output: Its output, or the error's type and message.
        messages: The root's transcript.
        usage: What the whole tree has used.
        events: Its events, as the journal has them.
    """

    status: str
    output: Any
    messages: Sequence[Message]
    usage: Usage
    events: Sequence[Event]


def check_resumed(
    undisturbed: Story, resumed: Story, prefix: Sequence[Event], *, varies: bool = False
) -> None:
    """Check that a run that was cut off and resumed is the undisturbed one.

    Where a call was in doubt its result, and what the model was told, may be another one.

    Args:
        undisturbed: The run that nothing happened to.
        resumed: The one that went on, maybe after several crashes.
        prefix: What was durable when it was cut off first.
        varies: Whether its course depends on who is quicker, and only its end is the same.

    Raises:
        AssertionError: Something was lost, done or told twice, or came out otherwise.
    """
    events = list(resumed.events)
    assert [event.seq for event in events] == list(range(len(events))), "seq has gaps"
    assert events[: len(prefix)] == list(prefix), "what was durable has changed"
    check_tree(events)
    _check_once(events)
    _same("status", resumed.status, undisturbed.status)
    if varies:
        _same("output", resumed.output, undisturbed.output)
        return
    _same("usage", resumed.usage, undisturbed.usage)
    in_doubt = doubts(events)
    if in_doubt:
        _same("shape", _shape(told(events)), _shape(told(undisturbed.events)))
        return
    _same("output", resumed.output, undisturbed.output)
    _same("messages", tuple(resumed.messages), tuple(undisturbed.messages))
    lost, new = told(undisturbed.events), told(events)
    assert not lost - new, f"not told: {sorted((lost - new).elements())}"
    assert not new - lost, f"told besides: {sorted((new - lost).elements())}"


def check_deeds(
    deeds: Iterable[Deed], prefix: Sequence[Event], irreversible: Collection[str]
) -> None:
    """Check that nothing was done in one segment that was a fact before, or in doubt.

    Args:
        deeds: What was done since the tree was taken up again.
        prefix: What was known then.
        irreversible: Names of tools that must not run twice.

    Raises:
        AssertionError: Something was done again.
    """
    known = {f"{path} {name}" for group, path, name in facts(prefix) if group == "tool"}
    known |= {name for group, _, name in facts(prefix) if group == "node"}
    saved = [e.data for e in prefix if e.kind == "checkpoint.saved" and "value" in e.data]
    known |= {f"{data['path']} {data['name']}" for data in saved}
    begun = {f"{path} {name}" for _, path, name in intents(prefix)}
    root_id = prefix[0].root_run_id if prefix else ""
    asked = {
        f"{root_id}{path[4:]}#{name}" for group, path, name in facts(prefix) if group == "model"
    }
    keys: Counter[str] = Counter()
    for deed in deeds:
        assert deed.key not in asked, f"the model was asked again: {deed.key}"
        assert deed.path not in known, f"it was made again: {deed}"
        if deed.what in irreversible:
            assert deed.path not in begun, f"made though it was in doubt: {deed}"
            keys[deed.key] += 1
    assert set(keys.values()) <= {1}, "an irreversible call was made twice"


def _same(what: str, now: object, then: object) -> None:
    assert now == then, f"another {what}: {now}, not {then}"


def _check_once(events: Iterable[Event]) -> None:
    """No step ends well twice."""
    ended = Counter(step for step, event in _steps(events) if event.kind.endswith(".completed"))
    assert not [step for step, n in ended.items() if n > 1], "a step was completed twice"


def _steps(events: Iterable[Event]) -> Iterator[tuple[Step, Event]]:
    for event in events:
        group = event.kind.rpartition(".")[0]
        if (name := _NAMES.get(group)) is not None and name in event.data:
            yield (group, event.path, str(event.data[name])), event


def facts(events: Iterable[Event]) -> set[Step]:
    """The steps that need not be done again."""
    return {step for step, event in _steps(events) if event.kind.endswith(".completed")}


def intents(events: Iterable[Event]) -> set[Step]:
    """The calls that were begun."""
    return {step for step, event in _steps(events) if event.kind == "tool.started"}


def doubts(events: Iterable[Event]) -> set[Step]:
    """The calls of which the tree says that nobody knows whether they were made."""
    return {
        step
        for step, event in _steps(events)
        if event.kind == "tool.failed" and event.data.get("category") == "in_doubt"
    }


def told(events: Sequence[Event]) -> Counter[tuple[str, str, str]]:
    """What the events tell, without what only tells that the tree was resumed.

    Of a step that was done again, and of a run that went on after its end, the last word counts.
    """
    last = {step: at for at, (step, _) in _ends(events)}
    found: Counter[tuple[str, str, str]] = Counter()
    begun: set[Step] = set()
    for at, event in enumerate(events):
        if event.kind in _OF_SEGMENT or _is_of_resuming(event.data):
            continue
        if event.kind in _OF_A_TRY:  # a body that runs again has its tries again
            continue
        step = _step_of(event)
        if step is not None and event.kind.endswith(".started"):
            if step in begun:
                continue
            begun.add(step)
        elif step is not None and event.kind.endswith(_ENDS) and last[step] != at:
            continue
        found[event.kind, event.path, _plain(event.data)] += 1
    return found


def _is_of_resuming(data: Mapping[str, Any]) -> bool:
    """A body runs again; or a human is asked whether it may, or need not."""
    return data.get("reason") == "resumed" or "/doubt-" in data.get("ask_id", "")


def _ends(events: Sequence[Event]) -> Iterator[tuple[int, tuple[Step, Event]]]:
    for at, event in enumerate(events):
        step = _step_of(event)
        if step is not None and event.kind.endswith(_ENDS):
            yield at, (step, event)


def _step_of(event: Event) -> Step | None:
    group = event.kind.rpartition(".")[0]
    if group == "run":
        return group, event.path, ""
    return next((step for step, _ in _steps([event])), None)


def _plain(data: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in data.items() if name not in _MOMENTARY}
    return json.dumps(kept, sort_keys=True, default=str)


def _shape(found: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str]]:
    """Only what happened where: of a call in doubt, its end is as good as any other."""
    shape: Counter[tuple[str, str]] = Counter()
    for (kind, path, _), n in found.items():
        shape["tool.completed" if kind == "tool.failed" else kind, path] += n
    return shape
