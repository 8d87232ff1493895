"""`Past`: what a tree did before, so that whoever does it again finds what is done already.

A tree goes on by running its code from the beginning. Steps that the past knows are facts: they
are looked up, not done. Events that the past has are not published twice.

    fact        a call, a node or a run that came to its end, as whoever asked for it was told
    repeat      an event that the code will come by again
    begun       what had begun and not ended when the process died
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from math import inf
from typing import Any, TypeAlias

from tinyagents_graph.events import TERMINAL, Event, EventKind, Origin
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.brief import brief
from tinyagents_graph.journal.identity import identity, is_of_resuming
from tinyagents_graph.journal.sent import SentMail
from tinyagents_graph.journal.times import seconds_at_work
from tinyagents_graph.journal.visits import OF_GRAPHS, Visits

__all__ = ["Begun", "Past", "Spent", "is_settled"]

Key: TypeAlias = tuple[str, str, Any]
"""What a step is called: its group, the path of its run, and its name there."""

Spent: TypeAlias = tuple[str, Mapping[str, Any], int]
"""A run that has ended: the path of the run above it, its last event's data, and how many runs
there were, with those below."""

_NAMES: Mapping[str, str] = {
    "model": "call_id", "tool": "call_id", "node": "path", "subagent": "path", "graph.step": "step",
}  # fmt: skip
_OPENERS: Mapping[str, str] = {
    kind: kind.rpartition(".")[0] for kind in TERMINAL if not kind.startswith("run.")
}
_CLOSERS: Mapping[str, str] = {
    end: group for kind, group in _OPENERS.items() for end in TERMINAL[kind]
}
# Not what happened, but that it was under way; each segment says it anew.
_OF_SEGMENT = frozenset(
    {"model.delta", "run.paused", "run.resumed", "checkpoint.restored", "budget.reserved",
     "budget.released"}
)  # fmt: skip
# Each try tells of itself: a later one that looks like it is another one.
_OF_A_TRY = frozenset({"tool.retried", "node.retried"})
_ENDED = frozenset({"run.completed", "run.failed", "run.cancelled"})
_REOPENED = frozenset({"run.paused", "run.failed", "run.cancelled"})
# What has no name of its own by which one could be told from another.
_LOOSE = frozenset({"custom", "limit.reached", "budget.exceeded", "checkpoint.saved"})

# Steps whose events nobody publishes again once they are facts: who looks one up knows that it is
# told already.
_LOOKED_UP = frozenset({"model", "tool"})

_NEVER = -1
_NOTHING: Mapping[str, Any] = {}


@frozen
class Begun:
    """Something that had begun and not ended.

    Attributes:
        event: Its start.
        is_in_doubt: Whether the process died while it was at work; else its run was parked.
        since: Position of the event by which it last went to work.
    """

    event: Event
    is_in_doubt: bool
    since: int


class Past:
    """What a tree did before.

    Args:
        events: Its events so far, all of them.
        is_brief: Whether it is enough to know what was since the root's last snapshot.

    Attributes:
        n_events: How many there are.
        n_steps: How many of them are facts that need not be done again.
        saved: The data of every `checkpoint.saved`, by the run's path.
        asks: The questions that were raised, by id.
        open_asks: Those to the human that were neither answered nor have expired.
        called_off: Ids of those that were given up with their run: what they asked is asked anew.
        given: The data of the answers that were given to them, by id.
        answers: Paths of the runs by which parents answered, by the question's id.
        sessions: What was saved of sessions, by name.
        visits: What graphs in it did.
        absent: Paths of the runs that had not ended, until they begin again.
        mail: What was sent to its runs.
    """

    def __init__(self, events: Sequence[Event], *, is_brief: bool = False) -> None:
        self.n_events = len(events)
        self._events = events
        self._used: Mapping[str, float] | None = None
        # By group and path first: a key for each of many thousand steps would be kept as well.
        self._facts: defaultdict[tuple[str, str], dict[Any, Event]] = defaultdict(dict)
        self._begun: dict[Key, tuple[int, Event]] = {}
        self._doubted: dict[Key, tuple[int, Event]] = {}
        self._loose: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._repeats: defaultdict[tuple[Any, ...], list[Event]] = defaultdict(list)
        self._runs: dict[str, Event] = {}
        self._paused_at: dict[str, int] = {}
        self._spent: defaultdict[str, dict[str, Event]] = defaultdict(dict)
        self._n_below: defaultdict[str, int] = defaultdict(int)
        self._parents: dict[str, str] = {}
        self._places: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.saved: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.asks: dict[str, Event] = {}
        self.open_asks: dict[str, Event] = {}
        self.called_off: set[str] = set()
        self.given: dict[str, Mapping[str, Any]] = {}
        self.sessions: dict[str, list[Mapping[str, Any]]] = {}
        self.absent: set[str] = set()
        self.visits = Visits()
        self.answers: dict[str, str] = {}
        self.mail = SentMail()
        self._root_name = ""
        self._asked: dict[str, str] = {}
        self._askers: dict[str, set[str]] = {}
        self._read(brief(events) if is_brief else events)
        for _, event in self._begun.values():
            self._repeat(event)
        self.n_steps = sum(map(len, self._facts.values()))
        for found in self._repeats.values():
            found.reverse()  # they are taken from the end

    def _read(self, events: Iterable[Event]) -> None:
        for event in events:
            at, _, kind, origin, data = event
            path = origin.path
            if kind in OF_GRAPHS:
                self.visits.read(event)
            if (group := _OPENERS.get(kind)) is not None:
                if kind == "tool.started":
                    self._places[path][data["call_id"]] = data["path"]
                key = group, path, data[_NAMES[group]]
                doubted = self._doubted.pop(key, None)  # it stays so until it is tried again
                self._begun[key] = (at if doubted is None else doubted[0]), event
            elif (group := _CLOSERS.get(kind)) is not None:
                self._close((group, path, data[_NAMES[group]]), event)
            elif kind.startswith("run."):
                self._read_run(at, event)
            elif kind not in _OF_SEGMENT:
                if data.get("called_off"):
                    self._call_off(event)
                    continue
                if kind not in _OF_A_TRY and not is_of_resuming(data):
                    self._repeat(event)
                self._read_rest(at, event)

    def used_s(self, path: str) -> float:
        """Seconds that a run was at work before."""
        if self._used is None:  # few runs have a clock
            self._used = seconds_at_work(self._events)
        return self._used.get(path, 0.0)

    def _close(self, key: Key, event: Event) -> None:
        opened = self._begun.pop(key, None)
        if not is_settled(event):
            if opened is not None and event.data.get("in_doubt"):
                self._doubted[key] = opened
            return  # it will be done again, and be told again
        group, path, name = key
        self._facts[group, path][name] = event
        if group in _LOOKED_UP:
            return
        if opened is not None:
            self._repeat(opened[1])
        self._repeat(event)

    def _read_run(self, at: int, event: Event) -> None:
        origin = event.origin
        path = origin.path
        self._runs[path] = event
        self.absent.discard(path) if event.kind in _ENDED else self.absent.add(path)
        if event.kind == "run.started":
            if "ask_id" in event.data:
                self.answers[event.data["ask_id"]] = path
                self._note_answer(path, event.data["ask_id"].rpartition("/")[0])
            if origin.parent_run_id is None:
                self._root_name = event.data.get("name", "")
            self._repeat(event)
            self._count(origin)
        elif event.kind == "run.paused":
            self._paused_at[path] = at
        elif event.kind == "run.cancelled" and origin.parent_run_id is None:
            self.mail.note_cancelled(path)
        if event.kind in _ENDED and (parent := self._parents.get(path)) is not None:
            for place in self._calls_above(parent, path):
                self._spent[place][path] = event

    def _note_answer(self, path: str, asker: str) -> None:
        """A run answers a question of another: it was started from the call that asks."""
        self._asked[path] = above = asker
        while "/" in above:
            above = above.rpartition("/")[0]
            self._askers.setdefault(above, set()).add(asker)

    def _count(self, origin: Origin) -> None:
        """One run more, below each of those above it."""
        if origin.parent_run_id is None or origin.path in self._parents:
            return
        parent = f"root{origin.parent_run_id[len(origin.root_run_id) :]}"
        self._parents[origin.path] = parent
        above: str | None = parent
        while above is not None:
            self._n_below[above] += 1
            above = self._parents.get(above)

    def _read_rest(self, at: int, event: Event) -> None:
        kind, data, path = event.kind, event.data, event.origin.path
        if kind == "checkpoint.saved":
            self.saved[path].append(data)
            if "session" in data:
                self.sessions.setdefault(data["session"], []).append(data)
        elif kind.startswith("ask."):
            self._read_ask(event)
        elif kind.startswith("steer."):
            self.mail.read(event)
        elif kind in _OF_A_TRY:
            group = kind.partition(".")[0]
            key = group, path, data[_NAMES[group]]
            if (opened := self._begun.get(key)) is not None:
                self._begun[key] = at, opened[1]  # from here on it is at work anew

    def _read_ask(self, event: Event) -> None:
        ask_id = event.data["ask_id"]
        if event.kind == "ask.raised":
            self.asks[ask_id] = event
            if event.data.get("to", "human") == "human":
                self.open_asks[ask_id] = event
        else:
            self.open_asks.pop(ask_id, None)
            if "verdict" in event.data:
                self.given[ask_id] = event.data

    def _call_off(self, end: Event) -> None:
        """A question, or a command, was given up with its run: it may come again, and is new."""
        data, path = end.data, end.origin.path
        if end.kind == "ask.expired":
            ask_id = data["ask_id"]
            self.called_off.add(ask_id)
            self.open_asks.pop(ask_id, None)
            opener = self.asks[ask_id]
            self._repeats[identity(opener.kind, path, opener.data)].pop()
        else:
            sent = self.mail.give_up(data["to"], data["steer_id"])
            self._repeats[identity("steer.received", path, sent)].pop()

    def _repeat(self, event: Event) -> None:
        path = event.origin.path
        name = identity(event.kind, path, event.data)
        self._repeats[name].append(event)
        if event.kind in _LOOSE:
            self._loose[path].append(name)

    def arrive(self, path: str) -> None:
        """A run has come to its first new step: what it publishes from here on is new.

        Events of bodies that are not run again would else stand for new ones that look like them.
        """
        for name in self._loose.pop(path, ()):
            self._repeats.pop(name, None)

    # --- looking up ----------

    def whole(self) -> Past:
        """All that is known, if a snapshot is of no use."""
        return Past(self._events)

    def fact(self, group: str, path: str, name: Any) -> Event | None:
        """How a step ended that need not be done again.

        Args:
            group: `"model"`, `"tool"`, `"node"` or `"graph.step"`.
            path: The run it belongs to.
            name: Its id there: of a call its id, of a node its address.
        """
        return self._facts.get((group, path), _NOTHING).get(name)

    def place_of_call(self, path: str, call_id: str) -> str:
        """Address of a call that is a fact; empty if it was refused before it got one."""
        place: str = self._places.get(path, _NOTHING).get(call_id, "")
        return place

    def begun(self, group: str, path: str, name: Any) -> Begun | None:
        """The start of a step that did not end."""
        key = group, path, name
        if (found := self._begun.get(key)) is not None:
            at, event = found
            return Begun(event, at > self._paused_at.get(path, _NEVER), at)
        if (found := self._doubted.get(key)) is not None:
            return Begun(found[1], True, found[0])
        return None

    def run(self, path: str) -> Event | None:
        """The last event that tells how a run stands."""
        return self._runs.get(path)

    @property
    def began_as(self) -> str:
        """What the root was called; empty if it had not begun."""
        return self._root_name

    def is_finished(self, path: str) -> bool:
        """Whether a run has completed: it will say nothing new."""
        last = self._runs.get(path)
        return last is not None and last.kind == "run.completed"

    def opens_again(self, path: str) -> bool:
        """Whether a run that had been parked, had failed or was cancelled now goes on."""
        last = self._runs.get(path)
        return last is not None and last.kind in _REOPENED

    def _calls_above(self, parent: str, path: str) -> Iterator[str]:
        """The places in a run from which a child of it was started, a call and those in that call.

        A run that answers another one belongs to the call that asks.
        """
        asked = self._asked.get(path)
        if asked is not None:
            yield asked
            return
        place = parent
        for part in path[len(parent) + 1 :].split("/"):
            place = f"{place}/{part}"
            yield place

    def calls_in(self, path: str, place: str) -> Set[str]:
        """Addresses of the calls that a run made in the middle of one of its calls."""
        own: Mapping[str, str] = self._places.get(path, _NOTHING)
        return {each for each in own.values() if each.startswith(f"{place}/")}

    def places_in(self, path: str) -> list[str]:
        """The places in a run from which runs were started that have ended."""
        return [place for place in self._spent if place.rpartition("/")[0] == path]

    def spent_below(self, place: str, before: float = inf) -> list[Spent]:
        """What the runs used that a call, or a node, started and that have ended.

        Args:
            place: Address of the call.
            before: Only those that ended before the event with this `seq`.

        Returns:
            Of each of them what it has come to; its last event tells its `tree_usage`.
        """
        if place not in self._spent and place not in self._askers:
            return []  # as of nearly every call, for few start a run
        ended = dict(self._spent.get(place) or {})
        for asker in self._askers.get(place, ()):
            ended |= self._spent.get(asker) or {}
        return [
            (self._parents[path], event.data, 1 + self._n_below[path])
            for path, event in ended.items()
            if event.seq < before
        ]

    def take_repeat(self, kind: EventKind, origin: Origin, data: Mapping[str, Any]) -> Event | None:
        """The event that the past has in place of one that is about to be published."""
        path = origin.path
        if kind in _OF_SEGMENT:
            if kind.startswith("budget.") and self.is_finished(path):
                return self._runs[path]
            return None
        # Whoever is interrupted on the way to what has completed before has nothing new to tell.
        if kind in ("run.failed", "run.cancelled"):
            return self._runs[path] if self.is_finished(path) else None
        if kind in ("subagent.failed", "subagent.cancelled"):
            return self.fact("subagent", path, data["path"])
        if is_of_resuming(data):
            return None
        found = self._repeats.get(identity(kind, path, data))
        if found:
            return found.pop()
        return self._runs[path] if self.is_finished(path) else None


def is_settled(end: Event) -> bool:
    """Whether whoever asked for it was told how it ended, and went on with that."""
    if end.kind == "node.failed" or end.data.get("category") == "cancelled":
        return bool(end.data.get("handed_on"))
    if end.kind == "tool.failed":
        return not end.data.get("fatal")
    if end.kind == "graph.step.completed":
        return "error" not in end.data
    return end.kind.endswith(".completed")
