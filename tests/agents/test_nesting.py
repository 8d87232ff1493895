"""Runs started by code that a run runs: in tools, in their threads, in hooks, in tasks."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tinyagents import (
    Agent,
    EventSink,
    Finish,
    LimitExceeded,
    Middleware,
    RunCancelled,
    RunContext,
    RunLimits,
    SubAgent,
    SubAgentSession,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event, Run

pytestmark = pytest.mark.anyio

on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [pytest.param("asyncio", id="asyncio")], scope="module"
)
on_trio = pytest.mark.parametrize(
    "anyio_backend", [pytest.param("trio", id="trio")], scope="module"
)


def echo(name: str = "helper", **options: Any) -> Agent[Any, str]:
    """An agent that says its name and its task, as often as it is asked."""
    return Agent(
        FunctionModel(lambda request: f"{name}: {request.messages[-1].text}"), name=name, **options
    )


def asking(*calls: Any, name: str = "boss", **options: Any) -> Agent[Any, str]:
    return Agent(ScriptedModel([list(calls), "done"]), name=name, **options)


def stuck(began: anyio.Event, name: str = "slow", **options: Any) -> Agent[Any, str]:
    """An agent whose model never answers; `began` tells that it was asked."""

    async def answer(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return Agent(FunctionModel(answer), name=name, **options)


def told(events: Sequence[Event]) -> list[str]:
    """Which runs there were, as `path at depth`, in the order they started."""
    return [f"{event.path} at {event.depth}" for event in events if event.kind == "run.started"]


def last_words(events: Sequence[Event], path: str) -> str:
    """The last event of the run at `path`."""
    return [event.kind for event in events if event.path == path][-1]


# --- in the body of a tool ----------------------------------------------------------------------


async def test_an_agent_run_in_a_tool_is_a_child_of_the_calling_run() -> None:
    helper = echo()

    @tool
    async def delegate() -> str:
        """Delegate in code."""
        first = await helper.run("one")
        second = await helper.run("two")
        return f"{first.output}, {second.output}"

    sink = EventSink()
    result = await asking(call("delegate"), tools=[delegate]).run("t", sink=sink)
    assert told(sink.events) == [
        "root at 0",
        "root/delegate[0]/helper[0] at 1",
        "root/delegate[0]/helper[1] at 1",
    ]
    assert outline(sink.events)[3:9] == [
        "tool.started delegate",
        "subagent.started helper",
        "  run.started helper",
        "  model.started",
        "  model.completed",
        "  run.completed",
    ]
    assert result.messages[2].text == "helper: one, helper: two"
    assert (result.usage.requests, result.tree_usage.requests) == (2, 4)
    check_tree(sink.events)


async def test_delegation_in_code_goes_through_any_number_of_functions_and_levels() -> None:
    leaf = echo("leaf")

    async def deep_inside() -> str:
        return (await leaf.run("dig")).output

    @tool
    async def dig() -> str:
        """Dig."""
        return await deep_inside()

    worker = asking(call("dig"), name="worker", tools=[dig])

    @tool
    async def delegate() -> str:
        """Delegate."""
        return (await worker.run("work")).output

    result = await asking(call("delegate"), tools=[delegate]).run("t")
    assert told(result.events) == [
        "root at 0",
        "root/delegate[0]/worker[0] at 1",
        "root/delegate[0]/worker[0]/dig[0]/leaf[0] at 2",
    ]
    check_tree(result.events)


@pytest.mark.parametrize("own", ["sink", "run_id"])
async def test_a_run_with_an_id_or_a_sink_of_its_own_is_a_tree_of_its_own(own: str) -> None:
    other = EventSink()
    options: dict[str, Any] = {"sink": other} if own == "sink" else {"run_id": "apart"}

    @tool
    async def delegate() -> str:
        """Delegate."""
        result = await echo().run("one", **options)
        check_tree(result.events)
        return f"{result.path} {len(result.events)}"

    sink = EventSink()
    result = await asking(call("delegate"), tools=[delegate]).run("t", sink=sink)
    assert told(sink.events) == ["root at 0"]
    assert result.messages[2].text == "root 4"
    assert result.tree_usage == result.usage
    check_tree(sink.events)


async def test_handing_on_the_same_sink_keeps_the_child_in_the_tree() -> None:
    sink = EventSink()

    @tool
    async def delegate() -> str:
        """Delegate."""
        return (await echo().run("one", sink=sink)).path

    result = await asking(call("delegate"), tools=[delegate]).run("t", sink=sink)
    assert result.messages[2].text == "root/delegate[0]/helper[0]"
    check_tree(sink.events)


async def test_many_children_at_once_hang_under_one_call() -> None:
    helper = echo()

    @tool
    async def fan_out() -> str:
        """Ask three at once."""
        answers: dict[int, str] = {}

        async def ask(n: int) -> None:
            answers[n] = (await helper.run(f"task {n}")).output

        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(ask, n)
        return " ".join(answers[n] for n in range(3))

    result = await asking(call("fan_out"), tools=[fan_out]).run("t")
    assert result.messages[2].text == "helper: task 0 helper: task 1 helper: task 2"
    assert sorted(told(result.events)) == [
        "root at 0",
        *(f"root/fan_out[0]/helper[{n}] at 1" for n in range(3)),
    ]
    check_tree(result.events)


@on_asyncio
async def test_an_asyncio_task_group_in_a_tool_works() -> None:
    helper = echo()

    @tool
    async def fan_out() -> str:
        """Ask two at once."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(helper.run(f"task {n}")) for n in range(2)]
        return " ".join(task.result().output for task in tasks)

    result = await asking(call("fan_out"), tools=[fan_out]).run("t")
    assert result.messages[2].text == "helper: task 0 helper: task 1"
    check_tree(result.events)


@on_asyncio
async def test_wait_for_in_a_tool_cancels_the_child_and_tells_the_model() -> None:
    began = anyio.Event()

    @tool
    async def delegate() -> str:
        """Delegate, impatiently."""
        return (await asyncio.wait_for(stuck(began).run("q"), 0.01)).output

    result = await asking(call("delegate"), tools=[delegate]).run("t")
    assert "TimeoutError" in result.messages[2].text
    assert last_words(result.events, "root/delegate[0]/slow[0]") == "run.cancelled"
    check_tree(result.events)


async def test_a_timeout_of_the_users_own_cancels_the_child_and_nothing_else() -> None:
    @tool
    async def delegate() -> str:
        """Delegate, impatiently."""
        with anyio.move_on_after(0.01):
            await stuck(anyio.Event()).run("q")
        return (await echo().run("then you")).output

    result = await asking(call("delegate"), tools=[delegate]).run("t")
    assert result.messages[2].text == "helper: then you"
    assert last_words(result.events, "root/delegate[0]/slow[0]") == "run.cancelled"
    check_tree(result.events)


async def test_a_plain_tool_delegates_from_its_thread() -> None:
    helper = echo()

    @tool
    def delegate() -> str:
        """Delegate from a thread."""
        assert threading.current_thread() is not threading.main_thread()
        return f"{helper.run_sync('one').output}, {helper.run_sync('two').output}"

    sink = EventSink()
    result = await asking(call("delegate"), tools=[delegate]).run("t", sink=sink)
    assert result.messages[2].text == "helper: one, helper: two"
    assert told(sink.events) == [
        "root at 0",
        "root/delegate[0]/helper[0] at 1",
        "root/delegate[0]/helper[1] at 1",
    ]
    check_tree(sink.events)


async def test_a_childs_failure_in_a_thread_is_an_exception_there() -> None:
    @tool
    def delegate() -> str:
        """Delegate from a thread."""
        child = Agent(ScriptedModel([call("x")] * 3), limits=RunLimits(max_turns=1))
        with pytest.raises(LimitExceeded) as caught:
            child.run_sync("q")
        return f"{caught.value.limit} {caught.value.result.path}"

    result = await asking(call("delegate"), tools=[delegate]).run("t")
    assert result.messages[2].text == "max_turns root/delegate[0]/agent[0]"
    check_tree(result.events)


async def test_sessions_and_maps_in_a_tool_are_part_of_the_tree() -> None:
    helper = echo()

    @tool
    async def work() -> str:
        """Talk with one, and have two tasks done by another."""
        session = SubAgentSession(helper)
        said = [(await session.send(text)).output for text in ("hi", "more")]
        done = [each.output for each in await helper.map(["a", "b"], max_concurrency=1)]
        return " | ".join(said + done)

    sink = EventSink()
    result = await asking(call("work"), tools=[work]).run("t", sink=sink)
    assert result.messages[2].text == "helper: hi | helper: more | helper: a | helper: b"
    assert told(sink.events) == [
        "root at 0",
        "root/work[0]/helper[0] at 1",
        "root/work[0]/helper[1] at 1",
        "root/work[0]/map[0] at 1",
        "root/work[0]/map[0]/helper[0] at 2",
        "root/work[0]/map[0]/helper[1] at 2",
    ]
    reused = [event for event in sink.events if event.kind == "subagent.reused"]
    assert [(event.path, event.data["turn"]) for event in reused] == [("root", 1)]
    check_tree(sink.events)


async def test_a_handle_in_a_tool_sees_its_own_subtree_only() -> None:
    helper = asking(call("leaf", input="q"), name="helper", subagents=[echo("leaf")])
    seen: list[Event] = []

    @tool
    async def watch() -> str:
        """Watch a child."""
        async with helper.stream("q") as run:
            seen.extend([event async for event in run])
            return (await run.result()).output

    sink = EventSink()
    await asking(
        call("watch"), call("other", input="q"), tools=[watch], subagents=[echo("other")]
    ).run("t", sink=sink)
    assert told(seen) == [
        "root/watch[0]/helper[0] at 1",
        "root/watch[0]/helper[0]/leaf[0] at 2",
    ]
    check_tree(sink.events)


# --- in hooks, instructions and models ----------------------------------------------------------


class Consult(Middleware):
    """Asks another agent before the run, in the way each hook's code would."""

    def __init__(self, helper: Agent[Any, str]) -> None:
        self.helper = helper

    async def before_run(self, ctx: RunContext[Any]) -> None:
        await self.helper.run(f"before {ctx.path}")


async def test_an_agent_run_in_a_hook_is_a_child_of_the_hooks_run() -> None:
    child = asking(
        call("helper", input="q"),
        name="child",
        subagents=[echo()],
        middleware=[Consult(echo())],
    )
    sink = EventSink()
    boss = asking(call("child", input="q"), subagents=[child], middleware=[Consult(echo())])
    result = await boss.run("t", sink=sink)
    assert told(sink.events) == [
        "root at 0",
        "root/helper[0] at 1",
        "root/child[0] at 1",
        "root/child[0]/helper[0] at 2",
        "root/child[0]/helper[1] at 2",
    ]
    assert result.tree_usage.requests == 7
    check_tree(sink.events)


async def test_an_agent_run_for_the_instructions_is_a_child() -> None:
    async def instructions(ctx: RunContext[Any]) -> str:
        return (await echo("prompter").run("write a prompt")).output

    result = await Agent(ScriptedModel(["ok"]), instructions=instructions).run("t")
    assert result.messages[0].text == "prompter: write a prompt"
    assert told(result.events) == ["root at 0", "root/prompter[0] at 1"]
    check_tree(result.events)


async def test_an_agent_run_by_a_model_is_a_child() -> None:
    async def answer(request: Any) -> str:
        return (await echo("expert").run(request.messages[-1].text)).output

    result = await Agent(FunctionModel(answer)).run("hard one")
    assert result.output == "expert: hard one"
    assert told(result.events) == ["root at 0", "root/expert[0] at 1"]
    check_tree(result.events)


async def test_code_that_runs_on_after_the_run_has_ended_starts_trees_of_its_own() -> None:
    gate = anyio.Event()
    later: list[str] = []
    sink = EventSink()
    async with anyio.create_task_group() as group:

        async def outlive() -> None:
            await gate.wait()
            later.append((await echo().run("later")).path)

        @tool
        async def spawn() -> str:
            """Leave something behind."""
            group.start_soon(outlive)
            return "spawned"

        await asking(call("spawn"), tools=[spawn]).run("t", sink=sink)
        gate.set()
    assert later == ["root"]
    assert told(sink.events) == ["root at 0"]
    check_tree(sink.events)


async def test_nothing_is_left_of_a_run_for_the_code_after_it() -> None:
    sink = EventSink()
    await asking(call("helper", input="q"), subagents=[echo()]).run("t", sink=sink)
    assert (await echo().run("alone")).path == "root"
    assert len(told(sink.events)) == 2


# --- what a child inherits ----------------------------------------------------------------------


@tool
async def whose(ctx: RunContext[Any]) -> str:
    """Tell whose deps these are."""
    return str(ctx.deps)


def looking(**options: Any) -> Agent[Any, str]:
    """An agent that tells what its tools get as `ctx.deps`."""

    def answer(request: Any) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("whose")

    return Agent(FunctionModel(answer), name="looking", tools=[whose], **options)


async def test_a_child_gets_its_parents_deps_unless_it_has_its_own() -> None:
    inherits = looking()
    apart = SubAgent(looking(), name="apart", deps="child's")

    @tool
    async def in_code(ctx: RunContext[Any]) -> str:
        """Delegate in code, in every way."""
        runs = [await inherits.run("q"), await inherits.run("q", deps="given")]
        runs += await inherits.map(["q"])
        runs += await inherits.map(["q"], deps="given")
        runs += [await SubAgentSession(inherits).send("q")]
        runs += [await SubAgentSession(inherits, deps="given").send("q")]
        async with inherits.stream("q") as run:
            runs += [await run.result()]
        return " ".join(each.output for each in runs)

    boss = asking(
        call("looking", input="q"),
        call("apart", input="q"),
        call("in_code"),
        subagents=[inherits, apart],
        tools=[in_code],
    )
    result = await boss.run("t", deps="root's")
    assert [message.text for message in result.messages if message.role == "tool"] == [
        "root's",
        "child's",
        "root's given root's given root's given root's",
    ]


async def test_the_reply_limit_of_the_root_holds_for_every_descendant() -> None:  # behaviour 16
    models = [ScriptedModel([call("middle", input="q"), "done"])]
    models += [ScriptedModel([call("leaf", input="q"), "done"]), ScriptedModel(["x"])]
    leaf = Agent(models[2], name="leaf", limits=RunLimits(max_output_tokens=500))
    middle = Agent(models[1], name="middle", subagents=[leaf])
    await Agent(models[0], subagents=[middle]).run("t", limits=RunLimits(max_output_tokens=77))
    asked = [request.settings.max_output_tokens for model in models for request in model.requests]
    assert asked == [77] * 5


async def test_a_child_can_narrow_the_reply_limit() -> None:  # behaviour 16
    model = ScriptedModel(["x"])
    child = Agent(model, name="child", limits=RunLimits(max_output_tokens=5))
    boss = asking(call("child", input="q"), subagents=[child])
    await boss.run("t", limits=RunLimits(max_output_tokens=77))
    assert model.requests[0].settings.max_output_tokens == 5


async def test_a_child_has_no_more_time_than_its_parent() -> None:  # behaviour 25
    left: list[float] = []

    @tool
    async def look(ctx: RunContext[Any]) -> str:
        """See how much time is left."""
        left.append(ctx.remaining_s)
        return "ok"

    child = asking(call("look"), name="child", tools=[look], limits=RunLimits(max_seconds=500))
    boss = asking(call("child", input="q"), subagents=[child])
    await boss.run("t", limits=RunLimits(max_seconds=60))
    assert 0 < left[0] <= 60


async def test_the_parents_deadline_ends_the_child_with_its_own_events() -> None:  # behaviour 25
    sink = EventSink()
    boss = asking(call("slow", input="q"), subagents=[stuck(anyio.Event())])
    with pytest.raises(LimitExceeded) as caught:
        await boss.run("t", sink=sink, limits=RunLimits(max_seconds=0.02))
    assert (caught.value.limit, caught.value.path) == ("max_seconds", "root")
    child = [event for event in sink.events if event.path == "root/slow[0]"]
    assert [event.kind for event in child] == [
        "run.started", "model.started", "model.failed", "run.cancelled",
    ]  # fmt: skip
    assert "max_seconds of root reached" in child[-1].data["reason"]
    assert caught.value.result.usage.requests == 1
    check_tree(sink.events)


async def test_only_a_stream_has_deltas_and_then_the_childrens_too() -> None:  # behaviours 19, 20
    boss = asking(call("child", input="q"), subagents=[Agent("test", name="child")])
    quiet = await boss.run("t")
    assert [event for event in quiet.events if event.kind == "model.delta"] == []
    boss = asking(call("child", input="q"), subagents=[Agent("test", name="child")])
    async with boss.stream("t", run_id="r") as run:
        result = await run.result()
    deltas = [event for event in result.events if event.kind == "model.delta"]
    assert {event.run_id for event in deltas} == {"r", "r/child[0]"}
    child = [event.data["text"] for event in deltas if event.depth == 1]
    assert "".join(child) == "test: q"


# --- cancellation -------------------------------------------------------------------------------


async def test_a_cancelled_run_starts_no_more_children() -> None:  # behaviour 17
    model = ScriptedModel(["never"])

    @tool
    async def stop(ctx: RunContext[Any]) -> str:
        """Cancel, and delegate all the same."""
        ctx.run.cancel("enough")
        return (await Agent(model, name="child").run("q")).output

    sink = EventSink()
    with pytest.raises(RunCancelled, match="enough"):
        await asking(call("stop"), tools=[stop]).run("t", sink=sink)
    assert model.requests == []
    check_tree(sink.events)


async def test_a_childs_tool_can_cancel_the_whole_tree() -> None:  # behaviour 18
    never = ScriptedModel(["never"])

    @tool
    async def stop_all(ctx: RunContext[Any]) -> str:
        """Cancel the root."""
        root = ctx.run.tree.find("root")
        assert root is not None
        root.cancel("found what we need")
        await anyio.lowlevel.checkpoint()
        return "stopped"

    child = Agent(ScriptedModel([call("stop_all")] * 9), name="child", tools=[stop_all])
    sink = EventSink()
    boss = asking(call("child", input="q"), call("later", input="q"), subagents=[
        child, Agent(never, name="later", limits=RunLimits(max_turns=1)),
    ])  # fmt: skip
    with pytest.raises(RunCancelled) as caught:
        await boss.run("t", sink=sink)
    assert (caught.value.path, caught.value.reason) == ("root", "found what we need")
    assert caught.value.result.status == "cancelled"
    assert last_words(sink.events, "root/child[0]") == "run.cancelled"
    assert last_words(sink.events, "root") == "run.cancelled"
    check_tree(sink.events)


async def test_cancelling_the_root_ends_every_descendant_with_its_reason() -> None:
    began = [anyio.Event() for _ in range(3)]
    slow = [stuck(event, name=f"slow{n}") for n, event in enumerate(began)]
    middle = asking(
        call("slow1", input="q"), call("slow2", input="q"), name="middle", subagents=slow
    )
    boss = asking(call("slow0", input="q"), call("middle", input="q"), subagents=[slow[0], middle])
    sink = EventSink()
    async with boss.stream("t", sink=sink) as run:
        for event in began:
            await event.wait()
        assert run.cancel("the human left")
        assert not run.cancel("again")
        with pytest.raises(RunCancelled) as caught:
            await run.result()
    assert caught.value.reason == "the human left"
    endings = [event for event in sink.events if event.kind == "run.cancelled"]
    assert len(endings) == 5
    assert all("the human left" in event.data["reason"] for event in endings)
    check_tree(sink.events)


async def test_a_finished_sibling_keeps_its_result_when_the_root_is_cancelled() -> None:
    began = anyio.Event()
    sink = EventSink()
    boss = asking(
        call("helper", input="q"), call("slow", input="q"), subagents=[echo(), stuck(began)]
    )
    async with boss.stream("t", sink=sink) as run:
        async for event in run:
            if event.kind == "tool.completed":
                break
        await began.wait()
        run.cancel("enough")
        with pytest.raises(RunCancelled) as caught:
            await run.result()
    kept = [message for message in caught.value.result.messages if message.role == "tool"]
    assert [message.text for message in kept if not message.failed] == ["helper: q"]
    assert caught.value.result.tree_usage.requests == 2
    check_tree(sink.events)


async def test_a_tool_may_clean_up_while_it_is_cancelled() -> None:
    began = anyio.Event()

    @tool
    async def careful() -> str:
        """Sleep, and clean up badly."""

        async def fail() -> None:
            try:
                began.set()
                await anyio.sleep_forever()
            finally:
                raise OSError("while cleaning up")

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            group.start_soon(anyio.sleep_forever)
        return "never"

    sink = EventSink()
    async with asking(call("careful"), tools=[careful]).stream("t", sink=sink) as run:
        await began.wait()
        run.cancel("stop")
        with pytest.raises(RunCancelled, match="stop"):
            await run.result()
    assert outline(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


async def test_a_tool_that_fails_while_it_is_cancelled_is_cancelled_for_the_user_too() -> None:
    sink = EventSink()
    with anyio.CancelScope() as scope:

        @tool
        async def careless() -> str:
            """Clean up badly."""

            async def fail() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    raise OSError("while cleaning up")

            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                await anyio.lowlevel.checkpoint()
                scope.cancel()
            return "never"

        await asking(call("careless"), tools=[careless]).run("t", sink=sink)
    assert scope.cancelled_caught
    assert last_words(sink.events, "root") == "run.cancelled"
    check_tree(sink.events)


async def test_a_tool_can_finish_the_run_from_within_a_task_group() -> None:
    @tool
    async def work() -> str:
        """Work."""

        async def answer() -> None:
            raise Finish("found it")

        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            group.start_soon(anyio.sleep_forever)
        return "never"

    result = await asking(call("work"), tools=[work]).run("t")
    assert result.output == "found it"
    check_tree(result.events)


async def test_a_run_can_be_cancelled_from_a_thread() -> None:
    @tool
    def stop(ctx: RunContext[Any]) -> str:
        """Cancel from a thread, and hang."""
        ctx.run.cancel("from a thread")
        hanging.wait(10)
        return "never"

    hanging = threading.Event()
    sink = EventSink()
    try:
        with anyio.fail_after(5), pytest.raises(RunCancelled, match="from a thread"):
            await asking(call("stop"), tools=[stop]).run("t", sink=sink)
    finally:
        hanging.set()
    check_tree(sink.events)


# --- nothing outlives its parent ----------------------------------------------------------------


def open_when_root_ended(events: Sequence[Event]) -> set[str]:
    """Runs that were still open when their root's run ended."""
    open_runs: set[str] = set()
    for event in events:
        if event.kind == "run.started":
            open_runs.add(event.path)
        elif event.kind in ("run.completed", "run.failed", "run.cancelled"):
            open_runs.discard(event.path)
            if event.depth == 0:
                return open_runs
    raise AssertionError("the root never ended")


async def test_a_child_left_running_by_a_tool_ends_before_its_parent() -> None:
    began = anyio.Event()
    ended: list[str] = []
    open_runs: set[str] = set()
    sink = EventSink()
    async with anyio.create_task_group() as group:

        async def outlive() -> None:
            try:
                await stuck(began).run("q")
            except RunCancelled as error:
                ended.append(error.reason)

        @tool
        async def spawn() -> str:
            """Leave a child behind."""
            group.start_soon(outlive)
            await began.wait()
            return "spawned"

        await asking(call("spawn"), tools=[spawn]).run("t", sink=sink)
        open_runs |= open_when_root_ended(sink.events)
        group.cancel_scope.cancel()
    assert open_runs == set()
    assert len(ended) == 1
    check_tree(sink.events)


async def test_cancelling_the_root_ends_a_child_that_a_thread_waits_for() -> None:
    began, gate = anyio.Event(), anyio.Event()

    async def answer(_: object) -> str:
        began.set()
        await gate.wait()
        return "late"

    child = Agent(FunctionModel(answer), name="child")

    @tool
    def delegate() -> str:
        """Delegate from a thread."""
        return child.run_sync("q").output

    sink = EventSink()
    async with asking(call("delegate"), tools=[delegate]).stream("t", sink=sink) as run:
        await began.wait()
        run.cancel("stop")
        with pytest.raises(RunCancelled, match="stop"):
            await run.result()
    open_runs = open_when_root_ended(sink.events)
    gate.set()
    assert open_runs == set()
    assert last_words(sink.events, "root/delegate[0]/child[0]") == "run.cancelled"
    check_tree(sink.events)


async def test_a_runs_own_tree_can_be_looked_at_while_it_lives() -> None:
    seen: list[str] = []

    @tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look at the tree."""
        seen.extend(sorted(ctx.run.tree.live))
        found = ctx.run.tree.find(ctx.run_id)
        assert isinstance(found, Run)
        assert found.path == ctx.run.path
        return str(ctx.run.tree.find("root/nobody[0]"))

    child = asking(call("look"), name="child", tools=[look])
    await asking(call("child", input="q"), subagents=[child]).run("t")
    assert seen == ["root", "root/child[0]"]
