"""Commands to a run that a journal keeps, whichever process has it: sent, and what became of them.

For the command line and the viewer, which differ only in how they tell it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time
from typing import Any
from uuid import uuid4

import anyio

from tinyagents.errors import ConfigError
from tinyagents_graph.commands import (
    Cancel,
    Inject,
    Pause,
    Redirect,
    Resume,
    SetMetadata,
    SteerCommand,
)
from tinyagents_graph.errors import RunConflict
from tinyagents_graph.events import Event
from tinyagents_graph.journal.calling_off import call_off
from tinyagents_graph.journal.protocol import Delivery, Journal, TreeRecord
from tinyagents_graph.journal.standing import ENDED

__all__ = ["COMMANDS", "cancel_tree", "command_of", "outcomes", "send"]

_POLL_S = 0.05
_FINAL = ("steer.applied", "steer.denied", "steer.expired")


def _metadata(words: Sequence[str]) -> SteerCommand:
    pairs = [word.partition("=") for word in words]
    if not pairs or not all(equals and name for name, equals, _ in pairs):
        raise ConfigError("metadata wants NAME=VALUE, one or more, as in: metadata tier=gold")
    return SetMetadata({name: _value(text) for name, _, text in pairs})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_MAKE: Mapping[str, Callable[[Sequence[str]], SteerCommand]] = {
    "pause": lambda words: Pause(" ".join(words)),
    "resume": lambda words: Resume(),
    "inject": lambda words: Inject(" ".join(words)),
    "redirect": lambda words: Redirect(" ".join(words)),
    "cancel": lambda words: Cancel(" ".join(words)),
    "metadata": _metadata,
}
COMMANDS = tuple(_MAKE)
"""What a run can be sent."""


def command_of(kind: str, words: Sequence[str]) -> SteerCommand:
    """The command that somebody typed.

    Raises:
        ConfigError: There is none of this kind, it needs words that are not there, or takes none.
    """
    if kind not in _MAKE:
        raise ConfigError(f"there is no command {kind!r}: choose one of {', '.join(COMMANDS)}")
    if kind == "resume" and words:
        raise ConfigError("resume takes no words")
    return _MAKE[kind](words)


async def send(
    journal: Journal, record: TreeRecord, command: SteerCommand, *, to: str = "", by: str
) -> int:
    """Leave a command for a tree.

    Args:
        journal: Where the tree is kept.
        record: The tree.
        command: The command.
        to: Path of the run it is for, or a pattern; empty for the root.
        by: Who sends it, for the events.

    Returns:
        The delivery's number, by which `outcomes` knows it.
    """
    payload = {"commands": [command.to_dict()], "by": by, "to": to}
    key = f"steer-{uuid4().hex}"
    given = Delivery(0, record.run_id, "steer", key, payload, time())
    return (await journal.deliver(given)).number


async def outcomes(
    journal: Journal, record: TreeRecord, number: int, wait_s: float
) -> Sequence[Event]:
    """The last event of each run about a command, as far as they come in time.

    Args:
        journal: Where the tree is kept.
        record: The tree as it was before the command was sent.
        number: What `send` returned.
        wait_s: For how long to wait, in seconds.
    """
    since, until = record.n_events, monotonic() + wait_s
    told: dict[tuple[str, str], Event] = {}
    while True:
        for event in await journal.read(record.run_id, since):
            since = event.seq + 1
            key = (event.data.get("to", ""), event.data.get("steer_id", ""))
            is_new = event.kind == "steer.received" and event.data.get("delivery") == number
            if is_new or (key in told and event.kind in _FINAL):
                told[key] = event
        is_final = told and all(event.kind in _FINAL for event in told.values())
        if is_final or monotonic() >= until:
            return list(told.values())
        await anyio.sleep(_POLL_S)


async def cancel_tree(
    journal: Journal, record: TreeRecord, *, reason: str, by: str, wait_s: float
) -> TreeRecord | None:
    """Cancel a whole run: in its process if one has it, else by closing its log.

    Args:
        journal: Where the tree is kept.
        record: The tree; it has not ended.
        reason: Why, for the events.
        by: Who does it.
        wait_s: For how long to wait for its end, in seconds.

    Returns:
        How it stands now; `None` if it was told to stop, and has not yet.
    """
    run_id = record.run_id
    try:
        await call_off(journal, run_id, f"{reason} ({by})")
    except RunConflict:  # somebody has it
        await send(journal, record, Cancel(f"{reason} ({by})"), by=by)
        if not await _ends(journal, run_id, wait_s):
            return None
    return await journal.find(run_id) or record


async def _ends(journal: Journal, run_id: str, wait_s: float) -> bool:
    until = monotonic() + wait_s
    while (record := await journal.find(run_id)) is not None and record.status not in ENDED:
        if monotonic() >= until:
            return False
        await anyio.sleep(_POLL_S)
    return True
