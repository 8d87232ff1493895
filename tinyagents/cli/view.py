"""`tinyagents view` and `export`: runs in a browser, and one in a file."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from tinyagents import ConfigError
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import RunJournal, find_tree, login_name
from tinyagents.cli.text import say
from tinyagents.viewer import Viewer, export_html

__all__ = ["export_run", "serve"]


async def _look(journal: RunJournal) -> None:
    """Raise what is wrong with the journal before anything is served."""
    await journal.trees(most=1)


def serve(journal: RunJournal, *, port: int, opens: bool, read_only: bool) -> ExitCode:
    """Serve the runs of a journal to a browser, until Ctrl-C.

    Args:
        journal: The journal.
        port: Where to listen; 0 for a port that is free.
        opens: Whether to open the browser.
        read_only: Whether nothing can be changed.

    Raises:
        ConfigError: The port is in use.
        JournalError: The journal cannot be read.
    """
    asyncio.run(_look(journal))
    viewer = Viewer(
        journal, port=port, read_only=read_only, title=str(journal.path), by=login_name()
    )
    say(viewer.url, sys.stdout)
    say(f"Showing {journal.path}. Ctrl-C ends it.", sys.stderr)
    if opens:
        import webbrowser

        if not webbrowser.open(viewer.url):
            say("No browser could be opened: use the address above.", sys.stderr)
    # Events are read by the thousand and dropped at once: looking for cycles among them is a third
    # of the time that a large tree takes to open.
    gc.set_threshold(50_000, 20, 50)
    try:
        viewer.serve()
    except KeyboardInterrupt:
        return ExitCode.COMPLETED
    return ExitCode.COMPLETED


def export_run(journal: RunJournal, run: str, target: Path) -> ExitCode:
    """Write a run as one HTML file.

    Args:
        journal: Where it is kept.
        run: Its id, or how that begins.
        target: The file.

    Raises:
        ConfigError: There is no such run, or the file cannot be written.
    """

    async def read() -> tuple[str, str]:
        async with journal:
            record = await find_tree(journal, run)
            return record.run_id, await export_html(journal, record.run_id)

    run_id, text = asyncio.run(read())
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error
    say(f"{target}: {run_id}, {len(text.encode()) / 1e6:.1f} MB", sys.stderr)
    return ExitCode.COMPLETED
