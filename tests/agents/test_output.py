"""Typed answers: the two ways to get them, what is repaired, and what the model is told."""

import datetime
import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from tests.agents.ended import end, failure_of
from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    Finish,
    InvalidOutput,
    ModelRetry,
    RunLimits,
    Text,
    ToolMessage,
    UserMessage,
    tool,
)
from tinyagents.models import Capabilities, ModelReply
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


class Author(BaseModel):
    name: str


class Book(BaseModel):
    title: str
    pages: int = Field(ge=1)
    authors: list[Author] = []


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: datetime.date
    pair: tuple[int, int]


class Chapter(BaseModel):
    heading: str
    below: list["Chapter"] = []


@dataclass
class Size:
    width: float
    height: float = 1.0


class Options(TypedDict):
    bold: bool


class Colour(Enum):
    RED = "red"


def native(*script: Any) -> ScriptedModel:
    """A model whose provider enforces a schema."""
    return ScriptedModel(script, capabilities=Capabilities(native_output=True))


@tool
async def look_up(word: str) -> str:
    return f"{word}: found"


VALUES: list[tuple[Any, Any, Any]] = [
    (Book, {"title": "T", "pages": "3"}, Book(title="T", pages=3)),
    (Size, {"width": 2}, Size(2.0)),
    (Options, {"bold": True}, {"bold": True}),
    (Chapter, {"heading": "1", "below": [{"heading": "1.1"}]},
     Chapter(heading="1", below=[Chapter(heading="1.1")])),
    (Strict, {"day": "2026-11-20", "pair": [1, 2]},
     Strict(day=datetime.date(2026, 11, 20), pair=(1, 2))),
    (int, 42, 42),
    (float, 1, 1.0),
    (bool, False, False),
    (Literal["yes", "no"], "no", "no"),
    (Colour, "red", Colour.RED),
    (list[Book], [{"title": "T", "pages": 1}], [Book(title="T", pages=1)]),
    (list[int], [], []),
    (dict[str, int], {"a": 1, "value": 2}, {"a": 1, "value": 2}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (Book | Size, {"width": 1}, Size(1.0)),
    (int | str, "text", "text"),
    (int | None, None, None),
    (datetime.date, "2026-11-20", datetime.date(2026, 11, 20)),
    (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
    (Annotated[int, Field(gt=5)], 6, 6),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "value"), VALUES)
async def test_a_provider_that_enforces_a_schema_is_given_it(
    kind: Any, said: Any, value: Any
) -> None:
    model = native(json.dumps(said))
    ended = await end(Agent(model, output_type=kind))
    assert ended.result.output == value
    assert type(ended.result.output) is type(value)
    request = model.requests[0]
    assert request.output_schema is not None
    assert request.output_schema.schema["type"] == "object"
    assert (request.tools, request.tool_choice) == ((), "auto")
    json.dumps(ended.of("run.completed")[0]["output"])


@pytest.mark.parametrize(("kind", "said", "value"), VALUES)
async def test_any_other_model_is_given_a_tool_to_answer_with(
    kind: Any, said: Any, value: Any
) -> None:
    wrapped: dict[str, Any] = {"value": said}
    arguments = cast("dict[str, Any]", said) if isinstance(said, dict) else wrapped
    model = ScriptedModel([call("final_answer", **arguments)])
    ended = await end(Agent(model, output_type=kind))
    assert ended.result.output == value
    assert type(ended.result.output) is type(value)
    request = model.requests[0]
    assert request.output_schema is None
    assert [spec.name for spec in request.tools] == ["final_answer"]
    assert request.tools[0].parameters["type"] == "object"
    assert request.tool_choice == "final_answer"


async def test_a_wrapped_value_may_come_wrapped_or_plain() -> None:
    for said in ('{"value": [1, 2]}', "[1, 2]"):
        result = await Agent(native(said), output_type=list[int]).run("go")
        assert result.output == [1, 2]


async def test_text_is_taken_as_it_is() -> None:
    model = native('{"not": "parsed"}')
    result = await Agent(model).run("go")
    assert result.output == '{"not": "parsed"}'
    assert model.requests[0].output_schema is None


async def test_an_agent_of_text_has_no_final_answer_to_call() -> None:
    model = ScriptedModel([call("final_answer", value=1), "text"])
    ended = await end(Agent(model))
    assert failure_of(ended.told[0])["category"] == "unknown_tool"
    assert ended.result.output == "text"


@pytest.mark.parametrize("kind", [type(len), object(), "Nowhere"])
def test_a_type_that_has_no_schema_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(ConfigError, match="output_type=.* has no JSON Schema"):
        Agent("test", output_type=kind)


# --- together with tools --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["final_answer", "look_up"], ["look_up", "final_answer"]])
async def test_the_final_answer_and_real_tools_in_one_turn_are_all_done(order: list[str]) -> None:
    # behaviour 84
    calls = {
        "final_answer": call("final_answer", title="T", pages=3),
        "look_up": call("look_up", word="tea"),
    }
    model = ScriptedModel([[calls[name] for name in order], "never"])
    ended = await end(Agent(model, tools=[look_up], output_type=Book))
    assert ended.result.output == Book(title="T", pages=3)
    assert model.requests[0].tool_choice == "auto"
    assert [(m.name, m.text) for m in ended.told if m.name == "look_up"] == [
        ("look_up", "tea: found")
    ]
    assert [m.name for m in ended.told] == order
    assert {line for line in ended.lines if line.startswith("tool.completed")} == {
        "tool.completed look_up", "tool.completed final_answer",
    }  # fmt: skip


async def test_of_two_final_answers_the_first_is_taken() -> None:
    both = [call("final_answer", value=1), call("final_answer", value=2)]
    ended = await end(Agent(ScriptedModel([both]), output_type=int))
    assert ended.result.output == 1


async def test_giving_the_final_answer_is_no_tool_call_that_counts() -> None:
    model = ScriptedModel([call("look_up", word="tea"), call("final_answer", value=1)])
    limits = RunLimits(max_tool_calls=1)
    ended = await end(Agent(model, tools=[look_up], output_type=int, limits=limits))
    assert ended.result.output == 1
    assert ended.result.usage.tool_calls == 1


async def test_a_tools_failure_beside_the_final_answer_does_not_spoil_it() -> None:
    @tool
    async def broken() -> str:
        raise ValueError("broken")

    both = [call("broken"), call("final_answer", value=1)]
    ended = await end(Agent(ScriptedModel([both]), tools=[broken], output_type=int))
    assert ended.result.output == 1


async def test_json_as_text_is_an_answer_even_where_a_tool_is_asked_for() -> None:
    ended = await end(Agent(ScriptedModel(['{"title": "T", "pages": 3}']), output_type=Book))
    assert ended.result.output == Book(title="T", pages=3)


async def test_finish_gives_its_output_as_it_is() -> None:
    marker = object()

    @tool
    async def stop() -> str:
        raise Finish(marker)

    ended = await end(Agent(ScriptedModel([call("stop")]), tools=[stop], output_type=int))
    assert ended.result.output is marker
    assert [event.to_json() for event in ended.events]


# --- repair ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"title": "T", "pages": 3}\n```',
        'Here you are:\n\n```\n{"title": "T", "pages": 3}\n```\nEnjoy {it}!',
        'Sure! {"title": "T", "pages": 3} I hope that helps.',
        'As [1] says, use {braces}: {"title": "T", "pages": 3}',
        '{"pages": 0} is wrong, so: {"title": "T", "pages": 3}',
        '\n\n {"title": "T", "pages": 3}\n',
        '{"title": "T", "pages": 3, "authors": [',
        '{"title": "T", "pages": 3, "auth',
        '```json\n{"title": "T", "pages": 3, "authors": []',
        '{"title": "T", "pages": "3", "more": "ignored"}',
        '{"title": "T", "pages": 3} \ud800',
    ],
)
async def test_fenced_chatty_and_truncated_json_is_repaired(text: str) -> None:
    # behaviour 85
    ended = await end(Agent(native(text), output_type=Book))
    assert ended.result.output == Book(title="T", pages=3)
    assert ended.of("model.retried") == []


async def test_an_answer_cut_at_its_length_limit_is_asked_for_again() -> None:
    cut_off = ModelReply(
        AssistantMessage((Text('{"title": "T", "pages": 3, "authors": [{"name": "A'),)),
        stop_reason="length",
    )
    model = native(cut_off, '{"title": "T", "pages": 345}')
    ended = await end(Agent(model, output_type=Book))
    assert ended.result.output == Book(title="T", pages=345)
    assert "cut off at its length limit" in model.requests[1].messages[-1].text


@pytest.mark.parametrize(
    "text", ['{"author": {"name": "A"}, "title', '{"author": {"name": "A"}, oops}']
)
async def test_a_value_inside_a_broken_one_is_not_taken_for_it(text: str) -> None:
    ended = await end(Agent(native(text, '{"name": "B"}'), output_type=Author))
    assert ended.result.output == Author(name="B")


# --- correction -----------------------------------------------------------------------------------


async def test_the_model_is_told_at_which_place_its_answer_does_not_fit() -> None:
    # behaviour 85
    wrong = '{"title": "T", "pages": 0, "authors": [{"name": "A"}, {"nom": "B"}]}'
    model = native(wrong, '{"title": "T", "pages": 3}')
    ended = await end(Agent(model, output_type=Book))
    assert ended.result.output == Book(title="T", pages=3)
    told = model.requests[1].messages[-1]
    assert isinstance(told, UserMessage)
    assert "- pages: Input should be greater than or equal to 1 (got 0)" in told.text
    assert "- authors.1.name: Field required" in told.text
    assert '"pages": {' in told.text
    assert model.requests[1].messages[-2].text == wrong
    assert ended.of("model.retried")[0]["reason"] == "invalid_output"
    assert ended.lines.count("model.started") == 2


async def test_a_final_answer_that_does_not_fit_is_a_failed_call() -> None:
    model = ScriptedModel([
        call("final_answer", title="T", pages=0), call("final_answer", title="T", pages=3)
    ])  # fmt: skip
    ended = await end(Agent(model, output_type=Book))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "invalid_arguments"
    assert failure["errors"] == ["pages: Input should be greater than or equal to 1 (got 0)"]
    assert isinstance(model.requests[1].messages[-1], ToolMessage)
    assert ended.result.output == Book(title="T", pages=3)


async def test_words_instead_of_json_are_answered_with_the_schema() -> None:
    model = native("I would say three.", '{"value": 3}')
    ended = await end(Agent(model, output_type=int))
    assert ended.result.output == 3
    assert "not JSON" in model.requests[1].messages[-1].text
    assert '"integer"' in model.requests[1].messages[-1].text


@pytest.mark.parametrize("way", ["native", "tool"])
@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_self_correction_is_bounded(way: str, retries: int) -> None:
    wrong: list[Any] = ['{"value": "x"}'] * 9
    model = native(*wrong)
    if way == "tool":
        model = ScriptedModel([call("final_answer", value="x")] * 9)
    ended = await end(Agent(model, output_type=int, output_retries=retries))
    assert isinstance(ended.error, InvalidOutput)
    assert len(model.requests) == retries + 1
    assert f"{retries + 1} tries" in str(ended.error)
    assert "valid integer" in ended.error.errors[0]
    assert json.loads(ended.error.text) == {"value": "x"}
    assert ended.result.status == "failed"
    assert ended.result.usage.requests == retries + 1


async def test_a_validator_of_the_output_may_talk_to_the_model() -> None:
    class Answer(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def check(cls, number: int) -> int:
            if number < 10:
                raise ModelRetry("think bigger")
            if number > 100:
                raise ValueError("too big")
            return number

    script = ['{"number": 1}', '{"number": 1000}', '{"number": 50}']
    model = native(*script)
    result = await Agent(model, output_type=Answer).run("go")
    assert result.output == Answer(number=50)
    assert model.requests[1].messages[-1].text == "think bigger"
    assert "too big" in model.requests[2].messages[-1].text


async def test_a_large_wrong_answer_is_told_in_short() -> None:
    model = native(json.dumps({"value": "x" * 100_000}), '{"value": 3}')
    await Agent(model, output_type=int).run("go")
    assert len(model.requests[1].messages[-1].text) < 1_000


async def test_hostile_nesting_is_no_answer_and_no_crash() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "{" * 100_000, "{ [" * 50_000):
        ended = await end(Agent(native(text, '{"value": 3}'), output_type=int))
        assert ended.result.output == 3


async def test_the_output_in_the_events_is_plain_json() -> None:
    said = '{"title": "T", "pages": 3, "authors": [{"name": "A"}]}'
    ended = await end(Agent(native(said), output_type=Book))
    assert ended.of("run.completed")[0]["output"] == json.loads(said)
