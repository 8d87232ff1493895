"""Tests wait for what they need, never for time to pass."""

import ast
from pathlib import Path

import pytest

from tests.project import ROOT


def _sleeps(text: str) -> list[int]:
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] == "sleep"
        # `sleep(0)` lets other tasks run and takes no time.
        and [ast.unparse(argument) for argument in call.args] != ["0"]
    ]


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "tests").rglob("*.py")),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_test_sleeps(path: Path) -> None:
    lines = _sleeps(path.read_text(encoding="utf-8"))
    assert lines == [], "wait for an event, or block with sleep_forever()"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import time\ntime.sleep(1)", [2]),
        ("from anyio import sleep\nasync def f():\n    await sleep(delay)", [3]),
        ("await anyio.sleep(0)", []),
        ("await anyio.sleep_forever()", []),
    ],
)
def test_a_sleep_is_found(text: str, lines: list[int]) -> None:
    assert _sleeps(text) == lines
