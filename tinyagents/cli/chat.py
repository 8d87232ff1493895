"""`tinyagents chat`: a session with an agent, line by line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyagents import Agent, ConfigError, Event, EventSink, SubAgentSession, Usage
from tinyagents.cli.asks import say_asks
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.outcome import tell
from tinyagents.cli.rounds import Rounds
from tinyagents.cli.store import RunJournal
from tinyagents.cli.text import say
from tinyagents.console import ConsoleTrace
from tinyagents.console.text import clean, dollars, tokens
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.protocol import Journal

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


def chat(
    agent: Agent[Any, Any],
    folder: Path,
    *,
    steered: bool = False,
    journal: RunJournal | None = None,
    session: str | None = None,
) -> ExitCode:
    """Talk with `agent` until the end of the input.

    Args:
        agent: Whom to talk with.
        folder: Where the user's code lies, to tell it from ours in a traceback.
        steered: Whether a turn can be steered at the terminal.
        journal: Where the session is kept; `None` for nowhere.
        session: Its name there.

    Returns:
        The exit code: of a chat at a terminal always 0; of one through a pipe that of the first
        turn that did not complete.
    """
    # One event loop for all turns: what tools and models keep open belongs to a loop.
    with asyncio.Runner() as runner:
        talk = Chat(agent, folder, runner, steered, journal, session)
        if talk.is_interactive:
            _enable_line_editing()
            say(f"{agent!r}. /help lists the commands, Ctrl-D ends the chat.", sys.stderr)
        talk.take_up()
        while not talk.is_over and (line := talk.read()) is not None:
            talk.take(line.strip())
        if journal is not None:
            runner.run(journal.aclose())
    return ExitCode.COMPLETED if talk.is_interactive else talk.code


class Chat:
    """A session, the commands for it, and what it has spent.

    Args:
        agent: Whom to talk with.
        folder: Where the user's code lies.
        runner: The event loop of all turns.
        steered: Whether a turn can be steered at the terminal.
        journal: Where the session is kept; `None` for nowhere.
        session: Its name there.

    Attributes:
        is_interactive: Whether somebody types.
        is_over: Whether the chat was ended by a command.
        code: The exit code of the first turn that did not complete.
    """

    def __init__(
        self,
        agent: Agent[Any, Any],
        folder: Path,
        runner: asyncio.Runner,
        steered: bool,
        journal: Journal | None,
        session: str | None,
    ) -> None:
        if journal is None and agent.asks_leave:
            journal, session = MemoryJournal(), "chat"  # what waits, waits as long as the chat
        self._agent = agent
        self._folder = folder
        self._runner = runner
        self._journal = journal
        self._sink = EventSink(history=_HISTORY)
        self._rounds = Rounds(runner, self._sink, self._watch, steered=steered, journal=journal)
        self._options: dict[str, Any] = {"sink": self._sink}
        if journal is not None:
            self._options |= {"journal": journal, "session_id": session}
        self._session = SubAgentSession(agent, **self._options)
        self._usage = Usage()
        self._waiting = ""  # id of the turn that waits for an answer
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

    def take_up(self) -> None:
        """Go on where the session was: with the turn that has yet to come to its end, if any."""
        if self._journal is None:
            return
        turn_id = self._runner.run(self._session.take_up())
        if turn_id is not None:
            say(f"Going on with {turn_id}.", sys.stderr)
            self._turn(None, turn_id)
        elif self._session.turns:
            self._say_state()

    def take(self, line: str) -> None:
        """Obey a command, or say the line to the agent."""
        if not line:
            return
        if not line.startswith("/"):
            self._say(line)
            return
        name, _, argument = line.partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            self._refuse(f"There is no command {clean(name)}.\n{_HELP}")
            return
        try:
            command(self, argument.strip())
            if self._journal is not None:
                self._runner.run(self._session.take_up())  # which tells it what has changed
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

    def _say(self, line: str) -> None:
        """Say something, after the turn that waits, if one does."""
        if self._waiting:
            self._turn(None, self._waiting)
        if self._waiting:
            say("Not said: the turn before it still waits for an answer.", sys.stderr)
            return
        self._turn(line)

    def _turn(self, text: str | None, turn_id: str = "") -> None:
        """Take a turn; with `None` for the text, go on with the one of that id."""
        begin = partial(self._session.stream, text)
        outcome = self._rounds.play(begin, lambda _: self._session.stream(None), turn_id)
        result, self._waiting = outcome.result, ""
        if self.is_interactive:
            say("", sys.stderr)
        tell(outcome, self._folder)
        if result is not None and outcome.code != ExitCode.PAUSED:
            self._usage = self._usage + result.tree_usage
        if outcome.code != ExitCode.COMPLETED:
            self._note_failure(outcome.code)
        if result is not None and outcome.code == ExitCode.PAUSED and self._journal is not None:
            self._waiting = result.run_id
            if isinstance(self._journal, RunJournal):
                say_asks(result.pending, self._journal.option, sys.stderr)
            say("The turn goes on before the next line, once that is answered.", sys.stderr)
        elif outcome.code != ExitCode.COMPLETED:
            say("The session is as it was before this turn.", sys.stderr)
        self._say_state()

    @contextmanager
    def _watch(self, past: Iterable[Event]) -> Generator[ConsoleTrace | None]:
        with ConsoleTrace(self._sink, transient=True, past=past) as trace:
            yield trace

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
        self._session = SubAgentSession.load(text, self._agent, **self._options)
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
