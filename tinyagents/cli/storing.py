"""`tinyagents prune`, `fork` and `journal`: what becomes of runs that are kept."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from time import time
from typing import Any, cast

from tinyagents import ConfigError
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, is_live, standing_of
from tinyagents.cli.text import ago, print_json, say
from tinyagents.forking import fork
from tinyagents_graph import RunStatus
from tinyagents_graph.journal import export_journal, import_journal
from tinyagents_graph.journal.standing import ENDED, prunable

__all__ = ["check", "export", "fork_run", "import_runs", "prune"]


async def prune(
    journal: RunJournal,
    *,
    older_than_s: float | None,
    keep: int | None,
    status: Collection[str],
    is_rehearsed: bool,
) -> ExitCode:
    """Forget runs that are over.

    Args:
        journal: Where they are.
        older_than_s: Only those to which nothing was added for so long, in seconds.
        keep: How many to keep, the ones that were opened last.
        status: Only those that stand like this; all that have ended if empty.
        is_rehearsed: Whether it is only said which ones.
    """
    chosen = cast("Collection[RunStatus]", status or ENDED)
    found = prunable(
        await journal.trees(), time(), older_than_s=older_than_s, keep=keep, status=chosen
    )
    records = [record for each in found if (record := await journal.find(each)) is not None]
    if is_rehearsed:
        for record in records:
            if not is_live(record):
                age = ago(time() - record.updated)
                say(f"{record.run_id}  {standing_of(record)}  {age}", sys.stdout)
        return ExitCode.COMPLETED
    n_dropped = await journal.prune(older_than_s=older_than_s, keep=keep, status=chosen)
    say(f"{n_dropped} run{'' if n_dropped == 1 else 's'} forgotten.", sys.stderr)
    return ExitCode.COMPLETED


async def fork_run(
    journal: RunJournal, run: str, *, at: int | None, edit: Any, new_id: str | None
) -> str:
    """Make a run that begins with the past of another one, and print its id.

    Returns:
        The id.
    """
    record = await find_tree(journal, run)
    made = await fork(journal, record.run_id, at=at, edit=edit, new_id=new_id)
    say(made.run_id, sys.stdout)
    say(f"tinyagents resume {made.run_id}{journal.option}", sys.stderr)
    return made.run_id


async def export(journal: RunJournal, target: Path | None, runs: Sequence[str]) -> ExitCode:
    """Write runs as lines of JSON, to a file or to the standard output stream."""
    run_ids = [(await find_tree(journal, run)).run_id for run in runs] or None
    try:
        n_trees = await export_journal(journal, target or sys.stdout, run_ids)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error
    say(f"{n_trees} run{'' if n_trees == 1 else 's'} written.", sys.stderr)
    return ExitCode.COMPLETED


async def import_runs(journal: RunJournal, source: Path, *, skip_known: bool) -> ExitCode:
    """Put in the runs that `export` wrote."""
    try:
        taken = await import_journal(journal, source, skip_known=skip_known)
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}") from error
    for run_id in taken:
        say(run_id, sys.stdout)
    say(f"{len(taken)} run{'' if len(taken) == 1 else 's'} put in.", sys.stderr)
    return ExitCode.COMPLETED


async def check(journal: RunJournal, *, as_json: bool) -> ExitCode:
    """Look for damage."""
    found = await journal.check()
    if as_json:
        print_json(found)
    for finding in () if as_json else found:
        say(finding, sys.stdout)
    if not found and not as_json:
        say(f"{journal.path} is in order.", sys.stderr)
    return ExitCode.FAILED if found else ExitCode.COMPLETED
