"""`tinyagents steer` and `cancel`: commands to a run, whichever process has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time
from typing import Any
from uuid import uuid4

import anyio

from tinyagents import (
    Cancel,
    ConfigError,
    Event,
    Inject,
    Pause,
    Redirect,
    Resume,
    RunConflict,
    SetMetadata,
    SteerCommand,
)
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, is_live
from tinyagents.cli.text import say
from tinyagents.console.text import one_line
from tinyagents_graph.journal.calling_off import call_off
from tinyagents_graph.journal.protocol import Delivery, TreeRecord
from tinyagents_graph.journal.standing import ENDED

__all__ = ["COMMANDS", "cancel", "command_of", "steer"]

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
        ConfigError: It needs words that are not there, or takes none.
    """
    if kind == "resume" and words:
        raise ConfigError("resume takes no words")
    return _MAKE[kind](words)


async def steer(
    journal: RunJournal, run: str, command: SteerCommand, *, to: str, by: str, wait_s: float
) -> ExitCode:
    """Send a command to a run, or to one below it, and say what becomes of it.

    Args:
        journal: Where the run is kept.
        run: Id of the root run, or how that begins.
        command: The command.
        to: Path of the run it is for, or a pattern; empty for the root.
        by: Who sends it, for the events.
        wait_s: For how long to wait for what becomes of it, in seconds.
    """
    record = await find_tree(journal, run)
    if record.status in ENDED:
        say(f"{record.run_id} has ended ({record.status}): nothing was sent.", sys.stderr)
        return ExitCode.FAILED
    sent = await _deliver(journal, record, command, to, by)
    if not is_live(record):
        say(
            f"Nobody has {record.run_id} under way: the command is kept until it is resumed.\n"
            f"tinyagents resume {record.run_id}{journal.option}",
            sys.stderr,
        )
        return ExitCode.COMPLETED
    say(f"{record.run_id} is under way ({record.owner}).", sys.stderr)
    told = await _outcomes(journal, record, sent, wait_s)
    if not told:
        say("The command is kept; its process has not taken it yet.", sys.stderr)
    for event in told:
        say(_line(event), sys.stderr)
    lost = [event for event in told if event.kind in ("steer.denied", "steer.expired")]
    return ExitCode.FAILED if lost and len(lost) == len(told) else ExitCode.COMPLETED


def _line(event: Event) -> str:
    data, status = event.data, event.kind.removeprefix("steer.")
    why = f": {one_line(str(data['reason']))}" if data.get("reason") else ""
    where = f" at {data['step']}" if data.get("step") else ""
    later = " (it takes hold before the next model call)" if status == "received" else ""
    return f"{data.get('command', 'command')} {data['to']}: {status}{where}{later}{why}"


async def _deliver(
    journal: RunJournal, record: TreeRecord, command: SteerCommand, to: str, by: str
) -> int:
    payload = {"commands": [command.to_dict()], "by": by, "to": to}
    key = f"steer-{uuid4().hex}"
    given = Delivery(0, record.run_id, "steer", key, payload, time())
    return (await journal.deliver(given)).number


async def _outcomes(
    journal: RunJournal, record: TreeRecord, number: int, wait_s: float
) -> Sequence[Event]:
    """The last event of each run about a command, as far as they come in time."""
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


async def cancel(journal: RunJournal, run: str, *, reason: str, by: str, wait_s: float) -> ExitCode:
    """Cancel a whole run: in its process if one has it, else by closing its log."""
    record = await find_tree(journal, run)
    run_id = record.run_id
    if record.status in ENDED:
        say(f"{run_id} has ended ({record.status}).", sys.stderr)
        return ExitCode.FAILED
    try:
        await call_off(journal, run_id, f"{reason} ({by})")
    except RunConflict:  # somebody has it
        await _deliver(journal, record, Cancel(f"{reason} ({by})"), "", by)
        if not await _ends(journal, run_id, wait_s):
            say(f"{run_id} was told to stop, and has not yet.", sys.stderr)
            return ExitCode.COMPLETED
    after = await journal.find(run_id)
    status = record.status if after is None else after.status
    say(f"{run_id} is {status}. tinyagents resume {run_id}{journal.option}", sys.stderr)
    return ExitCode.COMPLETED if status == "cancelled" else ExitCode.FAILED


async def _ends(journal: RunJournal, run_id: str, wait_s: float) -> bool:
    until = monotonic() + wait_s
    while (record := await journal.find(run_id)) is not None and record.status not in ENDED:
        if monotonic() >= until:
            return False
        await anyio.sleep(_POLL_S)
    return True
