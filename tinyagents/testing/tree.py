"""Checking and reading the events of run trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tinyagents_graph.events import TERMINAL, Event

__all__ = ["check_tree", "outline"]

_OPENERS = {ending: opener for opener, endings in TERMINAL.items() for ending in endings}
_SUBJECT = {"model": "call_id", "tool": "call_id", "subagent": "run_id", "node": "task_id"}


def check_tree(events: Iterable[Event], *, complete: bool = True) -> None:
    """Check what every stream of events promises, whatever happened in it.

    - `seq` counts 0, 1, 2, … in each tree;
    - everything that started has exactly one terminal event, after it;
    - a run's first own event is `run.started`, its last one the terminal;
    - a child lives within its parent, one deeper, under its path; so do a run's calls within it.

    Args:
        events: All events of one or several trees, in order.
        complete: Whether the runs have ended. For a look at a live tree, or one that was killed,
            give `False`: then things may still be open.

    Raises:
        AssertionError: Something does not hold; every violation is named.
    """
    wrong = list(_violations(list(events), complete))
    if wrong:
        raise AssertionError("\n".join(wrong))


def outline(events: Iterable[Event], *, under: str = "root") -> list[str]:
    """The events as short lines, `"  tool.started search"`, indented by depth; for tests and eyes.

    Args:
        events: The events.
        under: Only this run and its descendants.
    """
    lines: list[str] = []
    for event in events:
        if event.path == under or event.path.startswith(f"{under}/"):
            data = event.data
            about = data.get("tool") or data.get("name") or data.get("limit") or ""
            lines.append(f"{'  ' * event.depth}{event.kind} {about}".rstrip())
    return lines


def _violations(events: list[Event], complete: bool) -> Iterator[str]:
    expected: dict[str, int] = {}
    open_things: dict[tuple[str, str, str], Event] = {}
    ever: set[tuple[str, str, str]] = set()
    runs: dict[str, Event] = {}
    ended: set[str] = set()
    for event in events:
        where = f"{event.id} {event.kind} of {event.path}"
        due = expected.get(event.root_run_id, 0)
        if event.seq != due:
            yield f"{where}: seq {event.seq}, but {due} was due"
        expected[event.root_run_id] = event.seq + 1
        yield from _place(event, where, runs, ended)
        if event.kind in TERMINAL:
            key = _key(event, event.kind)
            if key in ever:
                yield f"{where}: {key[2]!r} has started before"
            ever.add(key)
            open_things[key] = event
        elif (
            event.kind in _OPENERS
            and open_things.pop(_key(event, _OPENERS[event.kind]), None) is None
        ):
            yield f"{where}: ends what is not open"
        if event.kind == "run.started":
            runs[event.run_id] = event
        elif event.kind in TERMINAL["run.started"]:
            ended.add(event.run_id)
            yield from _left_open(event, where, open_things.values())
    if complete:
        for kind, _, subject in open_things:
            yield f"{kind} {subject!r} has no terminal event"


def _place(event: Event, where: str, runs: dict[str, Event], ended: set[str]) -> Iterator[str]:
    # A session without a parent tells of its child in the child's own name, around its run.
    outside = event.kind.startswith("subagent.") or event.kind == "limit.reached"
    if event.run_id not in runs and event.kind != "run.started" and not outside:
        yield f"{where}: before its run has started"
    if event.run_id in ended and not outside:
        yield f"{where}: after its run has ended"
    if event.kind != "run.started" or event.parent_run_id is None:
        return
    parent = runs.get(event.parent_run_id)
    if parent is None or event.parent_run_id in ended:
        yield f"{where}: its parent {event.parent_run_id} is not alive"
    elif event.depth != parent.depth + 1 or not event.path.startswith(f"{parent.path}/"):
        yield f"{where}: depth {event.depth} does not follow {parent.path} at {parent.depth}"


def _left_open(end: Event, where: str, still_open: Iterable[Event]) -> Iterator[str]:
    for event in still_open:
        is_child = event.kind == "run.started" and event.parent_run_id == end.run_id
        is_own = event.kind != "subagent.started" and event.run_id == end.run_id
        if is_child or is_own:
            yield f"{where}: before the end of {event.kind} {_key(event, event.kind)[2]!r}"


def _key(event: Event, opener: str) -> tuple[str, str, str]:
    group = opener.rpartition(".")[0]
    name = _SUBJECT.get(group)
    subject: Any = event.data.get(name) if name else event.run_id
    return opener, event.run_id, str(subject)
