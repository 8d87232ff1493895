"""`tinyagents steer` and `cancel`: commands to a run, whichever process has it."""

from __future__ import annotations

import sys

from tinyagents import Event, SteerCommand
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, is_live
from tinyagents.cli.text import say
from tinyagents.console.text import one_line
from tinyagents.sending import COMMANDS, cancel_tree, command_of, outcomes, send
from tinyagents_graph.journal.standing import ENDED

__all__ = ["COMMANDS", "cancel", "command_of", "steer"]


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
    sent = await send(journal, record, command, to=to, by=by)
    if not is_live(record):
        say(
            f"Nobody has {record.run_id} under way: the command is kept until it is resumed.\n"
            f"tinyagents resume {record.run_id}{journal.option}",
            sys.stderr,
        )
        return ExitCode.COMPLETED
    say(f"{record.run_id} is under way ({record.owner}).", sys.stderr)
    told = await outcomes(journal, record, sent, wait_s)
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


async def cancel(journal: RunJournal, run: str, *, reason: str, by: str, wait_s: float) -> ExitCode:
    """Cancel a whole run: in its process if one has it, else by closing its log."""
    record = await find_tree(journal, run)
    run_id = record.run_id
    if record.status in ENDED:
        say(f"{run_id} has ended ({record.status}).", sys.stderr)
        return ExitCode.FAILED
    after = await cancel_tree(journal, record, reason=reason, by=by, wait_s=wait_s)
    if after is None:
        say(f"{run_id} was told to stop, and has not yet.", sys.stderr)
        return ExitCode.COMPLETED
    say(f"{run_id} is {after.status}. tinyagents resume {run_id}{journal.option}", sys.stderr)
    return ExitCode.COMPLETED if after.status == "cancelled" else ExitCode.FAILED
