"""`Candidates`: what another tree did, for one that shares its past and has not come that far.

A fork goes on where the other tree was at that moment. What that one did afterwards need not be
done again where it rests on nothing that is different now:

    a reply     if the same agent asks its model the very same; also that the model failed, if
                whoever delegated was told, and went on with it
    a result    of the same call: place, tool and arguments. Not if a tool was called anew before
                it in its line, for what that did may be what the call would see; but always of an
                irreversible tool, which must not do again what it did
    an answer   of the human to the very same question
    a command   of the human, at the same step
    a visit     of a function that is a node, in a graph that runs in supersteps, if it sees the
                same state

A delegation is no step: the child is entered, and its own steps are looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinyagents_graph.events import Event, is_at_or_below
from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.journal.shadows import Shadow
from tinyagents_graph.journal.sources import Made, Source, arguments_key

__all__ = ["Candidates", "ReplayJournal", "find_candidates"]

_logger = logging.getLogger("tinyagents.journal")
_ENDS = frozenset({"tool.completed", "tool.failed", "node.completed", "node.failed"})


class Candidates:
    """What other trees did that need not be done again if it still fits.

    Args:
        sources: The trees, the nearest one first.
        own: Events of the tree itself.

    Attributes:
        given: What the human has answered in the tree itself, by the question's id.
    """

    def __init__(self, sources: Sequence[Source], own: Sequence[Event] = ()) -> None:
        self._sources = sources
        self.given: Mapping[str, Mapping[str, Any]] = {}
        self._used: set[str] = set()
        self._made: dict[str, int] = {}
        self._more: dict[str, list[Event]] = {}
        self._sent: dict[str, list[Sent]] = {}
        self._spent: dict[str, list[tuple[str, Mapping[str, Any], int]]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._shadow = Shadow(own)
        self._read(own)

    def _read(self, own: Sequence[Event]) -> None:
        """Find what was taken over, and what was called anew."""
        places: dict[tuple[str, str], str] = {}
        runs: set[str] = set()
        cells: set[tuple[str, str]] = set()
        for event in own:
            path, data = event.path, event.data
            if "recalled_from" in data:
                self._used.add(data["recalled_from"])
            elif event.kind == "run.started":
                runs.add(path)
            elif event.kind == "tool.started":
                places[path, data["call_id"]] = data["path"]
            elif event.kind == "code.executed":
                cells.add((path, data["call_id"]))
            elif event.kind in _ENDS and (path, data.get("call_id")) not in cells:
                place = data.get("path") or places.get((path, data["call_id"]), "")
                self._note_made("" if place in runs else place, event.seq)
        for source in self._sources:
            for event in source.events_to_take:
                # What a source took over from another one is there twice.
                if "recalled_from" in event.data and source.name(event) in self._used:
                    self._used.add(event.data["recalled_from"])

    def _note_made(self, place: str, seq: int) -> None:
        while place:
            self._made[place] = seq
            place = place.rpartition("/")[0]

    @property
    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """What the human answered there, by the question's id."""
        found: dict[str, Mapping[str, Any]] = {}
        for source in reversed(self._sources):
            for ask_id, event in source.answers.items():
                told = {**event.data, "recalled_from": source.name(event)}
                del told["ask_id"]
                found[ask_id] = told
        return found

    def step_of_answer(self, ask_id: str) -> int:
        """In which superstep of its graph an answer was taken; -1 if none was."""
        for source in self._sources:
            if ask_id in source.answers:
                return source.past.visits.answered.get(ask_id, -1)
        return -1

    def letters(self, path: str, sent: Sequence[Sent]) -> Sequence[Sent]:
        """What is read again where it was read.

        Args:
            path: The run that it was sent to.
            sent: What was sent to it in the tree itself.

        Returns:
            That, and what came to it from outside later, each with the step it was read at there.
        """
        letters = {each.steer_id: each for each in sent}
        for source in self._sources:
            for each in source.past.mail.to(path):
                known = letters.get(each.steer_id)
                if known is None:
                    if self._comes_again(each):
                        letters[each.steer_id] = each
                elif each.is_over and known.step:  # the fork is made to go on
                    del letters[each.steer_id]
                elif not known.step:
                    letters[each.steer_id] = replace(known, step=each.step, is_over=each.is_over)
        return list(letters.values())

    def _comes_again(self, letter: Sent) -> bool:
        """Whether it still counts, and nobody in the tree sends it, who would send it anew."""
        return not letter.is_over and not is_at_or_below(letter.data["by"], "root")

    @property
    def n_sent(self) -> int:
        """How many commands were sent there."""
        return max(source.past.mail.n for source in self._sources)

    def take_sent(self, place: str) -> Sequence[Sent]:
        """What the body of a call sent to other runs, whose result was taken; once."""
        return self._sent.pop(place, ())

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
            if source.is_same_agent(path, facts) and self._mark(source, event):
                self._names[path, call_id] = source.name(event)
                return event
        return None

    def failure(
        self, path: str, call_id: str, asked: str, facts: Mapping[str, Any]
    ) -> Event | None:
        """How a model failed that was asked the same, if whoever delegated went on with that.

        Args:
            path: As for `reply`.
            call_id: As for `reply`.
            asked: As for `reply`.
            facts: As for `reply`.
        """
        for source in self._sources:
            event = source.failures.get((path, call_id))
            if event is not None and event.data.get("input") == asked:
                is_same = source.is_same_agent(path, facts) and source.was_told(path)
                return event if is_same else None
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
                if self._use(source, made):
                    return self._take(source, made, place, call_id)
        return None

    def visit(self, path: str, place: str) -> Event | None:
        """What came of the same visit of a graph's node, if it saw the same.

        Args:
            path: The graph's run.
            place: Address of the visit.

        Returns:
            Its last event.
        """
        sees = self._shadow.saw(path, place) or self._shadow.sees(path)
        for source in self._sources:
            made = source.visits.get((path, place))
            if made is None or not sees or source.shadow.saw(path, place) != sees:
                continue
            if not source.is_changed(path) and self._use(source, made):
                return self._take(source, made, place)
        return None

    def see(self, event: Event) -> None:
        """The tree has published an event."""
        self._shadow.see(event)

    def _take(self, source: Source, made: Made, place: str, call_id: str = "") -> Event:
        if made.has_more:
            self._more[place] = source.more_of(made)
            self._spent[place] = source.past.spent_below(place)
        if sent := source.sent_by(made):
            self._sent[place] = sent
        name = source.name(made.event)
        data = {**made.event.data, "recalled_from": name}
        if call_id:
            data["call_id"] = call_id
        return made.event._replace(data=data)

    def _use(self, source: Source, made: Made) -> bool:
        """Whether it can be taken over: once, and if the human has answered the same in it."""
        told = ("verdict", "value", "arguments")
        for then in source.answers_in(made.place):
            now = self.given.get(then["ask_id"]) or {}
            if [now.get(name) for name in told] != [then.get(name) for name in told]:
                return False
        return self._mark(source, made.event)

    def _mark(self, source: Source, event: Event) -> bool:
        name = source.name(event)
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


class ReplayJournal(MemoryJournal):
    """A journal for a tree that takes over all of another one.

    Args:
        candidates: What it takes over.
    """

    def __init__(self, candidates: Candidates) -> None:
        super().__init__()
        self.candidates = candidates


def _in_order(calls: Sequence[Made], place: str, is_irreversible: bool) -> list[Made]:
    """Those that a call can be taken for, the one of the same place first."""
    same = [made for made in calls if made.place == place]
    if not is_irreversible:
        return same
    return same + [made for made in calls if made.place != place and not made.has_more]


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
    if isinstance(journal, ReplayJournal):
        return journal.candidates
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
