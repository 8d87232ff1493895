"""`Candidates`: what another tree did, for one that shares its past and has not come that far.

A fork goes on where the other tree was at that moment. What that one did afterwards need not be done
again where it rests on nothing that is different now:

    a reply     if the same agent asks its model the very same
    a result    of the same call: place, tool and arguments. Not if a tool was called anew before
                it in its line, for what that did may be what the call would see; but always of an
                irreversible tool, which must not do again what it did
    an answer   of the human to the very same question

A delegation is no step: the child is entered, and its own steps are looked at.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tinyagents_graph.events import Event, Origin, is_at_or_below
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.past import Past, is_settled
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.journal.sent import Sent

__all__ = ["Candidates", "Made", "Source", "arguments_key", "find_candidates", "moved"]

Call: TypeAlias = tuple[str, str, str]
"""What makes two calls the same: the run's path, the tool, the arguments."""

_logger = logging.getLogger("tinyagents.journal")
_OWN = frozenset({"tool.started", "tool.completed", "tool.failed"})
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
        calls: What was called, in order.
        answers: What the human answered, by the question's id.
        openings: What its agents were, by path.
    """

    def __init__(
        self, run_id: str, events: Sequence[Event], since: int, edited: Collection[str] = ()
    ) -> None:
        self.run_id = run_id
        self.since = since
        self.replies: dict[tuple[str, str], Event] = {}
        self.calls: defaultdict[Call, list[Made]] = defaultdict(list)
        self.answers: dict[str, Event] = {}
        self.openings: dict[str, Mapping[str, Any]] = {}
        self._events = events
        self._edited = edited
        self._past: Past | None = None
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
            elif event.seq < self.since:
                continue
            elif kind == "model.completed":
                self.replies[path, data["call_id"]] = event
            elif kind == "ask.answered" and "verdict" in data:
                self.answers[data["ask_id"]] = event
            elif kind in _OWN and is_settled(event):
                start = started.get((path, data["call_id"]))
                if start is not None and start.data["path"] not in runs:
                    self._keep_call(start, event)

    def _keep_call(self, start: Event, end: Event) -> None:
        data = start.data
        if end.data.get("category") in _REFUSED:
            return
        if any(is_at_or_below(each, data["path"]) for each in self._edited):
            return
        inside = list(self._inside(start, end, 0))
        if any(each.kind == "ask.raised" and each.data.get("to") != "human" for each in inside):
            return  # it had a parent answer, whose turn lies outside of it
        call = end.origin.path, data["tool"], arguments_key(data["arguments"])
        self.calls[call].append(Made(end, data["path"], start.seq, bool(inside)))

    def _inside(self, start: Event, end: Event, since: int) -> Iterator[Event]:
        """What a body, and all that it started, published from some event on."""
        place, path = start.data["path"], start.origin.path
        for event in self._events[max(start.seq + 1, since) : end.seq]:
            if is_at_or_below(event.origin.path, place):
                yield event
            elif event.origin.path == path and event.kind not in _OWN:
                named = [event.data.get("path"), event.data.get("ask_id")]
                is_below = any(type(each) is str and is_at_or_below(each, place) for each in named)
                if is_below or event.data.get("call_id") == start.data["call_id"]:
                    yield event

    def more_of(self, made: Made) -> list[Event]:
        """What the body of a call published, as far as that is not shared."""
        start = self._events[made.since]
        return list(self._inside(start, made.event, self.since)) if made.has_more else []

    @property
    def past(self) -> Past:
        """All that the tree did."""
        if self._past is None:
            self._past = Past(self._events)
        return self._past

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


class Candidates:
    """What other trees did that need not be done again if it still fits.

    Args:
        sources: The trees, the nearest one first.
        own: Events of the tree itself.
    """

    def __init__(self, sources: Sequence[Source], own: Sequence[Event] = ()) -> None:
        self._sources = sources
        self._used: set[str] = set()
        self._made: dict[str, int] = {}
        self._more: dict[str, list[Event]] = {}
        self._spent: dict[str, list[tuple[str, Mapping[str, Any], int]]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._read(own)

    def _read(self, own: Sequence[Event]) -> None:
        places: dict[tuple[str, str], str] = {}
        runs: set[str] = set()
        for event in own:
            data = event.data
            if "recalled_from" in data:
                self._used.add(data["recalled_from"])
            elif event.kind == "run.started":
                runs.add(event.origin.path)
            elif event.kind == "tool.started":
                places[event.origin.path, data["call_id"]] = data["path"]
            elif event.kind in _OWN:
                place = places.get((event.origin.path, data["call_id"]), "")
                if place not in runs:
                    self._note_made(place, event.seq)
        for source in self._sources:  # what one took over from another is there twice
            for event in source.replies.values():
                self._use_with(source, event)
            for calls in source.calls.values():
                for made in calls:
                    self._use_with(source, made.event)

    def _note_made(self, place: str, seq: int) -> None:
        while place:
            self._made[place] = seq
            place = place.rpartition("/")[0]

    def _use_with(self, source: Source, event: Event) -> None:
        if _name(source, event) in self._used and "recalled_from" in event.data:
            self._used.add(event.data["recalled_from"])

    @property
    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """What the human answered there, by the question's id."""
        found: dict[str, Mapping[str, Any]] = {}
        for source in reversed(self._sources):
            for ask_id, event in source.answers.items():
                told = {**event.data, "recalled_from": _name(source, event)}
                del told["ask_id"]
                found[ask_id] = told
        return found

    def letters(self, path: str) -> Sequence[Sent]:
        """What was sent to a run and is to be read where it was read then."""
        del path
        return ()

    def reply(self, path: str, call_id: str, asked: str, facts: Mapping[str, Any]) -> Event | None:
        """What a model answered to the same.

        Args:
            path: The run that asks.
            call_id: Id of the model call.
            asked: Fingerprint of what it is asked.
            facts: What the agent is.

        Returns:
            The `model.completed` of then.
        """
        for source in self._sources:
            event = source.replies.get((path, call_id))
            if event is None or event.data.get("input") != asked:
                continue
            if source.is_same_agent(path, facts) and self._use(source, event):
                self._names[path, call_id] = _name(source, event)
                return event
        return None

    def name_of_reply(self, path: str, call_id: str) -> str:
        """Where the reply to a model call was taken from; empty if it is a new one."""
        return self._names.pop((path, call_id), "")

    def result(
        self,
        path: str,
        place: str,
        call_id: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        is_irreversible: bool,
    ) -> Event | None:
        """What came of the same call.

        Args:
            path: The run that calls.
            place: Address of the call.
            call_id: Its id.
            tool: What is called.
            arguments: With what, as its `tool.started` tells it.
            is_irreversible: Whether it must not be done twice.

        Returns:
            Its last event, as one of this call.
        """
        call = path, tool, arguments_key(arguments)
        for source in self._sources:
            if source.is_changed(path) and not is_irreversible:
                continue
            for made in _in_order(source.calls.get(call, ()), place, is_irreversible):
                if self._use(source, made.event):
                    return self._take(source, made, place, call_id)
        return None

    def _take(self, source: Source, made: Made, place: str, call_id: str) -> Event:
        if made.has_more:
            self._more[place] = source.more_of(made)
            self._spent[place] = source.past.spent_below(place)
        name = _name(source, made.event)
        data = {**made.event.data, "call_id": call_id, "recalled_from": name}
        return made.event._replace(data=data)

    def _use(self, source: Source, event: Event) -> bool:
        name = _name(source, event)
        if name in self._used:
            return False
        self._used |= {name, event.data.get("recalled_from", name)}
        return True

    def take_more(self, place: str) -> Sequence[Event]:
        """What the body of a call published whose result was taken; once."""
        return self._more.pop(place, ())

    def spent_below(self, place: str) -> list[tuple[str, Mapping[str, Any], int]] | None:
        """As `Past.spent_below`, for a call whose result was taken; `None` for any other."""
        return self._spent.get(place)

    # --- what the tree does ----------

    def enter(self, path: str, place: str) -> None:
        """A run delegates."""
        for source in self._sources:
            source.enter(path, place)

    def change(self, path: str, place: str) -> None:
        """A run calls a tool anew."""
        for source in self._sources:
            source.change(path, place)

    def change_again(self, path: str, place: str) -> None:
        """A run comes by a call that is a fact: so is what was called anew in it."""
        for source in self._sources:
            if self._made.get(place, -1) >= source.since:
                source.change(path, place)


def _in_order(calls: Sequence[Made], place: str, is_irreversible: bool) -> list[Made]:
    """Those that a call can be taken for, the one of the same place first."""
    same = [made for made in calls if made.place == place]
    if not is_irreversible:
        return same
    return same + [made for made in calls if made.place != place and not made.has_more]


def _name(source: Source, event: Event) -> str:
    return f"{source.run_id}@{event.seq}"


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


async def find_candidates(
    journal: Journal, about: Mapping[str, Any], own: Sequence[Event]
) -> Candidates | None:
    """The candidates of a tree.

    Args:
        journal: Where it is kept.
        about: What is kept of it besides its events.
        own: Its events so far.

    Returns:
        `None` if it is no fork, or one that takes nothing over.
    """
    reuse = about.get("reuse")
    if not reuse:
        return None
    sources: list[Source] = []
    for run_id, since, created in reuse["from"]:
        record = await journal.find(run_id)
        # One that was dropped may have a successor of its name, which did something else.
        if record is None or record.created != created:
            _logger.warning("run %r is gone: its forks do again what it did", run_id)
            continue
        sources.append(Source(run_id, await journal.read(run_id), since, reuse["edited"]))
    return Candidates(sources, own) if sources else None
