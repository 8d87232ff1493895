"""What models write for ReAct, however carelessly, is read as what they mean."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyagents.dialects.arguments import arguments_of
from tinyagents.dialects.react_text import LABEL, Action, parse, render

ADD = Action("add", '{"a": 1}')


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ('Thought: hm\nAction: add\nAction Input: {"a": 1}', [ADD]),
        ('thought: hm\nACTION: add\naction input: {"a": 1}', [ADD]),
        ('**Thought:** hm\n**Action:** add\n**Action Input:** {"a": 1}', [ADD]),
        ('### Action: `add`\n- Action Input: {"a": 1}', [ADD]),
        ('1. Thought: hm\n2. Action: add\n3. Action Input: {"a": 1}', [ADD]),
        ('Action 1: add\nAction Input 1: {"a": 1}', [ADD]),
        ('Action_Input: {"a": 1}\n', [Action("", '{"a": 1}')]),
        ('I will add.\nAction: add\nActionInput: {"a": 1}', [ADD]),
        ('Action: add\nInput: {"a": 1}', [ADD]),
        ('Action: "add"\nAction Input:\n{"a": 1}', [ADD]),
        ("Action: add", [Action("add", "")]),
        ("Action: search[green tea]", [Action("search", "green tea")]),
        ('Action: search("tea", 3)', [Action("search", '"tea", 3')]),
        ("Action: search: green tea", [Action("search", "green tea")]),
        ('Action: add {"a": 1}', [ADD]),
        (
            'Action: add\nAction Input: ```json\n{"a": 1}\n```',
            [Action("add", '```json\n{"a": 1}\n```')],
        ),
        ('Action:\n```json\n{"action": "add", "action_input": {"a": 1}}\n```', [ADD]),
        ('Action: {"name": "add", "arguments": {"a": 1}}', [ADD]),
        ("Action: search\nAction Input: two\nlines of it", [Action("search", "two\nlines of it")]),
        (
            'Action: note\nAction Input: {"text": "a\\nAction: b\\nObservation: c"}',
            [Action("note", '{"text": "a\\nAction: b\\nObservation: c"}')],
        ),
        (
            "Action: run\nAction Input: ```\nAction: no\nFinal Answer: no\n```\nThought: x",
            [Action("run", "```\nAction: no\nFinal Answer: no\n```")],
        ),
        ('Action: add\nAction Input: {"a": 1}\nAction: add\nAction Input: {"a": 1}', [ADD, ADD]),
        ('Action: add\nAction Input: {"a": 1}\nThought: x\nAction: sub', [ADD, Action("sub", "")]),
        ('<think>Action: no</think>\nAction: add\nAction Input: {"a": 1}', [ADD]),
        ('Observation: 3\nThought: so\nAction: add\nAction Input: {"a": 1}', [ADD]),
        ("Thought: done\nAction: None\nFinal Answer: 4", []),
        ("Action：add\nAction Input：{\"a\": 1}", [ADD]),
        ('Action: Search the web\nAction Input: tea', [Action("Search the web", "tea")]),
        ('Thought: a\r\nAction: add\r\nAction Input: {"a": 1}\r\n', [ADD]),
    ],
)  # fmt: skip
def test_a_careless_reply_asks_for_what_it_means(text: str, actions: list[Action]) -> None:
    assert list(parse(text).actions) == actions


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Final Answer: 42", "42"),
        ("Thought: I know.\nFinal Answer: two\nlines", "two\nlines"),
        ("final answer: Action: none needed", "Action: none needed"),
        ("Final Answer: buy\nAction: milk", "buy\nAction: milk"),
        ("**Final Answer:** 42", "42"),
        ("FinalAnswer: 42", "42"),
        ("Action: Final Answer\nAction Input: 42", "42"),
        ("Just words.", "Just words."),
        ("Thought: I know.\nAnswer: 42", "42"),
        ("<think>Hm.</think>42", "42"),
        ("Final Answer:", ""),
        ("", ""),
        ("Thought: I wonder.", None),
        ("Thought: I wonder.\nAction: none", None),
    ],
)
def test_an_answer_is_found(text: str, answer: str | None) -> None:
    steps = parse(text)
    assert steps.actions == ()
    assert steps.answer == answer


def test_a_made_up_observation_ends_what_is_read() -> None:
    text = 'Action: add\nAction Input: {"a": 1}\nObservation: 7\nThought: x\nFinal Answer: 7'
    steps = parse(text)
    assert steps.actions == (ADD,)
    assert steps.answer is None
    assert steps.text == 'Action: add\nAction Input: {"a": 1}'


def test_an_answer_behind_an_action_came_too_early() -> None:
    steps = parse("Action: search[tea]\nFinal Answer: green")
    assert steps.actions == (Action("search", "tea"),)
    assert steps.answer is None
    assert steps.is_early
    assert "green" not in steps.text


words = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"))
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("none", "null", "nothing")
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(words, st.lists(st.tuples(names, st.dictionaries(names, values, max_size=3)), max_size=4))
def test_what_is_rendered_is_read_again(
    thought: str, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    assume(not LABEL.search(f"\n{thought}") and not thought.lstrip().lower().startswith("<think"))
    assume("nswer" not in thought)
    actions = tuple(Action(name, json.dumps(data)) for name, data in asked)
    answer = None if actions else "42"
    steps = parse(render(thought.strip(), actions, answer))
    assert (steps.thoughts, steps.actions, steps.answer) == (thought.strip(), actions, answer)
    assert [arguments_of(each.input, {"properties": {}}) for each in actions] == [
        data for _, data in asked
    ]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    steps = parse(text)
    assert steps.actions or steps.answer is not None or steps.thoughts or not text.strip() or text
    arguments_of(text, {"properties": {"q": {"type": "string"}}, "required": ["q"]})


ONE = {"properties": {"q": {"type": "string"}}, "required": ["q"]}
TWO = {
    "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q", "n"],
}  # fmt: skip
WITH_DEFAULT = {
    "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q"],
}  # fmt: skip
NUMBER = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
TABLE = {"properties": {"data": {"type": "object"}}, "required": ["data"]}


@pytest.mark.parametrize(
    ("text", "parameters", "arguments"),
    [
        ('{"q": "tea"}', ONE, {"q": "tea"}),
        ("tea, green", ONE, {"q": "tea, green"}),
        ('"tea"', ONE, {"q": "tea"}),
        ("42", ONE, {"q": "42"}),
        ("42", NUMBER, {"n": 42}),
        ("many", NUMBER, {"n": "many"}),
        ("{'q': 'tea'}", ONE, {"q": "tea"}),
        ('{"colour": "green"}', ONE, {"q": '{"colour": "green"}'}),
        ('{"colour": "green"}', TABLE, {"data": {"colour": "green"}}),
        ('{"data": {"a": 1}}', TABLE, {"data": {"a": 1}}),
        ('```json\n{"q": "tea"}\n```', ONE, {"q": "tea"}),
        ('q="tea", n=3', TWO, {"q": "tea", "n": 3}),
        ('"tea", 3', TWO, {"q": "tea", "n": 3}),
        ('"tea", n=3', TWO, {"q": "tea", "n": 3}),
        ("green tea", TWO, None),
        ("green tea", WITH_DEFAULT, {"q": "green tea"}),
        ('q="tea", n=3', WITH_DEFAULT, {"q": "tea", "n": 3}),
        ("", {"properties": {}}, {}),
        ("None", {"properties": {"q": {}}}, {}),
        ("", ONE, {}),  # it is told what is missing
        ('""', ONE, {"q": ""}),
        ('{"q": "tea", "n": 3', WITH_DEFAULT, None),
        ('{"q": "tea"', ONE, {"q": '{"q": "tea"'}),  # some code, as like as not
        ('{"q": "two\nlines"}', ONE, {"q": "two\nlines"}),
        ("[1, 2]", {"properties": {"a": {"type": "array"}}}, {"a": [1, 2]}),
    ],
)
def test_arguments_are_read_as_they_are_meant(
    text: str, parameters: dict[str, Any], arguments: dict[str, Any] | None
) -> None:
    assert arguments_of(text, parameters) == arguments
