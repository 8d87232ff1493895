"""`Recording`: what a run tree did, to be compared with what it does now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tinyagents.errors import ModelError
from tinyagents.letters import message_of
from tinyagents.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    from_dict,
)
from tinyagents.recall import fingerprint
from tinyagents.state import AgentRun
from tinyagents.tools import cut
from tinyagents_graph.commands import Inject, Redirect, SteerCommand
from tinyagents_graph.events import Event, is_at_or_below
from tinyagents_graph.journal.sources import Source

__all__ = ["NotAsRecorded", "Recording"]

_WORDS = 200


class NotAsRecorded(AssertionError):
    """A replayed run does something else than the recording.

    Attributes:
        path: The run that does.
    """

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path} {why}")


class Recording:
    """What a tree did, to be compared with what is done now.

    Args:
        events: All its events.

    Attributes:
        first: The first thing that was different. Everything after it rests on it, so whoever asks
            for more gets the same error.
        unasked: The replies that nobody has asked for, by path and call id.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.source = Source(events[0].root_run_id if events else "", events, 0)
        self.first: NotAsRecorded | None = None
        self.unasked = dict(self.source.replies)
        self._events = events
        self._failures: Mapping[tuple[str, str, str], Event] = {
            (each.kind, each.path, each.data["call_id"]): each
            for each in events
            if each.kind in ("model.failed", "tool.failed")
        }

    def reply(self, work: AgentRun, call_id: str) -> Event:
        """What the model answered to this very call.

        Raises:
            NotAsRecorded: It is asked something else.
            ModelError: It failed.
        """
        path = work.run.path
        event = self.source.replies.get((path, call_id))
        if event is None and (failure := self.failure(path, call_id)) is not None:
            raise ModelError(failure.data["error"]["message"])
        if event is None:
            self.refuse(path, self._why_unknown(path, call_id))
        elif event.data.get("input") != fingerprint(work):
            then = _Transcript(self._events, path, call_id).messages
            why = f"asks its model something else at {call_id}: "
            self.refuse(path, why + _difference(then, work.messages))
        if self.first is not None:
            raise self.first
        assert event is not None
        self.unasked.pop((path, call_id), None)
        return event

    def failure(self, path: str, call_id: str) -> Event | None:
        """How the model failed at this call; `None` if it did not, or if all is different now."""
        failure = self._failures.get(("model.failed", path, call_id))
        if failure is None or self.first is not None or (path, call_id) in self.source.replies:
            return None
        return failure if failure.data["error"]["type"] == "ModelError" else None

    def _why_unknown(self, path: str, call_id: str) -> str:
        failure = self._failures.get(("model.failed", path, call_id))
        if failure is None:
            return f"asks its model for {call_id}, which was not asked for then"
        return f"came no further than {call_id} then: {failure.data['error']['type']}"

    def fatal_end(self, path: str, call_id: str) -> Event | None:
        """How a call ended that failed its run."""
        end = self._failures.get(("tool.failed", path, call_id))
        return end if end is not None and "fatal" in end.data else None

    def was_cut_off(self, group: Literal["model", "tool"], path: str, call_id: str) -> bool:
        """Whether a call was at work when its run was cancelled."""
        end = self._failures.get((f"{group}.failed", path, call_id))
        if end is None or self.first is not None or not self.cancelled_above(path)[0]:
            return False
        if group == "model":
            return bool(end.data["error"]["type"] == "cancelled")
        return end.data["category"] == "cancelled" and "handed_on" not in end.data

    def cancelled_above(self, path: str) -> tuple[str, str]:
        """The highest run, of one and those above it, that was cancelled, and why; or nothing."""
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            above = "/".join(parts[:n])
            end = self.source.past.run(above)
            if end is not None and end.kind == "run.cancelled":
                return above, end.data["reason"]
        return "", ""

    def skip(self, place: str) -> None:
        """The body of a call is not run: nobody will ask for what was asked in it."""
        for path, call_id in list(self.unasked):
            if is_at_or_below(path, place):
                del self.unasked[path, call_id]

    def refuse(self, path: str, why: str) -> None:
        """Something is different."""
        if self.first is None:
            self.first = NotAsRecorded(path, f"{why}\n(recorded as {self.source.run_id!r})")

    def check_end(self) -> None:
        """The run has ended: nothing may be left.

        Raises:
            NotAsRecorded: Something is.
        """
        for path, call_id in self.unasked:
            self.refuse(path, f"did not ask its model for {call_id}, as it did then")
        if self.first is not None:
            raise self.first


class _Transcript:
    """What a model was asked then, as far as the events tell."""

    def __init__(self, events: Sequence[Event], path: str, call_id: str) -> None:
        self.messages: list[Message] = []
        self._results: dict[str, Message] = {}
        self._sent: dict[str, Mapping[str, Any]] = {}
        for event in events:
            if event.path == path and self._read(event, call_id):
                break

    def _read(self, event: Event, call_id: str) -> bool:
        kind, data = event.kind, event.data
        if kind == "model.started":
            self._fold()
            return bool(data["call_id"] == call_id)
        if kind == "checkpoint.saved" and "messages" in data:
            self.messages = [from_dict(each) for each in data["messages"]]
        elif kind == "model.completed":
            message = from_dict(data["message"])
            if message.text.strip() or "tool_call" in str(data["message"]):
                self.messages.append(message)
        elif kind in ("tool.completed", "tool.failed"):
            failed = kind == "tool.failed"
            name, content = data["tool"], data["content"]
            self._results[data["call_id"]] = ToolMessage(data["call_id"], name, content, failed)
        elif kind == "model.retried" and data.get("reason") == "invalid_output":
            self.messages.append(UserMessage(data["error"]))
        else:
            self._read_letter(event)
        return False

    def _read_letter(self, event: Event) -> None:
        data = event.data
        if event.kind == "steer.received":
            self._sent[data["steer_id"]] = data
        elif event.kind == "steer.applied":
            about = self._sent[data["steer_id"]]
            told = {name: about[name] for name in ("message", "instruction") if name in about}
            if told:
                command = SteerCommand.from_dict({"command": about["command"], **told})
                if isinstance(command, (Inject, Redirect)):
                    self._fold()
                    self.messages.append(message_of(command))

    def _fold(self) -> None:
        """The results of the calls of the last reply, in its order."""
        last = self.messages[-1] if self.messages else None
        if isinstance(last, AssistantMessage):
            ids = [each.id for each in last.tool_calls]
            self.messages += [self._results[each] for each in ids if each in self._results]


def _difference(then: Sequence[Message], now: Sequence[Message]) -> str:
    for n, (one, other) in enumerate(zip(then, now, strict=False)):
        before, after = _shown(one), _shown(other)
        if before != after:
            return f"message {n}, {_of(other)}, is {after!r}, and was {before!r}"
    n = min(len(then), len(now))
    if len(now) > n:
        return f"message {n}, {_of(now[n])}, was not there: {_shown(now[n])!r}"
    if len(then) > n:
        return f"message {n}, {_of(then[n])}, is not there: {_shown(then[n])!r}"
    return "it looks the same, and differs in what is not text"


def _shown(message: Message) -> str:
    if isinstance(message, AssistantMessage) and message.tool_calls:
        calls = [f"{each.name}({each.arguments})" for each in message.tool_calls]
        return cut(" ".join([message.text, *calls]).strip(), _WORDS)
    return cut(message.text, _WORDS)


def _of(message: Message) -> str:
    if isinstance(message, ToolMessage):
        return f"of the tool {message.name}"
    if isinstance(message, SystemMessage):
        return "of the system"
    return "of the model" if isinstance(message, AssistantMessage) else "of the user"
