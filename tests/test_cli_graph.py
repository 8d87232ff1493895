"""`tinyagents graph`, run as its users run it."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.graph.flows import chain
from tinyagents.cli.commands import invoke
from tinyagents_graph.stategraph.drawing import dot, mermaid

FLOW = """
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, StateGraph


class State(BaseModel):
    topic: str = ""


def work(state):
    return {}


flow = StateGraph(State, name="flow")
flow.add_node("plan", work)
flow.add_node("write", work)
flow.add_sequence(START, "plan", "write", END)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows_one.py").write_text(FLOW, encoding="utf-8")
    (tmp_path / "flows_two.py").write_text(
        f"{FLOW}done = flow.compile()\nother = StateGraph(State, name='second')\nnumber = 3\n",
        encoding="utf-8",
    )
    (tmp_path / "flows_many.py").write_text(f"{FLOW}other = StateGraph(State)\n", encoding="utf-8")
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("flows_"):
            del sys.modules[name]


def test_a_graph_is_printed_as_mermaid(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", "flows_one.py"]) == 0
    assert capsys.readouterr().out == mermaid(chain("plan", "write").declared)


def test_a_compiled_graph_is_meant_beside_what_it_was_made_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "flows_pair.py").write_text(f"{FLOW}done = flow.compile()\n", encoding="utf-8")
    assert invoke(["graph", "flows_pair.py"]) == 0
    assert capsys.readouterr().out == mermaid(chain("plan", "write").declared)


@pytest.mark.parametrize("name", ["flow", "done"])
def test_compiled_or_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", f"flows_two.py:{name}", "--format", "dot"]) == 0
    assert capsys.readouterr().out == dot(chain("plan", "write").declared)


def test_of_several_the_one_that_is_compiled_is_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "flows_both.py").write_text(f"{FLOW}done = flow.compile()\n", encoding="utf-8")
    assert invoke(["graph", "flows_both.py"]) == 0
    assert capsys.readouterr().out == mermaid(chain("plan", "write").declared)


def test_the_picture_in_the_docs_is_current(folder: Path) -> None:
    root = Path(__file__).parents[1]
    target = root / "examples" / "graph_teams.py"
    assert invoke(["graph", f"{target}:office", "-o", "office.svg"]) == 0
    shown = (root / "docs" / "graph_teams.svg").read_text(encoding="utf-8")
    assert (folder / "office.svg").read_text(encoding="utf-8") == shown


def test_a_file_s_ending_says_the_format(folder: Path) -> None:
    for name in ("g.mmd", "g.gv", "g.json", "g.svg", "g.PNG"):
        assert invoke(["graph", "flows_one.py:flow", "-o", name]) == 0
    assert (folder / "g.mmd").read_text().startswith("flowchart TD\n")
    assert (folder / "g.gv").read_text().startswith("digraph ")
    assert json.loads((folder / "g.json").read_text())["graph"]["name"] == "flow"
    assert ElementTree.parse(folder / "g.svg").getroot().tag.endswith("svg")
    assert (folder / "g.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_png_goes_through_a_pipe_and_not_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
        assert invoke(["graph", "flows_one.py", "--format", "png"]) == 0
        assert out.getvalue().startswith(b"\x89PNG")
        patch.setattr(sys.stdout, "isatty", lambda: True)
        assert invoke(["graph", "flows_one.py", "--format", "png"]) == 2
    assert "a PNG is nothing for a terminal: write it to a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zebra.py"], "There is no file zebra.py."),
        (["flows_one"], "names no Python file: write FILE.py:NAME, as in graphs.py:flow"),
        (["flows_one.py:flo"], "has no 'flo'. Did you mean 'flow'? Graphs in it: flow."),
        (["flows_many.py"], "has 2 graphs, say which one: flows_many.py:flow."),
        (["flows_two.py:number"], "flows_two.py:number is not a StateGraph but a int."),
        (["flows_one.py", "--format", "pdf"], "'pdf' is not one of"),
        (["flows_one.py", "-o", "g.pdf"], "g.pdf: say what to write with --format"),
        (["flows_one.py", "-o", "no/g.svg"], "no/g.svg cannot be written: No such file"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["graph", *arguments]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""


BAD = """
bad = StateGraph(State, name="bad")
bad.add_node("plan", work)
bad.add_edge(START, "plna")
"""


@pytest.mark.parametrize("last", ["", "bad.compile()"], ids=["compiled here", "compiled there"])
def test_findings_are_printed_line_by_line(
    last: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "flows_bad.py").write_text(f"{FLOW}{BAD}{last}\n", encoding="utf-8")
    assert invoke(["graph", "flows_bad.py:bad"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: flows_bad.py:22: UNKNOWN_TARGET: ")
    assert "did you mean 'plan'?" in first
    assert second.startswith("Error: flows_bad.py:21: DEAD_END: ")
