"""Graphs from the command line: run with a state as JSON, kept, answered, gone on with."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyagents.cli.commands import invoke

FLOW = """
from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, Ask, StateGraph


class Trip(BaseModel):
    to: str
    price: int = 0
    said: str = ""


writer = Agent("anthropic:claude", name="writer")


def ask_price(trip):
    if trip.to == "nowhere":
        raise OSError("no such place")
    return Ask(f"What may {trip.to} cost?", type=int, output="price")


g = StateGraph(Trip, name="trips").add_node(ask_price)
g.add_node("write", writer, input=lambda trip: trip.to, output="said")
g.add_sequence(START, "ask_price", "write", END)
flow = g.compile()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "kept_flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYAGENTS_JOURNAL", raising=False)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("kept_flow"):
            del sys.modules[name]


def test_a_graph_is_run_answered_and_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    begun = ["run", "kept_flow.py:flow", '{"to": "Rome"}', "--model", "test", "--run-id", "t-1"]
    assert invoke(begun) == 4
    assert "tinyagents resume t-1" in capsys.readouterr().err
    assert invoke(["answer", "t-1", "ask_price[0]", "dear"]) == 2
    assert "which asks for int" in capsys.readouterr().err
    assert invoke(["answer", "t-1", "ask_price[0]", "300"]) == 0
    capsys.readouterr()
    assert invoke(["resume", "t-1", "--quiet"]) == 0
    state: Any = json.loads(capsys.readouterr().out)
    assert state == {"to": "Rome", "price": 300, "said": "test: Rome"}
    assert invoke([*begun, "--quiet"]) == 0, "the same once more gives its result again"
    assert json.loads(capsys.readouterr().out) == state
    other = ["run", "kept_flow.py:flow", '{"to": "Oslo"}', "--model", "test", "--run-id", "t-1"]
    assert invoke(other) == 1
    assert "another input" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run", "kept_flow.py:flow", "Rome"], 2, "the TASK of a graph is its state as JSON"),
        (["run", "kept_flow.py:flow", "[1]"], 2, "a JSON object: '[1]' is none"),
        (["run", "kept_flow.py:flow", '{"too": 1}'], 1, "to: Field required"),
        (["run", "kept_flow.py:flow", '{"to": "nowhere"}'], 1, "no such place"),
        (["run", "kept_flow.py:flow", '{"to": "x"}', "--no-journal"], 4, "kept nowhere"),
        (["chat", "kept_flow.py:flow"], 2, "a chat is with an agent"),
        (["run", "kept_flow.py:flo", "{}"], 2, "Did you mean"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*arguments, "--model", "test"]) == code
    assert told in capsys.readouterr().err
