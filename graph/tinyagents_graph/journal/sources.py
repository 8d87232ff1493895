"""`Source`: what one tree did that another one may take over."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tinyagents_graph.events import Event, Origin, is_at_or_below
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.past import Past, is_settled
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.journal.shadows import Shadow

__all__ = ["Made", "Source", "arguments_key", "moved"]

Call: TypeAlias = tuple[str, str, str]
"""What makes two calls the same: the run's path, the tool, the arguments."""

_OWN = frozenset(
    {"tool.started", "tool.completed", "tool.failed", "node.started", "node.completed",
     "node.failed"}
)  # fmt: skip
_RESULTS = frozenset({"tool.completed", "tool.failed"})
# Of a call that was not made: whether it is made now does not follow from that.
_REFUSED = frozenset({"unknown_tool", "invalid_arguments", "shadow", "rejected", "unanswered"})


@frozen
class Made:
    """A call that the other tree made.

    Attributes:
        event: How it ended.
        place: Its address.
        since: Position of its start.
        has_more: Whether its body published something besides.
    """

    event: Event
    place: str
    since: int
    has_more: bool = False


class Source:
    """What one tree did from some event on.

    Args:
        run_id: Id of its root.
        events: Its events, all of them.
        since: Position of the first one that is not shared.
        edited: Paths of the runs in which something was edited: a body that started one of them
            has to be run again.

    Attributes:
        replies: Of models, by path and call id.
        failures: Of models, likewise.
        calls: What was called, in order.
        answers: What the human answered, by the question's id.
        visits: Of the nodes of graphs, by the run's path and the visit's.
        openings: What its agents were, by path.
    """

    def __init__(
        self, run_id: str, events: Sequence[Event], since: int, edited: Collection[str] = ()
    ) -> None:
        self.run_id = run_id
        self.since = since
        self.replies: dict[tuple[str, str], Event] = {}
        self.failures: dict[tuple[str, str], Event] = {}
        self.calls: defaultdict[Call, list[Made]] = defaultdict(list)
        self.answers: dict[str, Event] = {}
        self.visits: dict[tuple[str, str], Made] = {}
        self._said: dict[str, Mapping[str, Any]] = {}
        self._shadow: Shadow | None = None
        self.openings: dict[str, Mapping[str, Any]] = {}
        self._events = events
        self._edited = edited
        self._past: Past | None = None
        self._told: set[str] = set()
        self._changed: set[str] = set()
        self._downstream: set[str] = set()
        self._read()

    def _read(self) -> None:
        started: dict[tuple[str, str], Event] = {}
        runs: set[str] = set()
        for event in self._events:
            kind, path, data = event.kind, event.origin.path, event.data
            if kind == "run.started":
                runs.add(path)
            elif kind == "checkpoint.saved" and "messages" in data:
                self.openings[path] = data
            elif kind == "tool.started":
                started[path, data["call_id"]] = event
            elif kind == "node.started":
                started[path, data["path"]] = event
            elif kind in _RESULTS and is_settled(event):
                self._read_result(started.get((path, data["call_id"])), event, runs)
            elif kind == "model.failed" and data["error"]["type"] == "ModelError":
                self.failures[path, data["call_id"]] = event
            else:
                self._read_rest(event, started)

    def _read_rest(self, event: Event, started: Mapping[tuple[str, str], Event]) -> None:
        data = event.data
        if event.kind == "ask.answered" and "verdict" in data:
            self._said[data["ask_id"]] = data
        if event.seq < self.since:
            return
        if event.kind == "model.completed":
            self.replies[event.origin.path, data["call_id"]] = event
        elif event.kind == "ask.answered" and "verdict" in data:
            self.answers[data["ask_id"]] = event
        elif event.kind == "node.completed":
            start = started.get((event.origin.path, data["path"]))
            if start is not None and (made := self._made(start, event)) is not None:
                self.visits[event.origin.path, data["path"]] = made

    def _read_result(self, start: Event | None, end: Event, runs: Collection[str]) -> None:
        if start is None:
            return
        if start.data["path"] in runs:
            self._told.add(start.data["path"])
        elif end.seq >= self.since:
            self._keep_call(start, end)

    def _keep_call(self, start: Event, end: Event) -> None:
        if end.data.get("category") in _REFUSED:
            return
        made = self._made(start, end)
        if made is not None:
            data = start.data
            call = end.origin.path, data["tool"], arguments_key(data["arguments"])
            self.calls[call].append(made)

    def _made(self, start: Event, end: Event) -> Made | None:
        """What was made from one event to the other; `None` if it has to be made again."""
        place = start.data["path"]
        if any(is_at_or_below(each, place) for each in self._edited):
            return None
        inside = list(self._inside(start, end, 0))
        if any(each.kind == "ask.raised" and each.data.get("to") != "human" for each in inside):
            return None  # it had a parent answer, whose turn lies outside of it
        return Made(end, place, start.seq, bool(inside))

    def _inside(self, start: Event, end: Event, since: int) -> Iterator[Event]:
        """What a body, and all that it started, published from some event on."""
        place, path = start.data["path"], start.origin.path
        call_id = start.data.get("call_id", "")
        for event in self._events[max(start.seq + 1, since) : end.seq]:
            if is_at_or_below(event.origin.path, place):
                yield event
            elif event.origin.path == path and event.kind not in _OWN:
                named = [event.data.get("path"), event.data.get("ask_id")]
                is_below = any(type(each) is str and is_at_or_below(each, place) for each in named)
                if is_below or (call_id and event.data.get("call_id") == call_id):
                    yield event

    def answers_in(self, place: str) -> Iterator[Mapping[str, Any]]:
        """What the human answered to questions of a call or a visit, shared events included."""
        return (data for ask_id, data in self._said.items() if is_at_or_below(ask_id, place))

    @property
    def shadow(self) -> Shadow:
        """What its visits saw."""
        if self._shadow is None:
            self._shadow = Shadow(self._events)
        return self._shadow

    def more_of(self, made: Made) -> list[Event]:
        """What the body of a call published, as far as that is not shared."""
        start = self._events[made.since]
        return list(self._inside(start, made.event, self.since)) if made.has_more else []

    def sent_by(self, made: Made) -> list[Sent]:
        """What the body of a call sent to runs that are not its own."""
        return [
            Sent(event.data["steer_id"], event.data)
            for event in self._events[made.since : made.event.seq]
            if event.kind == "steer.received"
            and is_at_or_below(event.data["steer_id"], made.place)
            and not is_at_or_below(event.data["to"], made.place)
        ]

    @property
    def past(self) -> Past:
        """All that the tree did."""
        if self._past is None:
            self._past = Past(self._events)
        return self._past

    @property
    def events_to_take(self) -> Iterator[Event]:
        """The replies and results that may be taken over."""
        yield from self.replies.values()
        for calls in self.calls.values():
            yield from (made.event for made in calls)
        yield from (made.event for made in self.visits.values())

    def was_told(self, path: str) -> bool:
        """Whether what came of a run was told to one above it, which went on."""
        return any(is_at_or_below(path, place) for place in self._told)

    # --- what is different now ----------

    def is_same_agent(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Whether a run is of the agent that it was of then."""
        then = self.openings.get(path)
        return then is not None and all(then.get(name) == now for name, now in facts.items())

    def enter(self, path: str, place: str) -> None:
        """A run delegates: what was called anew before it may matter below, too."""
        if path in self._changed:
            self._downstream.add(place)

    def change(self, path: str, place: str) -> None:
        """A run calls a tool anew."""
        self._downstream.add(place)
        while path and path not in self._changed:
            self._changed.add(path)
            path = path.rpartition("/")[0]

    def is_changed(self, path: str) -> bool:
        """Whether a tool was called anew before what a run is about to call."""
        if path in self._changed:
            return True
        return any(is_at_or_below(path, place) for place in self._downstream)

    def name(self, event: Event) -> str:
        """What an event of the tree is called elsewhere."""
        return f"{self.run_id}@{event.seq}"


def arguments_key(arguments: Mapping[str, Any]) -> str:
    """Arguments as a text that is the same for the same ones, in whatever order."""
    return json.dumps(arguments, sort_keys=True, default=str)


def moved(event: Event, to: str) -> Event:
    """An event as one of another tree, at the same place there.

    Args:
        event: The event.
        to: Id of the other tree's root.
    """
    root, path = event.origin.root_run_id, event.origin.path
    above, data = event.origin.parent_run_id, event.data
    parent = None if above is None else f"{to}{above[len(root) :]}"
    origin = Origin(f"{to}{path[4:]}", parent, to, event.origin.depth, path)
    named = data.get("run_id")
    if isinstance(named, str) and is_at_or_below(named, root):
        data = {**data, "run_id": f"{to}{named[len(root) :]}"}
    return event._replace(origin=origin, data=data)
