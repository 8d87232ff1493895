"""Runs that the command line keeps: listed, answered, steered, gone on with, in any process."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.test_cli import Screen, Told, begin, events_in, rest_of, wait_for
from tinyagents import Agent
from tinyagents.cli.commands import invoke
from tinyagents.console.text import clean
from tinyagents.testing import check_tree
from tinyagents_graph.events import Event
from tinyagents_graph.journal import SqliteJournal

AGENTS = '''
import os
from pathlib import Path

import anyio

from tinyagents import Agent, Autonomy, ask_parent, tool
from tinyagents.testing import FunctionModel, call


@tool
async def note(text: str) -> str:
    """Write something down."""
    with open("notes.txt", "a") as file:
        file.write(text + "\\\\n")
    return f"noted {text}"


@tool(reversible=False)
async def pay(amount: int) -> str:
    """Pay."""
    with open("paid.txt", "a") as file:
        file.write(f"{amount}\\\\n")
    return f"paid {amount}"


@tool
async def wait() -> str:
    """Wait for a file, and say what is in it."""
    while not os.path.exists("go_on"):
        await anyio.sleep(0.01)
    return Path("go_on").read_text()


def scripted(*turns):
    """Says the nth of these when it has said n: the same in every process."""

    def say(request):
        said = turns[sum(message.role == "assistant" for message in request.messages)]
        return said(request) if callable(said) else said

    return FunctionModel(say)


def last(request):
    return "end: " + request.messages[-1].text


def told(request):
    said = [message.text for message in request.messages if message.role == "user"]
    return "told: " + " | ".join(said)


careful = Autonomy(modes={"pay": "assisted"})
clerk = Agent(scripted(["I pay it.", call("pay", amount=3)], last), name="clerk", tools=[pay],
              autonomy=careful, description="pays")
boss = Agent(scripted(call("clerk", input="pay"), last), name="boss", subagents=[clerk])
both = Agent(scripted([call("pay", amount=1), call("pay", amount=2)], "both"), name="both",
             tools=[pay], autonomy=careful)
curious = Agent(scripted(call("ask_parent", question="which one?"), last), name="curious",
                tools=[ask_parent])
slow = Agent(scripted(call("note", text="one"), call("wait"), told), name="slow",
             tools=[note, wait])
above = Agent(scripted(call("slow", input="x"), last), name="above", subagents=[slow])


def chatty(request):
    said = [message.text for message in request.messages if message.role == "user"]
    if said[-1] in ("wait", "pay") and request.messages[-1].role == "user":
        both = [call("note", text="n"), call("wait")]
        return call("pay", amount=3) if said[-1] == "pay" else both
    return f"{len(said)}: {said[-1]}"


talker = Agent(FunctionModel(chatty), name="talker", tools=[note, wait, pay], autonomy=careful)
'''

# Several processes, one after the other, on a machine that may be busy.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "kept_agents.py").write_text(AGENTS.replace("\\\\n", "\\n"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TINYAGENTS_JOURNAL", raising=False)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("kept_agents"):
            del sys.modules[name]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Told:
        code = invoke(arguments)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return call


def events_of(run_id: str, path: str = ".tinyagents/runs.db") -> list[Event]:
    async def read() -> list[Event]:
        async with SqliteJournal(path) as journal:
            return await journal.read(run_id)

    return anyio.run(read)


def open_asks(tell: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tell("pending", "--json").out)
    return found


def status_of(run_id: str, tell: Any) -> str:
    told = tell("show", run_id, "--json")
    assert told.code == 0, told.err
    status: str = json.loads(told.out)["status"]
    return status


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    with process:
        pass


# --- kept ----------------------------------------------------------------------------------------


def test_a_run_is_kept_and_can_be_looked_at(folder: Path, tell: Any) -> None:
    (folder / "go_on").write_text("now")
    told = tell("run", "kept_agents.py:above", "Go", "--run-id", "r-1")
    assert told.code == 0
    assert told.err.endswith("Kept as r-1: tinyagents show r-1\n")
    assert (folder / ".tinyagents" / ".gitignore").read_text() == "*\n"
    assert re.search(r"^r-1 +completed +above +Go ", tell("runs").out, re.MULTILINE)
    shown = tell("show", "r").out  # the only run that begins so
    assert "r-1  above  completed  (kept_agents.py:above)" in shown
    assert re.search(r"└─ ✔ slow\[0\]  x ", shown)
    assert shown.endswith("end: told: x\n")
    events = [Event.from_json(line) for line in tell("show", "r-1", "--events").out.splitlines()]
    check_tree(events)
    assert events == events_of("r-1")
    facts = json.loads(tell("show", "r-1", "--json").out)
    assert [run["outcome"] for run in facts["runs"]] == ["end: told: x", "told: x"]
    (listed,) = json.loads(tell("runs", "--json").out)
    assert (listed["run_id"], listed["status"], listed["asks"]) == ("r-1", "completed", 0)


def test_the_same_run_once_more_gives_its_answer_and_does_nothing(folder: Path, tell: Any) -> None:
    (folder / "go_on").write_text("now")
    arguments = ("run", "--quiet", "kept_agents.py:slow", "Go", "--run-id", "r-1")
    assert tell(*arguments).out == tell(*arguments).out == "told: Go\n"
    assert tell("resume", "r-1", "--quiet").out == "told: Go\n"
    assert (folder / "notes.txt").read_text() == "one\n"
    other = tell("run", "--quiet", "kept_agents.py:slow", "Something else", "--run-id", "r-1")
    assert other.code == 1
    assert "it was asked something else" in other.err


def test_nothing_is_kept_if_nothing_is_to_be(folder: Path, tell: Any) -> None:
    told = tell("run", "kept_agents.py:boss", "Go", "--no-journal")
    assert told.code == 4
    assert "nobody can answer: leave out --no-journal" in told.err
    assert not (folder / ".tinyagents").exists()


def test_another_place_is_named_by_an_option_or_the_environment(
    folder: Path, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tell("run", "kept_agents.py:boss", "Go", "--journal", "a/b.db", "--run-id", "r-1")
    assert "tinyagents resume r-1 --journal a/b.db" in told.err
    assert not (folder / "a" / ".gitignore").exists()
    monkeypatch.setenv("TINYAGENTS_JOURNAL", "a/b.db")
    assert "r-1" in tell("runs").out
    (folder / "file").write_text("")
    told = tell("run", "kept_agents.py:boss", "Go", "--journal", "file/b.db")
    assert told.code == 2
    assert "runs cannot be kept in file/b.db" in told.err or "no folder" in told.err


# --- answers -------------------------------------------------------------------------------------


def test_a_run_waits_for_leave_and_goes_on_when_it_is_resumed(folder: Path, tell: Any) -> None:
    told = tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    assert (told.code, told.out) == (4, "")
    assert "wants to run pay(3)\n    it says: I pay it.\n" in told.err
    assert told.err.endswith("Then go on: tinyagents resume r-1\n")
    (ask,) = open_asks(tell)
    assert (ask["run_id"], ask["path"], ask["tool"]) == ("r-1", "root/clerk[0]", "pay")
    assert ask["code"] in tell("pending", "r-1").out
    assert tell("resume", "r-1").code == 4  # as long as nobody has answered
    told = tell("approve", "r-1", ask["code"], "--by", "ann", "--reason", "it is right")
    assert told.code == 0
    assert told.err == "r-1 root/clerk[0] is answered. tinyagents resume r-1\n"
    assert not (folder / "paid.txt").exists()
    assert tell("pending").err == "No question is open.\n"
    assert "Its questions are answered: tinyagents resume r-1" in tell("show", "r-1").out
    told = tell("resume", "r-1")
    assert (told.code, told.out) == (0, "end: end: paid 3\n")
    assert "is answered by ann: approve, it is right" in told.err
    assert (folder / "paid.txt").read_text() == "3\n"
    check_tree(events_of("r-1"))


def test_arguments_are_changed_and_it_goes_on_at_once(folder: Path, tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    told = tell(
        "approve", "r-1", "pay[0]", "--arguments", '{"amount": 2}', "--by", "ann", "--resume"
    )
    assert told.code == 0
    assert told.out.startswith("end: end: paid 2\n[ann changed the arguments")
    assert (folder / "paid.txt").read_text() == "2\n"


def test_a_no_is_told_with_its_reason(folder: Path, tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    told = tell(
        "reject", "r-1", "pay[0]/approval", "--reason", "too much", "--by", "ann", "--resume"
    )
    assert "not allowed by ann: too much" in told.out
    assert not (folder / "paid.txt").exists()


def test_a_question_is_answered(tell: Any) -> None:
    tell("run", "kept_agents.py:curious", "Go", "--run-id", "r-1")
    (ask,) = open_asks(tell)
    assert ask["question"] == "which one?"
    told = tell("answer", "r-1", ask["code"], "the red one", "--resume")
    assert (told.code, told.out) == (0, "end: the red one\n")


def test_the_first_answer_stands(tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    (ask,) = open_asks(tell)
    tell("reject", "r-1", ask["code"], "--by", "ann")
    told = tell("approve", "r-1", ask["code"], "--by", "bob")
    assert told.code == 1
    assert re.search(r"was answered \S+ ago by ann: reject", told.err)


def test_each_question_has_a_code_of_its_own(folder: Path, tell: Any) -> None:
    tell("run", "kept_agents.py:both", "Go", "--run-id", "r-1")
    one, two = open_asks(tell)
    told = tell("approve", "r-1", "approval")
    assert told.code == 2
    assert "may be root/pay[0]/approval, root/pay[1]/approval" in told.err
    assert "1 more to answer" in tell("approve", "r-1", two["code"]).err
    assert tell("resume", "r-1").code == 4
    assert tell("reject", "r-1", one["code"], "--resume").code == 0
    assert (folder / "paid.txt").read_text() == "2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "r-11"], "There is no run 'r-11'. Did you mean 'r-1'?"),
        (["resume", "nope"], "There is no run 'nope'. `tinyagents runs` lists what there is."),
        (["approve", "r-1", "abcdef"], "r-1 asks no 'abcdef'. It has "),
        (["answer", "r-1", "pay[0]", "yes please"], "it wants ask.approve() or ask.reject(reason)"),
        (["answer", "r-1", "pay[0]"], "say the answer: TEXT, or --json VALUE"),
        (["approve", "r-1", "pay[0]", "--arguments", "3"], "give an object"),
        (["approve", "r-1", "pay[0]", "--arguments", "{"], "is no JSON"),
        (["steer", "r-1", "fly"], "is not one of 'pause'"),
        (["steer", "r-1", "inject"], "say something"),
        (["steer", "r-1", "metadata", "x"], "metadata wants NAME=VALUE"),
        (["prune"], "say which ones: --older-than 30d, --keep 100, or both"),
        (["prune", "--older-than", "soon"], "'soon' is no span of time: write 90s"),
        (["runs", "--journal", "gone.db"], "There is no journal gone.db in "),
        (["journal", "import", "kept_agents.py"], "kept_agents.py"),
    ],
)
def test_what_is_wrong_is_explained(arguments: list[str], message: str, tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1", "--quiet")
    told = tell(*arguments)
    assert told.code in (1, 2)
    assert message in told.err
    assert "Traceback" not in told.err


def test_without_a_journal_it_is_said_where_one_comes_from(tell: Any) -> None:
    told = tell("runs")
    assert told.code == 2
    assert "There is no journal .tinyagents/runs.db in " in told.err
    assert "`tinyagents run` makes one" in told.err


# --- going on ------------------------------------------------------------------------------------


def test_a_run_goes_on_in_another_process_after_it_was_killed(folder: Path, tell: Any) -> None:
    process = begin("run", "--json", "kept_agents.py:above", "Go", "--run-id", "r-1")
    wait_for(process.stdout, '"tool":"wait"')
    kill(process)
    assert status_of("r-1", tell) == "cut off"
    told = tell("show", "r-1").out
    assert "Go on with it: tinyagents resume r-1\nOr close it: tinyagents cancel r-1" in told
    assert "r-1" in tell("runs", "--status", "cut off").out
    (folder / "go_on").write_text("now")
    told = tell("resume", "r-1", "--json")
    assert told.code == 0
    events, last = events_in(told.out)
    assert events[0].kind == "checkpoint.restored"
    assert last["result"] == "end: told: x"
    assert (folder / "notes.txt").read_text() == "one\n"  # done once
    check_tree(events_of("r-1"))


def test_an_interrupted_run_can_be_resumed(folder: Path, tell: Any) -> None:
    with begin("run", "kept_agents.py:slow", "Go", "--run-id", "r-1") as process:
        wait_for(process.stderr, 'note("one")')
        process.send_signal(signal.SIGINT)
        _, err = rest_of(process)
    assert process.returncode == 130
    assert err.endswith("Go on with it: tinyagents resume r-1\n")
    assert status_of("r-1", tell) == "cancelled"
    (folder / "go_on").write_text("now")
    assert tell("resume", "r-1", "--quiet").out == "told: Go\n"
    assert (folder / "notes.txt").read_text() == "one\n"


def test_a_run_that_was_begun_elsewhere_needs_its_file_named(folder: Path, tell: Any) -> None:
    async def begin_elsewhere() -> None:
        async with SqliteJournal(".tinyagents/runs.db") as journal:
            await Agent("test", name="slow").run("Go", run_id="r-1", journal=journal)

    (folder / "go_on").write_text("now")
    anyio.run(begin_elsewhere)
    told = tell("resume", "r-1")
    assert told.code == 2
    assert "r-1 was not begun by the command line; name it: tinyagents resume r-1" in told.err
    assert tell("resume", "r-1", "kept_agents.py:slow", "--quiet").out == "test: Go\n"


def test_a_project_can_be_moved_and_a_lost_file_is_missed(
    folder: Path, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    moved = folder / "moved"
    moved.mkdir()
    (folder / ".tinyagents").rename(moved / ".tinyagents")
    (folder / "kept_agents.py").rename(moved / "kept_agents.py")
    monkeypatch.chdir(moved)
    assert tell("resume", "r-1").code == 4
    (moved / "kept_agents.py").unlink()
    told = tell("resume", "r-1")
    assert told.code == 2
    assert "was made from kept_agents.py:boss, which is not there; name it" in told.err


def test_a_fork_goes_on_from_the_middle_of_another_run(folder: Path, tell: Any) -> None:
    (folder / "go_on").write_text("now")
    tell("run", "--quiet", "kept_agents.py:slow", "Go", "--run-id", "r-1")
    at = next(each.seq for each in events_of("r-1") if each.data.get("tool") == "wait") - 1
    told = tell("fork", "r-1", "--at", str(at), "--run-id", "r-2", "--resume", "--quiet")
    assert told.code == 2  # --quiet is none of its options
    told = tell("fork", "r-1", "--at", str(at), "--run-id", "r-2")
    assert (told.code, told.out) == (0, "r-2\n")
    assert tell("resume", "r-2", "--quiet").out == "told: Go\n"
    assert "fork   of r-1" in tell("show", "r-2").out
    assert (folder / "notes.txt").read_text() == "one\n"
    told = tell("fork", "r-1", "--at", "0", "--edit", "Stay", "--run-id", "r-3", "--resume")
    assert told.out == "r-3\ntold: Stay\n"


# --- live runs -----------------------------------------------------------------------------------


def test_a_live_run_of_another_process_is_steered_and_obeys(folder: Path, tell: Any) -> None:
    with begin("run", "--quiet", "kept_agents.py:slow", "Go", "--run-id", "r-1") as process:
        wait_until_at("r-1", "wait")
        told = tell("steer", "r-1", "inject", "be", "quick", "--by", "ann", "--wait", "0.5")
        assert told.code == 0
        assert "r-1 is under way" in told.err
        assert "inject root: received (it takes hold before the next model call)" in told.err
        told = tell("steer", "r-1", "resume")
        assert told.code == 1
        assert "resume root: expired: root is not paused" in told.err
        told = tell("steer", "r-1", "inject", "x", "--to", "root/nobody[0]")
        assert told.code == 1
        assert "denied: there is no run 'root/nobody[0]'" in told.err
        (folder / "go_on").write_text("now")
        out, _ = rest_of(process)
    assert (process.returncode, out) == (0, "told: Go | be quick\n")
    assert tell("steer", "r-1", "pause").code == 1


def wait_until_at(run_id: str, tool: str) -> None:
    """Until another process makes that call; the test's own timeout ends what never comes."""
    journal = Path(".tinyagents/runs.db")
    while not journal.exists() or not _is_at(run_id, tool):
        pass


def _is_at(run_id: str, tool: str) -> bool:
    try:
        events = events_of(run_id)
    except LookupError:
        return False
    return any(each.kind == "tool.started" and each.data["tool"] == tool for each in events)


def test_a_live_run_of_another_process_is_cancelled(tell: Any) -> None:
    with begin("run", "--quiet", "kept_agents.py:above", "Go", "--run-id", "r-1") as process:
        wait_until_at("r-1", "wait")
        told = tell("cancel", "r-1", "--reason", "enough", "--by", "ann")
        assert told.code == 0
        assert "r-1 is cancelled. tinyagents resume r-1" in told.err
        rest_of(process)
    assert process.returncode == 1
    check_tree(events_of("r-1"))
    Path("go_on").write_text("at last")
    told = tell("resume", "r-1", "--quiet")
    assert (told.code, told.out) == (0, "end: told: x\n")
    check_tree(events_of("r-1"))


def test_only_one_process_at_a_time_has_a_run(tell: Any) -> None:
    with begin("run", "--quiet", "kept_agents.py:slow", "Go", "--run-id", "r-1") as process:
        wait_until_at("r-1", "wait")
        told = tell("resume", "r-1", "--quiet")
        assert told.code == 1
        assert "has it under way" in told.err
        process.send_signal(signal.SIGINT)
        rest_of(process)


def test_a_run_that_nobody_has_is_cancelled_in_order(tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    told = tell("cancel", "r-1", "--reason", "not needed", "--by", "ann")
    assert told.code == 0
    events = events_of("r-1")
    check_tree(events)
    assert events[-1].data["reason"] == "not needed (ann)"
    assert tell("pending").err == "No question is open.\n"
    assert tell("cancel", "r-1").code == 1
    process = begin("run", "--json", "kept_agents.py:above", "Go", "--run-id", "r-2")
    wait_for(process.stdout, '"tool":"wait"')
    kill(process)
    assert tell("cancel", "r-2").code == 0
    check_tree(events_of("r-2"))


def test_what_is_sent_to_a_run_that_nobody_has_waits_for_it(folder: Path, tell: Any) -> None:
    process = begin("run", "--json", "kept_agents.py:slow", "Go", "--run-id", "r-1")
    wait_for(process.stdout, '"tool":"wait"')
    kill(process)
    told = tell("steer", "r-1", "inject", "be quick")
    assert told.code == 0
    assert "the command is kept until it is resumed" in told.err
    (folder / "go_on").write_text("now")
    assert tell("resume", "r-1", "--quiet").out == "told: Go | be quick\n"


def test_an_answer_reaches_a_live_run(folder: Path, tell: Any) -> None:
    (folder / "more.py").write_text(
        "from kept_agents import Agent, call, careful, last, pay, scripted, wait\n"
        "agent = Agent(scripted([call('pay', amount=7), call('wait')], last),\n"
        "              tools=[pay, wait], autonomy=careful)\n"
    )
    with begin("run", "--quiet", "more.py:agent", "Go", "--run-id", "r-1") as process:
        wait_until_at("r-1", "wait")
        told = tell("approve", "r-1", "pay[0]")
        assert told.err == "r-1 root is answered. It goes on.\n"
        (folder / "go_on").write_text("now")
        rest_of(process)
    assert process.returncode == 0
    assert (folder / "paid.txt").read_text() == "7\n"


# --- at a terminal -------------------------------------------------------------------------------


def test_at_a_terminal_the_questions_are_put_at_once(folder: Path) -> None:
    screen = Screen("run", "kept_agents.py:both", "Go")
    screen.wait_for(r"root wants to run pay\(1\)\n.*q to leave it> ")
    screen.type("maybe\n")
    screen.wait_for(r"answer y, or n and why\n.*q to leave it> ")
    screen.type('e {"amount": 10}\n')
    screen.wait_for(r"root wants to run pay\(2\)\n.*q to leave it> ")
    screen.type("n too much\n")
    assert screen.end() == 0
    assert "both\nKept as " in clean(screen.raw)
    assert (folder / "paid.txt").read_text() == "10\n"


def test_who_is_asked_at_a_terminal_is_told_that_somebody_was_quicker(
    folder: Path, tell: Any
) -> None:
    screen = Screen("run", "kept_agents.py:both", "Go", "--run-id", "r-1")
    screen.wait_for(r"root wants to run pay\(1\)\n.*q to leave it> ")
    for ask in open_asks(tell):
        assert tell("reject", "r-1", ask["code"], "--reason", "not today", "--by", "ann").code == 0
    screen.type("y\n")
    screen.wait_for(r"Somebody was quicker, and answered otherwise: that stands")
    screen.wait_for(r"root wants to run pay\(2\)\n.*q to leave it> ")
    screen.type("y\n")
    assert screen.end() == 0
    assert not (folder / "paid.txt").exists()


def test_questions_can_be_left_for_later(folder: Path, tell: Any) -> None:
    screen = Screen("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    screen.wait_for(r"wants to run pay\(3\)\n.*\n.*q to leave it> ")
    screen.type("q\n")
    assert screen.end() == 4
    assert len(open_asks(tell)) == 1
    screen = Screen("resume", "r-1")
    screen.wait_for(r"wants to run pay\(3\)\n.*\n.*q to leave it> ")
    screen.type("y\n")
    assert screen.end() == 0
    assert (folder / "paid.txt").read_text() == "3\n"


# --- sessions ------------------------------------------------------------------------------------


def chat(lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = begin("chat", "kept_agents.py:talker", *arguments)
    out, err = process.communicate(lines, timeout=20)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def test_a_chat_goes_on_where_it_stopped(tell: Any) -> None:
    assert chat("hello\n", "--session", "ann").stdout == "1: hello\n"
    done = chat("and now\n", "--session", "ann")
    assert done.stdout == "2: and now\n"
    assert "[1 turn in the session" in done.stderr
    assert [each["run_id"] for each in json.loads(tell("runs", "--json").out)] == [
        "ann-t1",
        "ann-t0",
    ]
    done = chat("/reset\n", "--session", "ann")
    assert chat("anew\n", "--session", "ann").stdout == "1: anew\n"
    assert chat("hi\n").stdout == "1: hi\n"  # without a name nothing is kept
    assert len(json.loads(tell("runs", "--json").out)) == 3


def test_a_chat_that_was_killed_in_the_middle_of_a_turn_goes_on_with_it(folder: Path) -> None:
    process = begin("chat", "kept_agents.py:talker", "--session", "ann")
    assert process.stdin is not None
    process.stdin.write("hello\nwait\n")
    process.stdin.flush()
    wait_until_at("ann-t1", "wait")
    kill(process)
    (folder / "go_on").write_text("now")
    done = chat("next\n", "--session", "ann")
    assert done.stdout == "2: wait\n3: next\n"
    assert "Going on with ann-t1." in done.stderr
    assert (folder / "notes.txt").read_text() == "n\n"
    check_tree(events_of("ann-t1"))


def test_a_turn_that_waits_is_answered_elsewhere(folder: Path, tell: Any) -> None:
    done = chat("pay\nnext\n", "--session", "ann")
    assert (done.returncode, done.stdout) == (4, "")
    assert "Not said: the turn before it still waits for an answer." in done.stderr
    tell("approve", "ann-t0", "pay[0]")
    assert chat("next\n", "--session", "ann").stdout == "1: pay\n2: next\n"
    assert (folder / "paid.txt").read_text() == "3\n"


def test_in_a_chat_questions_are_put_at_once(folder: Path) -> None:
    screen = Screen("chat", "kept_agents.py:talker")
    screen.wait_for("you> ")
    screen.type("pay\n")
    screen.wait_for(r"wants to run pay\(3\)\n.*q to leave it> ")
    screen.type("y\n")
    screen.wait_for("1: pay\n.*1 turn in the session.*\nyou> ")
    screen.type("\x04")
    assert screen.end() == 0
    assert (folder / "paid.txt").read_text() == "3\n"


# --- keeping house -------------------------------------------------------------------------------


def test_runs_that_are_over_are_forgotten_on_request(folder: Path, tell: Any) -> None:
    (folder / "go_on").write_text("now")
    for run_id in ("r-1", "r-2", "r-3"):
        tell("run", "--quiet", "kept_agents.py:slow", "Go", "--run-id", run_id)
    tell("run", "--quiet", "kept_agents.py:boss", "Go", "--run-id", "r-4")
    told = tell("prune", "--keep", "1", "--dry-run")
    assert [line.split()[0] for line in told.out.splitlines()] == ["r-2", "r-1"]
    assert "0 runs forgotten." in tell("prune", "--older-than", "1d").err
    assert "2 runs forgotten." in tell("prune", "--keep", "1").err
    left = [each["run_id"] for each in json.loads(tell("runs", "--json").out)]
    assert left == ["r-4", "r-3"]  # one waits
    assert [*json.loads(tell("runs", "--json", "--name", "boss").out)][0]["asks"] == 1


def test_runs_are_carried_to_another_journal(folder: Path, tell: Any) -> None:
    tell("run", "kept_agents.py:boss", "Go", "--run-id", "r-1")
    assert "1 run written." in tell("journal", "export", "runs.jsonl").err
    assert tell("journal", "export", "-", "r-1").out == (folder / "runs.jsonl").read_text()
    assert tell("journal", "import", "runs.jsonl").code == 1  # it has it already
    assert tell("journal", "import", "runs.jsonl", "--skip-known").err == "0 runs put in.\n"
    assert tell("journal", "import", "runs.jsonl", "--journal", "b/c.db").out == "r-1\n"
    assert tell("approve", "r-1", "pay[0]", "--journal", "b/c.db", "--resume").code == 0
    assert "is in order" in tell("journal", "check", "--journal", "b/c.db").err
    assert tell("journal", "check", "--json").out == "[]\n"


def test_a_damaged_journal_is_an_error_and_no_traceback(folder: Path, tell: Any) -> None:
    (folder / ".tinyagents").mkdir()
    (folder / ".tinyagents" / "runs.db").write_bytes(b"no database" * 1000)
    for arguments in (["runs"], ["journal", "check"], ["run", "kept_agents.py:boss", "Go"]):
        told = tell(*arguments)
        assert told.code == 1
        assert "Traceback" not in told.err
        assert "runs.db" in told.err + told.out


def test_what_is_listed_can_be_piped() -> None:
    reader, writer = os.pipe()
    begin("run", "kept_agents.py:boss", "Go", "--run-id", "r-1").communicate(timeout=20)
    os.close(reader)
    with begin("show", "r-1", "--events", stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=20)
    assert "Traceback" not in err


def test_every_command_has_an_example(tell: Any) -> None:
    commands = re.findall(r"^  (\w+) ", tell("--help").out.partition("Commands:")[2], re.MULTILINE)
    assert {"runs", "show", "pending", "approve", "reject", "answer", "steer", "cancel"} < {
        *commands
    }
    for command in {*commands} - {"run", "chat", "graph", "journal"}:
        assert f"Example: tinyagents {command} " in tell(command, "--help").out
