"""What a human does in the viewer, done through the journal, just as the command line does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

from tinyagents.errors import ConfigError
from tinyagents.forking import fork
from tinyagents.kept_runs import is_live
from tinyagents.sending import cancel_tree, command_of, outcomes, send
from tinyagents_graph.commands import SetMetadata, SteerCommand
from tinyagents_graph.journal.inbox import InboxAsk, asks_of
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.journal.standing import ENDED

__all__ = ["ACTIONS", "Action", "Given"]

Given: TypeAlias = Mapping[str, Any]
"""What a page sent."""

Action: TypeAlias = Callable[[Journal, Given, str], Awaitable[dict[str, Any]]]
"""Does something for somebody, and says what became of it."""

_WAIT_S = 3.0
_VERDICTS = ("approve", "reject", "answer")


async def _answer(journal: Journal, given: Given, by: str) -> dict[str, Any]:
    record = await _tree(journal, given)
    ask_id, verdict = _text(given, "ask"), _text(given, "verdict")
    found = [ask for ask in await asks_of(journal, record.run_id) if ask.id == ask_id]
    if not found:
        return {"is_taken": False, **await _earlier(journal, record, ask_id)}
    is_taken = await _said(found[0], verdict, given, by)
    # Looked at once more: whoever gives it up from here on finds the answer.
    after = await journal.find(record.run_id) or record
    return {"is_taken": is_taken, "is_live": is_live(after)}


async def _said(ask: InboxAsk, verdict: str, given: Given, by: str) -> bool:
    reason = _text(given, "reason", "")
    if verdict == "approve":
        arguments: Any = given.get("arguments")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise ConfigError('arguments have to be an object, as in {"amount": 3}')
        changed = cast("Mapping[str, Any] | None", arguments)
        return await ask.approve(arguments=changed, by=by, reason=reason)
    if verdict == "reject":
        return await ask.reject(reason, by=by)
    if verdict == "answer":
        return await ask.answer(given.get("value"), by=by)
    raise ConfigError(f"verdict={verdict!r}: give one of {', '.join(_VERDICTS)}")


async def _earlier(journal: Journal, record: TreeRecord, ask_id: str) -> dict[str, Any]:
    """Who was quicker."""
    for each in await journal.deliveries(record.run_id):
        if each.kind == "answer" and each.key == ask_id:
            said = each.payload
            return {"by": said.get("by"), "verdict": said.get("verdict")}
    raise ConfigError(f"{record.run_id} asks no {ask_id!r} any more")


async def _steer(journal: Journal, given: Given, by: str) -> dict[str, Any]:
    record = await _tree(journal, given)
    _require_open(record)
    to, command = _text(given, "to", ""), _command(given)
    number = await send(journal, record, command, to=to, by=by)
    if not is_live(record):
        return {"is_live": False, "outcomes": []}
    told = await outcomes(journal, record, number, _WAIT_S)
    names = ("to", "command", "step", "reason")
    return {
        "is_live": True,
        "outcomes": [
            {
                "status": event.kind.removeprefix("steer."),
                **{name: event.data[name] for name in names if event.data.get(name)},
            }
            for event in told
        ],
    }


def _command(given: Given) -> SteerCommand:
    kind = _text(given, "command")
    metadata: Any = given.get("metadata")
    if kind == "metadata" and isinstance(metadata, Mapping):
        return SetMetadata(dict(cast("Mapping[str, Any]", metadata)))
    words = _text(given, "text", "")
    return command_of(kind, [words] if words else [])


async def _cancel(journal: Journal, given: Given, by: str) -> dict[str, Any]:
    record = await _tree(journal, given)
    _require_open(record)
    reason = _text(given, "reason", "") or "cancelled in the viewer"
    after = await cancel_tree(journal, record, reason=reason, by=by, wait_s=_WAIT_S)
    return {"status": None if after is None else after.status}


async def _fork(journal: Journal, given: Given, by: str) -> dict[str, Any]:
    record = await _tree(journal, given)
    made = await fork(journal, record.run_id, at=given.get("at"), edit=given.get("edit"))
    return {"run_id": made.run_id}


def _require_open(record: TreeRecord) -> None:
    if record.status in ENDED:
        raise ConfigError(f"{record.run_id} has ended ({record.status}): nothing was sent")


async def _tree(journal: Journal, given: Given) -> TreeRecord:
    run_id = _text(given, "run")
    record = await journal.find(run_id)
    if record is None:
        raise ConfigError(f"there is no run {run_id!r}")
    return record


def _text(given: Given, name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(f"{name!r} has to be a text, not {value!r:.80}")
    return value


ACTIONS: Mapping[str, Action] = {
    "answer": _answer,
    "steer": _steer,
    "cancel": _cancel,
    "fork": _fork,
}
"""What a page can ask for, by name."""
