"""Commands that come after the last model call: one more turn, or expired with the reason."""

from typing import Any

import anyio
import pytest

from tests.agents.test_steering import Held, finish, settled
from tinyagents import (
    Agent,
    Finish,
    Inject,
    Middleware,
    Pause,
    Redirect,
    Resume,
    RunContext,
    RunLimits,
    SubAgentTool,
    Usage,
    ask_parent,
    report,
    tool,
)
from tinyagents.models.protocol import Capabilities, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call

pytestmark = pytest.mark.anyio

WHOLE = Capabilities(streaming=False)
"""Of a model that is not interrupted between the pieces of its reply."""


async def test_a_command_to_a_run_that_is_paused_after_its_last_reply_counts() -> None:
    gate = anyio.Event()
    model = ScriptedModel(["first", "second"], gate=gate, capabilities=WHOLE)
    async with Agent(model).stream("go") as run:
        await settled()
        await run.steer(Pause())
        gate.set()
        await settled()
        assert (run.status, len(model.requests)) == ("paused", 1)
        ack = await run.steer(Redirect("other"))
        await settled()
        await run.steer(Resume())
        result = await finish(run)
    assert (result.output, ack.status, ack.step) == ("second", "applied", "model-1")


async def test_a_run_that_is_paused_while_it_waits_for_its_children_takes_commands() -> None:
    child = Held("c done")
    model = ScriptedModel([call("c", input="x"), "first", "second", "third"])
    agent = Agent(model, subagents=[Agent(child.model, name="c")], background=True)
    async with agent.stream("go") as run:
        await child.asked()
        await settled()
        await run.steer(Pause())
        ack = await run.steer(Inject("more"))
        await settled()
        assert (ack.status, len(model.requests)) == ("received", 2)
        await run.steer(Resume())
        assert (await ack.wait()).step == "model-2"
        child.go_on()
        assert (await finish(run)).output in ("second", "third")


class Slow(Middleware):
    """Its hook takes its time with the first answer, and marks each."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.began, self.gate = anyio.Event(), anyio.Event()

    async def after_run(self, ctx: RunContext[Any], output: Any) -> Any:
        self.seen.append(output)
        self.began.set()
        await self.gate.wait()
        return f"{output}!"


async def test_a_command_that_comes_during_the_last_hook_leads_to_another_answer() -> None:
    slow = Slow()
    async with Agent(ScriptedModel(["first", "second"]), middleware=[slow]).stream("go") as run:
        await slow.began.wait()
        ack = await run.steer(Redirect("other"))
        slow.gate.set()
        result = await finish(run)
    assert (result.output, ack.status) == ("second!", "applied")
    assert slow.seen == ["first", "second"]


async def test_hooks_see_an_answer_that_stands_only_once() -> None:
    slow = Slow()
    model = ScriptedModel(["first", call("report", text="r"), "never"])
    agent = Agent(model, middleware=[slow], tools=[report], limits=RunLimits(max_turns=2))
    async with agent.stream("go") as run:
        await slow.began.wait()
        await run.steer(Redirect("other"))
        slow.gate.set()
        result = await finish(run)
    assert (result.output, result.status, slow.seen) == ("first!", "completed", ["first"])


@pytest.mark.parametrize("on_limit", ["raise", "return"])
@pytest.mark.parametrize("limit", ["max_tokens", "max_usd"])
async def test_a_command_that_the_budget_has_no_turn_for_expires(limit: str, on_limit: Any) -> None:
    gate = anyio.Event()
    model = ScriptedModel(
        ["the answer", "never"],
        gate=gate,
        usage=Usage(requests=1, input_tokens=90, output_tokens=9),
        usd_per_request=0.6,
    )
    bounds: Any = {"max_tokens": {"max_tokens": 100}, "max_usd": {"max_usd": 1.0}}[limit]
    async with Agent(model, limits=RunLimits(**bounds, on_limit=on_limit)).stream("go") as run:
        await settled()
        ack = await run.steer([Redirect("other"), Inject("more")])
        gate.set()
        result = await finish(run)
    assert (result.output, result.status) == ("the answer", "completed")
    assert len(model.requests) == 1
    assert (ack.status, ack.accepted) == ("expired", False)
    assert "root has its answer, and " + limit in ack.reason


async def test_news_of_a_child_that_the_budget_has_no_turn_for_leaves_the_answer() -> None:
    child = Held("c done")
    model = ScriptedModel([call("c", input="x"), "my answer", "never"], usd_per_request=0.4)
    workers = [Agent(child.model, name="c")]
    limits = RunLimits(max_usd=1.0)
    async with Agent(model, subagents=workers, background=True, limits=limits).stream("go") as run:
        await child.asked()
        await settled()
        child.go_on()
        result = await finish(run)
    assert result.output == "my answer"
    (lost,) = [e.data["reason"] for e in result.events if e.kind == "steer.expired"]
    assert "max_usd=1 of root" in lost


async def test_an_answer_stands_when_a_limit_ends_the_turn_that_was_to_better_it() -> None:
    held = Held("the answer", call("report", text="r"), "never")
    agent = Agent(held.model, tools=[report], limits=RunLimits(max_turns=2))
    async with agent.stream("go") as run:
        await held.asked()
        first = await run.steer(Inject("one"))
        held.go_on()
        await held.asked()
        second = await run.steer(Inject("two"))
        held.go_on()
        result = await finish(run)
    assert (result.output, result.status) == ("the answer", "completed")
    assert first.status == "applied"
    assert result.events[-1].data["output"] == "the answer"
    assert "limit.reached" in [event.kind for event in result.events]
    assert second.status in ("applied", "expired")


class FinishesLater(Middleware):
    """Ends the run at its second turn, once it may."""

    def __init__(self) -> None:
        self.may, self.does = anyio.Event(), anyio.Event()

    async def before_model(
        self, ctx: RunContext[Any], request: ModelRequest
    ) -> ModelRequest | ModelReply | None:
        if ctx.turn > 1:
            await self.may.wait()
            self.does.set()
            raise Finish("finished")
        return None


@pytest.mark.parametrize("at_end", ["wait", "cancel"])
async def test_a_run_that_a_hook_finishes_sees_its_children_off(at_end: Any) -> None:
    held, hook = Held("c done"), FinishesLater()
    child = SubAgentTool(Agent(held.model, name="c"), background=True, at_end=at_end)
    model = ScriptedModel([call("c", input="x"), "never"])
    agent = Agent(model, tools=[child], middleware=[hook])
    async with agent.stream("go") as run:
        await held.asked()
        hook.may.set()
        await hook.does.wait()
        await settled()
        assert (run.status == "running") == (at_end == "wait")
        late = await run.steer(Inject("one more thing"))
        held.go_on()
        result = await finish(run)
    assert result.output == "finished"
    assert late.status == "expired"
    worker = run.find("root/c[0]")
    assert worker is not None
    assert worker.status == {"wait": "completed", "cancel": "cancelled"}[at_end]
    if at_end == "wait":
        assert late.reason == "root was finished by its own code"


async def test_a_question_to_a_run_that_a_hook_has_finished_is_not_waited_for() -> None:
    hook = FinishesLater()
    hook.may.set()

    @tool
    async def later() -> str:
        await hook.does.wait()
        return "now"

    script = [call("later"), call("ask_parent", question="hue?"), "c done"]
    child = Agent(ScriptedModel(script), name="c", tools=[later, ask_parent])
    model = FunctionModel(lambda request: call("c", input="x"))
    agent = Agent(model, subagents=[child], background=True, middleware=[hook])
    async with agent.stream("go") as run:
        result = await finish(run)
    assert result.output == "finished"
    (reason,) = [e.data["reason"] for e in result.events if e.kind == "ask.expired"]
    assert reason == "root was finished by its own code"
