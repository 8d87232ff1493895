"""Delegation: an agent that another agent's model calls as a tool."""

import json
from typing import Any, cast

import anyio
import pytest
from pydantic import BaseModel

from tinyagents import (
    Agent,
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    EventSink,
    LimitExceeded,
    ModelError,
    Result,
    RunContext,
    RunLimits,
    SubAgent,
    SubAgentTool,
    ToolError,
    ToolMessage,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def answering(*script: Any, name: str = "researcher", **options: Any) -> Agent[Any, Any]:
    """An agent that answers from a script."""
    return Agent(ScriptedModel(script), name=name, **options)


def asking(*calls: Any, name: str = "boss", **options: Any) -> Agent[Any, Any]:
    """An agent that makes these calls in one turn, and then answers "done"."""
    return Agent(ScriptedModel([list(calls), "done"]), name=name, **options)


def stuck(began: anyio.Event) -> FunctionModel:
    """A model that never answers; `began` tells that it was asked."""

    async def answer(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return FunctionModel(answer)


def tool_messages(result: Result[Any]) -> list[ToolMessage]:
    return [message for message in result.messages if isinstance(message, ToolMessage)]


def failures(result: Result[Any]) -> list[dict[str, Any]]:
    """What the model was told of the calls that failed."""
    told = [json.loads(message.text) for message in tool_messages(result) if message.failed]
    assert all(each["ok"] is False for each in told)
    return [each["error"] for each in told]


def of_kind(events: Any, *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


# --- the answer ---------------------------------------------------------------------------------


async def test_the_childs_answer_is_a_tool_message_of_its_parent() -> None:  # behaviour 1
    boss = asking(call("researcher", input="capital of France?"), subagents=[answering("Paris")])
    result = await boss.run("Where is the Louvre?")
    assert result.output == "done"
    assert (result.usage.requests, result.usage.tool_calls) == (2, 1)
    assert [message.role for message in result.messages] == [
        "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    [told] = tool_messages(result)
    assert (told.name, told.text, told.failed) == ("researcher", "Paris", False)


async def test_parent_and_child_are_told_in_one_stream() -> None:  # behaviours 2, 3, 4
    sink = EventSink()
    boss = asking(call("researcher", input="q"), subagents=[answering("Paris")])
    await boss.run("task", sink=sink)
    assert outline(sink.events) == [
        "run.started boss",
        "model.started",
        "model.completed",
        "tool.started researcher",
        "subagent.started researcher",
        "  run.started researcher",
        "  model.started",
        "  model.completed",
        "  run.completed",
        "subagent.completed researcher",
        "tool.completed researcher",
        "model.started",
        "model.completed",
        "run.completed",
    ]
    check_tree(sink.events)
    [started] = of_kind(sink.events, "subagent.started")
    [child] = [event for event in of_kind(sink.events, "run.started") if event.depth == 1]
    assert started.depth == 0
    assert started.data["run_id"] == child.run_id


async def test_the_child_gets_its_own_instructions_and_the_task_and_nothing_else() -> None:
    model = ScriptedModel(["ok"])
    child = Agent(model, name="child", instructions="Be brief.")
    boss = asking(call("child", input="the task"), subagents=[child], instructions="Secret plan.")
    await boss.run("what the human said")
    [request] = model.requests
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "the task"),
    ]


async def test_the_host_finds_the_childs_whole_result_in_the_artifact() -> None:
    child = answering("thinking aloud", name="child")
    result = await asking(call("child", input="q"), subagents=[child]).run("t")
    [told] = tool_messages(result)
    kept = told.artifact
    assert isinstance(kept, Result)
    whole = cast("Result[Any]", kept)
    assert (whole.output, whole.status, whole.path) == (
        "thinking aloud",
        "completed",
        "root/child[0]",
    )
    assert [message.role for message in whole.messages] == ["user", "assistant"]
    assert outline(whole.events, under="root/child[0]") == [
        "  run.started child",
        "  model.started",
        "  model.completed",
        "  run.completed",
    ]


class City(BaseModel):
    name: str
    inhabitants: int


class Question(BaseModel):
    country: str
    year: int = 2026


async def test_a_typed_answer_reaches_the_parents_model_as_json_and_the_host_as_a_value() -> None:
    final = call("final_answer", name="Oslo", inhabitants=717_000)
    child = answering(final, name="child", output_type=City)
    result = await asking(call("child", input="q"), subagents=[child]).run("t")
    [told] = tool_messages(result)
    assert json.loads(told.text) == {"name": "Oslo", "inhabitants": 717_000}
    assert told.artifact.output == City(name="Oslo", inhabitants=717_000)


async def test_a_typed_input_is_checked_filled_in_and_handed_over_as_json() -> None:
    model = ScriptedModel(["ok"])
    child = Agent(model, name="child")
    delegate = SubAgentTool(child, input_type=Question)
    assert set(delegate.parameters["properties"]) == {"country", "year"}
    await asking(call("child", country="Norway"), tools=[delegate]).run("t")
    [request] = model.requests
    assert json.loads(request.messages[-1].text) == {"country": "Norway", "year": 2026}


async def test_an_answer_cut_off_at_its_length_limit_says_so() -> None:
    from dataclasses import replace

    async def cut_off(request: Any) -> Any:
        reply = await ScriptedModel(["half an ans"]).request(request)
        return replace(reply, stop_reason="length")

    child = Agent(FunctionModel(cut_off), name="child")
    result = await asking(call("child", input="q"), subagents=[child]).run("t")
    assert "cut off at its length limit" in tool_messages(result)[0].text


async def test_a_long_answer_is_cut_for_the_model_and_whole_for_the_host() -> None:
    child = answering("x" * 5_000, name="child")
    boss = asking(call("child", input="q"), tools=[SubAgentTool(child, max_result_chars=100)])
    [told] = tool_messages(await boss.run("t"))
    assert len(told.text) < 200
    assert told.artifact.output == "x" * 5_000


# --- how it is offered --------------------------------------------------------------------------


async def test_the_tool_is_called_as_the_agent_and_wants_a_text() -> None:  # behaviour 21
    made = SubAgentTool(answering("x", name="researcher", description="Finds things out."))
    assert (made.name, made.description) == ("researcher", "Finds things out.")
    assert made.parameters["properties"]["input"]["type"] == "string"
    assert made.parameters["required"] == ["input"]


@pytest.mark.parametrize("way", ["tool", "sub-agent", "as_tool"])
async def test_name_and_description_can_be_given(way: str) -> None:
    agent = answering("Paris")
    made = {
        "tool": SubAgentTool(agent, name="library", description="Knows books."),
        "sub-agent": SubAgentTool(SubAgent(agent, name="library", description="Knows books.")),
        "as_tool": agent.as_tool(name="library", description="Knows books."),
    }[way]
    assert (made.name, made.description) == ("library", "Knows books.")
    result = await asking(call("library", input="q"), tools=[made]).run("t")
    assert [told.text for told in tool_messages(result)] == ["Paris"]
    assert [event.path for event in of_kind(result.events, "run.started")] == [
        "root",
        "root/library[0]",
    ]


async def test_without_any_description_the_model_is_told_what_the_tool_does() -> None:
    assert "researcher" in SubAgentTool(answering("x")).description


@pytest.mark.parametrize("place", ["subagents", "tools"])
async def test_agents_sub_agents_and_their_tools_are_all_accepted(place: str) -> None:
    given = [
        answering("1", name="one"),
        SubAgent(answering("2", name="two")),
        SubAgentTool(SubAgent(answering("3", name="three"))),
    ]
    calls = [call(name, input="q") for name in ("one", "two", "three")]
    options: dict[str, Any] = {place: given}
    result = await asking(*calls, **options).run("t")
    assert [told.text for told in tool_messages(result)] == ["1", "2", "3"]


def test_two_delegates_of_one_name_are_refused_when_the_agent_is_made() -> None:
    with pytest.raises(ConfigError, match="researcher"):
        asking(subagents=[answering("1"), answering("2")])


@pytest.mark.parametrize("wrong", ["researcher", 3, None, object()])
def test_what_is_no_agent_is_refused_when_it_is_made(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="Agent"):
        SubAgent(wrong)
    with pytest.raises(ConfigError, match="subagents"):
        asking(subagents=[wrong])


@pytest.mark.parametrize("wrong", [int, list[str], str])
def test_an_input_type_that_is_no_object_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="object"):
        SubAgentTool(answering("x"), input_type=wrong)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "naïve"])
def test_a_name_no_provider_takes_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="letters"):
        answering("x", name=name)
    if name:  # an empty name means: the agent's own
        with pytest.raises(ConfigError, match="letters"):
            SubAgentTool(answering("x"), name=name)


# --- a model's mistakes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [{}, {"task": "q"}, {"input": None}, {"input": ["q"]}, {"input": {"text": "q"}}]
)
async def test_input_of_the_wrong_shape_is_a_tool_error_and_no_empty_task(
    arguments: dict[str, Any],
) -> None:
    model = ScriptedModel(["ok"])
    child = Agent(model, name="child")
    sink = EventSink()
    result = await asking(call("child", **arguments), subagents=[child]).run("t", sink=sink)
    [error] = failures(result)
    assert error["category"] == "invalid_arguments"
    assert "input" in json.dumps(error["errors"])
    assert model.requests == []
    assert of_kind(sink.events, "subagent.started") == []
    check_tree(sink.events)


async def test_typed_input_of_the_wrong_shape_names_the_field() -> None:
    child = answering("ok", name="child")
    delegate = SubAgentTool(child, input_type=Question)
    result = await asking(call("child", country="Norway", year="soon"), tools=[delegate]).run("t")
    [error] = failures(result)
    assert error["category"] == "invalid_arguments"
    assert "year" in json.dumps(error["errors"])


# --- a child that fails -------------------------------------------------------------------------


@tool(on_error="fail")
async def broken() -> str:
    """Break."""
    raise OSError("disk full")


async def limited_child(sink: EventSink) -> Result[Any]:
    child = Agent(
        ScriptedModel([["still at it", call("noop")]] * 3),
        name="child",
        tools=[noop],
        limits=RunLimits(max_turns=2),
    )
    return await asking(call("child", input="q"), subagents=[child]).run("t", sink=sink)


@tool
async def noop() -> str:
    """Do nothing."""
    return "ok"


async def test_a_limit_reached_by_a_child_is_a_failed_call_that_says_so() -> None:  # behaviour 8
    sink = EventSink()
    result = await limited_child(sink)
    assert result.output == "done"
    [error] = failures(result)
    assert error["category"] == "limit"
    assert "not an answer" in error["note"]
    assert error["agent"] == "root/child[0]"
    assert error["last_words"] == "still at it"
    assert error["spent"]["requests"] == 2
    assert "  limit.reached max_turns" in outline(sink.events)
    check_tree(sink.events)


async def test_the_same_limit_raises_when_the_child_is_called_directly() -> None:  # behaviour 9
    child = Agent(
        ScriptedModel([call("noop")] * 3), name="child", tools=[noop], limits=RunLimits(max_turns=2)
    )
    with pytest.raises(LimitExceeded) as caught:
        await child.run("t")
    error = caught.value
    assert (error.limit, error.allowed, error.path) == ("max_turns", 2, "root")
    assert error.result.status == "failed"
    assert error.result.usage.requests == 2
    check_tree(error.result.events)


async def test_a_tools_error_reaches_whoever_called_the_child_directly() -> None:  # behaviour 10
    child = answering(call("broken"), name="child", tools=[broken])
    with pytest.raises(ToolError, match="disk full") as caught:
        await child.run("t")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.result.status == "failed"


async def test_a_childs_failure_is_told_to_the_parents_model_by_default() -> None:  # behaviour 11
    child = answering(call("broken"), name="child", tools=[broken])
    result = await asking(call("child", input="q"), subagents=[child]).run("t")
    assert result.output == "done"
    [error] = failures(result)
    assert (error["category"], error["type"], error["agent"]) == (
        "delegate", "ToolError", "root/child[0]",
    )  # fmt: skip
    assert "disk full" in error["message"]


async def test_a_childs_failure_fails_the_parent_that_asked_for_it() -> None:  # behaviour 11
    child = answering(call("broken"), name="child", tools=[broken])
    sink = EventSink()
    boss = asking(call("child", input="q"), tools=[SubAgentTool(child, on_error="fail")])
    with pytest.raises(ToolError, match="disk full") as caught:
        await boss.run("t", sink=sink)
    assert caught.value.tool == "child"
    assert caught.value.result.path == "root"
    assert [message.role for message in caught.value.result.messages] == [
        "user", "assistant", "tool",
    ]  # fmt: skip
    assert outline(sink.events)[-1] == "run.failed"
    check_tree(sink.events)


async def test_the_host_can_word_what_the_model_is_told_of_a_failure() -> None:
    child = answering(call("broken"), name="child", tools=[broken])
    delegate = SubAgentTool(child, on_error=lambda error: "Ask the librarian instead.")
    [told] = tool_messages(await asking(call("child", input="q"), tools=[delegate]).run("t"))
    assert (told.text, told.failed) == ("Ask the librarian instead.", True)


def failing_models() -> dict[str, Any]:
    return {
        "model error": ModelError("down", provider="test", model="m"),
        "any exception": RuntimeError("boom"),
        "empty replies": "",
        "a failing tool": call("broken"),
        "endless calls": call("noop"),
    }


@pytest.mark.parametrize("kind", failing_models())
async def test_every_failure_of_a_child_has_one_terminal_event(kind: str) -> None:  # behaviour 22
    said = failing_models()[kind]
    child = Agent(
        ScriptedModel([said] * 9), name="child", tools=[noop, broken], limits=RunLimits(max_turns=4)
    )
    sink = EventSink()
    result = await asking(call("child", input="q"), subagents=[child]).run("t", sink=sink)
    assert result.output == "done"
    [error] = failures(result)
    assert error["agent"] == "root/child[0]"
    endings = of_kind(sink.events, "subagent.failed", "subagent.completed", "subagent.cancelled")
    assert [(event.kind, event.data["name"]) for event in endings] == [("subagent.failed", "child")]
    assert [event.kind for event in sink.events if event.depth == 1][-1] == "run.failed"
    check_tree(sink.events)


async def test_an_error_that_takes_no_attributes_is_told_like_any_other() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Sealed(Exception):
        code: int

    child = Agent(ScriptedModel([Sealed(7)]), name="child")
    sink = EventSink()
    result = await asking(call("child", input="q"), subagents=[child]).run("t", sink=sink)
    [error] = failures(result)
    assert error["type"] == "Sealed"
    check_tree(sink.events)


async def test_a_child_that_hangs_is_stopped_by_its_time_limit() -> None:  # behaviour 12
    began = anyio.Event()
    slow = Agent(stuck(began), name="slow", limits=RunLimits(max_seconds=0.01))
    fast = answering("quick", name="fast", limits=RunLimits(max_seconds=10))
    sink = EventSink()
    boss = asking(call("slow", input="q"), call("fast", input="q"), subagents=[slow, fast])
    result = await boss.run("t", sink=sink)
    assert [told.failed for told in tool_messages(result)] == [True, False]
    [error] = failures(result)
    assert (error["category"], error["type"]) == ("limit", "LimitExceeded")
    assert "max_seconds=0.01 of root/slow[0]" in error["message"]
    assert "  limit.reached max_seconds" in outline(sink.events)
    check_tree(sink.events)
    with pytest.raises(LimitExceeded, match="max_seconds"):
        await slow.run("t")


async def test_a_child_that_hangs_is_stopped_by_the_calls_timeout() -> None:
    delegate = SubAgentTool(Agent(stuck(anyio.Event()), name="slow"), timeout_s=0.01)
    sink = EventSink()
    result = await asking(call("slow", input="q"), tools=[delegate]).run("t", sink=sink)
    assert [error["category"] for error in failures(result)] == ["timeout"]
    assert [event.kind for event in sink.events if event.depth == 1][-1] == "run.cancelled"
    check_tree(sink.events)


async def test_cancelling_one_child_leaves_its_siblings_and_tells_the_parents_model() -> None:
    began = anyio.Event()

    @tool
    async def stop(ctx: RunContext) -> str:
        """Stop the slow one."""
        await began.wait()
        slow = ctx.run.tree.find("root/slow[0]")
        assert slow is not None
        slow.cancel("too slow")
        return "stopped"

    sink = EventSink()
    boss = asking(
        call("slow", input="q"),
        call("quick", input="q"),
        call("stop"),
        subagents=[Agent(stuck(began), name="slow"), answering("here", name="quick")],
        tools=[stop],
    )
    result = await boss.run("t", sink=sink)
    assert (result.output, result.status) == ("done", "completed")
    assert [told.text for told in tool_messages(result)][1:] == ["here", "stopped"]
    [error] = failures(result)
    assert (error["category"], error["type"]) == ("cancelled", "RunCancelled")
    assert "too slow" in error["message"]
    [cancelled] = of_kind(sink.events, "subagent.cancelled")
    assert cancelled.data["reason"] == "too slow"
    check_tree(sink.events)


async def test_a_limited_child_is_no_answer_even_if_it_returns_its_last_text() -> None:
    child = Agent(
        ScriptedModel([["the answer is 42, maybe", call("noop")]] * 3),
        name="child",
        tools=[noop],
        limits=RunLimits(max_turns=1, on_limit="return"),
    )
    alone = await child.run("t")
    assert (alone.status, alone.output) == ("limited", "the answer is 42, maybe")
    sink = EventSink()
    boss = asking(
        call("child", input="q"), subagents=[child.with_(model=ScriptedModel([call("noop")]))]
    )
    result = await boss.run("t", sink=sink)
    [error] = failures(result)
    assert error["category"] == "limit"
    assert "not an answer" in error["note"]
    [ended] = of_kind(sink.events, "subagent.completed", "subagent.failed")
    assert (ended.kind, ended.data.get("status")) == ("subagent.completed", "limited")
    check_tree(sink.events)


# --- identity, depth and cycles -----------------------------------------------------------------


async def test_each_delegation_has_a_path_and_an_id_of_its_own() -> None:  # behaviours 13, 14
    child = Agent(FunctionModel(lambda _: "ok"), name="child")
    boss = Agent(
        ScriptedModel(
            [[call("child", input="1"), call("child", input="2")], call("child", input="3"), "done"]
        ),
        subagents=[child],
    )
    result = await boss.run("t", run_id="r-1")
    children = [event for event in of_kind(result.events, "run.started") if event.depth == 1]
    assert sorted(event.path for event in children) == [f"root/child[{n}]" for n in range(3)]
    assert sorted(event.run_id for event in children) == [f"r-1/child[{n}]" for n in range(3)]
    tasks = {event.path[-3:]: event.data["task"] for event in children}
    assert tasks == {"[0]": "1", "[1]": "2", "[2]": "3"}  # in the order of the calls
    assert {event.parent_run_id for event in children} == {"r-1"}
    assert {event.root_run_id for event in children} == {"r-1"}


async def test_the_same_tree_has_the_same_ids_and_order_every_time() -> None:  # behaviours 13, 14
    async def once() -> list[tuple[int, str, str]]:
        leaf = answering("leaf", name="leaf")
        middle = asking(call("leaf", input="q"), name="middle", subagents=[leaf])
        boss = asking(call("middle", input="q"), subagents=[middle])
        result = await boss.run("t", run_id="same")
        return [(event.seq, event.kind, event.run_id) for event in result.events]

    assert await once() == await once()


async def test_three_levels_are_told_to_the_one_sink() -> None:  # behaviour 15
    sink = EventSink()
    researcher = answering("fact", name="researcher")
    worker = asking(call("researcher", input="q"), name="worker", subagents=[researcher])
    boss = asking(call("worker", input="q"), subagents=[worker])
    result = await boss.run("t", sink=sink, run_id="r")
    deepest = [event for event in sink.events if event.depth == 2]
    assert [event.kind for event in deepest][0] == "run.started"
    assert {event.path for event in deepest} == {"root/worker[0]/researcher[0]"}
    assert {event.run_id for event in deepest} == {"r/worker[0]/researcher[0]"}
    assert {event.parent_run_id for event in deepest} == {"r/worker[0]"}
    assert (result.usage.requests, result.tree_usage.requests) == (2, 5)
    check_tree(sink.events)


async def test_a_child_may_be_as_deep_as_the_limit_says() -> None:  # behaviour 5
    boss = asking(call("researcher", input="q"), subagents=[answering("Paris")])
    result = await boss.run("t", limits=RunLimits(max_depth=1))
    assert [told.text for told in tool_messages(result)] == ["Paris"]


async def test_a_delegation_that_is_too_deep_never_asks_the_model() -> None:  # behaviours 6, 7
    model = ScriptedModel(["never"])
    worker = asking(
        call("researcher", input="q"), name="worker", subagents=[Agent(model, name="researcher")]
    )
    sink = EventSink()
    boss = asking(call("worker", input="q"), subagents=[worker], limits=RunLimits(max_depth=1))
    result = await boss.run("t", sink=sink)
    assert result.output == "done"
    assert model.requests == []
    told = tool_messages(tool_messages(result)[0].artifact)
    error = json.loads(told[0].text)["error"]
    assert error["category"] == "limit"
    assert "root/worker[0]/researcher[0] would run at depth 2" in error["message"]
    assert "max_depth=1" in error["message"]
    assert "  limit.reached max_depth" in outline(sink.events)
    assert [event.data["name"] for event in of_kind(sink.events, "subagent.started")] == ["worker"]
    check_tree(sink.events)


async def test_a_direct_caller_that_is_too_deep_gets_depth_exceeded() -> None:  # behaviour 6
    model = ScriptedModel(["never"])
    caught: list[DepthExceeded] = []

    @tool
    async def delegate() -> str:
        """Delegate in code."""
        try:
            await Agent(model, name="child").run("t")
        except DepthExceeded as error:
            caught.append(error)
        return "refused"

    result = await asking(call("delegate"), tools=[delegate]).run(
        "t", limits=RunLimits(max_depth=0)
    )
    [error] = caught
    assert (error.limit, error.allowed, error.used) == ("max_depth", 0, 1)
    assert model.requests == []
    check_tree(result.events)


@pytest.mark.parametrize(("root", "child", "reached"), [(2, 8, 2), (8, 2, 2), (1, 1, 1), (3, 2, 2)])
async def test_the_stricter_depth_wins(root: int, child: int, reached: int) -> None:  # behaviour 24
    agent = answering("leaf", name="leaf")
    for n in range(4, 0, -1):
        limits = RunLimits(max_depth=child) if n == 1 else None
        agent = asking(
            call(agent.name, input=f"task {n}"), name=f"n{n}", subagents=[agent], limits=limits
        )
    boss = asking(call("n1", input="task"), subagents=[agent], limits=RunLimits(max_depth=root))
    result = await boss.run("t")
    assert max(event.depth for event in result.events) == reached
    assert len(of_kind(result.events, "limit.reached")) == 1
    check_tree(result.events)


async def test_the_default_depth_is_eight() -> None:
    agent = answering("leaf", name="leaf")
    for n in range(9):
        agent = asking(call(agent.name, input=f"task {n}"), name=f"n{n}", subagents=[agent])
    result = await agent.run("t")
    assert max(event.depth for event in result.events) == 8
    check_tree(result.events)


async def test_a_hundred_levels_work_when_they_are_allowed() -> None:
    agent = answering("leaf", name="leaf")
    for n in range(100):
        agent = asking(call(agent.name, input=f"task {n}"), name=f"n{n}", subagents=[agent])
    result = await agent.run("t", limits=RunLimits(max_depth=100))
    assert result.output == "done"
    assert max(event.depth for event in result.events) == 100
    assert result.tree_usage.requests == 201
    check_tree(result.events)


def circle(task: str, again: str, **options: Any) -> tuple[Agent[Any, Any], ScriptedModel]:
    """`a` asks `b`, and `b` asks an `a` again."""
    model = ScriptedModel(["around"])
    inner = SubAgent(Agent(model, name="a"), **options)
    middle = asking(call("a", input=again), name="b", subagents=[inner])
    return asking(call("b", input="look into it"), name="a", subagents=[middle]), model


@pytest.mark.parametrize("again", ["find it", "  Find   IT\n"])
async def test_a_task_that_comes_back_to_the_same_agent_is_refused_with_the_chain(
    again: str,
) -> None:
    boss, model = circle("find it", again)
    sink = EventSink()
    result = await boss.run("find it", sink=sink)
    assert model.requests == []
    told = tool_messages(tool_messages(result)[0].artifact)
    error = json.loads(told[0].text)["error"]
    assert error["category"] == "limit"
    assert "root -> root/b[0] -> root/b[0]/a[0]" in error["message"]
    assert "  limit.reached cycle" in outline(sink.events)
    check_tree(sink.events)


async def test_the_same_agent_with_another_task_is_no_cycle() -> None:
    boss, model = circle("find it", "find something else")
    await boss.run("find it")
    assert len(model.requests) == 1


async def test_a_cycle_can_be_allowed() -> None:
    boss, model = circle("find it", "find it", allow_cycles=True)
    await boss.run("find it")
    assert len(model.requests) == 1


async def test_the_cycle_error_names_its_chain_to_a_direct_caller() -> None:
    caught: list[DelegationCycle] = []

    @tool
    async def again() -> str:
        """Ask myself the same."""
        try:
            await answering("x", name="boss").run("t")
        except DelegationCycle as error:
            caught.append(error)
        return "no"

    await asking(call("again"), tools=[again]).run("t")
    assert [error.chain for error in caught] == [("root", "root/again[0]/boss[0]")]


# --- what it cost -------------------------------------------------------------------------------


async def test_the_parents_tree_usage_is_its_own_and_its_descendants() -> None:  # behaviour 23
    child = Agent(ScriptedModel(["x"], usd_per_request=0.25), name="child")
    boss = Agent(
        ScriptedModel([[call("child", input="q")], "done"], usd_per_request=0.5), subagents=[child]
    )
    result = await boss.run("t")
    assert (result.usage.requests, result.usage.usd) == (2, 1.0)
    assert (result.tree_usage.requests, result.tree_usage.usd) == (3, 1.25)
    assert result.cost == 1.25
    [told] = tool_messages(result)
    assert told.artifact.usage == told.artifact.tree_usage
    last = result.events[-1].data
    assert (last["usage"]["requests"], last["tree_usage"]["requests"]) == (2, 3)


async def test_what_a_failed_child_spent_is_counted() -> None:  # behaviour 23
    child = Agent(ScriptedModel([call("broken")]), name="child", tools=[broken])
    result = await asking(call("child", input="q"), subagents=[child]).run("t")
    assert result.tree_usage.requests == 3
    assert failures(result)[0]["spent"]["requests"] == 1
