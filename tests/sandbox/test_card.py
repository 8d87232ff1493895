"""What the card tells a model is so with the engine that is installed."""

import pytest

from tinyagents.sandbox import Sandbox

KNOWN = {
    "functions": "def f(a, *b, c=1, **d): return a\nf(1)",
    "classes": "class A:\n  def __init__(self): self.x = 1\nA().x",
    "dataclasses": "from dataclasses import dataclass\n@dataclass\nclass A:\n  x: int\nA(1).x",
    "comprehensions": "{x: [y for y in range(x)] for x in range(3)}[1]",
    "f-strings": "f'{1.234:.1f} {1!r}'",
    "match": "match [1, 2]:\n  case [a, *_]: r = a\nr",
    "with": "class A:\n  def __enter__(s): return 1\n  def __exit__(s, *a): 0\nwith A() as x: 0",
    "finally": "try: x = 1\nexcept ValueError: x = 2\nfinally: y = 3\nx",
    "asyncio": "import asyncio\nasync def f(): return 1\nawait asyncio.gather(f())",
}
MODULES = [
    "json", "math", "re", "typing", "asyncio", "datetime", "time", "random", "collections",
    "itertools", "functools", "decimal", "pathlib", "csv", "base64", "hashlib", "copy", "bisect",
    "dataclasses", "tomllib",
]  # fmt: skip
UNKNOWN = {
    "yield": "def f():\n  yield 1\nlist(f())",
    "inheritance": "class A: pass\nclass B(A): pass",
    "exception classes": "class A(Exception): pass",
    "Enum": "from enum import Enum",
    "del": "x = 1\ndel x",
    "async with": "async def f():\n  async with x: pass",
    "async for": "async def f():\n  async for i in x: pass",
    "property": "class A:\n  @property\n  def x(self): return 1\nA().x",
    "classmethod": "class A:\n  @classmethod\n  def x(cls): return 1\nA.x()",
    "staticmethod": "class A:\n  @staticmethod\n  def x(): return 1\nA.x()",
    "super": "super()",
    "globals": "globals()",
    "vars": "vars()",
    "callable": "callable(print)",
    "input": "input()",
    "tool in map": "list(map(tool, [1]))",
    "tool in filter": "list(filter(tool, [1]))",
    "tool as key": "sorted([2, 1], key=tool)",
    "tool in repr": "class A:\n  def __repr__(self): return str(tool(1))\nrepr(A())",
    "next": "next(x for x in [1])",
}


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools={"tool": abs})


@pytest.mark.parametrize("code", KNOWN.values(), ids=list(KNOWN))
def test_what_the_card_says_works_works(box: Sandbox, code: str) -> None:
    result = box.run(code)
    assert result.ok, result.feedback()


@pytest.mark.parametrize("module", MODULES)
def test_what_the_card_says_can_be_imported_can(box: Sandbox, module: str) -> None:
    assert f" {module} " in f" {' '.join(box.card.split())} "
    assert box.run(f"import {module}").ok


@pytest.mark.parametrize("code", UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_the_card_says_is_unknown_is(box: Sandbox, code: str) -> None:
    assert not box.run(code).ok, "the engine has learned it: take it off the card"


def test_a_tool_works_where_the_card_says_to_use_it(box: Sandbox) -> None:
    assert box.run("[tool(x) for x in [-1, -2]]").value == [1, 2]


@pytest.mark.parametrize("name", ["tool in map", "tool in filter", "tool as key", "tool in repr"])
def test_who_uses_a_tool_elsewhere_is_told_what_to_write(box: Sandbox, name: str) -> None:
    error = box.run(UNKNOWN[name]).error
    assert error is not None
    assert error.message.startswith("tool() was given to you and cannot be called inside of map")
    assert error.message.endswith("use a comprehension or a loop")


def test_the_card_is_short(box: Sandbox) -> None:
    assert len(box.card.splitlines()) <= 12
