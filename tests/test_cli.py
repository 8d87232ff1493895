"""The command line, run as its users run it: results, exit codes, messages, Ctrl-C."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from tests.project import ROOT
from tinyagents import Event
from tinyagents.cli.commands import invoke
from tinyagents.console.text import clean
from tinyagents.testing import check_tree

COMMAND = [sys.executable, "-c", "from tinyagents.cli import main; main()"]

AGENTS = '''
import sys
import threading

import anyio
from pydantic import BaseModel

from tinyagents import Agent, RunLimits, ask_parent, tool
from tinyagents.testing import FunctionModel, ScriptedModel, call

print("importing")


class Page(BaseModel):
    title: str
    words: int


@tool
async def look(at: str) -> str:
    """Look at something."""
    print("looking at", at)
    return f"saw {at}"


@tool
async def wait() -> None:
    """Wait for good."""
    await anyio.sleep_forever()


@tool
def hang() -> None:
    """Hang in a thread."""
    print("hanging", file=sys.stderr, flush=True)
    threading.Event().wait()


@tool
async def block() -> None:
    """Hold up the event loop."""
    print("blocking", file=sys.stderr, flush=True)
    threading.Event().wait()


@tool(on_error="fail")
async def burn() -> None:
    """Fail the run."""
    raise OSError("disk on fire")


def chatty(request):
    said = [message.text for message in request.messages if message.role == "user"]
    if said[-1] == "fail":
        raise OSError("model on fire")
    return call("wait") if said[-1] == "wait" else f"{len(said)}: {said[-1]}"


def scripted(*script, **options):
    return Agent(ScriptedModel(script), **options)


@tool
def ready() -> None:
    """Wait for the test."""
    open("go_on").read()


def ask_and_listen(request):
    found = [message.text for message in request.messages if message.role == "tool"]
    told = [message.text for message in request.messages if message.role == "user"][1:]
    if not found:
        return call("ask_parent", question="which one?")
    return call("ready") if len(found) == 1 else "heard: " + ", ".join([found[0], *told])


kid = scripted(call("look", at="a.md"), "a page", name="kid", description="k", tools=[look])
boss = scripted(
    call("kid", input="Read a.md"), "Well \\x1b[31mdone\\x1b[0m", name="chief", subagents=[kid]
)
typed = scripted(call("final_answer", title="Tea", words=3), output_type=Page)
broken = scripted("some words", call("burn"), name="broken", tools=[burn])
burning = scripted(["I try.", call("burn")], name="burning", tools=[burn])
limited = scripted(*[["Still on it.", call("look", at="b")]] * 9, tools=[look],
                   limits=RunLimits(max_turns=2))
returned = limited.with_(limits=RunLimits(max_turns=2, on_limit="return"))
waiting = scripted(["Let me wait.", call("wait")], name="waiting", tools=[wait])
parent = scripted([call("look", at="c"), call("waiting", input="x")], "went on",
                  subagents=[waiting], tools=[look])
curious = Agent(FunctionModel(ask_and_listen), tools=[ask_parent, ready])
hanging = scripted(["Let me hang.", call("hang")], tools=[hang])
blocking = scripted(call("block"), tools=[block])
talker = Agent(FunctionModel(chatty), name="talker", tools=[wait])
not_an_agent = 3
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "agents.py").write_text(AGENTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # The trace is drawn for terminals only, wherever the tests themselves are run.
    monkeypatch.setenv("TERM", "xterm-256color")
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("agents", "one", "wrong")):
            del sys.modules[name]


class Told:
    """What a command in this process printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Told:
        code = invoke(arguments)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return call


def begin(
    *arguments: str,
    command: Sequence[str] = COMMAND,
    stdin: int = subprocess.PIPE,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start the real program, so that signals and exit codes are real, too."""
    # The terminal's real size counts, not that of the one the tests are started from.
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return subprocess.Popen(
        [*command, *arguments], text=True, stdin=stdin, stdout=stdout, stderr=stderr, env=env
    )


def wait_for(stream: IO[str] | None, text: str) -> str:
    """Read lines until one has `text` in it; the test's own timeout ends what never comes."""
    assert stream is not None
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in {seen!r}")


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What else is printed until the process has ended; `communicate` would lose what was read."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    out, err = process.stdout.read(), process.stderr.read()
    process.wait(timeout=10)
    return out, err


def events_in(output: str) -> tuple[list[Event], dict[str, Any]]:
    *lines, last = output.splitlines()
    return [Event.from_json(line) for line in lines], json.loads(last)


# --- run -----------------------------------------------------------------------------------------


def test_run_shows_the_tree_and_prints_the_answer(tell: Any) -> None:
    told = tell("run", "agents.py:boss", "Go")
    assert told.code == 0
    assert told.out == "Well done\n"
    trace = [re.sub(r"\d+\.\ds", "_s", line) for line in told.err.splitlines()]
    assert "    _s chief: started with scripted: Go" in trace
    assert '    _s   kid[0]: look("a.md") → saw a.md' in trace
    assert re.fullmatch(r" +_s chief: completed in _s, 2 turns, \d+ tokens, \$0", trace[-2])
    assert re.fullmatch(r"Kept as (run-\w+): tinyagents show \1", trace[-1])
    assert "\x1b" not in told.out + told.err


def test_quiet_prints_the_answer_only(tell: Any) -> None:
    told = tell("run", "--quiet", "agents.py:boss", "Go")
    assert (told.code, told.out) == (0, "Well done\n")
    assert told.err == "importing\nlooking at a.md\n"  # what the user's own code prints


def test_json_prints_each_event_and_the_result(tell: Any) -> None:
    told = tell("run", "--json", "agents.py:boss", "Go")
    events, last = events_in(told.out)
    check_tree(events)
    assert [event.seq for event in events] == list(range(len(events)))
    assert {event.path for event in events} == {"root", "root/kid[0]"}
    assert last["result"] == "Well \x1b[31mdone\x1b[0m"  # exact: JSON escapes it
    assert "\x1b" not in told.out
    assert (last["status"], last["tree_usage"]["requests"]) == ("completed", 4)


def test_a_typed_answer_is_printed_as_json(tell: Any) -> None:
    assert (
        tell("run", "--quiet", "agents.py:typed", "Go").out
        == '{\n  "title": "Tea",\n  "words": 3\n}\n'
    )
    last = events_in(tell("run", "--json", "agents.py:typed", "Go").out)[1]
    assert last["result"] == {"title": "Tea", "words": 3}


def test_a_failed_run_exits_with_1_and_shows_where_the_user_s_code_raised(tell: Any) -> None:
    told = tell("run", "agents.py:burning", "Go")
    assert (told.code, told.out) == (1, "")
    error = told.err.partition("Error: ")[2]
    assert error.startswith("tool 'burn': OSError: disk on fire\n")
    assert 'agents.py", line' in error
    assert 'raise OSError("disk on fire")' in error
    assert "tinyagents/" not in error  # not one line of ours
    assert "What there is so far:\nI try.\nSpent: 1 model call," in error
    last = events_in(tell("run", "--json", "agents.py:burning", "Go").out)[1]
    assert (last["result"], last["status"], last["partial"]) == (None, "failed", "I try.")
    assert last["error"]["type"] == "ToolError"


@pytest.mark.parametrize("name", ["limited", "returned"])
def test_a_limit_exits_with_3_and_prints_what_there_is(name: str, tell: Any) -> None:
    told = tell("run", f"agents.py:{name}", "Go")
    assert (told.code, told.out) == (3, "Still on it.\n")
    assert "Stopped by a limit: max_turns=2 of root reached (2 used)" in told.err
    last = events_in(tell("run", "--json", f"agents.py:{name}", "Go").out)[1]
    assert last["status"] in ("failed", "limited")
    assert last["partial"] == "Still on it."


def test_the_task_can_come_through_a_pipe() -> None:
    process = begin("run", "--quiet", "--model", "test", "agents.py:kid", "-")
    out, _ = process.communicate("three\nlines\nhere", timeout=10)
    assert (process.returncode, out) == (0, "test: three\nlines\nhere\n")


def test_another_model_takes_the_place_of_all_that_are_named_by_strings(
    tell: Any, tmp_path: Path
) -> None:
    (tmp_path / "named.py").write_text(
        "from tinyagents import Agent\n"
        "kid = Agent('anthropic:some', name='kid', recursive=True)\n"
        "boss = Agent('openai:some', name='boss', subagents=[kid])\n"
    )
    told = tell("run", "named.py:boss", "Go", "--quiet", "--model", "test")
    assert (told.code, told.out) == (0, "test: Go\n")


def test_another_model_takes_the_place_of_the_agent_s_own(tell: Any) -> None:
    assert tell("run", "agents.py:kid", "Go", "--quiet", "--model", "test").out == "test: Go\n"


def test_output_that_nobody_reads_ends_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with begin("run", "--json", "agents.py:parent", "Go", stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception" not in err


# --- what is wrong with the command line or the file ---------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zebra.py:x", "Go"], "There is no file zebra.py. The folder "),
        (["agent.py:boss", "Go"], "There is no file agent.py. Did you mean agents.py?"),
        (["no/agents.py", "Go"], "There is no file no/agents.py. There is no folder no either."),
        (["agents:boss", "Go"], "'agents:boss' names no Python file: write FILE.py:NAME"),
        (
            ["agents.py:bos", "Go"],
            "agents.py has no 'bos'. Did you mean 'boss'? Agents in it: kid,",
        ),
        (["agents.py:kid", "Go", "--model", "nope"], "--model"),
        (["agents.py:not_an_agent", "Go"], "agents.py:not_an_agent is not an Agent but a int."),
        (
            ["agents.py", "Go"],
            "agents, say which one: agents.py:kid. Agents in it: kid, boss (called",
        ),
        (["agents.py:kid", " "], "the TASK is empty"),
        (["agents.py:kid"], "Missing argument 'TASK'"),
        (["agents.py:kid", "Go", "--loud"], "No such option"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_what_to_do(
    arguments: list[str], message: str, tell: Any
) -> None:
    told = tell("run", *arguments)
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0\n", 'wrong.py", line 2, in <module>\n    1 / 0'),
        ("def f(:\n", "SyntaxError"),
        ("import nothing_like_that\n", "No module named 'nothing_like_that'"),
        ("from tinyagents import Agent\n\nAgent('nope')\n", "wrong.py, line 3: model='nope' does"),
        ("raise SystemExit(3)\n", "ended the program while it was imported (SystemExit: 3)"),
        ("import json\njson.loads('{')\n", "JSONDecodeError"),
        ("x = 1\n", "wrong.py has no agent: assign one to a variable"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(
    text: str, message: str, folder: Path, tell: Any
) -> None:
    (folder / "wrong.py").write_text(text)
    told = tell("run", "wrong.py", "Go")
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert "importlib" not in told.err
    assert "tinyagents/" not in told.err


def test_the_name_can_be_left_out_where_there_is_one_agent(folder: Path, tell: Any) -> None:
    (folder / "neighbour.py").write_text("NAME = 'alone'\n")
    (folder / "one.py").write_text(
        "from tinyagents import Agent\nfrom neighbour import NAME\n"
        "me = myself = Agent('test', name=NAME)\n"
    )
    assert tell("run", "--quiet", "one.py", "Go").out == "test: Go\n"


def test_a_file_called_like_a_module_does_not_take_its_place(folder: Path, tell: Any) -> None:
    (folder / "json.py").write_text("from tinyagents import Agent\nme = Agent('test')\n")
    assert tell("run", "--quiet", "json.py", "Go").out == "test: Go\n"
    assert sys.modules["json"] is json


# --- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_an_interrupt_ends_the_run_in_an_orderly_way(number: signal.Signals, code: int) -> None:
    with begin("run", "--json", "agents.py:parent", "Go") as process:
        seen = wait_for(process.stdout, '"tool":"wait"')
        process.send_signal(number)
        rest, err = rest_of(process)
    assert process.returncode == code
    events, last = events_in(seen + rest)
    check_tree(events)
    ended = {event.path: event.kind for event in events if event.kind.startswith("run.")}
    assert ended == {"root": "run.cancelled", "root/waiting[0]": "run.cancelled"}
    assert (last["result"], last["status"]) == (None, "cancelled")
    assert last["error"]["message"] == "root was cancelled: interrupted by the user"
    assert last["partial"] == "look → saw c"  # what a finished sibling found is not lost
    assert "stopping" in err
    assert "Traceback" not in err


def test_an_interrupt_shows_what_there_is_and_what_was_spent() -> None:
    with begin("run", "agents.py:waiting", "Go") as process:
        seen = wait_for(process.stderr, "says: Let me wait.")
        process.send_signal(signal.SIGINT)
        out, rest = rest_of(process)
    assert process.returncode == 130
    assert out == "Let me wait.\n"
    trace = seen + rest
    assert "waiting: cancelled after" in trace
    assert trace.rstrip().splitlines()[-4:-2] == ["Interrupted.", "What there is so far:"]
    assert re.search(r"Spent: 1 model call, \d+ tokens, \$0\.\nGo on with it: ", trace)


def test_a_tool_that_hangs_in_a_thread_does_not_keep_the_process() -> None:
    with begin("run", "agents.py:hanging", "Go") as process:
        wait_for(process.stderr, "hanging")
        process.send_signal(signal.SIGINT)
        out, err = rest_of(process)
    assert (process.returncode, out) == (130, "Let me hang.\n")
    assert "hang() was cut off" in err


def test_a_second_interrupt_quits_at_once_even_if_a_tool_blocks_the_event_loop() -> None:
    with begin("run", "agents.py:blocking", "Go") as process:
        wait_for(process.stderr, "blocking")
        process.send_signal(signal.SIGINT)
        wait_for(process.stderr, "Ctrl-C again to quit at once")
        process.send_signal(signal.SIGINT)
        rest_of(process)
    assert process.returncode == 130


# --- in a terminal -------------------------------------------------------------------------------


class Screen:
    """A program in a terminal of its own: what it shows, and keys for it."""

    def __init__(self, *arguments: str, command: Sequence[str] = COMMAND) -> None:
        self._keyboard, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (30, 100))
        self.process = begin(
            *arguments, command=command, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        self.raw = ""

    def wait_for(self, text: str) -> str:
        """What was shown up to and with `text`, which may be a regular expression."""
        while not re.search(text, clean(self.raw)):
            ready, _, _ = select.select([self._keyboard], [], [], 10)
            assert ready, f"no {text!r} in {clean(self.raw)!r}"
            self.raw += self._read()
        return clean(self.raw)

    def interrupt_until(self, text: str) -> None:
        """Ctrl-C, and once more as long as nothing happens, as a person would.

        Python does not notice a signal between showing a prompt and beginning to wait for a key.
        """
        while not re.search(text, clean(self.raw)):
            self.process.send_signal(signal.SIGINT)
            while select.select([self._keyboard], [], [], 1)[0]:
                self.raw += self._read()

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def end(self) -> int:
        while piece := self._read():
            self.raw += piece
        os.close(self._keyboard)
        return self.process.wait(timeout=10)

    def _read(self) -> str:
        try:
            return os.read(self._keyboard, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the program has left the terminal
            return ""


def test_in_a_terminal_the_tree_is_drawn_and_the_answer_printed_below() -> None:
    screen = Screen("run", "agents.py:boss", "Go")
    assert screen.end() == 0
    assert "\x1b[?25l" in screen.raw
    assert "\x1b[?25h" in screen.raw
    shown = clean(screen.raw)
    assert re.search(r"✔ chief  Go +Well done", shown)
    assert re.search(r"└─ ✔ kid\[0\]  Read a\.md +a page", shown)
    assert re.search(r"2 runs: 2 completed · \d+ events", shown)
    assert re.search(r"Well done\nKept as run-\w+: tinyagents show run-\w+\s*$", shown)
    assert "looking at a.md" in shown


@pytest.mark.parametrize("option", [["--auto"], []])
def test_ctrl_c_in_a_terminal_leaves_it_in_order(option: list[str]) -> None:
    screen = Screen("run", "agents.py:parent", "Go", *option)
    screen.wait_for(r"waiting\[0\]  x +wait\(\)")
    screen.process.send_signal(signal.SIGINT)
    if not option:  # the first one pauses
        screen.wait_for("2 paused")
        screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    shown = clean(screen.raw)
    assert re.search(r"■ waiting\[0\]  x +", shown)
    assert "2 runs: 2 cancelled" in shown
    assert "Interrupted.\nWhat there is so far:\nlook → saw c\nSpent: 2 model calls" in shown
    assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l")


def test_a_paused_tree_is_steered_and_goes_on() -> None:
    screen = Screen("run", "agents.py:parent", "Go")
    screen.wait_for(r"waiting\[0\]  x +wait\(\)")
    screen.process.send_signal(signal.SIGINT)
    screen.wait_for("2 paused")
    screen.type("nonsense\n")
    screen.wait_for(r"nonsense\? paused")
    screen.type("s nobody[0] shorter\n")
    screen.wait_for(r"which run is 'nobody\[0\]'\? root, waiting\[0\]")
    screen.type("s waiting[0] shorterx\x7f\n")
    screen.wait_for(r"redirect waiting\[0\]: received")
    screen.type("c waiting[0] enough\n")
    screen.wait_for(r"redirect waiting\[0\]: expired root/waiting\[0\] has ended \(cancelled\)")
    screen.wait_for(r"cancel waiting\[0\]: applied")
    screen.type("\n")
    assert screen.end() == 0
    assert re.search(r"■ waiting\[0\]  x +enough", clean(screen.raw))


def test_what_is_typed_is_told_to_the_agent_and_answers_its_questions() -> None:
    os.mkfifo("go_on")
    screen = Screen("run", "agents.py:curious", "Go")
    screen.wait_for("root which one\\?\n.*for later, q to leave it> ")
    screen.type("the red one\n")
    screen.wait_for(r"ready\(\)")
    screen.type("and be quick\n")
    screen.wait_for("inject the agent: received")
    screen.type("@nobody[7] hello\n")
    screen.wait_for(r"which run is 'nobody\[7\]'\? root")
    Path("go_on").write_text("now")
    assert screen.end() == 0
    assert "heard: the red one, and be quick\nKept as " in clean(screen.raw)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen("run", "agents.py:boss", "Go")
    assert screen.end() == 0
    assert "\x1b" not in screen.raw
    assert "kid[0]: completed" in screen.raw


# --- chat ----------------------------------------------------------------------------------------


def chat(lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = begin("chat", "agents.py:talker", *arguments)
    out, err = process.communicate(lines, timeout=10)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def test_a_chat_remembers_what_was_said() -> None:
    done = chat("hello\n\nand now?\n")
    assert (done.returncode, done.stdout) == (0, "1: hello\n2: and now?\n")
    assert "[2 turns in the session, 0 tokens, $0 spent]" in done.stderr


def test_a_chat_can_be_reset_saved_loaded_and_ended(folder: Path) -> None:
    done = chat("one\n/save talk.json\n/reset\ntwo\n/load talk.json\nthree\n/quit\nnever said\n")
    assert (done.returncode, done.stdout) == (0, "1: one\n1: two\n2: three\n")
    assert "Saved to talk.json." in done.stderr
    assert "[0 turns in the session" in done.stderr
    assert json.loads((folder / "talk.json").read_text())["agent"] == "talker"


def test_a_failed_turn_changes_nothing_and_shows_in_the_exit_code() -> None:
    done = chat("one\nfail\ntwo\n")
    assert (done.returncode, done.stdout) == (1, "1: one\n2: two\n")
    assert "model on fire" in done.stderr
    assert "The session is as it was before this turn." in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/nope", "There is no command /nope."),
        ("/load", "/load needs a file: /load talk.json"),
        ("/load gone.json", "gone.json: No such file or directory"),
        ("/save no/where.json", "no/where.json: No such file or directory"),
        ("/load agents.py", "Error: this is no saved session"),
    ],
)
def test_a_wrong_command_in_a_chat_is_explained(line: str, message: str) -> None:
    done = chat(f"{line}\nhello\n")
    assert (done.returncode, done.stdout) == (2, "1: hello\n")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_cancels_the_turn_and_the_chat_goes_on() -> None:
    screen = Screen("chat", "agents.py:talker")
    screen.wait_for("Ctrl-D ends the chat.\n(.*\n)*you> ")
    screen.type("hello\n")
    screen.wait_for("1: hello\n.*1 turn in the session.*\nyou> ")
    screen.type("wait\n")
    screen.wait_for(r"talker turn 2  wait +wait\(\)")
    screen.process.send_signal(signal.SIGINT)
    screen.wait_for("1 paused")
    screen.type("q\n")
    shown = screen.wait_for("The session is as it was before this turn.\n.*\nyou> ")
    assert "Interrupted.\nThere is nothing yet.\nSpent: 1 model call" in shown
    screen.interrupt_until("\nCtrl-D ends the chat.\nyou> ")
    screen.type("again\n")
    screen.wait_for("2: again\n.*2 turns in the session.*\nyou> ")
    screen.type("\x04")
    assert screen.end() == 0


def test_ctrl_c_cancels_a_turn_of_a_chat_through_a_pipe() -> None:
    with begin("chat", "agents.py:talker") as process:
        assert process.stdin is not None
        process.stdin.write("wait\n")
        process.stdin.flush()
        wait_for(process.stderr, "started")
        process.send_signal(signal.SIGINT)
        process.stdin.write("hello\n")
        out, err = rest_of(process)
    assert (process.returncode, out) == (130, "1: hello\n")
    assert "Interrupted." in err


# --- the program itself --------------------------------------------------------------------------


def test_help_names_the_commands_and_the_exit_codes(tell: Any) -> None:
    assert tell("--help").code == 0
    told = tell("run", "--help")
    assert told.code == 0
    for code in ("0", "1", "2", "3", "4", "130"):
        assert re.search(rf"^ +{code}  ", told.out, re.MULTILINE)
    assert tell("--version").out.startswith("tinyagents ")


def test_help_loads_neither_rich_nor_a_provider() -> None:
    code = (
        "import sys; from tinyagents.cli.commands import invoke; invoke(['--help']); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not loaded & {"rich", "openai", "anthropic", "genai_prices", "networkx", "trio"}


def test_the_command_is_installed_under_its_name() -> None:
    program = Path(sys.executable).with_name("tinyagents")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


# --- the page on it ------------------------------------------------------------------------------


SHOWN = "examples/04_sub_agents.py"


@pytest.mark.parametrize(
    ("start", "arguments"),
    [
        (
            "    0.0s writer: started",
            ["examples/04_sub_agents.py:writer", "Two lines about Basel."],
        ),
        ("Error: examples/04_sub", [f"{SHOWN}:riter", "x"]),
    ],
)
def test_the_page_shows_what_is_really_printed(
    start: str, arguments: list[str], tell: Any, folder: Path
) -> None:
    (folder / "examples").mkdir()
    shutil.copy(ROOT / SHOWN, folder / SHOWN)
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    shown = page[page.index(start) :].partition("```")[0]
    assert without_chance(tell("run", *arguments).err) == without_chance(shown)


def without_chance(text: str) -> str:
    return re.sub(r"run-\w+", "run-_", re.sub(r"\d+\.\ds", "_s", text))
