"""The terminal's other views: how far a fan-out is, and what a kept run did call by call."""

import io
from pathlib import Path

import anyio
import pytest

from tinyagents import Agent, EventSink, ModelError, SqliteJournal, Usage, tool
from tinyagents.cli.commands import invoke
from tinyagents.console import ConsoleTrace
from tinyagents.console.timeline import Timeline
from tinyagents.graph import END, START, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call

pytestmark = pytest.mark.anyio

USED = Usage(requests=1, input_tokens=900, output_tokens=33)


@tool
async def look(at: str) -> str:
    """Look."""
    return at


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no way")


def boss() -> Agent:
    steps = [call("look", at="x"), call("fail"), "Said."]
    kid = Agent(ScriptedModel(steps, usage=USED), name="kid", tools=[look, fail])
    return Agent(ScriptedModel([call("kid", input="a"), "Done."]), name="boss", subagents=[kid])


def worker() -> Agent:
    def answer(request: ModelRequest) -> str:
        if request.messages[-1].text.endswith("7"):
            raise ModelError("no")
        return "ok"

    return Agent(FunctionModel(answer), name="worker")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_pipe_gets_ten_lines_of_any_fan_out() -> None:
    out, sink = io.StringIO(), EventSink()
    with ConsoleTrace(sink, file=out, mode="progress"):
        await worker().map([f"task {n}" for n in range(200)], sink=sink)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("worker: 20 of 200 · 2 failed")
    assert lines[-1].startswith("worker: 200 of 200 · 20 failed · 0 tokens")
    assert "\x1b" not in out.getvalue()


async def test_a_terminal_keeps_one_line_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    out, sink = Terminal(), EventSink()
    with ConsoleTrace(sink, file=out, mode="progress"):
        await worker().map(["a", "b"], sink=sink)
    frames = out.getvalue().split("\r\x1b[2K")
    assert frames[-1].startswith("[########################] worker: 2 of")
    assert all(len(each.rstrip("\n")) < 40 for each in frames)


async def test_children_of_an_agent_are_counted_as_they_begin() -> None:
    out, sink = io.StringIO(), EventSink()
    with ConsoleTrace(sink, file=out, mode="progress"):
        await boss().run("Go", sink=sink)
    assert out.getvalue().startswith("boss: 1 of 1 · ")


async def test_a_timeline_has_every_call_where_it_belongs() -> None:
    from pydantic import BaseModel

    class State(BaseModel):
        said: str = ""

    g = StateGraph(State, name="office").add_node("ask", boss(), output="said")
    graph = g.add_edge(START, "ask").add_edge("ask", END).compile()
    timeline = Timeline()
    for event in (await graph.run()).events:
        timeline.see(event)
    assert [f"{before}{entry.label}" for before, entry, _ in timeline.lines(0)] == [
        "office",
        "└─ step 0",
        "   └─ node ask",
        "      └─ boss",
        "         ├─ asks scripted",
        '         ├─ kid("a")',
        "         │  └─ kid",
        "         │     ├─ asks scripted",
        '         │     ├─ look("x")',
        "         │     ├─ asks scripted",
        "         │     ├─ fail()",
        "         │     └─ asks scripted",
        "         └─ asks scripted",
    ]
    failed = [entry for _, entry, _ in timeline.lines(0) if entry.status == "failed"]
    assert [(each.label, each.remark) for each in failed] == [("fail()", "raised")]
    assert timeline.roots[0].usage.total_tokens > 3 * 933


async def test_a_timeline_has_what_code_calls_below_its_cell() -> None:
    code = "```python\nlook('a')\nkid('b')\n```"
    kid = Agent(ScriptedModel([call("look", at="x"), "fine"]), name="kid", tools=[look])
    model = ScriptedModel([code, "end"])
    agent = Agent(model, name="boss", tools=[look], subagents=[kid], dialect="codeact")
    timeline = Timeline()
    for event in (await agent.run("Go")).events:
        timeline.see(event)
    assert [f"{before}{entry.label}" for before, entry, _ in timeline.lines(0)] == [
        "boss",
        "├─ asks scripted",
        "├─ python: look('a') kid('b')",
        '│  ├─ look("a")',
        '│  └─ kid("b")',
        "│     └─ kid",
        "│        ├─ asks scripted",
        '│        ├─ look("x")',
        "│        └─ asks scripted",
        "└─ asks scripted",
    ]


def test_the_command_line_shows_and_follows_a_kept_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"

    async def run() -> None:
        async with SqliteJournal(path) as journal:
            await boss().run("Go", run_id="r-1", journal=journal)

    anyio.run(run)
    assert invoke(["trace", "r-1", "--journal", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "took tokens cost" in " ".join(shown.split())
    assert '│     ├─ ✔ look("x")' in shown
    assert "✘ fail()  raised" in shown
    assert "\x1b" not in shown
    monkeypatch.setenv("COLUMNS", "20")  # of a pipe nobody cuts anything
    assert invoke(["trace", "r-1", "--journal", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert invoke(["trace", "r", "--live", "--journal", str(path)]) == 0
    followed = capsys.readouterr().out.splitlines()
    assert "boss: started with scripted: Go" in followed[0]
    assert "boss: completed" in followed[-1]
    assert invoke(["trace", "nobody", "--journal", str(path)]) == 2


def test_a_pipe_gets_lines_that_are_not_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    agent, names = boss(), [f"{'deputy_' * 7}{n}" for n in range(4)]
    for name in names:
        agent = Agent(
            ScriptedModel([call(agent.name, input="a"), "Done."]), name=name, subagents=[agent]
        )

    async def run() -> None:
        async with SqliteJournal(path) as journal:
            await agent.run("Go", run_id="r-1", journal=journal)

    anyio.run(run)
    assert invoke(["trace", "r-1", "--journal", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "at took tokens cost what" in " ".join(lines[0].split())
    assert all(any(name in line for line in lines) for name in names)
    assert max(len(line) for line in lines) > 80
    assert "…" not in "".join(lines)


def test_calls_of_a_cell_stand_below_it_and_no_figure_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    long = "x" * 70
    script = [f"```python\nlook(at='{long}')\n```", "```python\n1 / 0\n```", "Done."]
    coder = Agent(ScriptedModel(script), name="coder", tools=[look], dialect="codeact")

    async def run() -> None:
        async with SqliteJournal(path) as journal:
            await coder.run("Go", run_id="r-1", journal=journal)

    anyio.run(run)
    monkeypatch.setenv("COLUMNS", "60")
    assert invoke(["trace", "r-1", "--journal", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    cell = next(at for at, line in enumerate(lines) if "├─ ✔ python: look(at='xxx" in line)
    assert '│  └─ ✔ look("xxx' in lines[cell + 1]
    assert any("python: 1 / 0  ZeroDivisionError" in line for line in lines)
    assert lines[0].split() == ["at", "took", "tokens", "cost", "what"]
    assert all(line.split()[1].endswith("s") for line in lines[1:])
    assert max(map(len, lines)) > 80  # in a pipe nothing is cut
