"""The commands by which a human has a say in runs that are kept: answers, commands, going on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from tinyagents.cli.exits import ExitCode
from tinyagents.cli.options import by_option, journal_option, json_value, with_journal
from tinyagents.cli.sending import COMMANDS
from tinyagents.cli.store import find_tree, journal_there
from tinyagents_graph.journal.inbox import InboxAsk

__all__ = ["HUMAN_COMMANDS", "go_on"]

_F = TypeVar("_F", bound=Callable[..., Any])


# --- answering ----------


def _answering(command: _F) -> _F:
    command = click.option("--resume", "goes_on", is_flag=True, help="Then go on with it here.")(
        command
    )
    command = click.argument("ask")(command)
    return click.argument("run")(by_option(journal_option(command)))


def _respond(
    path: Path | None,
    run: str,
    ask: str,
    goes_on: bool,
    act: Callable[[InboxAsk], Awaitable[bool]],
) -> int:
    from tinyagents.cli.inbox import respond

    code: int = with_journal(path, lambda journal: respond(journal, run, ask, act))
    if code != ExitCode.COMPLETED or not goes_on:
        return code
    return go_on(path, run)


@click.command("approve", epilog="Example: tinyagents approve run-4f 3ac91e --resume")
@_answering
@click.option(
    "--arguments", metavar="JSON", callback=json_value, help="Make the call with these instead."
)
@click.option("--reason", default="", help="Why, for the events.")
def _approve(
    journal_path: Path | None,
    run: str,
    ask: str,
    arguments: Any,
    reason: str,
    by: str,
    goes_on: bool,
) -> int:
    """Say yes to a call that a run wants to make; of a call in doubt: make it again.

    RUN is the id of the run, ASK the code of the question, as `tinyagents pending` shows them.
    """
    if arguments is not None and not isinstance(arguments, dict):
        raise click.BadParameter(
            "give an object, as in '{\"amount\": 3}'", param_hint="--arguments"
        )
    given = cast("dict[str, Any] | None", arguments)
    return _respond(
        journal_path,
        run,
        ask,
        goes_on,
        lambda asked: asked.approve(arguments=given, by=by, reason=reason),
    )


@click.command("reject", epilog='Example: tinyagents reject run-4f 3ac91e --reason "too much"')
@_answering
@click.option("--reason", default="", help="Why: the model reads it.")
def _reject(
    journal_path: Path | None, run: str, ask: str, reason: str, by: str, goes_on: bool
) -> int:
    """Say no to a call that a run wants to make; of a call in doubt: it failed."""
    return _respond(journal_path, run, ask, goes_on, lambda asked: asked.reject(reason, by=by))


@click.command("answer", epilog='Example: tinyagents answer run-4f 3ac91e "the red one"')
@_answering
@click.argument("text", required=False)
@click.option(
    "--json", "value", metavar="VALUE", callback=json_value, help="An answer that is no text."
)
def _answer(
    journal_path: Path | None,
    run: str,
    ask: str,
    text: str | None,
    value: Any,
    by: str,
    goes_on: bool,
) -> int:
    """Answer a question; of a call in doubt: what came of it."""
    if (text is None) == (value is None):
        raise click.UsageError("say the answer: TEXT, or --json VALUE")
    said = text if value is None else value
    return _respond(journal_path, run, ask, goes_on, lambda asked: asked.answer(said, by=by))


# --- steering ----------


@click.command(
    "steer",
    context_settings={"ignore_unknown_options": False},
    epilog='Example: tinyagents steer run-4f redirect "only museums" --to "root/reader[0]"',
)
@click.argument("run")
@click.argument("command", type=click.Choice(COMMANDS))
@click.argument("words", nargs=-1)
@click.option("--to", metavar="PATH", default="", help="For a run below it; * and ** are wild.")
@click.option("--wait", "wait_s", metavar="SECONDS", default=5.0, show_default=True,
              help="How long to wait for what becomes of it.")  # fmt: skip
@by_option
@journal_option
def _steer(
    journal_path: Path | None,
    run: str,
    command: str,
    words: tuple[str, ...],
    to: str,
    wait_s: float,
    by: str,
) -> int:
    """Send a run a command, whichever process has it under way.

    pause, resume, inject TEXT, redirect TEXT, cancel REASON, or metadata NAME=VALUE. If no process
    has the run, the command is kept until somebody resumes it.
    """
    from tinyagents.cli.sending import command_of, steer

    made = command_of(command, words)
    return with_journal(
        journal_path, lambda journal: steer(journal, run, made, to=to, by=by, wait_s=wait_s)
    )


@click.command("cancel", epilog='Example: tinyagents cancel run-4f --reason "not needed any more"')
@click.argument("run")
@click.option("--reason", default="cancelled from the command line", help="Why, for the events.")
@click.option("--wait", "wait_s", metavar="SECONDS", default=10.0, show_default=True,
              help="How long to wait for its end.")  # fmt: skip
@by_option
@journal_option
def _cancel(journal_path: Path | None, run: str, reason: str, wait_s: float, by: str) -> int:
    """Cancel a run: in its process if it has one, else by closing what it left open."""
    from tinyagents.cli.sending import cancel

    return with_journal(
        journal_path, lambda journal: cancel(journal, run, reason=reason, by=by, wait_s=wait_s)
    )


# --- going on ----------


def go_on(
    path: Path | None,
    run: str,
    target: str | None = None,
    *,
    model: str | None = None,
    auto: bool = False,
    show: Any = "watch",
) -> int:
    """Go on with a run, as `tinyagents resume` does.

    Args:
        path: Where it is kept; `None` for the usual place.
        run: Its id, or how that begins.
        target: What it is made from; what was noted of it if not given.
        model: Its model, likewise.
        auto: Whether nobody steers it here.
        show: How it is shown.

    Returns:
        The exit code.
    """
    from tinyagents.cli.helm import can_steer
    from tinyagents.cli.loading import load_kept
    from tinyagents.cli.run import run as play

    record = with_journal(path, lambda journal: find_tree(journal, run))
    journal = journal_there(path)
    loaded = load_kept(record, journal, target, model)
    steered = show == "watch" and can_steer(auto=auto)
    return play(
        loaded.agent,
        None,
        show,
        loaded.folder,
        run_id=record.run_id,
        journal=journal,
        steered=steered,
    )


def _showing(command: _F) -> _F:
    json_help = "Print each event as a line of JSON, then the result."
    command = click.option("--json", "show", flag_value="json", help=json_help)(command)
    quiet_help = "Print the answer only."
    command = click.option("--quiet", "show", flag_value="quiet", help=quiet_help)(command)
    watch_help = "Show the run tree live (default)."
    return click.option("--watch", "show", flag_value="watch", default="watch", help=watch_help)(
        command
    )


@click.command("resume", epilog="Example: tinyagents resume run-4f")
@click.argument("run")
@click.argument("target", metavar="[FILE.py:NAME]", required=False)
@click.option("--model", metavar="MODEL", help="Ask this model instead of the one it began with.")
@click.option("--auto", is_flag=True, help="Do not steer, and ask nothing here.")
@_showing
@journal_option
def _resume(
    journal_path: Path | None,
    run: str,
    target: str | None,
    model: str | None,
    auto: bool,
    show: Any,
) -> int:
    """Go on with a run that waits, was cut off, failed or was cancelled.

    What it has done is not done again. The agent is made from the file that the run began with; its
    questions are put to you at a terminal. A run that has ended gives its answer once more.
    """
    return go_on(journal_path, run, target, model=model, auto=auto, show=show)


HUMAN_COMMANDS: tuple[click.Command, ...] = (
    _approve, _reject, _answer, _steer, _cancel, _resume,
)  # fmt: skip
"""All of them."""
