"""Limits: each of them, what a refusal looks like, and what is left after one."""

import math
from typing import Any

import anyio
import pytest

from tests.agents.ended import Ended, end, failure_of
from tinyagents import (
    Agent,
    BudgetExceeded,
    ConfigError,
    DepthExceeded,
    EventSink,
    Finish,
    InvalidOutput,
    LimitExceeded,
    Middleware,
    ModelError,
    Result,
    Retry,
    RunCancelled,
    RunContext,
    RunLimits,
    ToolError,
    Usage,
    tool,
)
from tinyagents.models import Capabilities, ModelReply, ModelRequest, ModelSettings
from tinyagents.testing import FunctionModel, ScriptedModel, call

pytestmark = pytest.mark.anyio


@tool
async def echo(text: str = "hi") -> str:
    return text


class Priced:
    """A scripted model that costs a dollar for each thousand tokens, or whatever it is told."""

    provider = "test"
    name = "priced"
    capabilities = Capabilities()

    def __init__(self, *script: Any, usage: Usage, usd_per_token: float | None = 0.001) -> None:
        self.scripted = ScriptedModel(script, usage=usage)
        self.stream = self.scripted.stream
        self.usd_per_token = usd_per_token

    async def request(self, request: ModelRequest) -> ModelReply:
        return await self.scripted.request(request)

    def cost(self, usage: Usage) -> float | None:
        return None if self.usd_per_token is None else usage.total_tokens * self.usd_per_token


def spending(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(requests=1, input_tokens=input_tokens, output_tokens=output_tokens)


def refused(ended: Ended, limit: str, kind: str = "limit.reached") -> dict[str, Any]:
    """The event of the one refusal there was, which the error repeats."""
    error = ended.error
    assert isinstance(error, LimitExceeded)
    (facts,) = ended.of(kind)
    assert facts["limit"] == error.limit == limit
    assert (facts["allowed"], facts["used"], facts["path"]) == (
        error.allowed, error.used, error.path,
    )  # fmt: skip
    assert facts["message"] == str(error)
    assert ended.result.status == "failed"
    assert ended.of("run.failed")[0]["error"]["type"] == type(error).__name__
    return facts


def looping() -> FunctionModel:
    return FunctionModel(lambda request: call("echo"))


# --- each limit -----------------------------------------------------------------------------------


async def test_max_turns_bounds_the_model_exchanges_of_a_run() -> None:
    ended = await end(Agent(looping(), tools=[echo], limits=RunLimits(max_turns=2)))
    assert refused(ended, "max_turns")["used"] == 2
    assert "RunLimits(max_turns=...)" in str(ended.error)
    assert len(ended.told) == 2


async def test_max_requests_bounds_the_requests_of_a_tree_with_every_try() -> None:
    def fail(request: ModelRequest) -> ModelError:
        return ModelError("busy", status=503, retryable=True)

    agent = Agent(FunctionModel(fail), retry=Retry(attempts=9, backoff_s=0))
    ended = await end(agent, limits=RunLimits(max_requests=3))
    assert refused(ended, "max_requests")["used"] == 3
    assert ended.lines.count("model.started") == 1
    assert ended.lines.count("model.retried") == 3
    assert ended.result.usage.requests == 3


async def test_max_requests_is_refused_before_a_turn_begins() -> None:
    ended = await end(Agent(looping(), tools=[echo], limits=RunLimits(max_requests=2)))
    refused(ended, "max_requests")
    assert ended.lines.count("model.started") == 2
    assert ended.lines[-2:] == ["limit.reached max_requests", "run.failed"]


async def test_max_tool_calls_bounds_the_calls_of_a_tree() -> None:
    model = FunctionModel(lambda request: [call("echo"), call("echo")])
    ended = await end(Agent(model, tools=[echo], limits=RunLimits(max_tool_calls=3)))
    assert refused(ended, "max_tool_calls")["used"] == 3
    assert ended.lines.count("tool.completed echo") == 2
    assert [failure_of(m)["category"] for m in ended.told[2:]] == ["cancelled", "cancelled"]


async def test_max_tokens_refuses_the_call_it_does_not_cover() -> None:
    model = Priced(call("echo"), call("echo"), "never", usage=spending(60, 10))
    ended = await end(Agent(model, tools=[echo], limits=RunLimits(max_tokens=100)))
    assert isinstance(ended.error, BudgetExceeded)
    facts = refused(ended, "max_tokens", "budget.exceeded")
    assert facts["used"] == 70
    assert len(model.scripted.requests) == 1
    assert ended.lines[-3:] == ["budget.exceeded max_tokens", "model.failed", "run.failed"]


async def test_max_tokens_tells_the_model_how_long_its_reply_may_be() -> None:
    model = Priced("short", "shorter", usage=spending(10, 10))
    agent = Agent(model, limits=RunLimits(max_tokens=100))
    await agent.run("go")
    await agent.with_(settings=ModelSettings(max_output_tokens=7)).run("go")
    first, second = (request.settings.max_output_tokens for request in model.scripted.requests)
    assert first is not None
    assert 50 < first < 100
    assert second == 7


async def test_a_reply_longer_than_it_may_be_is_paid_for_and_the_next_is_refused() -> None:
    model = Priced(call("echo"), "never", usage=spending(10, 500))
    ended = await end(Agent(model, tools=[echo], limits=RunLimits(max_tokens=100)))
    assert refused(ended, "max_tokens", "budget.exceeded")["used"] == 510
    assert ended.result.usage.output_tokens == 500


async def test_max_usd_refuses_the_call_it_does_not_cover() -> None:
    model = Priced(call("echo"), call("echo"), "never", usage=spending(40, 5))
    settings = ModelSettings(max_output_tokens=50)
    agent = Agent(model, tools=[echo], settings=settings, limits=RunLimits(max_usd=0.1))
    ended = await end(agent)
    assert isinstance(ended.error, BudgetExceeded)
    assert refused(ended, "max_usd", "budget.exceeded")["used"] == pytest.approx(0.09)
    assert ended.result.usage.usd == pytest.approx(0.09)
    assert ended.result.cost == pytest.approx(0.09)
    # What is left covers fewer tokens with each call.
    asked = [request.settings.max_output_tokens for request in model.scripted.requests]
    assert asked[0] == 50
    assert asked[1] is not None
    assert asked[1] < 20


async def test_max_usd_with_a_flat_price_leaves_the_length_of_the_reply_alone() -> None:
    model = ScriptedModel([call("echo"), call("echo"), "never"], usd_per_request=0.4)
    ended = await end(Agent(model, tools=[echo], limits=RunLimits(max_usd=1)))
    assert refused(ended, "max_usd", "budget.exceeded")["used"] == pytest.approx(0.8)
    first, second = (request.settings.max_output_tokens for request in model.requests)
    assert first is not None
    assert first > 1_000
    assert second == first


async def test_max_usd_with_a_model_without_a_price_is_a_mistake_and_not_a_free_ride() -> None:
    model = Priced("never", usage=spending(1, 1), usd_per_token=None)
    ended = await end(Agent(model, limits=RunLimits(max_usd=1)))
    assert isinstance(ended.error, ConfigError)
    assert "max_usd" in str(ended.error)
    assert "test:priced" in str(ended.error)
    assert model.scripted.requests == []


async def test_without_a_price_the_cost_is_not_known_rather_than_zero() -> None:
    model = Priced("ok", usage=spending(1, 1), usd_per_token=None)
    result = await Agent(model).run("go")
    assert (result.cost, result.usage.usd, result.usage.unpriced_requests) == (None, 0, 1)
    free = await Agent(ScriptedModel(["ok"])).run("go")
    assert free.cost == 0


async def test_max_seconds_bounds_the_wall_time() -> None:
    model = ScriptedModel(["never"], gate=anyio.Event())
    ended = await end(Agent(model, limits=RunLimits(max_seconds=0.01)))
    refused(ended, "max_seconds")
    assert ended.lines[-3:] == ["model.failed", "limit.reached max_seconds", "run.failed"]


async def test_max_depth_counts_from_the_root() -> None:
    leaf = Agent(ScriptedModel(["leaf"] * 9), name="leaf")
    middle = Agent(
        ScriptedModel([call("leaf", input="x"), "middle"]), name="middle", subagents=[leaf]
    )
    model = ScriptedModel([call("middle", input="y"), "root"])
    ended = await end(Agent(model, subagents=[middle], limits=RunLimits(max_depth=1)))
    assert ended.result.output == "root"
    assert [facts["limit"] for facts in ended.of("limit.reached")] == ["max_depth"]

    @tool
    async def direct() -> str:
        return (await leaf.run("z")).output

    agent = Agent(ScriptedModel([call("direct")]), tools=[direct], limits=RunLimits(max_depth=0))
    direct.on_error = "fail"
    ended = await end(agent)
    assert isinstance(ended.error, ToolError)
    assert isinstance(ended.error.__cause__, DepthExceeded)


@pytest.mark.parametrize("limit", ["max_runs", "max_live_runs"])
async def test_the_number_of_runs_is_bounded(limit: str) -> None:
    child = Agent(FunctionModel(lambda request: "child"), name="child")
    both = [call("child", input="1"), call("child", input="2")]
    model = ScriptedModel([both, "done"])
    one: dict[str, Any] = {limit: 1}
    limits = RunLimits(**one)
    ended = await end(Agent(model, subagents=[child], limits=limits))
    assert [failure_of(m)["category"] for m in ended.told] == ["limit", "limit"]
    assert [facts["limit"] for facts in ended.of("limit.reached")] == [limit, limit]
    assert ended.result.output == "done"


async def test_max_output_tokens_bounds_each_reply() -> None:
    model = ScriptedModel(["ok"])
    await Agent(model, limits=RunLimits(max_output_tokens=9)).run("go")
    assert model.requests[0].settings.max_output_tokens == 9


@pytest.mark.parametrize(
    "limits",
    [
        RunLimits(max_turns=0),
        RunLimits(max_requests=0),
        RunLimits(max_tokens=0),
        RunLimits(max_seconds=0),
    ],
)
async def test_a_limit_of_nothing_refuses_the_first_step(limits: RunLimits) -> None:
    model = ScriptedModel(["never"])
    ended = await end(Agent(model, limits=limits))
    assert isinstance(ended.error, LimitExceeded)
    assert model.requests == []


# --- what a refusal becomes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        RunLimits(max_turns=1, on_limit="return"),
        RunLimits(max_requests=1, on_limit="return"),
        RunLimits(max_tool_calls=0, on_limit="return"),
        RunLimits(max_tokens=70, on_limit="return"),
    ],
    ids=["turns", "requests", "tool_calls", "tokens"],
)
async def test_on_limit_return_gives_what_there_is_for_every_limit(limits: RunLimits) -> None:
    model = Priced(["Thinking aloud.", call("echo")], "never", usage=spending(60, 5))
    ended = await end(Agent(model, tools=[echo], limits=limits))
    assert ended.error is None
    assert (ended.result.status, ended.result.output) == ("limited", "Thinking aloud.")
    assert isinstance(ended.result.error, LimitExceeded)
    assert ended.events[-1].kind == "run.completed"
    assert ended.events[-1].data["status"] == "limited"
    assert ended.events[-1].data["output"] == "Thinking aloud."


async def test_a_deadline_with_on_limit_return_gives_what_there_is() -> None:
    @tool
    async def hang() -> str:
        await anyio.sleep_forever()
        return "never"

    model = ScriptedModel([["Thinking aloud.", call("hang")]])
    limits = RunLimits(max_seconds=0.01, on_limit="return")
    ended = await end(Agent(model, tools=[hang], limits=limits))
    assert (ended.result.status, ended.result.output) == ("limited", "Thinking aloud.")


async def test_a_limit_can_be_told_from_an_answer_of_the_same_words() -> None:
    limits = RunLimits(max_turns=1, on_limit="return")
    limited = await Agent(ScriptedModel([["42", call("echo")]]), tools=[echo], limits=limits).run(
        "?"
    )
    answered = await Agent(ScriptedModel(["42"]), limits=limits).run("?")
    assert limited.output == answered.output == "42"
    assert (limited.status, answered.status) == ("limited", "completed")


async def test_one_budget_holds_for_parent_and_child_together() -> None:
    # behaviour 82
    child = Agent(Priced("child's answer", usage=spending(50, 10)), name="child")
    model = Priced(call("child", input="x"), "never", usage=spending(50, 10))
    ended = await end(Agent(model, subagents=[child], limits=RunLimits(max_tokens=150)))
    assert isinstance(ended.error, BudgetExceeded)
    facts = refused(ended, "max_tokens", "budget.exceeded")
    assert (facts["used"], facts["allowed"], facts["path"]) == (120, 150, "root")
    assert len(model.scripted.requests) == 1
    assert ended.told[0].text == "child's answer"
    assert ended.result.usage.total_tokens == 60
    assert ended.result.tree_usage.total_tokens == 120


# --- the value itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [{"max_turns": -1}, {"max_usd": math.nan}, {"max_tokens": "5"}, {"on_limit": "retrun"}],
)
def test_a_limit_that_means_nothing_is_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"RunLimits\({name}="):
        RunLimits(**wrong)


def test_limits_are_a_frozen_value() -> None:
    limits = RunLimits(max_turns=3)
    with pytest.raises(AttributeError):
        limits.max_turns = 4  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    assert limits == RunLimits(max_turns=3)
    assert limits.narrowed(RunLimits(max_turns=5, max_usd=1)) == RunLimits(max_turns=3, max_usd=1)
    assert RunLimits().filled(limits) == limits


async def test_infinity_opens_a_limit() -> None:
    turns = 30
    model = ScriptedModel([*[call("echo")] * turns, "done"])
    ended = await end(Agent(model, tools=[echo], limits=RunLimits(max_turns=math.inf)))
    assert ended.result.output == "done"
    assert ended.lines.count("model.started") == turns + 1


# --- the partial result ---------------------------------------------------------------------------


class Fails(Middleware):
    async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> None:
        if len(request.messages) > 1:
            raise LookupError("a bug in a hook")


@tool(on_error="fail")
async def broken() -> str:
    raise ValueError("broken")


@tool
async def cancel(ctx: RunContext[Any]) -> str:
    ctx.run.cancel("enough")
    return "cancelled"


@pytest.mark.parametrize(
    ("script", "options", "error", "status"),
    [
        ([call("echo"), ModelError("down")], {}, ModelError, "failed"),
        ([call("echo"), call("broken")], {}, ToolError, "failed"),
        ([call("echo"), call("cancel")], {}, RunCancelled, "cancelled"),
        ([call("echo"), "no json"] * 2, {"output_type": int, "output_retries": 0},
         InvalidOutput, "failed"),
        ([call("echo"), "never"], {"middleware": [Fails()]}, LookupError, "failed"),
        ([call("echo"), "never"], {"limits": RunLimits(max_turns=1)}, LimitExceeded, "failed"),
        ([call("echo")], {}, ModelError, "failed"),
    ],
)  # fmt: skip
async def test_every_failure_keeps_its_partial_result(
    script: list[Any], options: dict[str, Any], error: type[Exception], status: str
) -> None:
    model = ScriptedModel(script, usage=spending(10, 1))
    sink = EventSink()
    ended = await end(
        Agent(model, tools=[echo, broken, cancel], **options), sink=sink, run_id="r-1"
    )
    assert type(ended.error) is error
    result = ended.result
    assert (result.status, result.output, result.error) == (status, None, ended.error)
    assert (result.run_id, result.path, result.sink) == ("r-1", "root", sink)
    assert result.usage.requests >= 1
    assert [m.role for m in result.messages[:3]] == ["user", "assistant", "tool"]
    assert list(result.events) == list(sink.events)


async def test_a_definition_that_cannot_run_has_no_result_and_no_events() -> None:
    sink = EventSink()
    nothing: Any = 3
    with pytest.raises(TypeError, match="a task is text"):
        await Agent("test").run(nothing, sink=sink)
    assert list(sink.events) == []


def test_a_result_says_what_the_model_said_last() -> None:
    async def run() -> Result[str]:
        @tool
        async def stop() -> str:
            raise Finish("out")

        script = [["On my way.", call("stop")]]
        return await Agent(ScriptedModel(script), tools=[stop]).run("go")

    result = anyio.run(run)
    assert (result.output, result.text) == ("out", "On my way.")
