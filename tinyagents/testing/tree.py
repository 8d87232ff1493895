"""Checking and reading the events of run trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from tinyagents_graph.events import TERMINAL, Event

__all__ = ["check_tree", "outline"]

_ENDINGS: Mapping[str, frozenset[str]] = {
    **TERMINAL,
    "run.paused": frozenset({"run.resumed"}),
    "steer.received": frozenset({"steer.applied", "steer.denied", "steer.expired"}),
    "ask.raised": frozenset({"ask.answered", "ask.expired"}),
}
_OPENERS = {ending: opener for opener, endings in _ENDINGS.items() for ending in endings}
_REOPENED = frozenset({"run.failed", "run.cancelled"})
# What may open, and close, again and again.
_REPEATED = frozenset({"run.paused"})
_Key: TypeAlias = tuple[str, str, str]
_SUBJECT = {
    "model": "call_id", "tool": "call_id", "subagent": "run_id", "node": "path",
    "graph.step": "step", "steer": "steer_id", "ask": "ask_id",
}  # fmt: skip


def check_tree(events: Iterable[Event], *, complete: bool = True) -> None:
    """Check what every stream of events promises, whatever happened in it.

    - `seq` counts 0, 1, 2, … in each tree;
    - everything that started has exactly one terminal event, after it;
    - a run's first own event is `run.started`, its last one the terminal;
    - a child lives within its parent, one deeper, under its path; so do a run's calls within it;
    - a run is paused and resumed in turns, and has been resumed when it ends; a tree that is
      parked, so that it ends with `run.paused`, may have open what goes on with it;
    - every command that a run received has exactly one final acknowledgement, of the same run;
    - once a tree was taken up again out of a journal, what had failed or was cancelled may be
      begun anew: a run with `run.resumed`, all else with another start.

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


class _Open:
    """What has started and not ended; also by run, so that checking many runs stays linear."""

    def __init__(self) -> None:
        self.things: dict[_Key, str | None] = {}
        self._in: defaultdict[str | None, set[_Key]] = defaultdict(set)
        self.restored: set[str] = set()  # trees that were taken up again
        self._ever: dict[_Key, str] = {}  # how it ended last; empty while it has not

    def follow(self, event: Event, where: str) -> Iterator[str]:
        """Note what `event` opens or closes."""
        if event.kind in _ENDINGS:
            key = _key(event, event.kind)
            if not self._may_start(key, event):
                yield f"{where}: {key[2]!r} has started before"
            self.start(key, event)
        elif event.kind in _OPENERS:
            key = _key(event, _OPENERS[event.kind])
            if key not in self.things:
                yield f"{where}: ends what is not open"
            else:
                # A step of a graph says that it failed in its one terminal event.
                has_failed = event.kind == "graph.step.completed" and "error" in event.data
                self._ever[key] = "failed" if has_failed else event.kind
                self._in[self.things.pop(key)].discard(key)

    def start(self, key: _Key, event: Event) -> None:
        """Something is open from now on."""
        self._ever[key] = ""
        self.things[key] = holder = _holder(event)
        self._in[holder].add(key)

    def _may_start(self, key: _Key, event: Event) -> bool:
        if key in self.things:
            return False
        if event.kind in _REPEATED or key not in self._ever:
            return True
        return event.root_run_id in self.restored and not self._ever[key].endswith(".completed")

    def left_in(self, run_id: str) -> Iterable[_Key]:
        """What may not be open any more once a run ends."""
        return sorted(self._in.pop(run_id, ()))


def _violations(events: list[Event], complete: bool) -> Iterator[str]:
    expected: dict[str, int] = {}
    still_open = _Open()
    runs: dict[str, Event] = {}
    ended: dict[str, str] = {}
    last: dict[str, Event] = {}
    for event in events:
        last[event.root_run_id] = event
        where = f"{event.id} {event.kind} of {event.path}"
        due = expected.get(event.root_run_id, 0)
        if event.seq != due:
            yield f"{where}: seq {event.seq}, but {due} was due"
        expected[event.root_run_id] = event.seq + 1
        if event.kind == "run.resumed" and ended.get(event.run_id) in _REOPENED:
            yield from _reopen(event, where, ended, still_open)
            continue
        yield from _place(event, where, runs, ended)
        yield from still_open.follow(event, where)
        if event.kind == "checkpoint.restored":
            still_open.restored.add(event.root_run_id)
        if event.kind == "run.started":
            runs[event.run_id] = event
        elif event.kind in TERMINAL["run.started"]:
            ended[event.run_id] = event.kind
            for kind, _, subject in still_open.left_in(event.run_id):
                yield f"{where}: before the end of {kind} {subject!r}"
    if complete:
        yield from _unended(still_open, last)


def _unended(still_open: _Open, last: dict[str, Event]) -> Iterator[str]:
    # A tree that was parked is as complete as it can be.
    parked = {event.root_run_id for event in last.values() if event.kind == "run.paused"}
    for kind, run_id, subject in still_open.things:
        if run_id.split("/")[0] not in parked:
            yield f"{kind} {subject!r} has no terminal event"


def _reopen(event: Event, where: str, ended: dict[str, str], still_open: _Open) -> Iterator[str]:
    """A run that had come to no result goes on, out of a journal."""
    if event.parent_run_id is not None and event.root_run_id not in still_open.restored:
        yield f"{where}: goes on after it has ended, and its tree was not taken up again"
    del ended[event.run_id]
    still_open.start(_key(event, "run.started"), event._replace(kind="run.started"))


def _place(
    event: Event, where: str, runs: dict[str, Event], ended: dict[str, str]
) -> Iterator[str]:
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


def _holder(opener: Event) -> str | None:
    """Id of the run that may not end before what `opener` opens."""
    if opener.kind == "subagent.started":  # a session tells of its child's end after it
        return None
    return opener.parent_run_id if opener.kind == "run.started" else opener.run_id


def _key(event: Event, opener: str) -> _Key:
    group = opener.rpartition(".")[0]
    name = _SUBJECT.get(group)
    subject: Any = event.data.get(name) if name else event.run_id
    return opener, event.run_id, str(subject)
