"""Data in a prompt: in each request, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from tinyagents import Agent, ConfigError, MemoryJournal, Result, RunConflict, SqliteJournal
from tinyagents.data import as_data
from tinyagents.models import ModelRequest
from tinyagents.recursion import Recursion
from tinyagents.recursive.calls import PartTool, map_tool
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio
PART = {"ref": [0, 5], "kind": "text", "length": 5}

SECRET = "the last line nobody sees\n"
TEXT = "".join(f"line {n} of a text\n" for n in range(2_000)) + SECRET


def asked(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages)


def texts_of(result: Result[Any]) -> str:
    told = "".join(event.to_json() for event in result.events)
    return told + "".join(message.text for message in result.messages)


async def test_the_model_reads_the_data_and_nobody_keeps_it() -> None:
    model = ScriptedModel([call("look"), "2,000 lines"])
    journal = MemoryJournal()

    def look() -> str:
        return "nothing"

    agent = Agent(model, tools=[look])
    result = await agent.run("How many lines?", data=TEXT, journal=journal, run_id="r-1")
    assert result.output == "2,000 lines"
    assert [SECRET in asked(request) for request in model.requests] == [True, True]
    assert SECRET.strip() not in texts_of(result)
    told = result.messages[0].text
    assert told.startswith("How many lines?\n\n[data: text, length ")
    assert as_data(TEXT).hash in told


async def test_a_run_goes_on_with_the_same_data_only(tmp_path: Path) -> None:
    def agent(*script: Any) -> Agent[Any, Any]:
        return Agent(ScriptedModel(script), tools=[look])

    def look() -> str:
        return "nothing"

    journal = SqliteJournal(tmp_path / "runs.db")
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    with pytest.raises(ValueError, match="crash"):
        await agent(call("look"), ValueError("crash")).run(
            "Go", data=file, journal=journal, run_id="r-1"
        )
    with pytest.raises(ConfigError, match="give it again, with data="):
        await agent("done").resume("r-1", journal=journal)
    with pytest.raises(RunConflict, match="given other data"):
        await agent("done").resume("r-1", journal=journal, data=TEXT + "more")
    with pytest.raises(RunConflict, match="given other data"):
        await agent("done").run("Go", journal=journal, run_id="r-1", data=TEXT + "more")
    result = await agent("done").resume("r-1", journal=journal, data=TEXT)
    assert result.output == "done"
    assert result.usage.requests == 2
    again = await agent().run("Go", journal=journal, run_id="r-1", data=file)
    assert again.output == "done"
    check_tree(result.events)


async def test_many_tasks_share_the_data() -> None:
    seen: list[bool] = []

    def answer(request: ModelRequest) -> str:
        seen.append(SECRET in asked(request))
        return "yes"

    results = await Agent(FunctionModel(answer)).map(["a", "b", "c"], data=TEXT)
    assert [result.output for result in results] == ["yes"] * 3
    assert seen == [True] * 3


async def test_a_stream_has_data_too() -> None:
    model = ScriptedModel(["done"])
    async with Agent(model).stream("Go", data=[{"secret": 1}, {"secret": 2}]) as run:
        result = await run.result()
    assert result.output == "done"
    assert '{"secret":2}' in asked(model.requests[0])


def reader(answer: Any) -> Agent[Any, Any]:
    return Agent(FunctionModel(answer), name="llm")


async def test_a_call_gets_a_part_of_the_data() -> None:
    read: list[str] = []

    def answer(request: ModelRequest) -> str:
        read.append(asked(request))
        return "3"

    part = as_data(TEXT).slice(40, 90)
    given = {"ref": list(part.ref), "kind": "text", "length": 50}
    model = ScriptedModel([call("llm", prompt="How many?", data=given), "three"])
    agent = Agent(model, tools=[PartTool(reader(answer), "llm", 100_000)])
    result = await agent.run("Go", data=TEXT)
    assert result.output == "three"
    assert f"<data>\n{TEXT[40:90]}\n</data>" in read[0]
    assert [event.path for event in result.events if event.kind == "run.completed"] == [
        "root/llm[0]",
        "root",
    ]
    assert TEXT[40:60] not in texts_of(result)


async def test_many_calls_answer_in_order_and_one_that_fails_harms_no_other() -> None:
    def answer(request: ModelRequest) -> str:
        text = asked(request)
        if "three" in text:
            raise ValueError("no")
        return "one" if "one" in text else "two"

    words = "[no answer: ValueError: no]"
    for how, failed in ((Recursion(), None), (Recursion(on_failure="text"), words)):
        given = {"prompts": "Which?", "data": ["one", "three", "two"]}
        model = ScriptedModel([call("llm_map", **given), "done"])
        agent = Agent(model, tools=[map_tool(reader(answer), 2, how)])
        result = await agent.run("Go")
        (message,) = [each for each in result.messages if each.role == "tool"]
        assert getattr(message, "artifact") == ["one", failed, "two"]  # noqa: B009  # of one role only
        started = [event.path for event in result.events if event.kind == "run.started"]
        assert sorted(started[1:]) == [f"root/llm_map[0]/llm[{n}]" for n in range(3)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"prompts": "Which?", "data": ["x" * 200, "y"]}, "more than the 100 characters"),
        ({"prompts": "Which?"}, "a list of prompts"),
        ({"prompts": ["a", "b"], "data": ["x"]}, "give one for each"),
        ({"prompts": ["a"], "data": [PART]}, "no data"),
        ({"prompts": ["a"], "data": [[PART, PART]]}, "one part of the context"),
        ({"prompts": ["a", "b"]}, "all fail"),
    ],
)
async def test_a_mistake_is_told(arguments: Any, told: str) -> None:
    def answer(request: ModelRequest) -> str:
        raise ValueError("all fail")

    model = ScriptedModel([call("llm_map", **arguments), "done"])
    agent = Agent(model, tools=[map_tool(reader(answer), 2, Recursion(fits_chars=100))])
    result = await agent.run("Go")
    (message,) = [each for each in result.messages if each.role == "tool"]
    assert told in message.text
