"""Runs of agents in a journal: given again, gone on with, refused; whatever ended them before."""

import logging
from collections.abc import Iterable

import anyio
import pytest

from tinyagents import (
    Agent,
    Autonomy,
    ConfigError,
    Event,
    EventSink,
    LimitExceeded,
    Middleware,
    ModelError,
    RunConflict,
    RunContext,
    RunLimits,
    SubAgentSession,
    ToolCall,
    ask_parent,
    tool,
)
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph.journal.inbox import inbox
from tinyagents_graph.journal.protocol import Journal

pytestmark = pytest.mark.anyio


def agent(*script: object, **more: object) -> Agent:
    return Agent(ScriptedModel(script), name="agent").with_(**more)


async def test_a_finished_run_is_given_again(journal: Journal) -> None:
    ended: list[str] = []

    class Notes(Middleware):
        async def before_run(self, ctx: RunContext) -> None:
            ended.append("begun")

        async def after_run(self, ctx: RunContext, output: str) -> str:
            ended.append("ended")
            return f"{output}!"

    first = await agent("hello", middleware=[Notes()]).run("hi", run_id="r", journal=journal)
    again = await agent(middleware=[Notes()]).run("hi", run_id="r", journal=journal)
    assert (again.output, again.messages, again.tree_usage) == (
        "hello!", first.messages, first.tree_usage,
    )  # fmt: skip
    assert list(again.events) == list(first.events)
    assert ended == ["begun", "ended"]


async def test_a_run_has_one_task(journal: Journal) -> None:
    await agent("hello").run("hi", run_id="r", journal=journal)
    with pytest.raises(RunConflict, match="asked something else"):
        await agent("hello").run("ho", run_id="r", journal=journal)
    with pytest.raises(ConfigError, match=r"resume\('rr'\).*did you mean 'r'"):
        await agent("hello").resume("rr", journal=journal)
    other = Agent(ScriptedModel(["x"]), name="other")
    with pytest.raises(ConfigError, match="is one of 'agent', not of 'other'"):
        await other.resume("r", journal=journal)


async def test_one_process_at_a_time(journal: Journal) -> None:
    gate = anyio.Event()
    slow = Agent(ScriptedModel(["done"], gate=gate), name="slow")
    results: list[str] = []

    async def go() -> None:
        results.append((await slow.run("go", run_id="r", journal=journal)).output)

    async with anyio.create_task_group() as group:
        group.start_soon(go)
        while await journal.find("r") is None:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(RunConflict):
            await slow.run("go", run_id="r", journal=journal)
        gate.set()
    assert results == ["done"]
    record = await journal.find("r")
    assert record is not None
    assert (record.status, record.owner) == ("completed", "")


async def test_what_failed_is_tried_again(journal: Journal) -> None:
    seen: list[str] = []

    @tool
    async def look(x: int) -> str:
        """Look."""
        seen.append(f"look {x}")
        return "seen"

    broken = agent(call("look", x=1), ModelError("down"), tools=[look])
    with pytest.raises(ModelError) as failed:
        await broken.run("go", run_id="r", journal=journal)
    assert failed.value.result.status == "failed"
    mended = agent("done", tools=[look])
    result = await mended.run("go", run_id="r", journal=journal)
    assert (result.output, seen) == ("done", ["look 1"])
    kinds = [event.kind for event in result.events]
    assert kinds[-6:] == [
        "run.failed", "run.resumed", "checkpoint.restored",
        "model.started", "model.completed", "run.completed",
    ]  # fmt: skip
    check_tree(result.events)


async def test_what_was_cancelled_goes_on(journal: Journal) -> None:
    begun: list[int] = []

    @tool
    async def hang(x: int) -> str:
        """Hang the first time."""
        begun.append(x)
        if len(begun) == 2:
            await anyio.sleep_forever()
        return f"done {x}"

    kid = Agent(
        ScriptedModel([[call("hang", x=1), call("hang", x=2)], "kid's answer"]),
        name="kid",
        description="Works.",
        tools=[hang],
    )
    boss = agent(call("kid", input="x"), "done", subagents=[kid])
    async with boss.stream("go", run_id="r", journal=journal) as run:
        async for event in run:
            if event.kind == "tool.completed":
                break
        run.cancel("enough")
    record = await journal.find("r")
    assert record is not None
    assert record.status == "cancelled"
    result = await boss.resume("r", journal=journal)
    assert result.output == "done"
    assert len(begun) == 3  # the one that had ended was not begun again
    assert len(set(begun)) == 2
    check_tree(result.events)


async def test_a_limit_can_be_raised(journal: Journal) -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    short = agent(call("look"), call("look"), "done", tools=[look], limits=RunLimits(max_turns=2))
    with pytest.raises(LimitExceeded):
        await short.run("go", run_id="r", journal=journal)
    longer = agent("done", tools=[look], limits=RunLimits(max_turns=5))
    result = await longer.resume("r", journal=journal)
    assert (result.output, result.usage.requests) == ("done", 3)
    check_tree(result.events)


async def test_time_goes_on_where_it_was(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    @tool
    async def act() -> str:
        """Act."""
        return "done"

    asked = Autonomy(modes={"act": "assisted"})
    boss = agent(call("act"), "end", tools=[act], autonomy=asked, limits=RunLimits(max_seconds=100))
    result = await boss.run("go", run_id="r", journal=journal)
    await result.pending[0].approve()

    def long_ago(events: Iterable[Event]) -> dict[str, float]:
        return {"root": 101.0}

    monkeypatch.setattr("tinyagents_graph.journal.past.seconds_at_work", long_ago)
    with pytest.raises(LimitExceeded, match="max_seconds"):
        await boss.resume("r", journal=journal)


async def test_a_changed_definition_is_reported(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelError):
        await agent(ModelError("down"), instructions="Be brief.").run(
            "go", run_id="r", journal=journal
        )
    with caplog.at_level(logging.WARNING, "tinyagents.journal"):
        result = await agent("ok", instructions="Be long.").resume("r", journal=journal)
    assert "its instructions is not what it was" in caplog.text
    [drift] = [event for event in result.events if event.data.get("name") == "drift"]
    assert drift.data["what"] == "instructions"
    assert result.messages[0].text == "Be brief."


async def test_a_question_to_the_human_waits(journal: Journal) -> None:
    kid = Agent(
        ScriptedModel([call("ask_parent", question="Which tea?"), "black tea it is"]),
        name="kid",
        description="Makes tea.",
        tools=[ask_parent],
    )
    lonely = agent(call("ask_parent", question="Which tea?"), "thanks", tools=[ask_parent])
    result = await lonely.run("tea", run_id="r", journal=journal)
    assert result.status == "paused"
    [ask] = await inbox(journal)
    assert (ask.what, ask.question) == ("question", "Which tea?")
    with pytest.raises(ConfigError, match=r"ask\.answer"):
        await ask.approve()
    assert await ask.answer("green", by="ann")
    result = await lonely.resume("r", journal=journal)
    assert [m.text for m in result.messages if m.role == "tool"] == ["green"]
    check_tree(result.events)
    assert kid.name == "kid"


async def test_many_tasks_of_one_call_wait_together(journal: Journal) -> None:
    done: list[int] = []

    @tool
    async def act(x: int) -> str:
        """Act."""
        done.append(x)
        return f"did {x}"

    def answer(request: ModelRequest) -> str | ToolCall:
        messages = request.messages
        x = int(messages[0].text)
        return f"end {x}" if len(messages) > 1 else call("act" if x % 2 else "look", x=x)

    @tool
    async def look(x: int) -> str:
        """Look."""
        return f"saw {x}"

    worker = Agent(FunctionModel(answer), name="worker", tools=[act, look])

    @tool
    async def spread() -> list[str]:
        """Many tasks."""
        return [result.output for result in await worker.map(["0", "1", "2", "3"])]

    boss = agent(call("spread"), "end", tools=[spread, act])
    boss = boss.with_(autonomy=Autonomy(modes={"act": "assisted"}))
    result = await boss.run("go", run_id="r", journal=journal)
    assert (result.status, len(result.pending), done) == ("paused", 2, [])
    for ask in result.pending:
        await ask.approve()
    result = await boss.resume("r", journal=journal)
    assert [m.text for m in result.messages if m.role == "tool"] == [
        '["end 0","end 1","end 2","end 3"]'
    ]
    assert sorted(done) == [1, 3]
    check_tree(result.events)


async def test_sessions_of_one_tree_have_names(journal: Journal) -> None:
    writer = Agent(ScriptedModel(["a", "b"]), name="writer")
    one, two = SubAgentSession(writer), SubAgentSession(writer)

    @tool(on_error="fail")
    async def talk() -> str:
        """Talk."""
        await one.send("x")
        return (await two.send("y")).output

    with pytest.raises(Exception, match="two sessions are called 'writer'"):
        await agent(call("talk"), "end", tools=[talk]).run("go", run_id="r", journal=journal)


async def test_listeners_hear_what_is_new_and_streams_read_all(journal: Journal) -> None:
    with pytest.raises(ModelError):
        await agent(ModelError("down")).run("go", run_id="r", journal=journal)
    sink, heard = EventSink(), list[int]()
    sink.subscribe(lambda event: heard.append(event.seq))
    result = await agent("ok").resume("r", journal=journal, sink=sink)
    assert [event.seq for event in result.events] == list(range(len(result.events)))
    assert heard == list(range(heard[0], len(result.events)))
    assert heard[0] == 5
