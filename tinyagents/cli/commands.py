"""The commands and their options."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyagents import Agent, ConfigError, RunConflict
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.graph import FORMATS, Format, show
from tinyagents.cli.human_commands import HUMAN_COMMANDS
from tinyagents.cli.journal_commands import JOURNAL_COMMANDS
from tinyagents.cli.options import journal_option
from tinyagents.cli.run import Show
from tinyagents.cli.store import journal_for_runs
from tinyagents.cli.target import load_graph
from tinyagents.cli.view_commands import VIEW_COMMANDS
from tinyagents_graph.errors import GraphError, JournalError
from tinyagents_graph.place import new_run_id

__all__ = ["invoke"]

_F = TypeVar("_F", bound=Callable[..., Any])

_EXIT_CODES = """\b
Exit codes:
    0  the agent gave its answer
    1  the run failed
    2  the command line, the file or the agent's configuration is wrong
    3  a limit was reached
    4  the run waits for the human: `tinyagents pending`, then `tinyagents resume`
  130  interrupted by Ctrl-C (143: by SIGTERM)"""


def invoke(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: What stands behind `tinyagents` on the command line.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return int(_cli.main(list(arguments), "tinyagents", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        return ExitCode.USAGE
    except (JournalError, RunConflict) as error:
        click.echo(f"Error: {error}", err=True)
        return ExitCode.FAILED
    except GraphError as error:
        for finding in error.findings:
            click.echo(f"Error: {finding}", err=True)
        return ExitCode.USAGE
    except click.Abort:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left. Python flushes once more on its way out, which
        # would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED


def _target(command: _F) -> _F:
    command = click.option(
        "--model",
        metavar="MODEL",
        help="Ask this model instead of the agent's own: openai:NAME, anthropic:NAME or test. "
        "So do all agents of the file whose model is a string.",
    )(command)
    command = click.option(
        "--auto",
        is_flag=True,
        help="Do not steer: Ctrl-C cancels, and nothing that is typed is read.",
    )(command)
    return click.argument("target", metavar="FILE.py:NAME")(command)


def _keeping(command: _F) -> _F:
    command = click.option(
        "--no-journal", "keeps_nothing", is_flag=True, help="Keep nothing of the run."
    )(command)
    return journal_option(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tinyagents-graph", message="tinyagents %(version)s")
def _cli() -> None:
    """Run the agents of a Python file, watch them work, and draw its graphs.

    Runs are kept in .tinyagents/runs.db: look at them, answer what they ask, go on with them.
    """


@_cli.command("run", epilog=_EXIT_CODES)
@_target
@click.argument("task")
@_keeping
@click.option("--run-id", metavar="ID", help="Id of the run; one that began before goes on.")
@click.option(
    "--watch", "show", flag_value="watch", default="watch", help="Show the run tree live (default)."
)
@click.option("--quiet", "show", flag_value="quiet", help="Print the answer only.")
@click.option(
    "--json", "show", flag_value="json", help="Print each event as a line of JSON, then the result."
)
def _run(
    target: str,
    task: str,
    model: str | None,
    auto: bool,
    show: Show,
    journal_path: Path | None,
    keeps_nothing: bool,
    run_id: str | None,
) -> int:
    """Run an agent on TASK and print its answer.

    FILE.py:NAME is a Python file and the variable in it that holds the agent; NAME may be left out
    where the file has one agent only. The TASK "-" is read from the standard input. A graph is run
    in the same way: its TASK is the state to begin with, as a JSON object.

    At a terminal, Ctrl-C pauses the tree: steer a run, cancel a branch, or go on. A line typed
    while it runs is told to the agent; "@NAME …" is told to the run of that name.

    The run is kept, with all it does: `tinyagents show` has it again, and `tinyagents resume` goes
    on where it was, if it waits for an answer, was interrupted, or its process was killed.
    """
    from tinyagents.cli.helm import can_steer
    from tinyagents.cli.loading import load
    from tinyagents.cli.run import run

    steered = show == "watch" and task != "-" and can_steer(auto=auto)
    if task == "-":
        task = sys.stdin.read()
    if not task.strip():
        raise click.UsageError("the TASK is empty: say what the agent should do")
    loaded = load(target, model)
    journal = None
    if not keeps_nothing:
        journal, run_id = journal_for_runs(journal_path), run_id or new_run_id()
        journal.note(loaded.target)
    return run(
        loaded.agent, task, show, loaded.folder, run_id=run_id, journal=journal, steered=steered
    )


@_cli.command("chat", epilog="Example: tinyagents chat agents.py:boss --session ann")
@_target
@click.option("--session", metavar="NAME", help="Keep it under this name, and go on with it.")
@journal_option
def _chat(
    target: str, model: str | None, auto: bool, session: str | None, journal_path: Path | None
) -> int:
    """Talk with an agent over several turns; it remembers what was said.

    Type a line to say something. /help lists the commands, Ctrl-C pauses the turn that is under
    way to steer or cancel it, Ctrl-D ends the chat. Lines can also come through a pipe, one turn
    each.

    With --session NAME what was said is kept, and the next chat of that name goes on with it. A
    turn that was cut off, or waits for an answer, goes on first.
    """
    from tinyagents.cli.chat import chat
    from tinyagents.cli.helm import can_steer
    from tinyagents.cli.loading import load

    loaded = load(target, model)
    if not isinstance(loaded.agent, Agent):
        raise ConfigError(f"{target} is a graph, and a chat is with an agent: `tinyagents run` it")
    journal = None
    if session is not None:
        journal = journal_for_runs(journal_path)
        journal.note(loaded.target)
    steered = can_steer(auto=auto)
    return chat(loaded.agent, loaded.folder, steered=steered, journal=journal, session=session)


@_cli.command("graph")
@click.argument("target", metavar="FILE.py:NAME")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="By default what the ending of the -o FILE says, and mermaid without one.",
)
@click.option(
    "-o",
    "to",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to a file.",
)
def _graph(target: str, format: Format | None, to: Path | None) -> int:
    """Print or draw a graph.

    FILE.py:NAME is a Python file and the variable in it that holds the StateGraph, compiled or not;
    NAME may be left out where the file has one graph only. What is wrong with the graph is printed
    line by line.
    """
    return show(load_graph(target), format, to)


for _command in (*HUMAN_COMMANDS, *JOURNAL_COMMANDS, *VIEW_COMMANDS):
    _cli.add_command(_command)
