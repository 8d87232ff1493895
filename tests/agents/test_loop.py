"""The loop: asking, acting and answering until there is an output, and every way out of it."""

from typing import Any

import anyio
import pytest

from tests.agents.ended import end, failure_of
from tinyagents import (
    Agent,
    AssistantMessage,
    EventSink,
    Finish,
    LimitExceeded,
    Middleware,
    ModelError,
    ModelSettings,
    RunCancelled,
    RunContext,
    RunLimits,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolError,
    ToolMessage,
    UserMessage,
    tool,
)
from tinyagents.models import ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline

pytestmark = pytest.mark.anyio


@tool
async def echo(text: str = "hi") -> str:
    """Say it again."""
    return text


@tool
async def wait() -> str:
    """Never come back."""
    await anyio.sleep_forever()
    return "woken"


# --- answering ------------------------------------------------------------------------------------


async def test_a_plain_answer_takes_one_model_call_and_completes_last() -> None:
    # behaviour 54
    model = ScriptedModel(["Hello."])
    ended = await end(Agent(model))
    assert ended.result.output == "Hello."
    assert ended.result.status == "completed"
    assert len(model.requests) == 1
    assert ended.lines == ["run.started agent", "model.started", "model.completed", "run.completed"]
    assert ended.result.usage.requests == 1


async def test_a_turn_with_a_call_is_followed_by_a_turn_that_has_its_result() -> None:
    model = ScriptedModel([["Let me see.", call("echo", text="one")], "It said one."])
    ended = await end(Agent(model, tools=[echo], instructions="Be brief."))
    roles = [message.role for message in ended.result.messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert [message.text for message in model.requests[1].messages] == [
        "Be brief.", "go", "Let me see.", "one",
    ]  # fmt: skip
    assert ended.result.output == "It said one."
    assert ended.result.usage.tool_calls == 1


async def test_the_instructions_may_be_made_from_the_context() -> None:
    def plain(ctx: RunContext[str]) -> str:
        return f"You work for {ctx.deps}."

    async def slow(ctx: RunContext[str]) -> str:
        await anyio.lowlevel.checkpoint()
        return f"You serve {ctx.deps} at {ctx.path}."

    cases: list[tuple[Any, str | None]] = [
        (plain, "You work for Ann."),
        (slow, "You serve Ann at root."),
        ("", None),
    ]
    for instructions, said in cases:
        result = await Agent("test", deps_type=str, instructions=instructions).run("go", deps="Ann")
        first = result.messages[0]
        assert (first.text if isinstance(first, SystemMessage) else None) == said


async def test_history_is_gone_on_with_and_the_system_prompt_stands_there_once() -> None:
    model = ScriptedModel(["Nice to meet you.", "Ann."])
    agent = Agent(model, instructions="Be nice.")
    first = await agent.run("I am Ann.")
    second = await agent.with_(instructions="Be short.").run("Who am I?", history=first.messages)
    assert [message.text for message in model.requests[1].messages] == [
        "Be short.", "I am Ann.", "Nice to meet you.", "Who am I?",
    ]  # fmt: skip
    assert second.output == "Ann."
    assert [m.role for m in second.messages].count("system") == 1


async def test_one_definition_runs_many_times_at_once() -> None:
    started: list[str] = []
    everyone = anyio.Event()

    async def answer(request: ModelRequest) -> str:
        started.append(request.messages[-1].text)
        if len(started) == 3:
            everyone.set()
        await everyone.wait()  # nobody is answered before all have asked
        return f"done {request.messages[-1].text}"

    agent = Agent(FunctionModel(answer))
    outputs: dict[str, str] = {}

    async def run(task: str) -> None:
        outputs[task] = (await agent.run(task)).output

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for task in "abc":
                group.start_soon(run, task)
    assert outputs == {"a": "done a", "b": "done b", "c": "done c"}


async def test_thinking_is_published_and_kept_but_is_no_answer() -> None:
    thought = AssistantMessage((Thinking("Hmm, tea.", signature="sig"), Text("Tea.")))
    ended = await end(Agent(ScriptedModel([thought])))
    assert ended.result.output == "Tea."
    assert ended.of("thinking") == [{"call_id": "model-0", "text": "Hmm, tea."}]
    assert ended.result.messages[-1] == thought


async def test_the_stop_reason_of_the_last_reply_is_on_the_result() -> None:
    cut_off = ModelReply(AssistantMessage((Text("Once upon a"),)), stop_reason="length")
    result = await Agent(ScriptedModel([cut_off])).run("Tell me a story.")
    assert result.output == "Once upon a"
    assert result.stop_reason == "length"


# --- bounded --------------------------------------------------------------------------------------


def endless(name: str = "echo") -> FunctionModel:
    """A model that never gives an answer."""
    return FunctionModel(lambda request: call(name))


async def test_a_looping_model_is_stopped_after_its_turns() -> None:
    # behaviour 55
    ended = await end(Agent(endless(), tools=[echo], limits=RunLimits(max_turns=3)))
    assert isinstance(ended.error, LimitExceeded)
    assert (ended.error.limit, ended.error.allowed, ended.error.path) == ("max_turns", 3, "root")
    assert ended.lines.count("model.started") == 3
    assert ended.lines[-2:] == ["limit.reached max_turns", "run.failed"]


async def test_the_stricter_of_two_limits_holds_and_the_default_is_25_turns() -> None:
    # behaviour 56: a run can narrow its agent's limits and not widen them
    async def turns(own: float | None, given: float | None) -> int:
        agent = Agent(endless(), tools=[echo], limits=RunLimits(max_turns=own))
        ended = await end(agent, limits=RunLimits(max_turns=given))
        return ended.lines.count("model.started")

    assert await turns(5, 2) == 2
    assert await turns(2, 5) == 2
    assert await turns(40, None) == 40
    assert await turns(None, 30) == 30
    assert await turns(None, None) == 25


async def test_on_limit_return_gives_the_partial_run_as_limited() -> None:
    # behaviour 57
    model = ScriptedModel([["I try.", call("echo")], ["I still try.", call("echo")]])
    limits = RunLimits(max_turns=2, on_limit="return")
    ended = await end(Agent(model, tools=[echo], limits=limits))
    assert ended.error is None
    assert ended.result.status == "limited"
    assert ended.result.output == "I still try."
    assert isinstance(ended.result.error, LimitExceeded)
    assert [m.role for m in ended.result.messages] == [
        "user", "assistant", "tool", "assistant", "tool",
    ]  # fmt: skip
    assert ended.lines[-2:] == ["limit.reached max_turns", "run.completed max_turns"]
    assert ended.of("run.completed")[0]["status"] == "limited"


async def test_on_limit_return_without_a_word_said_has_no_output() -> None:
    limits = RunLimits(max_turns=1, on_limit="return")
    result = await Agent(endless(), tools=[echo], limits=limits).run("go")
    assert result.status == "limited"
    assert result.output is None


async def test_a_failure_keeps_the_transcript_up_to_it() -> None:
    # behaviour 58
    failed = ModelError("overloaded", status=500, request_id="req-1")
    ended = await end(Agent(ScriptedModel([call("echo", text="one"), failed]), tools=[echo]))
    assert ended.error is failed
    assert ended.result.status == "failed"
    assert ended.result.output is None
    assert ended.result.error is failed
    assert [m.text for m in ended.result.messages] == ["go", "", "one"]
    assert ended.result.usage.requests == 2
    assert ended.of("model.failed")[0]["error"]["type"] == "ModelError"
    assert [event.kind for event in ended.result.events] == [e.kind for e in ended.events]


async def test_endless_unknown_calls_are_bounded_by_max_tool_calls() -> None:
    # behaviour 61
    limits = RunLimits(max_tool_calls=4, max_turns=100)
    ended = await end(Agent(endless("nope"), limits=limits))
    assert isinstance(ended.error, LimitExceeded)
    assert ended.error.limit == "max_tool_calls"
    assert ended.lines.count("tool.unknown nope") == 4
    assert ended.result.usage.tool_calls == 4


@pytest.mark.parametrize("ids", [("same", "same"), ("", ""), ("same", "same#1"), ("a", "b")])
async def test_call_ids_are_made_unique_in_a_turn(ids: tuple[str, str]) -> None:
    # behaviour 70
    calls = AssistantMessage(
        tuple(ToolCall(i, "echo", {"text": t}) for i, t in zip(ids, "xy", strict=True))
    )
    ended = await end(Agent(ScriptedModel([calls, "done"]), tools=[echo]))
    said = ended.result.messages[1]
    assert isinstance(said, AssistantMessage)
    made = [each.id for each in said.tool_calls]
    assert len(set(made)) == 2
    assert all(made)
    assert [(m.call_id, m.text) for m in ended.told] == [(made[0], "x"), (made[1], "y")]
    assert sorted(facts["call_id"] for facts in ended.of("tool.completed")) == sorted(made)


async def test_call_ids_are_made_unique_over_the_turns_of_a_run() -> None:
    # behaviour 70: some servers count call_0 anew in every reply
    script = [ToolCall("call_0", "echo", {"text": text}) for text in "xyz"]
    ended = await end(Agent(ScriptedModel([*script, "done"]), tools=[echo]))
    assert len({message.call_id for message in ended.told}) == 3
    assert [message.text for message in ended.told] == ["x", "y", "z"]


# --- cancellation ---------------------------------------------------------------------------------


async def test_cancelling_drops_the_model_call_under_way() -> None:
    # behaviour 75
    asked = anyio.Event()

    async def never(request: ModelRequest) -> str:
        asked.set()
        await anyio.sleep_forever()
        return "late"

    with anyio.fail_after(5):
        async with Agent(FunctionModel(never)).stream("go") as run:
            await asked.wait()
            assert run.cancel("enough")
            with pytest.raises(RunCancelled, match="enough") as caught:
                await run.result()
    check_tree(run.events)
    assert outline(run.events) == [
        "run.started agent", "model.started", "model.failed", "run.cancelled",
    ]  # fmt: skip
    assert caught.value.result.status == "cancelled"
    assert [m.text for m in caught.value.result.messages] == ["go"]


async def test_a_run_cancelled_before_its_first_step_asks_nothing() -> None:
    # behaviour 76, on the streaming path
    model = ScriptedModel(["never said"])
    async with Agent(model).stream("go") as run:
        assert run.cancel("changed my mind")
        assert not run.cancel("again")
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result()
    check_tree(run.events)
    assert outline(run.events) == ["run.started agent", "run.cancelled"]
    assert model.requests == []


async def test_leaving_a_stream_before_its_first_step_closes_the_run() -> None:
    model = ScriptedModel(["never said"])
    async with Agent(model).stream("go") as run:
        pass
    check_tree(run.events)
    assert outline(run.events) == ["run.started agent", "run.cancelled"]
    assert model.requests == []


async def test_a_stream_ends_with_one_terminal_and_nothing_after_it() -> None:
    # behaviour 77
    sink = EventSink()
    async with Agent(ScriptedModel([call("echo"), "two words"]), tools=[echo]).stream(
        "go", sink=sink
    ) as run:
        seen = [event async for event in run]
    assert [event.seq for event in seen] == list(range(len(seen)))
    assert seen == list(sink.events)
    ends = [e.kind for e in seen if e.kind in ("run.completed", "run.failed", "run.cancelled")]
    assert ends == ["run.completed"]
    assert seen[-1].kind == "run.completed"
    words = [event.data["text"] for event in seen if event.kind == "model.delta"]
    assert "".join(words[-2:]) == "two words"


async def test_the_caller_of_a_tool_that_cancels_its_run_finds_it_cancelled() -> None:
    @tool
    async def stop(ctx: RunContext[Any]) -> str:
        assert ctx.run.cancel("seen enough")
        return "stopped"

    ended = await end(Agent(ScriptedModel([call("stop"), "never"]), tools=[stop]))
    assert isinstance(ended.error, RunCancelled)
    assert ended.error.reason == "seen enough"
    assert ended.result.status == "cancelled"
    assert [m.text for m in ended.told] == ["stopped"]
    assert ended.lines[-2:] == ["tool.completed stop", "run.cancelled"]


async def test_a_plain_function_may_cancel_its_run_from_its_thread() -> None:
    @tool
    def stop(ctx: RunContext[Any]) -> str:
        ctx.run.cancel("seen enough")
        return "stopped"

    ended = await end(Agent(ScriptedModel([call("stop"), "never"]), tools=[stop]))
    assert isinstance(ended.error, RunCancelled)
    assert ended.error.reason == "seen enough"
    assert ended.lines[-1] == "run.cancelled"


@pytest.mark.parametrize("names", [["stop", "finish"], ["finish", "stop"], ["both"]])
async def test_a_cancellation_wins_over_a_finish_of_the_same_turn(names: list[str]) -> None:
    # behaviour 74: of the two controls of one turn, in any order, the interruption wins
    @tool
    async def stop(ctx: RunContext[Any]) -> str:
        ctx.run.cancel("stop it")
        return "stopped"

    @tool
    async def finish() -> str:
        raise Finish("the answer")

    @tool
    async def both(ctx: RunContext[Any]) -> str:
        ctx.run.cancel("stop it")
        raise Finish("the answer")

    script = [[call(name) for name in names], "never"]
    ended = await end(Agent(ScriptedModel(script), tools=[stop, finish, both]))
    assert isinstance(ended.error, RunCancelled)
    assert ended.error.reason == "stop it"
    assert ended.result.status == "cancelled"


async def test_a_cancelled_turn_keeps_the_results_it_has_and_leaves_no_call_open() -> None:
    done = anyio.Event()

    @tool
    async def quick() -> str:
        done.set()
        return "quick result"

    agent = Agent(ScriptedModel([[call("wait"), call("quick")]]), tools=[wait, quick])
    sink = EventSink()
    with anyio.fail_after(5):
        async with agent.stream("go", sink=sink) as run:
            await done.wait()
            await anyio.wait_all_tasks_blocked()
            run.cancel("enough")
            with pytest.raises(RunCancelled) as caught:
                await run.result()
    check_tree(sink.events)
    told = [m for m in caught.value.result.messages if isinstance(m, ToolMessage)]
    assert [m.name for m in told] == ["wait", "quick"]
    assert failure_of(told[0])["category"] == "cancelled"
    assert told[1].text == "quick result"


async def test_a_partial_result_can_be_gone_on_with() -> None:
    # No provider takes a transcript with a call that has no result.
    limits = RunLimits(max_tool_calls=1)
    model = ScriptedModel([[call("echo"), call("echo")], "Now I am done."])
    agent = Agent(model, tools=[echo])
    ended = await end(agent, limits=limits)
    assert isinstance(ended.error, LimitExceeded)
    said = ended.result.messages[-3]
    assert isinstance(said, AssistantMessage)
    assert [m.call_id for m in ended.told] == [each.id for each in said.tool_calls]
    result = await agent.run("go on", history=ended.result.messages)
    assert result.output == "Now I am done."


async def test_a_timeout_around_a_run_closes_it_in_order() -> None:
    sink = EventSink()
    with anyio.move_on_after(0.01) as scope:
        await Agent(ScriptedModel([call("wait")]), tools=[wait]).run("go", sink=sink)
    assert scope.cancelled_caught
    check_tree(sink.events)
    assert outline(sink.events)[-2:] == ["tool.failed wait", "run.cancelled"]
    assert sink.events[-2].data["category"] == "cancelled"


async def test_a_deadline_ends_the_run_with_a_limit() -> None:
    # behaviour 71: the run's own time is up, which is fatal
    ended = await end(
        Agent(ScriptedModel([call("wait")]), tools=[wait], limits=RunLimits(max_seconds=0.01))
    )
    assert isinstance(ended.error, LimitExceeded)
    assert ended.error.limit == "max_seconds"
    assert ended.lines[-3:] == ["tool.failed wait", "limit.reached max_seconds", "run.failed"]
    assert [m.role for m in ended.result.messages] == ["user", "assistant", "tool"]


# --- the end of a run from a tool -----------------------------------------------------------------


async def test_finish_from_a_tool_ends_the_run_with_its_output() -> None:
    @tool
    async def give_up(why: str) -> str:
        raise Finish(f"gave up: {why}")

    model = ScriptedModel([[call("give_up", why="tired"), call("echo", text="beside")], "never"])
    ended = await end(Agent(model, tools=[give_up, echo]))
    assert ended.error is None
    assert ended.result.output == "gave up: tired"
    assert ended.result.status == "completed"
    assert len(model.requests) == 1
    assert [m.text for m in ended.told] == ["accepted", "beside"]
    assert "tool.completed echo" in ended.lines


async def test_a_tool_cannot_swallow_a_finish_by_accident() -> None:
    @tool
    async def careful() -> str:
        try:
            raise Finish("out")
        except Exception:
            return "swallowed"

    result = await Agent(ScriptedModel([call("careful"), "never"]), tools=[careful]).run("go")
    assert result.output == "out"


class Broken(BaseException):
    """What no handler of `Exception` sees."""


async def test_what_is_no_exception_is_never_made_a_result() -> None:
    # behaviour 68
    @tool
    async def explode() -> str:
        raise Broken

    for script in ([call("explode")], [[call("explode"), call("echo")]]):
        sink = EventSink()
        with pytest.raises(Broken) as caught:
            await Agent(ScriptedModel(script), tools=[explode, echo]).run("go", sink=sink)
        check_tree(sink.events)
        assert sink.events[-1].kind == "run.cancelled"
        partial: Any = caught.value
        assert partial.result.status == "cancelled"


async def test_a_cancellation_out_of_nowhere_is_never_made_a_result(
    anyio_backend_name: str,
) -> None:
    # behaviour 68: a tool waited for a task of its own that somebody cancelled
    if anyio_backend_name == "trio":
        pytest.skip("trio has no tasks to wait for")
    import asyncio

    @tool
    async def lost() -> str:
        raise asyncio.CancelledError

    ended = await end(Agent(ScriptedModel([[call("lost"), call("echo")]]), tools=[lost, echo]))
    assert isinstance(ended.error, RunCancelled)
    assert "'lost' was interrupted" in ended.error.reason
    assert [failure_of(ended.told[0])["category"], ended.told[1].text] == ["cancelled", "hi"]


async def test_a_tool_may_call_a_limit_of_the_run_by_its_own_hand() -> None:
    @tool
    async def check(ctx: RunContext[Any]) -> str:
        await ctx.run.checkpoint()
        return f"{ctx.remaining_s > 5} {ctx.depth} {ctx.usage.requests} {ctx.tree_usage.requests}"

    limits = RunLimits(max_seconds=10)
    ended = await end(Agent(ScriptedModel([call("check"), "ok"]), tools=[check], limits=limits))
    assert ended.told[0].text == "True 0 1 1"


async def test_replies_wider_than_the_limit_are_asked_for_with_the_limit() -> None:
    # behaviour 16, for the root
    model = ScriptedModel(["one", "two", "three"])
    agent = Agent(model, limits=RunLimits(max_output_tokens=100))
    await agent.run("go")
    await agent.with_(settings=ModelSettings(max_output_tokens=50)).run("go")
    await agent.with_(settings=ModelSettings(max_output_tokens=500)).run("go")
    assert [each.settings.max_output_tokens for each in model.requests] == [100, 50, 100]


async def test_a_model_that_breaks_its_promise_fails_the_run_with_what_it_raised() -> None:
    def broken(request: ModelRequest) -> str:
        raise ZeroDivisionError("a bug in the model")

    ended = await end(Agent(FunctionModel(broken)))
    assert isinstance(ended.error, ZeroDivisionError)
    assert ended.lines == ["run.started agent", "model.started", "model.failed", "run.failed"]


async def test_a_user_message_and_parts_are_tasks_too() -> None:
    model = ScriptedModel(["1", "2"])
    agent = Agent(model)
    await agent.run(UserMessage("as a message"))
    await agent.run(["text and", Text("parts")])
    assert [m.messages[-1].text for m in model.requests] == ["as a message", "text andparts"]


async def test_hooks_see_the_order_of_a_turn() -> None:
    order: list[str] = []

    class Watch(Middleware):
        async def before_run(self, ctx: RunContext[Any]) -> None:
            order.append("before_run")

        async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> None:
            order.append("before_model")

        async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> None:
            order.append("after_model")

        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> None:
            order.append("before_tool")

        async def after_tool(
            self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage
        ) -> None:
            order.append("after_tool")

        async def after_run(self, ctx: RunContext[Any], output: Any) -> None:
            order.append("after_run")

    await Agent(ScriptedModel([call("echo"), "x"]), tools=[echo], middleware=[Watch()]).run("go")
    turn = ["before_model", "after_model"]
    assert order == ["before_run", *turn, "before_tool", "after_tool", *turn, "after_run"]


async def test_a_tool_that_fails_the_run_is_told_with_who_and_why() -> None:
    @tool(on_error="fail")
    async def fragile() -> str:
        raise KeyError("gone")

    ended = await end(Agent(ScriptedModel([call("fragile")]), tools=[fragile]))
    assert isinstance(ended.error, ToolError)
    assert (ended.error.tool, ended.error.category) == ("fragile", "raised")
    assert isinstance(ended.error.__cause__, KeyError)
