"""The demo: real files, real figures, and an offline model that knows only what it was told."""

import importlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.project import ROOT
from tests.test_cli import Screen
from tinyagents import Agent, Event, EventSink, Message, Result, ToolMessage
from tinyagents.cli.commands import invoke
from tinyagents.console.text import clean
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio

DEMO = ROOT / "examples" / "folder_report.py"

MODULE = '''"""Adds some numbers. And more."""

import json
from tinyagents import Agent


def add(a, b):
    return a + b  # TODO: more numbers


class Sum:
    """A sum."""

    def of(self, numbers):
        """Add them all.

        One by one.
        """
        total = 0
        for number in numbers:
            if number:
                total += number
        return total
'''
PAGE = "# Title\n\nA page on sums. It is short.\n\n## Use\n\n```python\nadd(1, 2)\n```\n"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(DEMO.parent), *sys.path])
    return importlib.import_module("folder_report")


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    folder = tmp_path / "sums"
    (folder / "deep").mkdir(parents=True)
    for path, text in {
        "sums.py": MODULE,
        "page.md": PAGE,
        "deep/broken.py": "def f(:\n",
        "deep/other.md": "Nothing but text.\n",
        ".hidden/no.md": "# No\n",
        "data.csv": "1,2\n",
    }.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return folder


async def report_on(demo: ModuleType, folder: Path) -> Result[str]:
    orchestrator: Agent = demo.team(None).orchestrator
    desk = demo.Desk(root=folder.parent, out=folder.parent / "report.md", author="rules")
    return await orchestrator.run(
        "Report on the folders sums/ please.", deps=desk, sink=EventSink()
    )


def started(result: Result[str]) -> list[Event]:
    return [event for event in result.events if event.kind == "run.started"]


# --- one small folder ----------------------------------------------------------------------------


async def test_each_file_has_a_reader_and_one_of_them_is_questioned(
    demo: ModuleType, sums: Path
) -> None:
    result = await report_on(demo, sums)
    check_tree(result.events)
    runs = [event for event in started(result) if event.data["name"] != "surveyor"]
    tasks = [(event.data["name"], event.data["task"]) for event in runs]
    assert tasks[0] == ("orchestrator", "Report on the folders sums/ please.")
    files = ["sums/deep/broken.py", "sums/deep/other.md", "sums/page.md", "sums/sums.py"]
    assert sorted(tasks[1:5]) == [("reader", file) for file in files]
    assert tasks[5] == ("critic", "Review `sums/sums.py`.")
    assert [name for name, _ in tasks[6:]] == ["reader", "reader"]
    assert max(event.depth for event in result.events) == 2


async def test_readers_work_side_by_side(demo: ModuleType, sums: Path) -> None:
    result = await report_on(demo, sums)
    readers = [e for e in result.events if e.path.startswith("root/reader[")]
    kinds = [e.kind for e in readers if e.kind.startswith("run.")]
    assert kinds[:4] == ["run.started"] * 4


async def test_the_second_turn_of_the_session_answers_from_another_tool_call(
    demo: ModuleType, sums: Path
) -> None:
    result = await report_on(demo, sums)
    (reused,) = [event for event in result.events if event.kind == "subagent.reused"]
    assert reused.data["turn"] == 1
    (asked,) = [e.data["task"] for e in started(result) if e.run_id == reused.data["run_id"]]
    assert asked.startswith("`Sum.of` takes 10 of 23 lines.")
    calls = [
        (event.data["tool"], event.data["arguments"])
        for event in result.events
        if event.kind == "tool.started" and event.run_id == reused.data["run_id"]
    ]
    assert calls == [("inspect", {"path": "sums/sums.py", "part": "Sum.of"})]
    verdict = next(m.text for m in result.messages if m.role == "tool" and m.name == "review")
    assert "has 10 lines: 1 signature, 4 prose, 5 code, with 2 branches." in verdict
    assert "Verdict: leave it as it is, 5 lines of code with 2 branches" in verdict


async def test_the_report_has_what_was_measured(demo: ModuleType, sums: Path) -> None:
    await report_on(demo, sums)
    report = (sums.parent / "report.md").read_text()
    assert "| sums.py | 23 | 50 | 3 | Sum.of (10 lines) | Adds some numbers. |" in report
    assert "| page.md | 9 | 15 | 2 | Use (5 lines) | A page on sums. |" in report
    assert "- Imported by the most files: `tinyagents` by 1." in report
    assert (
        "- Public definitions without a docstring: 1, for example `add` in sums/sums.py." in report
    )
    assert "- TODOs left: 1." in report
    assert "- Files that could not be read: 1." in report
    assert "no.md" not in report
    assert report.endswith("Figures: measured by the tools. Words: rules.\n")


async def test_the_offline_model_says_the_same_when_it_sees_the_same(
    demo: ModuleType, sums: Path
) -> None:
    """What it says at each point follows from the messages before it, and from nothing else."""
    result = await report_on(demo, sums)
    rules = importlib.import_module("folder_offline")
    messages = list(result.messages)
    turns = [n for n, message in enumerate(messages) if message.role == "assistant"]
    assert len(turns) == 7
    for turn in turns:
        assert said(rules.plan_by_rules(messages[:turn])) == said_in(messages[turn])


async def test_other_results_of_the_tools_make_other_words(demo: ModuleType, sums: Path) -> None:
    result = await report_on(demo, sums)
    rules = importlib.import_module("folder_offline")
    changed = [
        ToolMessage(m.call_id, m.name, m.text.replace("23 lines", "999 lines"))
        if m.role == "tool" and m.name == "reader"
        else m
        for m in result.messages
    ]
    assert "with 999 lines" in rules.plan_by_rules(changed)[0]


def said(parts: list[Any]) -> list[Any]:
    return [part if isinstance(part, str) else (part.name, part.arguments) for part in parts]


def said_in(message: Message) -> list[Any]:
    assert message.role == "assistant"
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return [*([message.text] if message.text else []), *calls]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        (
            "measure",
            {"path": "../secret.md"},
            "is not one of the files: take a path",
        ),
        ("measure", {"path": "sums/data.csv"}, "is not one of the files"),
        ("read", {"path": "sums/gone.md"}, "there is no file 'sums/gone.md'"),
        ("inspect", {"path": "sums/sums.py", "part": "sub"}, "it has ['add', 'Sum.of']"),
        ("list_files", {"folders": ["sum"]}, "there is no folder 'sum'; there are ['sums']"),
        ("list_files", {"folders": [".."]}, "there is no folder '..'"),
    ],
)
async def test_the_tools_stay_at_their_desk(
    tool: str, arguments: dict[str, Any], message: str, demo: ModuleType, sums: Path
) -> None:
    from tinyagents.testing import ScriptedModel, call

    (sums.parent.parent / "secret.md").write_text("# Secret\n")
    tools = importlib.import_module("folder_tools")
    model = ScriptedModel([call(tool, **arguments), "ok"])
    agent = Agent(model, tools=[getattr(tools, tool)])
    result = await agent.run("x", deps=demo.Desk(root=sums.parent))
    (told,) = [m for m in result.messages if m.role == "tool"]
    assert told.failed
    assert message in json.loads(told.text)["error"]["message"]


def test_a_key_in_the_environment_chooses_a_real_model(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYAGENTS_MODEL", raising=False)
    assert demo.model_from_environment() is None
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert demo.model_from_environment() == "anthropic:claude-haiku-4-5"
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert demo.model_from_environment() == "openai:gpt-5-mini"
    agents = demo.team("openai:gpt-5-mini")
    assert ["openai" not in repr(agent) and repr(agent) for agent in agents] == [
        f"Agent('{name}', model='gpt-5-mini')" for name in ("orchestrator", "reader", "critic")
    ]


# --- the whole program ---------------------------------------------------------------------------


def run_demo(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(DEMO), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=15,
    )


def test_the_demo_reports_on_this_project(tmp_path: Path) -> None:
    done = run_demo(folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "Model: offline rules over what the tools returned (no API key, no --model)." in done.stderr
    )
    pages = len(list((ROOT / "docs").rglob("*.md")))
    readers = len(re.findall(r"^ +\d+\.\ds   reader\[\d+\]: completed", done.stderr, re.MULTILINE))
    assert f"and {pages} pages" in done.stdout
    assert f"{readers} files" in (tmp_path / "report.md").read_text()
    found = re.search(
        r"(\d+) runs on 3 levels, up to 1[34] at once; [\d,]+ events; (\d+) model", done.stdout
    )
    assert found
    assert int(found[1]) == readers + 5
    assert "surveyor[0]: gets redirect from root: From here on only the Python" in done.stderr
    redirected = (
        r"The surveyor counted [\d,]+ words in (\d+) files, then redirected: (\d+) pages left out"
    )
    counted = re.search(redirected, done.stdout)
    assert counted
    assert (int(counted[1]) + int(counted[2]), int(counted[2])) == (readers, pages)
    lines = len((ROOT / "tinyagents" / "agent.py").read_text().splitlines())
    assert f"| agent.py | {lines} |" in (tmp_path / "report.md").read_text()


def test_quiet_prints_the_answer_only_and_out_says_where(sums: Path) -> None:
    done = run_demo("--quiet", "--folder", "sums", "--out", "here.md", folder=sums.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 Python module (23 lines) and 2 pages")
    assert done.stdout.endswith("The report is in here.md: 3 files, 33 lines.\n")
    assert (sums.parent / "here.md").exists()


def test_another_model_can_be_named(sums: Path) -> None:
    done = run_demo("--model", "test", "--folder", "sums", folder=sums.parent)
    assert done.stdout.startswith("\ntest: Report on the folders sums/ please.\n")
    assert "Model: test.\n" in done.stderr
    done = run_demo("--model", "nope", folder=sums.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("Error: model='nope'")


def test_the_agents_of_the_demo_run_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(DEMO.parent), *sys.path])
    assert invoke(["run", "--quiet", f"{DEMO}:orchestrator", "Report on docs/"]) == 0
    assert "The report is in report.md" in capsys.readouterr().out
    assert invoke(["run", "--quiet", f"{DEMO}:reader", "docs/index.md"]) == 0
    assert capsys.readouterr().out.startswith("`docs/index.md`: ")


def test_in_a_terminal_the_team_can_be_watched(sums: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sums.parent)
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen("--folder", "sums", command=[sys.executable, str(DEMO)])
    assert screen.end() == 0
    shown = clean(screen.raw)
    assert re.search(r"orchestrator.* \d × reader.* · \d of 5", shown)
    assert re.search(r"reader\[3\]  sums/sums\.py +thinking about", shown)
    last = shown[shown.rindex("run   ") :]
    assert re.search(r"├─ ✔ reader\[0\]  sums/deep/broken\.py", last)
    assert re.search(r"└─ ✔ critic\[0\]  Review", last)
    assert re.search(r"   └─ ✔ reader\[0\] turn 2  `Sum\.of` takes", last)


def test_ctrl_c_ends_the_demo_quietly(sums: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sums.parent)
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen("--folder", "sums", command=[sys.executable, str(DEMO)])
    screen.wait_for("orchestrator.* thinking")
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    shown = clean(screen.raw)
    assert re.search(r"\d runs?: .*\d cancelled", shown)
    assert shown.endswith("Interrupted.\n")
    assert not (sums.parent / "report.md").exists()
