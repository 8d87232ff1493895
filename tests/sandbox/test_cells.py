"""One cell after the other: values, prints, errors, and what a model reads of them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox import CellError, CellResult, Frame, Sandbox, Withheld


def test_a_sandbox_is_usable_alone() -> None:
    result = Sandbox().run("1 + 1")
    assert (result.ok, result.value, result.feedback()) == (True, 2, "=> 2")


def test_variables_functions_and_classes_stay() -> None:
    box = Sandbox()
    box.run("x = 20\ndef double(n): return 2 * n\nclass Point:\n  def __init__(self): self.x = 1")
    assert box.run("double(x) + Point().x").value == 41


def test_values_are_set_from_outside() -> None:
    class Model(BaseModel):
        name: str

    @dataclass
    class Data:
        models: list[Model]

    box = Sandbox(values={"first": 1})
    box.set(second=(2, {3}))
    box["third"] = Data([Model(name="n")])
    assert box.run("first, second, third").value == (1, (2, {3}), {"models": [{"name": "n"}]})


def test_a_value_that_cannot_enter_is_refused_at_once() -> None:
    box = Sandbox()
    with pytest.raises(TypeError, match="object cannot enter the sandbox"):
        box["x"] = object()
    around: list[object] = []
    around.append(around)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        box["x"] = around
    with pytest.raises(ConfigError, match="'a b' is no name"):
        box["a b"] = 1
    assert box.run("1").value == 1


def test_what_a_cell_prints_comes_before_its_value() -> None:
    result = Sandbox().run("print('a')\nimport sys\nprint('b', file=sys.stderr)\n'c'")
    assert result.printed == "a\nb\n"
    assert result.feedback() == "a\nb\n=> 'c'"


def test_prints_are_told_while_they_come() -> None:
    told: list[str] = []
    Sandbox().run("for i in range(3):\n  print(i)", on_print=told.append)
    assert "".join(told) == "0\n1\n2\n"


def test_a_listener_that_raises_is_heard() -> None:
    def broken(text: str) -> None:
        raise LookupError(text)

    box = Sandbox()
    with pytest.raises(LookupError, match="hello"):
        box.run("x = 1\nprint('hello')", on_print=broken)
    assert box.run("x").error is not None


def test_a_silent_cell_says_so() -> None:
    assert Sandbox().run("x = 1").feedback() == "(no output)"


def test_an_error_shows_its_line_with_a_caret() -> None:
    result = Sandbox().run("def half(n):\n  return n / 0\n\nhalf(1)")
    assert result.error is not None
    assert (result.error.kind, result.error.type, result.error.line) == (
        "code", "ZeroDivisionError", 4,
    )  # fmt: skip
    assert result.feedback() == (
        "Error: line 4:\n    half(1)\n    ^^^^^^^\n"
        "line 2, in half:\n    return n / 0\n           ^^^^^\n"
        "ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("x = (", "syntax"),
        ("class A(Exception): pass", "syntax"),
        ("def f():\n  yield 1", "syntax"),
        ("1 / 0", "code"),
        ("nothing", "code"),
        ("nothing()", "code"),
        ("import numpy", "code"),
        ("raise ValueError('x')", "code"),
        ("while True: pass", "limit"),
        ("'x' * 10**9", "limit"),
    ],
)
def test_each_failure_has_its_kind(code: str, kind: str) -> None:
    result = Sandbox(time_limit_s=0.1).run(code)
    assert result.error is not None
    assert result.error.kind == kind


def test_an_error_keeps_what_was_done_before_it() -> None:
    box = Sandbox()
    failed = box.run("x = 1\n1 / 0")
    assert not failed.rolled_back
    assert box.run("x").value == 1


def test_feedback_is_cut_in_the_middle_and_says_by_how_much() -> None:
    text = Sandbox().run("print('a' * 5000)\nprint('b' * 5000)\n'end'").feedback(1000)
    assert 990 <= len(text) <= 1000
    assert text.startswith("aaa")
    assert text.endswith("bbb\n=> 'end'")
    left_out = int(text.split("[… ")[1].split(" ")[0].replace(",", ""))
    kept = text.replace(f"\n[… {left_out:,} characters left out …]\n", "")
    assert len(kept) + left_out == 5000 + 1 + 5000 + len("\n=> 'end'")


@pytest.mark.parametrize("most", [1, 10, 50, 100, 20_000])
def test_feedback_is_never_longer_than_asked(most: int) -> None:
    long = CellError("code", "E" * 99, "m" * 9_999, (Frame(1, "f", "s" * 9_999, 5_000, 9_999),))
    for result in (CellResult("v" * 9_999, "p" * 9_999), CellResult(None, "p" * 9_999, long)):
        assert len(result.feedback(most)) <= most


def test_tools_are_plain_or_async_functions() -> None:
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    async def greet(name: str) -> str:
        return f"hello {name}"

    box = Sandbox(tools=[add, greet])
    assert box.run("add(1), add(1, b=5), greet('x')").value == (2, 6, "hello x")
    assert box.describe() == (
        'def add(a: int, b: int = 1) -> int:\n    """Add."""\n\n'
        "def greet(name: str) -> str:\n    ..."
    )


def test_description_keeps_the_whole_docstring_and_each_argument_of_a_type() -> None:
    def search(queries: list[str], limit: int | None = None) -> dict[str, list[int]]:
        """Search.

        Args:
            queries: What for.
        """
        return {}

    assert Sandbox(tools={"find": search}).describe() == (
        "def find(queries: list[str], limit: int | None = None) -> dict[str, list[int]]:\n"
        '    """Search.\n\n    Args:\n        queries: What for.\n    """'
    )


async def _run_in_a_loop() -> object:
    return Sandbox().run("6 * 7").value


@pytest.mark.anyio
async def test_it_runs_where_an_event_loop_runs_as_in_a_notebook() -> None:
    assert await _run_in_a_loop() == 42


def test_a_closed_sandbox_says_so() -> None:
    with Sandbox() as box:
        assert box.run("1").ok
    with pytest.raises(SandboxError, match="closed"):
        box.run("1")
    box.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_limit_s": 0}, r"Sandbox\(time_limit_s=0\)"),
        ({"time_limit_s": float("inf")}, "time_limit_s=inf"),
        ({"time_limit_s": float("nan")}, "time_limit_s=nan"),
        ({"memory_limit_mb": 0}, "memory_limit_mb"),
        ({"recursion_limit": 0}, "recursion_limit"),
        ({"max_host_calls": -1}, "max_host_calls"),
        ({"max_output_chars": -1}, "max_output_chars"),
        ({"workers": 0}, "workers"),
        ({"hardened": "yes"}, "hardened='yes'"),
        ({"engine": "exec"}, "engine='exec'"),
        ({"key": b"short"}, "16 secret bytes"),
        ({"tools": [lambda: 1]}, "'<lambda>' is no name"),
        ({"memory_limit_mb": "x"}, "memory_limit_mb='x'"),
        ({"max_host_calls": True}, "max_host_calls=True"),
        ({"mounts": ["docs"]}, r"Sandbox\(mounts=…\): 'docs' is no Mount"),
        ({"modules": ["math"]}, r"Sandbox\(modules=…\): 'math' is no Module"),
    ],
)
def test_a_wrong_argument_is_told_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sandbox(**options)


def test_without_the_engine_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pydantic_monty'] = None\n"
        "import importlib.util; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'pydantic_monty' else found(n, *a)\n"
        "from tinyagents.sandbox import Sandbox\nSandbox()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "SandboxError" in done.stderr
    assert "pip install 'pydantic-monty>=1.4,<2'" in done.stderr


def test_a_withheld_value_says_why() -> None:
    value = Sandbox().run("x = [1]\nfor i in range(60): x = [x, x]\nx").value
    assert isinstance(value, Withheld)
    assert repr(value).startswith("<list, kept in the sandbox: it has more than 1,000,000 parts")
