"""Replaying a recorded run tree offline, as a regression test.

replay ── a tree of its own, in memory, that takes every reply and result from the recording
RecordedModel ── one model, which answers what was answered at the same place
            both: what is asked now must be what was asked then    (recording.py)
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias

from tinyagents.errors import ConfigError, RunCancelled
from tinyagents.models.protocol import ModelReply, ModelRequest
from tinyagents.recall import reply_of
from tinyagents.state import AgentRun
from tinyagents.testing.models import FunctionModel
from tinyagents.testing.recording import NotAsRecorded, Recording
from tinyagents.tools import cut
from tinyagents_graph.events import Event
from tinyagents_graph.journal.candidates import Candidates, ReplayJournal
from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.opening import unknown_run
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.journal.sources import arguments_key
from tinyagents_graph.journal.transfer import import_journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import current_place
from tinyagents_graph.sink import EventSink

__all__ = ["NotAsRecorded", "RecordedModel", "replay"]

Recorded: TypeAlias = Journal | str | PathLike[str]
"""Where a recording is: a journal, or a file that `export_journal` wrote."""

_WORDS = 200


class Replayable(Protocol):
    """What can be resumed: an agent, or a graph."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def resume(
        self,
        run_id: str,
        *,
        journal: Journal | None = None,
        deps: Any = None,
        sink: EventSink | None = None,
        limits: RunLimits | None = None,
    ) -> Awaitable[Any]:
        """Go on with a run."""
        ...


class Replayed(Candidates):
    """A recording as what a tree takes over, all of it.

    Args:
        recording: The recording.
        tools: Whether calls are answered from it, or made.
    """

    def __init__(self, recording: Recording, tools: Literal["recorded", "live"]) -> None:
        super().__init__([recording.source])
        self._recording = recording
        self._is_live = tools == "live"

    def _comes_again(self, letter: Sent) -> bool:
        """What names itself comes again as well: what it says is what it said then."""
        return "/" in letter.steer_id or letter.is_over or super()._comes_again(letter)

    def letters(self, path: str, sent: Sequence[Sent]) -> Sequence[Sent]:
        """What is read again; a command that cancelled the tree does so again."""
        return [replace(each, is_over=False) for each in super().letters(path, sent)]

    @property
    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """What the human answered, or did not in time."""
        past = self._recording.source.past
        expired = {
            ask_id: {"verdict": "expired", "bound": event.data.get("bound", ""), "reason": "then"}
            for ask_id, event in past.asks.items()
            if ask_id not in {*past.open_asks, *past.given, *past.called_off}
        }
        return {**expired, **super().answers}

    def reply(self, path: str, call_id: str, asked: str, facts: Mapping[str, Any]) -> Event | None:
        """What the model answered; see `Recording.reply`. What the agent is does not matter."""
        del asked, facts
        if self._recording.failure(path, call_id) is not None:
            return None
        if self._recording.was_cut_off("model", path, call_id):
            raise self._cancel_again(path)
        return self._recording.reply(_asking(), call_id)

    def _cancel_again(self, path: str) -> RunCancelled:
        """Cancel the run that was cancelled then, which is this one or one above it."""
        top, reason = self._recording.cancelled_above(path)
        _asking().run.tree.live[top].cancel(reason)
        return RunCancelled(top, reason)

    def failure(
        self, path: str, call_id: str, asked: str, facts: Mapping[str, Any]
    ) -> Event | None:
        """How the model failed."""
        del asked, facts
        return self._recording.failure(path, call_id)

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
        """What came of the call, also if it failed the run, or was cut off with it.

        Raises:
            NotAsRecorded: It was not made then.
        """
        if self._is_live:
            return None
        del is_irreversible
        known = super().result(path, place, call_id, tool, arguments, is_irreversible=True)
        if known is None:
            known = self._recording.fatal_end(path, call_id)
        if known is not None:
            self._recording.skip(place)
            return known
        if self._recording.was_cut_off("tool", path, call_id):
            self._cancel_again(path)  # it does not begin
            return None
        made = f"{tool}({cut(arguments_key(arguments), _WORDS)})"
        self._recording.refuse(path, f"calls {made}, and what came of that is not recorded")
        assert self._recording.first is not None
        raise self._recording.first

    def visit(self, path: str, place: str) -> Event | None:
        """What came of the visit of a node, if it sees the same; else it is made."""
        known = None if self._is_live else super().visit(path, place)
        if known is not None:
            self._recording.skip(place)
        return known

    def change(self, path: str, place: str) -> None:
        """What is called anew says what it said: else the next question to a model tells."""


class RecordedModel(FunctionModel):
    """A model that answers what was answered at the same place of a recorded tree.

    The place is the path of the run that asks, and which of its model calls it is. One model serves
    all agents of the tree. What is asked must be what was asked then, else the call fails with
    `NotAsRecorded`, which says what is different.

    Args:
        events: The events of a tree that was kept in a journal.
        name: The model's name.
    """

    def __init__(self, events: Sequence[Event], *, name: str = "recorded") -> None:
        self._recording = Recording(events)
        super().__init__(self._next, name=name)

    @classmethod
    async def from_journal(
        cls, recorded: Recorded, run_id: str | None = None, *, name: str = "recorded"
    ) -> RecordedModel:
        """The model of a recording.

        Args:
            recorded: A journal, or a file that `export_journal` wrote.
            run_id: Id of the tree's root; of a journal, or a file, with one tree it is that.
            name: The model's name.

        Raises:
            ConfigError: There is no such tree, or it is not clear which.
            JournalError: The journal or the file cannot be read.
        """
        _, events = await _read(recorded, run_id)
        return cls(events, name=name)

    @property
    def left(self) -> int:
        """How many answers have not been asked for."""
        return len(self._recording.unasked)

    def _next(self, request: ModelRequest) -> ModelReply:
        del request  # which hooks may have changed: what counts is the run's own transcript
        work = _asking()
        return reply_of(self._recording.reply(work, work.run.step))


def _asking() -> AgentRun:
    """The run whose model is asked."""
    place = current_place.get()
    work = None if place is None else place.run.work
    if not isinstance(work, AgentRun):
        raise ConfigError("a RecordedModel answers in the run of an agent, and nowhere else")
    return work


async def replay(
    agent: Replayable,
    recorded: Recorded,
    run_id: str | None = None,
    *,
    tools: Literal["recorded", "live"] = "recorded",
    deps: Any = None,
    sink: EventSink | None = None,
    limits: RunLimits | None = None,
) -> Any:
    """Run a recorded tree again, offline: no model of it is asked, nor of any agent below.

    All of the code around that is run: instructions, hooks, limits, parsing, delegations. The task,
    what was said before, the human's answers and what the tree was sent are as they were. The
    recording is not changed.

    Args:
        agent: The agent, or the graph, as it is now.
        recorded: A journal, or a file that `export_journal` wrote.
        run_id: Id of the tree's root; of a journal, or a file, with one tree it is that.
        tools: Whether calls get their recorded results, and so do the functions of a graph that
            see the same state as then; or all are made.
        deps: What tools get as `ctx.deps`.
        sink: Where the events go; one of its own if not given.
        limits: Limits of the run, which are not kept.

    Returns:
        The result, with the status `"paused"` if the recording ended with open questions.

    Raises:
        NotAsRecorded: A model is asked something else than then, a call was not made then, or the
            run ends without all that was asked then. It is an `AssertionError`.
        ConfigError: There is no such tree, it is not clear which, it is another agent's, or `tools`
            is neither of the two.
        JournalError: The journal or the file cannot be read.
        Exception: What failed the run then.
    """
    if tools not in ("recorded", "live"):
        raise ConfigError(f"replay(tools={tools!r}): give 'recorded' or 'live'")
    record, events = await _read(recorded, run_id)
    if record.name != agent.name:
        raise ConfigError(f"run {record.run_id!r} is one of {record.name!r}, not of {agent.name!r}")
    recording = Recording(events)
    journal = ReplayJournal(Replayed(recording, tools))
    await journal.add(replace(record, status="running", n_events=0, usage={}), ())
    try:
        result = await agent.resume(
            record.run_id, journal=journal, deps=deps, sink=sink, limits=limits
        )
    except Exception:
        if recording.first is not None:
            raise recording.first from None
        raise
    if result.status == "paused" and recording.first is None:
        return result
    recording.check_end()
    return result


async def _read(recorded: Recorded, run_id: str | None) -> tuple[TreeRecord, list[Event]]:
    if isinstance(recorded, (str, PathLike)):
        journal: Journal = MemoryJournal()
        await import_journal(journal, recorded)
    else:
        journal = recorded
    if run_id is None:
        known = await journal.trees(most=2)
        if len(known) != 1:
            raise ConfigError(f"{recorded!r} has not one run: say which, replay(agent, …, run_id)")
        run_id = known[0].run_id
    record = await journal.find(run_id)
    if record is None:
        raise ConfigError(await unknown_run(journal, "replay", run_id))
    return record, await journal.read(run_id)
