"""`tinyagents chat`: a session with an agent, line by line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyagents import Agent, ConfigError, EventSink, SubAgentSession, Usage
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.outcome import Outcome, finish, say, tell
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import clean, dollars, tokens

__all__ = ["chat"]

# Events kept of the turns so far: more than enough for the one under way, and not all of a long
# evening's.
_HISTORY = 20_000
_PROMPT = "you> "
_HELP = """\
/reset       forget what was said
/save FILE   write the session to a file
/load FILE   go on with a session from a file
/help        this list
/quit        end the chat (also Ctrl-D)
While a turn is under way: Ctrl-C pauses it, to steer it, cancel a branch or all of it; a line typed
is told to the agent, "@NAME …" to an agent below it. With --auto, Ctrl-C cancels the turn."""


def chat(agent: Agent[Any, Any], folder: Path, *, steered: bool = False) -> ExitCode:
    """Talk with `agent` until the end of the input.

    Args:
        agent: Whom to talk with.
        folder: Where the user's code lies, to tell it from ours in a traceback.
        steered: Whether a turn can be steered at the terminal.

    Returns:
        The exit code: of a chat at a terminal always 0; of one through a pipe that of the first
        turn that did not complete.
    """
    talk = Chat(agent, folder, steered)
    if talk.is_interactive:
        _enable_line_editing()
        say(f"{agent!r}. /help lists the commands, Ctrl-D ends the chat.", sys.stderr)
    # One event loop for all turns: what tools and models keep open belongs to a loop.
    with asyncio.Runner() as runner:
        while not talk.is_over and (line := talk.read()) is not None:
            talk.take(line.strip(), runner)
    return ExitCode.COMPLETED if talk.is_interactive else talk.code


class Chat:
    """A session, the commands for it, and what it has spent.

    Args:
        agent: Whom to talk with.
        folder: Where the user's code lies.
        steered: Whether a turn can be steered at the terminal.

    Attributes:
        is_interactive: Whether somebody types.
        is_over: Whether the chat was ended by a command.
        code: The exit code of the first turn that did not complete.
    """

    def __init__(self, agent: Agent[Any, Any], folder: Path, steered: bool) -> None:
        self._steered = steered
        self._agent = agent
        self._folder = folder
        self._sink = EventSink(history=_HISTORY)
        self._session = SubAgentSession(agent, sink=self._sink)
        self._usage = Usage()
        self.is_interactive = sys.stdin.isatty()
        self.is_over = False
        self.code = ExitCode.COMPLETED

    def read(self) -> str | None:
        """The next line, `None` at the end of the input."""
        while True:
            try:
                return input(self._prompt())
            except EOFError:
                if self.is_interactive:
                    say("", sys.stderr)
                return None
            except KeyboardInterrupt:
                if not self.is_interactive:
                    self.code = ExitCode.INTERRUPTED
                    return None
                say("\nCtrl-D ends the chat.", sys.stderr)

    def take(self, line: str, runner: asyncio.Runner) -> None:
        """Obey a command, or say the line to the agent."""
        if not line:
            return
        if not line.startswith("/"):
            self._turn(line, runner)
            return
        name, _, argument = line.partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            self._refuse(f"There is no command {clean(name)}.\n{_HELP}")
            return
        try:
            command(self, argument.strip())
        except OSError as error:
            self._refuse(f"Error: {error.filename}: {error.strerror}")
        except (UnicodeDecodeError, ConfigError) as error:
            self._refuse(f"Error: {error}")

    def _prompt(self) -> str:
        if self.is_interactive and not sys.stdout.isatty():
            # `input` would write it among the answers, which go elsewhere.
            print(_PROMPT, end="", file=sys.stderr, flush=True)
            return ""
        return _PROMPT if self.is_interactive else ""

    # --- one turn --------------------------------------------------------------------------------

    def _turn(self, text: str, runner: asyncio.Runner) -> None:
        with redirect_stdout(sys.stderr):
            outcome = runner.run(self._drive(text))
        if self.is_interactive:
            say("", sys.stderr)
        tell(outcome, self._folder)
        if outcome.result is not None:
            self._usage = self._usage + outcome.result.tree_usage
        if outcome.code != ExitCode.COMPLETED:
            self._note_failure(outcome.code)
            say("The session is as it was before this turn.", sys.stderr)
        self._say_state()

    async def _drive(self, text: str) -> Outcome:
        with ConsoleTrace(self._sink, transient=True) as trace:
            begin = partial(self._session.stream, text)
            return await finish(begin, self._sink, trace, steered=self._steered)

    def _refuse(self, why: str) -> None:
        say(why, sys.stderr)
        self._note_failure(ExitCode.USAGE)

    def _note_failure(self, code: ExitCode) -> None:
        if self.code == ExitCode.COMPLETED:
            self.code = code

    def _say_state(self) -> None:
        turns = self._session.turns
        say(
            f"[{turns} turn{'' if turns == 1 else 's'} in the session, "
            f"{tokens(self._usage.total_tokens)} tokens, {dollars(self._usage)} spent]",
            sys.stderr,
        )

    # --- commands --------------------------------------------------------------------------------

    def reset(self, argument: str) -> None:
        """Forget what was said."""
        self._session.reset()
        self._say_state()

    def save(self, argument: str) -> None:
        """Write the session to a file."""
        path = _path(argument, "/save")
        path.write_text(self._session.save(), encoding="utf-8")
        say(f"Saved to {path}.", sys.stderr)

    def load(self, argument: str) -> None:
        """Go on with a session from a file."""
        text = _path(argument, "/load").read_text(encoding="utf-8")
        self._session = SubAgentSession.load(text, self._agent, sink=self._sink)
        self._say_state()

    def help(self, argument: str) -> None:
        """List the commands."""
        say(_HELP, sys.stderr)

    def quit(self, argument: str) -> None:
        """End the chat."""
        self.is_over = True


_COMMANDS: Mapping[str, Callable[[Chat, str], None]] = {
    "/reset": Chat.reset,
    "/save": Chat.save,
    "/load": Chat.load,
    "/help": Chat.help,
    "/quit": Chat.quit,
    "/exit": Chat.quit,
}


def _path(argument: str, command: str) -> Path:
    if not argument:
        raise ConfigError(f"{command} needs a file: {command} talk.json")
    return Path(argument).expanduser()


def _enable_line_editing() -> None:
    """Arrow keys and history at the prompt; importing readline, where there is one, is all."""
    if find_spec("readline") is not None:
        import_module("readline")
