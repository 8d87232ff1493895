"""What a journal knows of an agent's run, as the loop goes by it again.

the opening    the transcript that the run began with: prompt, history, task
a reply        of the model, with what it was asked, as a fingerprint
a result       of a call, bound to the call by its id
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

from pydantic_core import to_json

from tinyagents.errors import ModelError, ToolError
from tinyagents.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    from_dict,
    to_dict,
)
from tinyagents.models.protocol import ModelReply
from tinyagents.state import AgentRun
from tinyagents_graph.events import Event
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.usage import Usage

__all__ = [
    "fail_again", "fatal_of", "fingerprint", "keep_opening", "recall_opening", "recall_output",
    "recall_reply", "reply_of", "result_of",
]  # fmt: skip


def keep_opening(work: AgentRun) -> None:
    """Write down what the run began with: nothing of it needs to be made, or given, again."""
    told = [to_dict(message) for message in work.messages]
    facts: dict[str, Any] = {"messages": told, "has_task": work.task is not None}
    work.run.emit("checkpoint.saved", {**facts, **work.plan.facts()})


def recall_opening(work: AgentRun, ledger: Ledger) -> bool:
    """Begin with what the run began with, if it is known."""
    saved = next((each for each in ledger.past.saved[work.run.path] if "messages" in each), None)
    if saved is None:
        return False
    work.messages += [from_dict(each) for each in saved["messages"]]
    work.task = work.messages[-1] if saved["has_task"] else None
    _note_drift(work, ledger, saved)
    work.run.emit("checkpoint.saved", saved)
    return True


def _note_drift(work: AgentRun, ledger: Ledger, saved: Mapping[str, Any]) -> None:
    for name, now in work.plan.facts().items():
        if saved.get(name) != now:
            ledger.note_drift(work.run.path, name, saved.get(name), now)
            work.run.emit("custom", {"name": "drift", "what": name, "call_id": ""})


def recall_reply(work: AgentRun, known: Event) -> ModelReply:
    """What the model answered before, as a `model.completed` tells it; it counts as spent."""
    reply = reply_of(known)
    spent = known.data.get("spent")
    _spend_again(work, reply.usage if spent is None else Usage.from_dict(spent))
    return reply


def fail_again(work: AgentRun, failure: Event | None) -> None:
    """The model failed in the tree that this one takes over from.

    Raises:
        ModelError: It did.
    """
    if failure is not None:
        _spend_again(work, Usage.from_dict(failure.data["spent"]))
        raise ModelError(failure.data["error"]["message"])


def _spend_again(work: AgentRun, spent: Usage) -> None:
    work.run.add_usage(spent)
    work.run.accounts.note(spent)


def reply_of(event: Event) -> ModelReply:
    """The reply that a `model.completed` tells of."""
    data = event.data
    message = cast("AssistantMessage", from_dict(data["message"]))
    usage = Usage.from_dict(data["usage"])
    return ModelReply(message, usage, data["stop_reason"], data["model"], data.get("request_id"))


def fingerprint(work: AgentRun) -> str:
    """What the model is asked, in 16 digits: each message is looked at once."""
    done, digest = work.prints or (0, blake2b(digest_size=8))
    messages = work.messages
    for message in messages[done:]:
        digest.update(to_json(to_dict(message)))
    work.prints = len(messages), digest
    return digest.hexdigest()


def recall_output(work: AgentRun, ledger: Ledger) -> bool:
    """Take the output that the run ended with, hooks and all, if it has ended before."""
    end = ledger.past.run(work.run.path)
    if end is None or end.kind != "run.completed" or "output" not in end.data:
        return False
    work.output = work.plan.output.load(end.data["output"])
    return True


def result_of(event: Event, call: ToolCall) -> ToolMessage:
    """The result of a call, as its last event tells it."""
    data = event.data
    failed = event.kind == "tool.failed"
    if "parts" not in data:
        return ToolMessage(call.id, call.name, data["content"], failed)
    plain = {"role": "tool", "call_id": call.id, "name": call.name, "content": data["parts"]}
    return cast("ToolMessage", from_dict({**plain, "failed": failed}))


def fatal_of(event: Event, call: ToolCall) -> ToolError | None:
    """What a call failed its run with, as its last event tells it.

    It is no fact: whoever goes on with the run tries it again. Only a replay takes it over.
    """
    data = event.data
    if not data.get("fatal"):
        return None
    why = _why_it_failed(data["content"])
    return ToolError(call.name, why, category=data["category"], call_id=call.id)


def _why_it_failed(content: str) -> str:
    try:
        error = json.loads(content)["error"]
    except (ValueError, TypeError, KeyError):  # it was not told to a model
        return content
    return ": ".join(error[name] for name in ("type", "message") if name in error)
