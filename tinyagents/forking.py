"""`fork`: a run that begins with the past of another one, and may differ in what happened last.

fork ── read_beginning ── edit the last event ── add_fork
                            └─ what can be edited, by the event's kind
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic_core import to_jsonable_python

from tinyagents.errors import ConfigError, ToolError
from tinyagents.messages import (
    AssistantMessage,
    AssistantPart,
    Text,
    ToolCall,
    ToolMessage,
    to_dict,
    user_message,
)
from tinyagents.output import FINAL_ANSWER
from tinyagents.tools import cut, render
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.events import Event
from tinyagents_graph.journal.forking import Beginning, add_fork, read_beginning
from tinyagents_graph.journal.protocol import Journal, TreeRecord

__all__ = ["fork"]

_TASK_CHARS = 1_000
_VERDICTS = ("approve", "reject", "answer")


async def fork(
    journal: Journal,
    run_id: str,
    *,
    at: int | None = None,
    edit: Any = None,
    new_id: str | None = None,
    reuse: bool = True,
) -> TreeRecord:
    """Make a run that begins with the past of another one: `await agent.resume(other.run_id, …)`.

    Nothing happens to the other run. What it did after that moment is not done again where it rests
    on nothing that is different: a reply of a model that is asked the very same, the result of the
    same call, the human's answer to the same question. What was taken over says so in its event, in
    `recalled_from`.

    What can be edited is the event itself, so that `edit` is, of

    - a result (`tool.completed`, `tool.failed`): what the tool returned instead; or a `ToolMessage`
    - a reply (`model.completed`): a text, calls, a list of both, or an `AssistantMessage`
    - an answer (`ask.answered`): `True` or `False` for leave, or what was answered; or a mapping,
      `{"verdict": "approve", "arguments": {…}}` or `{"verdict": "reject", "reason": "…"}`
    - the task (`run.started` of the root; `checkpoint.saved` of any agent's run): the task instead
    - a message (`steer.received`): the text instead
    - the node of a graph (`node.completed`): its update instead, as plain JSON data

    Args:
        journal: Where the run is kept, and the new one will be.
        run_id: Id of the run.
        at: `seq` of the last event they share; its last one if not given.
        edit: What that event says instead.
        new_id: Id of the new run; made up if not given.
        reuse: `False` to do everything after that moment anew.

    Returns:
        The new run, as the journal lists it. A question that is open in it can be answered anew
        before it is resumed.

    Raises:
        ConfigError: There is no such run or event, or that event cannot be edited like this.
        RunConflict: There is a run with the new id.
        JournalError: The journal cannot be read or written.
    """
    beginning = await read_beginning(journal, run_id, at)
    edited = ""
    if edit is not None:
        edited = beginning.events[-1].path
        beginning = _edited(beginning, edit)
    return await add_fork(journal, beginning, new_id=new_id, reuse=reuse, edited=edited)


def _edited(beginning: Beginning, edit: Any) -> Beginning:
    event = beginning.events[-1]
    change = _EDITS.get(event.kind)
    if change is None:
        raise _refusal(event, f"nothing of it can be edited; that can be of {_EDITABLE}")
    try:
        event = change(event, edit)
    except (TypeError, ToolError) as error:
        raise _refusal(event, str(error)) from error
    event = event._replace(data={**event.data, "edited": True})
    beginning = replace(beginning, events=[*beginning.events[:-1], event])
    is_task = event.kind in ("run.started", "checkpoint.saved")
    return _asked(beginning, edit) if is_task and event.path == "root" else beginning


def _asked(beginning: Beginning, edit: Any) -> Beginning:
    """The same with another task of the root, wherever that stands."""
    task = user_message(edit)
    first, *rest = beginning.events
    if "task" in first.data:
        first = first._replace(data={**first.data, "task": task.text})
    about = {**beginning.about, "task": to_dict(task)}
    events = [first, *rest]
    return Beginning(beginning.record, events, about, cut(task.text, _TASK_CHARS))


def _refusal(event: Event, why: str) -> ConfigError:
    return ConfigError(f"fork(at={event.seq}, edit=…): that event is a {event.kind}: {why}")


# --- what can be edited, by the event's kind ----------


def _result(event: Event, edit: Any) -> Event:
    data = event.data
    if data["tool"] == FINAL_ANSWER:
        raise _refusal(event, "the final answer stands in the reply before it; edit that")
    failed = isinstance(edit, ToolMessage) and edit.failed
    content = edit.content if isinstance(edit, ToolMessage) else render(edit)
    message = ToolMessage(data["call_id"], data["tool"], content, failed)
    told = {"call_id": data["call_id"], "tool": data["tool"], "content": message.text}
    if not isinstance(content, str):
        told["parts"] = to_dict(message)["content"]
    if failed:
        told["category"] = ""
    elif "/" in data["call_id"] and not isinstance(edit, ToolMessage):
        told |= _for_code(edit, message.text)
    return event._replace(kind="tool.failed" if failed else "tool.completed", data=told)


def _for_code(edit: Any, content: str) -> dict[str, Any]:
    """What code gets of a call that it made, if that is more than the text."""
    value = to_jsonable_python(edit, fallback=str, inf_nan_mode="constants")
    return {} if value == content else {"value": value}


def _reply(event: Event, edit: Any) -> Event:
    message = edit if isinstance(edit, AssistantMessage) else AssistantMessage(_parts(edit))
    parts: list[AssistantPart] = []
    for n, part in enumerate(message.parts):
        if isinstance(part, ToolCall) and not part.id:
            part = replace(part, id=f"edit-{event.seq}-{n}")
        parts.append(part)
    message = AssistantMessage(tuple(parts))
    stop = "tool_calls" if message.tool_calls else "stop"
    told = {"message": to_dict(message), "stop_reason": stop}
    return event._replace(data={**event.data, **told})


def _parts(edit: Any) -> tuple[AssistantPart, ...]:
    several = isinstance(edit, (list, tuple))
    given: Sequence[Any] = cast("Sequence[Any]", edit) if several else (edit,)
    parts: list[Any] = [Text(each) if isinstance(each, str) else each for each in given]
    if not parts or not all(isinstance(each, (Text, ToolCall)) for each in parts):
        raise TypeError(f"a reply is a text, a ToolCall, or a list of both, not {edit!r}")
    return tuple(parts)


def _answer(event: Event, edit: Any) -> Event:
    before = event.data
    if "verdict" not in before:
        raise _refusal(event, "a run answered it; edit the result of the call that asked")
    told = {"ask_id": before["ask_id"], "bound": before.get("bound", ""), "by": "human"}
    if isinstance(edit, Mapping) and "verdict" in edit:
        given = cast("Mapping[str, Any]", edit)
        if given["verdict"] not in _VERDICTS:
            raise TypeError(f"verdict={given['verdict']!r}: give one of {', '.join(_VERDICTS)}")
        return event._replace(data={**told, **given})
    if before["verdict"] == "answer":
        return event._replace(data={**told, "verdict": "answer", "value": edit})
    if not isinstance(edit, bool):
        raise TypeError('give True, False, or a mapping, {"verdict": "reject", "reason": "…"}')
    return event._replace(data={**told, "verdict": "approve" if edit else "reject"})


def _task(event: Event, edit: Any) -> Event:
    data = event.data
    if event.kind == "run.started":
        if event.path == "root" and "task" not in data:
            raise _refusal(event, "the input of a graph cannot be edited; edit what a node wrote")
        if event.path != "root":
            raise _refusal(event, "the task comes from above; edit the checkpoint.saved after it")
        return event._replace(data={**data, "task": user_message(edit).text})
    if not data.get("has_task"):
        raise _refusal(event, "it holds no task")
    messages = [*data["messages"][:-1], to_dict(user_message(edit))]
    return event._replace(data={**data, "messages": messages})


def _letter(event: Event, edit: Any) -> Event:
    name = {"inject": "message", "redirect": "instruction"}.get(event.data["command"])
    if name is None:
        raise _refusal(event, "it has no words")
    command = SteerCommand.from_dict({"command": event.data["command"], name: edit})
    return event._replace(data={**event.data, **command.to_dict()})


def _update(event: Event, edit: Any) -> Event:
    if not isinstance(edit, Mapping):
        raise TypeError(f"an update is a mapping from keys of the state, not {edit!r}")
    update = dict(cast("Mapping[str, Any]", edit))
    told = {name: value for name, value in event.data.items() if name not in ("typed", "more")}
    typed = [name for name in event.data.get("typed", ()) if name in update]
    return event._replace(data={**told, "update": update, **({"typed": typed} if typed else {})})


_EDITS: Mapping[str, Callable[[Event, Any], Event]] = {
    "tool.completed": _result, "tool.failed": _result, "model.completed": _reply,
    "ask.answered": _answer, "run.started": _task, "checkpoint.saved": _task,
    "steer.received": _letter, "node.completed": _update,
}  # fmt: skip
_EDITABLE = ", ".join(_EDITS)
