"""What several commands take as options, and the journal that they work on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyagents.cli.store import RunJournal, journal_there, login_name

__all__ = ["by_option", "journal_option", "json_option", "json_value", "with_journal"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


def journal_option(command: _F) -> _F:
    """Let a command take `--journal PATH`."""
    return click.option(
        "--journal",
        "journal_path",
        metavar="PATH",
        envvar="TINYAGENTS_JOURNAL",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Where runs are kept; .tinyagents/runs.db if not given, nor in TINYAGENTS_JOURNAL.",
    )(command)


def by_option(command: _F) -> _F:
    """Let a command take `--by NAME`."""
    return click.option(
        "--by", default=login_name, show_default="your login name", help="Who you are, for events."
    )(command)


def json_option(command: _F) -> _F:
    """Let a command take `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def json_value(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """What an option says that takes JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no JSON: {error}") from error


def with_journal(path: Path | None, do: Callable[[RunJournal], Awaitable[_T]]) -> _T:
    """Open the journal there is, and do something with it.

    Args:
        path: Where it is; `None` for the usual place.
        do: What to do.

    Raises:
        ConfigError: There is none.
    """

    async def run() -> _T:
        async with journal_there(path) as journal:
            return await do(journal)

    return asyncio.run(run())
