"""The commands for the runs that a journal has: listed, forked, forgotten, carried elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from tinyagents.cli.exits import ExitCode
from tinyagents.cli.human_commands import go_on
from tinyagents.cli.options import journal_option, json_option, json_value, with_journal
from tinyagents.cli.store import journal_for_runs

__all__ = ["JOURNAL_COMMANDS"]

_STATUS = ("running", "cut off", "paused", "completed", "failed", "cancelled", "limited")
_OVER = ("completed", "failed", "cancelled", "limited", "paused", "running")


# --- looking ----------


@click.command("runs", epilog='Example: tinyagents runs --status "cut off"')
@click.option("--status", type=click.Choice(_STATUS), help="Only those that stand like this.")
@click.option("--name", metavar="NAME", help="Only those of this agent.")
@click.option("-n", "--most", metavar="N", default=50, show_default=True, help="At most so many.")
@json_option
@journal_option
def _runs(
    journal_path: Path | None, status: str | None, name: str | None, most: int, as_json: bool
) -> int:
    """List the runs there are, the one that was opened last first.

    "cut off" is a run whose process is gone. A RUN that a command asks for is the id of one, or how
    it begins if only one does so.
    """
    from tinyagents.cli.listing import list_runs

    return with_journal(
        journal_path,
        lambda journal: list_runs(journal, status=status, name=name, most=most, as_json=as_json),
    )


@click.command("show", epilog="Example: tinyagents show run-4f")
@click.argument("run")
@click.option("--events", is_flag=True, help="Print its events instead, each as a line of JSON.")
@json_option
@journal_option
def _show(journal_path: Path | None, run: str, events: bool, as_json: bool) -> int:
    """Show a run: its tree, what came of it, what it asks, and how to go on with it."""
    from tinyagents.cli.listing import show_events, show_run

    if events:
        return with_journal(journal_path, lambda journal: show_events(journal, run))
    return with_journal(journal_path, lambda journal: show_run(journal, run, as_json=as_json))


@click.command("trace", epilog="Example: tinyagents trace run-4f --live")
@click.argument("run")
@click.option("--live", is_flag=True, help="Follow it while it is under way, in any process.")
@journal_option
def _trace(journal_path: Path | None, run: str, live: bool) -> int:
    """Show what a run did call by call: when, how long it took, tokens and cost."""
    from tinyagents.cli.tracing import follow_run, trace_run

    do = follow_run if live else trace_run
    return with_journal(journal_path, lambda journal: do(journal, run))


@click.command("pending", epilog="Example: tinyagents pending --json")
@click.argument("run", required=False)
@json_option
@journal_option
def _pending(journal_path: Path | None, run: str | None, as_json: bool) -> int:
    """List the open questions of all runs, or of one, the oldest first.

    Each has a code of a few characters, always the same, by which it can be answered.
    """
    from tinyagents.cli.inbox import pending

    return with_journal(journal_path, lambda journal: pending(journal, run, as_json=as_json))


@click.command("fork", epilog='Example: tinyagents fork run-4f --at 17 --edit "Berne, not Basel"')
@click.argument("run")
@click.option("--at", type=int, metavar="SEQ", help="The last event they share; its last one.")
@click.option("--edit", metavar="TEXT", help="What that event says instead.")
@click.option(
    "--edit-json", metavar="JSON", callback=json_value, help="The same, if it is no text."
)
@click.option("--run-id", metavar="ID", help="Id of the new run; made up if not given.")
@click.option("--resume", "goes_on", is_flag=True, help="Then go on with the new one here.")
@journal_option
def _fork(
    journal_path: Path | None,
    run: str,
    at: int | None,
    edit: str | None,
    edit_json: Any,
    run_id: str | None,
    goes_on: bool,
) -> int:
    """Make a run that begins with the past of another one, and may differ in what happened last.

    `tinyagents show RUN --events` has the SEQ of each event. The id of the new run is printed.
    """
    from tinyagents.cli.storing import fork_run

    if edit is not None and edit_json is not None:
        raise click.UsageError("give --edit or --edit-json")
    change = edit if edit_json is None else edit_json
    made = with_journal(
        journal_path, lambda journal: fork_run(journal, run, at=at, edit=change, new_id=run_id)
    )
    return go_on(journal_path, made) if goes_on else ExitCode.COMPLETED


# --- keeping house ----------


@click.command("prune", epilog="Example: tinyagents prune --older-than 30d --keep 100 --dry-run")
@click.option("--older-than", metavar="SPAN", help="Only what is older: 90m, 12h, 30d, 4w.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the last N of them.")
@click.option(
    "--status",
    type=click.Choice(_OVER),
    multiple=True,
    help="Only those that stand like this; all that have ended if not given.",
)
@click.option("--dry-run", "is_rehearsed", is_flag=True, help="Only say which ones.")
@journal_option
def _prune(
    journal_path: Path | None,
    older_than: str | None,
    keep: int | None,
    status: tuple[str, ...],
    is_rehearsed: bool,
) -> int:
    """Forget runs that are over, and give back the room they took.

    Runs that wait or were cut off are kept, unless --status names them; what is under way always.
    """
    from tinyagents.cli.storing import prune
    from tinyagents.cli.text import seconds_of

    if older_than is None and keep is None:
        raise click.UsageError("say which ones: --older-than 30d, --keep 100, or both")
    span = None if older_than is None else seconds_of(older_than)
    return with_journal(
        journal_path,
        lambda journal: prune(
            journal, older_than_s=span, keep=keep, status=status, is_rehearsed=is_rehearsed
        ),
    )


@click.group("journal")
def _journal() -> None:
    """Carry runs from one journal to another, and look for damage."""


@_journal.command("export", epilog="Example: tinyagents journal export runs.jsonl run-4f")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@journal_option
def _export(journal_path: Path | None, file: Path, runs: tuple[str, ...]) -> int:
    """Write runs, or all of them, to FILE as lines of JSON; "-" is the standard output."""
    from tinyagents.cli.storing import export

    target = None if str(file) == "-" else file
    return with_journal(journal_path, lambda journal: export(journal, target, runs))


@_journal.command("import", epilog="Example: tinyagents journal import runs.jsonl")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--skip-known", is_flag=True, help="Leave alone what the journal has already.")
@journal_option
def _import(journal_path: Path | None, file: Path, skip_known: bool) -> int:
    """Put in the runs of a FILE that `export` wrote."""
    from tinyagents.cli.storing import import_runs

    async def run() -> int:
        async with journal_for_runs(journal_path) as journal:
            return await import_runs(journal, file, skip_known=skip_known)

    return asyncio.run(run())


@_journal.command("check", epilog="Example: tinyagents journal check")
@json_option
@journal_option
def _check(journal_path: Path | None, as_json: bool) -> int:
    """Look for damage: in the file, and in how what it keeps fits together."""
    from tinyagents.cli.storing import check

    return with_journal(journal_path, lambda journal: check(journal, as_json=as_json))


JOURNAL_COMMANDS: tuple[click.Command, ...] = (
    _runs, _show, _trace, _pending, _fork, _prune, _journal,
)  # fmt: skip
"""All of them."""
