"""The commands that show runs in a browser: `tinyagents view` and `export`."""

from __future__ import annotations

from pathlib import Path

import click

from tinyagents.cli.options import journal_option
from tinyagents.cli.store import journal_there

__all__ = ["VIEW_COMMANDS"]


@click.command("view", epilog="Example: tinyagents view --open")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    metavar="PORT",
    help="Where to listen, on this machine only; a free one if not given.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option("--read-only", is_flag=True, help="Only show: answer, steer and fork nothing.")
@journal_option
def _view(journal_path: Path | None, port: int, opens: bool, read_only: bool) -> int:
    """Show the runs there are in a browser: live, with their trees, costs and questions.

    It prints the address, with a token that lets your browser in and nobody else's. It needs no
    network, and serves this machine only.
    """
    from tinyagents.cli.view import serve

    return serve(journal_there(journal_path), port=port, opens=opens, read_only=read_only)


@click.command("export", epilog="Example: tinyagents export run-4f -o run.html")
@click.argument("run")
@click.option(
    "-o",
    "target",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file, such as run.html.",
)
@journal_option
def _export(journal_path: Path | None, run: str, target: Path) -> int:
    """Write a run as one HTML file that needs nothing else, to send or keep."""
    from tinyagents.cli.view import export_run

    return export_run(journal_there(journal_path), run, target)


VIEW_COMMANDS: tuple[click.Command, ...] = (_view, _export)
"""Both of them."""
