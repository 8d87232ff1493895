"""What models write for CodeAct is read as the code, the answer or the thought that it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.coders import add, find
from tinyagents import Agent, Tool, tool
from tinyagents.dialects.code_text import read_reply
from tinyagents.dialects.signatures import arguments_in_order, function_name, told


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("```py\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```Python3\nx = 1\n```", "x = 1"),
        ("I try:\n\n```python\nx = 1\n```\nand", "x = 1"),
        ("<code>x = 1</code>", "x = 1"),
        ("<code>\nx = 1\n</code>", "x = 1"),
        ("```python\nx = 1", "x = 1"),
        ("<code>x = 1", "x = 1"),
        ("```json\n{}\n```\n```python\nx = 1\n```", "x = 1"),
        ("```text\n```python\nno\n```\n", None),
        ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''"),
        ("```python\nx = '''\n```\n'''\n```", "x = '''\n```\n'''"),
        ("```python\r\nx = 1\r\n```", "x = 1"),
        ("  ```python\n  x = 1\n  ```", "x = 1"),
        ("```python\nx = (1\n```\n```python\ny = 2\n```", "x = (1"),
        ("inline ```x``` and no more", None),
        ("```json\n{}\n```", None),
        ("no code", None),
    ],
)
def test_the_first_block_of_python_is_the_code(text: str, code: str | None) -> None:
    reply = read_reply(text)
    assert reply.code == code
    assert (reply.answer is None) == (code is not None)


def test_further_blocks_are_counted_and_cut_off() -> None:
    reply = read_reply("a\n```python\nx\n```\nb\n```python\ny\n```\n<code>z</code>")
    assert reply.code == "x"
    assert reply.n_ignored == 2
    assert reply.text == "a\n```python\nx\n```"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('<finish>{"a": 1}</finish>', '{"a": 1}'),
        ('```python\nx = 1\n```\n<finish>{"a": 1}</finish>', '{"a": 1}'),
        ("<finish>two\nlines</finish>", "two\nlines"),
        ("<FINISH>x", "x"),
        ("Just words.", "Just words."),
        ("", ""),
    ],
)
def test_an_answer_needs_no_code(text: str, answer: str) -> None:
    reply = read_reply(text)
    assert reply.code is None
    assert reply.answer == answer


def test_a_finish_inside_of_the_code_is_the_code_s_own() -> None:
    reply = read_reply("```python\nx = '<finish>1</finish>'\n```")
    assert reply.code == "x = '<finish>1</finish>'"


def test_what_stands_in_the_thinking_tags_is_thought() -> None:
    text = "<intent>```python\nno\n```</intent>\n```python\nx\n```"
    reply = read_reply(text, "intent")
    assert (reply.thinking, reply.code) == ("```python\nno\n```", "x")
    assert reply.text == text
    assert read_reply(text).code == "no"
    assert read_reply("no tags", "intent").thinking == ""


@given(st.text(alphabet=st.sampled_from(list("`python \n<>code/finish'\"x=1{}")), max_size=80))
def test_any_text_is_read(text: str) -> None:
    reply = read_reply(text, "intent")
    assert (reply.code is None) != (reply.answer is None)


# --- tools as functions ---------------------------------------------------------------------------


def test_a_tool_is_told_as_a_function_with_all_of_its_types() -> None:
    assert told(add) == (
        "def add(a: int, b: int = 1) -> int:\n"
        '    """Add two numbers.\n\n    Args:\n        a: One.\n        b: The other.\n    """'
    )
    assert told(find) == (
        "def find(query: str, limit: int = 2) -> list[dict[str, Any]]:\n"
        '    """Search the web.\n\n    In all of it.\n    """'
    )


def test_a_sub_agent_is_told_as_a_function() -> None:
    writer = Agent("test", name="writer", description="Writes prose.").as_tool()
    assert told(writer).startswith('def writer(input: str) -> str:\n    """Writes prose.')


def test_types_and_defaults_are_told_as_they_are() -> None:
    def rich(
        a: list[str], b: dict[str, int], c: str | None = None, d: Any = None, e: bool = True
    ) -> None: ...

    assert told(Tool(rich)) == (
        "def rich(a: list[str], b: dict[str, int], c: str | None = None, d: Any = None, "
        "e: bool = True) -> None: ..."
    )


@pytest.mark.parametrize(
    ("tool_name", "name"), [("a-b", "a_b"), ("class", "class_"), ("2x", "_2x"), ("ok", "ok")]
)
def test_names_are_made_names_in_python(tool_name: str, name: str) -> None:
    assert function_name(tool_name) == name


def test_arguments_are_told_apart_as_python_does() -> None:
    parameters: Any = {"properties": {"a": {}, "b": {}}}
    assert arguments_in_order("f", parameters, (1,), {"b": 2}) == {"a": 1, "b": 2}
    assert arguments_in_order("f", parameters, (1,), {}) == {"a": 1}
    with pytest.raises(TypeError, match=r"f\(\) takes 2 positional arguments but 3 were given"):
        arguments_in_order("f", parameters, (1, 2, 3), {})
    with pytest.raises(TypeError, match="multiple values for argument 'a'"):
        arguments_in_order("f", parameters, (1,), {"a": 2})


def test_tools_that_code_would_call_alike_are_refused() -> None:
    @tool(name="a-b")
    async def one() -> None: ...

    @tool(name="a_b")
    async def other() -> None: ...

    with pytest.raises(Exception, match="both called 'a_b' in code"):
        Agent("test", tools=[one, other], dialect="codeact")
