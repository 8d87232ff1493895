"""Time limits of calls, waits and questions stand still while a run is paused."""

import asyncio
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.agents.test_steering import Held, finish, settled
from tinyagents import (
    Agent,
    AskParent,
    EventSink,
    LimitExceeded,
    Pause,
    Resume,
    RunHandle,
    RunLimits,
    SetMetadata,
    SubAgentTool,
    ask_parent,
    hedge,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio

LIMIT_S = 0.2


async def let_it_pass() -> None:
    """Let more time pass than any limit here allows."""
    with anyio.move_on_after(1.5 * LIMIT_S):
        await anyio.sleep_forever()


async def pause_for_long(run: RunHandle[Any], to: str | None = None) -> None:
    await run.steer(Pause(), to=to)
    await let_it_pass()
    await run.steer(Resume(), to=to)


def told(messages: Any) -> list[str]:
    """What the model's calls came to, in order."""
    return [each.text for each in messages if each.role == "tool"]


@pytest.mark.parametrize("from_thread", [False, True])
async def test_the_time_of_a_tool_stands_still(from_thread: bool) -> None:
    began, gate = anyio.Event(), anyio.Event()

    @tool(timeout_s=LIMIT_S)
    async def dig() -> str:
        began.set()
        await gate.wait()
        return "dug"

    async with Agent(ScriptedModel([call("dig"), "done"]), tools=[dig]).stream("go") as run:
        await began.wait()
        if from_thread:
            await anyio.to_thread.run_sync(lambda: asyncio.run(_steer(run, Pause())))
            await let_it_pass()
            await anyio.to_thread.run_sync(lambda: asyncio.run(_steer(run, Resume())))
        else:
            await pause_for_long(run)
        gate.set()
        result = await finish(run)
    assert told(result.messages) == ["dug"]


async def _steer(run: RunHandle[Any], command: Any) -> None:
    await run.steer(command)


async def test_after_a_pause_the_rest_of_the_time_counts() -> None:
    began = anyio.Event()

    @tool(timeout_s=LIMIT_S)
    async def dig() -> str:
        began.set()
        await anyio.sleep_forever()
        return ""

    async with Agent(ScriptedModel([call("dig"), "done"]), tools=[dig]).stream("go") as run:
        await began.wait()
        await pause_for_long(run)
        with anyio.fail_after(5):
            result = await finish(run)
    assert "timed out after 0.2 s" in told(result.messages)[0]


@pytest.mark.parametrize("to", ["root", "root/c[0]"])
async def test_the_time_of_a_child_stands_still_when_it_or_its_parent_is_paused(to: str) -> None:
    held = Held("c done")
    child = SubAgentTool(Agent(held.model, name="c"), timeout_s=LIMIT_S)
    async with Agent(ScriptedModel([call("c", input="x"), "end"]), tools=[child]).stream(
        "go"
    ) as run:
        await held.asked()
        await pause_for_long(run, to)
        held.go_on()
        result = await finish(run)
    assert told(result.messages) == ["c done"]


async def test_the_time_of_a_child_stands_still_while_it_waits_for_an_answer() -> None:
    script = ScriptedModel([call("ask_parent", question="hue?"), "c done"])
    asker = Agent(script, name="c", tools=[ask_parent], limits=RunLimits(max_seconds=LIMIT_S))

    def boss(request: Any) -> Any:
        if "asks you" in request.messages[-1].text:
            return call("ask_parent", question="they ask: hue?")
        said = [each.text for each in request.messages if each.role == "tool"]
        return said[-1] if said else call("c", input="x")

    agent = Agent(FunctionModel(boss), tools=[SubAgentTool(asker, timeout_s=LIMIT_S), ask_parent])
    async with agent.stream("go") as run:
        while not run.pending():
            await settled()
        await let_it_pass()
        await run.pending()[0].answer("red")
        result = await finish(run)
    assert told(result.messages) == ["c done"]


async def test_the_clocks_of_those_above_go_on_while_a_child_asks() -> None:
    script = [call("ask_parent", question="hue?"), "c done"]
    asker = Agent(ScriptedModel(script), name="c", tools=[ask_parent])
    boss = Held(call("c", input="x"), "never")
    limits = RunLimits(max_seconds=LIMIT_S)
    agent = Agent(boss.model, subagents=[asker], background=True, limits=limits)
    async with agent.stream("go") as run:
        await boss.asked()
        boss.go_on()
        with pytest.raises(LimitExceeded, match="max_seconds=0.2 of root"):
            await run.result()
    check_tree(run.events)
    assert "ask.expired" in [event.kind for event in run.events]


async def test_waiting_for_children_is_not_timed_out_by_a_pause() -> None:
    held = Held("c done")
    boss = ScriptedModel([
        call("c", input="x"), call("wait_for_children", timeout_s=LIMIT_S), "end", "end",
    ])  # fmt: skip
    workers = [Agent(held.model, name="c")]
    async with Agent(boss, subagents=workers, background=True).stream("go") as run:
        await held.asked()
        await settled()
        await pause_for_long(run)
        held.go_on()
        result = await finish(run)
    assert told(result.messages)[1] == '{"ended":["root/c[0]"],"at_work":[]}'


async def test_the_patience_of_a_question_stands_still_in_a_pause_and_then_goes_on() -> None:
    ask = AskParent(timeout_s=LIMIT_S, default="grey")
    model = ScriptedModel([call("ask_parent", question="hue?"), "done"])
    async with Agent(model, tools=[ask]).stream("go") as run:
        while not run.pending():
            await settled()
        await run.steer(Pause())
        await let_it_pass()
        assert [each.question for each in run.pending()] == ["hue?"]
        await run.steer(Resume())
        with anyio.fail_after(5):
            result = await finish(run)
    assert told(result.messages) == ["grey"]


async def test_a_paused_hedge_starts_no_other_attempt() -> None:
    held, backup = Held("first"), ScriptedModel([])
    agents = [Agent(held.model, name="a"), Agent(backup, name="b")]

    @tool
    async def attempt() -> str:
        return str((await hedge(agents, "x", after_s=LIMIT_S)).output)

    async with Agent(ScriptedModel([call("attempt"), "end"]), tools=[attempt]).stream("go") as run:
        await held.asked()
        await pause_for_long(run)
        held.go_on()
        result = await finish(run)
    assert told(result.messages) == ["first"]
    assert run.find("root/attempt[0]/hedge[0]/b[0]") is None


async def test_a_batch_that_resumes_lets_the_patience_of_a_question_go_on() -> None:
    asker = AskParent(timeout_s=LIMIT_S, default="blue")
    painter = Agent(ScriptedModel([call("ask_parent", question="Which?"), "done"]), tools=[asker])
    async with painter.stream("go") as run:
        async for event in run:
            if event.kind == "ask.raised":
                break
        await run.steer(Pause())
        await run.steer([SetMetadata({}), Resume()])
        with anyio.fail_after(5):
            result = await finish(run)
    assert told(result.messages) == ["blue"]


class CountingSink(EventSink):
    """A sink that knows how many listeners it has had."""

    n_listeners = 0

    def subscribe(self, *args: Any, **options: Any) -> Any:
        self.n_listeners += 1
        return super().subscribe(*args, **options)


async def test_limits_of_many_calls_at_once_cost_the_tree_one_listener() -> None:
    n, n_at_work, gate = 50, 0, anyio.Event()

    @tool(timeout_s=60)
    async def dig() -> str:
        nonlocal n_at_work
        n_at_work += 1
        if n_at_work == n:
            gate.set()
        await gate.wait()
        return "dug"

    sink = CountingSink()
    digger = Agent(ScriptedModel([[call("dig")] * n, "done"]), tools=[dig], max_concurrency=n)
    await digger.run("go", sink=sink)
    assert sink.n_listeners == 1
