"""Failed model calls: tried again, handed to another model, or answered from memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.agents.ended import end
from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    Image,
    LimitExceeded,
    ModelError,
    ModelSettings,
    Retry,
    RunCancelled,
    RunLimits,
    Text,
    Thinking,
    Usage,
    tool,
)
from tinyagents.models import Capabilities, ModelDelta, ModelReply, ModelRequest
from tinyagents.resilience import Cache, Fallback
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio

QUICK = Retry(backoff_s=0.001, jitter=0)


def busy(**facts: Any) -> ModelError:
    return ModelError("busy", provider="test", model="own", status=503, retryable=True, **facts)


def refused() -> ModelError:
    return ModelError("no such key", provider="test", model="own", status=401)


@tool
async def echo(text: str = "hi") -> str:
    return text


# --- trying again ---------------------------------------------------------------------------------


async def test_a_passing_failure_is_tried_again_with_growing_waits() -> None:
    # behaviour 78
    model = ScriptedModel([busy(), busy(), busy(), "at last"])
    ended = await end(Agent(model, retry=QUICK))
    assert ended.result.output == "at last"
    retries = ended.of("model.retried")
    assert [(each["attempt"], each["delay_s"]) for each in retries] == [
        (1, 0.001), (2, 0.002), (3, 0.004),
    ]  # fmt: skip
    assert {each["reason"] for each in retries} == {"error"}
    assert retries[0]["error"]["type"] == "ModelError"
    assert ended.lines.count("model.started") == ended.lines.count("model.completed") == 1
    assert ended.result.usage.requests == 4


async def test_what_will_not_pass_is_not_tried_again() -> None:
    # behaviour 78: 401
    model = ScriptedModel([refused(), "never"])
    ended = await end(Agent(model, retry=QUICK))
    assert isinstance(ended.error, ModelError)
    assert ended.error.status == 401
    assert len(model.requests) == 1
    assert ended.of("model.retried") == []


async def test_attempts_count_the_first_try_and_end_in_the_last_error() -> None:
    errors = [busy(request_id=f"req-{n}") for n in range(3)]
    model = ScriptedModel([*errors, "never"])
    ended = await end(Agent(model, retry=replace(QUICK, attempts=3)))
    assert ended.error is errors[2]
    assert len(model.requests) == 3
    assert ended.result.usage.requests == 3
    once = ScriptedModel([busy(), "never"])
    ended = await end(Agent(once, retry=replace(QUICK, attempts=1)))
    assert isinstance(ended.error, ModelError)
    assert len(once.requests) == 1


async def test_each_turn_has_all_its_attempts() -> None:
    model = ScriptedModel([busy(), call("echo"), busy(), "done"])
    ended = await end(Agent(model, tools=[echo], retry=replace(QUICK, attempts=2)))
    assert ended.result.output == "done"


def test_the_wait_doubles_up_to_its_longest() -> None:
    # behaviour 78, the documented backoff
    retry = Retry(attempts=99, jitter=0)
    waits = [retry.delay_s(failed, busy()) for failed in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert retry.delay_s(98, busy()) == 30
    assert retry.delay_s(99, busy()) is None
    assert Retry(attempts=5_000, jitter=0).delay_s(4_000, busy()) == 30


def test_jitter_only_adds() -> None:
    retry = Retry(backoff_s=1, jitter=0.5)
    waits = [retry.delay_s(1, busy()) for _ in range(200)]
    assert all(wait is not None and 1 <= wait <= 1.5 for wait in waits)
    assert len(set(waits)) > 1


def test_retry_after_lengthens_the_wait_and_never_shortens_it() -> None:
    # behaviour 78
    retry = Retry(backoff_s=2, jitter=0, max_retry_after_s=60)
    assert retry.delay_s(1, busy(retry_after_s=10)) == 10
    assert retry.delay_s(1, busy(retry_after_s=0.1)) == 2
    assert retry.delay_s(1, busy(retry_after_s=3_600)) == 60


async def test_the_wait_a_provider_asks_for_is_waited() -> None:
    model = ScriptedModel([busy(retry_after_s=0.004), "ok"])
    ended = await end(Agent(model, retry=QUICK))
    assert ended.of("model.retried")[0]["delay_s"] == 0.004


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"backoff_s": -1}, {"jitter": float("nan")}, {"max_backoff_s": -1}]
)
def test_a_retry_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"Retry\({name}="):
        Retry(**wrong)


async def test_a_wait_ends_with_the_run() -> None:
    slow = Retry(backoff_s=1_000, max_backoff_s=1_000)
    model = ScriptedModel([busy(), "never"])
    with anyio.fail_after(5):
        ended = await end(Agent(model, retry=slow, limits=RunLimits(max_seconds=0.01)))
    assert isinstance(ended.error, LimitExceeded)
    told = anyio.Event()
    agent = Agent(ScriptedModel([busy(), "never"]), retry=slow)
    with anyio.fail_after(5):
        async with agent.stream("go") as run:
            async for event in run:
                if event.kind == "model.retried":
                    run.cancel("too slow")
                    told.set()
            with pytest.raises(RunCancelled):
                await run.result()
    assert told.is_set()
    check_tree(run.events)


class HalfWay(FunctionModel):
    """Fails in the middle of its first stream."""

    def __init__(self) -> None:
        super().__init__(lambda request: "all of it")
        self.n_streams = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        self.n_streams += 1
        if self.n_streams == 1:
            yield ModelDelta("text", "all ")
            raise busy()
        async with aclosing(super().stream(request)) as pieces:
            async for piece in pieces:
                yield piece


async def test_a_stream_that_breaks_in_the_middle_is_tried_again() -> None:
    model = HalfWay()
    async with Agent(model, retry=QUICK).stream("go") as run:
        assert (await run.result()).output == "all of it"
    check_tree(run.events)
    kinds = [event.kind for event in run.events]
    assert kinds.index("model.retried") > kinds.index("model.delta")
    after = [e.data["text"] for e in run.events if e.kind == "model.delta"][1:]
    assert "".join(after) == "all of it"


class Endless(HalfWay):
    """Its stream ends without a reply."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        yield ModelDelta("text", "all ")


async def test_a_stream_without_a_reply_is_a_failure_that_may_pass() -> None:
    async with Agent(Endless(), retry=replace(QUICK, attempts=2)).stream("go") as run:
        with pytest.raises(ModelError, match="ended without a reply") as caught:
            await run.result()
    check_tree(run.events)
    assert caught.value.retryable
    assert [event.kind for event in run.events].count("model.retried") == 1


# --- other models ---------------------------------------------------------------------------------


async def test_another_model_answers_when_the_own_one_has_failed_for_good() -> None:
    # behaviour 79
    own = ScriptedModel([busy(), busy(), call("echo")], name="own")
    spare = ScriptedModel(["spare's answer"], name="spare")
    agent = Agent(own, retry=replace(QUICK, attempts=2), middleware=[Fallback(spare)])
    ended = await end(agent)
    assert ended.result.output == "spare's answer"
    assert len(own.requests) == 2
    assert spare.requests[0].messages[-1].text == "go"
    (facts,) = ended.of("model.fallback")
    assert (facts["to"], facts["skipped"]) == ("test:spare", False)
    assert facts["error"]["message"].startswith("test:own: busy")
    assert facts["call_id"] == "model-0"
    assert ended.of("model.completed")[0]["model"] == "spare"
    assert ended.result.usage.requests == 3


async def test_what_cannot_do_the_work_is_skipped_and_said_so() -> None:
    # behaviour 79: ineligible candidates are skipped with an event
    blind = ScriptedModel(["never"], name="blind", capabilities=Capabilities())
    clumsy = ScriptedModel(
        ["never"], name="clumsy", capabilities=Capabilities(tools=False, images=True)
    )
    able = ScriptedModel(["seen"], name="able")
    agent = Agent(
        ScriptedModel([refused()], name="own"),
        tools=[echo],
        middleware=[Fallback(blind, clumsy, able)],
    )
    ended = await end(agent, ["what is this?", Image(url="https://example.com/a.png")])
    assert ended.result.output == "seen"
    steps = [(e["to"], e["skipped"], e.get("lacking")) for e in ended.of("model.fallback")]
    assert steps == [
        ("test:blind", True, "images"), ("test:clumsy", True, "tools"), ("test:able", False, None),
    ]  # fmt: skip


async def test_each_model_is_asked_in_its_turn_and_the_last_error_is_raised() -> None:
    # behaviour 79: repeated names terminate, because the list does
    own = ScriptedModel([refused()] * 9, name="own")
    spare = ScriptedModel([ModelError("also down", model="spare")] * 9, name="spare")
    agent = Agent(own, middleware=[Fallback(own, spare, spare)])
    ended = await end(agent)
    assert isinstance(ended.error, ModelError)
    assert "also down" in str(ended.error)
    assert (len(own.requests), len(spare.requests)) == (2, 2)
    asked = [facts["to"] for facts in ended.of("model.fallback")]
    assert asked == ["test:own", "test:spare", "test:spare"]
    assert ended.lines[-2:] == ["model.failed", "run.failed"]


async def test_a_limit_is_no_reason_to_ask_another_model() -> None:
    spare = ScriptedModel(["never"], name="spare")
    own = ScriptedModel([busy()] * 9, name="own")
    agent = Agent(own, retry=QUICK, middleware=[Fallback(spare)], limits=RunLimits(max_requests=2))
    ended = await end(agent)
    assert isinstance(ended.error, LimitExceeded)
    assert spare.requests == []


def test_a_fallback_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="at least one model"):
        Fallback()
    with pytest.raises(ConfigError, match="'nonsense'"):
        Fallback("nonsense")


# --- from memory ----------------------------------------------------------------------------------


def cached(model: FunctionModel, cache: Cache, **options: Any) -> Agent[Any, Any]:
    return Agent(model, middleware=[cache], **options)


async def test_the_same_request_is_answered_from_memory_and_costs_nothing() -> None:
    # behaviour 83
    model = ScriptedModel(
        ["first", "second"], usage=Usage(requests=1, input_tokens=5), usd_per_request=0.1
    )
    cache = Cache()
    agent = cached(model, cache)
    paid = await end(agent)
    free = await end(agent)
    assert (paid.result.output, free.result.output) == ("first", "first")
    assert len(model.requests) == len(cache) == 1
    assert paid.result.cost == pytest.approx(0.1)
    assert (free.result.usage, free.result.cost) == (Usage(), 0)
    assert paid.of("model.cached") == []
    (facts,) = free.of("model.cached")
    assert facts["call_id"] == "model-0"
    assert free.lines.count("model.started") == free.lines.count("model.completed") == 1


async def test_an_answer_from_memory_is_streamed_where_models_stream() -> None:
    # behaviour 83: deltas are replayed
    cache = Cache()
    agent = cached(ScriptedModel(["two words"]), cache)
    await agent.run("go")
    async with agent.stream("go") as run:
        assert (await run.result()).output == "two words"
    check_tree(run.events)
    deltas = [event.data for event in run.events if event.kind == "model.delta"]
    assert "".join(data["text"] for data in deltas) == "two words"
    assert {data["call_id"] for data in deltas} == {"model-0"}


async def test_calls_from_memory_are_performed_again_under_their_own_ids() -> None:
    cache = Cache()
    model = ScriptedModel([[call("echo"), call("echo", text="b")], "done"])
    agent = cached(model, cache, tools=[echo])
    first, second = await end(agent), await end(agent)
    assert [m.text for m in second.told] == ["hi", "b"]
    assert len({m.call_id for m in second.told}) == 2
    assert second.result.output == first.result.output == "done"
    assert len(model.requests) == 2


async def test_another_request_is_another_answer() -> None:
    cache = Cache()
    model = FunctionModel(lambda request: f"to {request.messages[-1].text}")
    agent = cached(model, cache)
    other = Agent(FunctionModel(lambda request: "other", name="other"), middleware=[cache])
    assert (await agent.run("a")).output == "to a"
    assert (await agent.run("b")).output == "to b"
    for changed in (
        agent.with_(instructions="Be nice."),
        agent.with_(settings=ModelSettings(temperature=0)),
        agent.with_(tools=[echo]),
        other,
    ):
        before = len(cache)
        await changed.run("a")
        assert len(cache) == before + 1


async def test_failures_are_not_kept() -> None:
    cache = Cache()
    agent = cached(ScriptedModel([refused(), "better now"]), cache)
    assert isinstance((await end(agent)).error, ModelError)
    assert len(cache) == 0
    assert (await agent.run("go")).output == "better now"


async def test_what_is_old_or_too_much_is_forgotten() -> None:
    now = 0.0
    asked: list[str] = []

    def answer(request: ModelRequest) -> str:
        asked.append(request.messages[-1].text)
        return "ok"

    agent = cached(FunctionModel(answer), Cache(max_entries=2, max_age_s=10, clock=lambda: now))
    for task in ("a", "b", "a", "c", "a", "b"):
        await agent.run(task)
    assert asked == ["a", "b", "c", "b"]  # "b" was the longest unused when "c" came
    now = 11
    await agent.run("b")
    assert asked[-2:] == ["b", "b"]


async def test_thinking_from_memory_is_told_again() -> None:
    thought = AssistantMessage((Thinking("Hmm."), Text("Tea.")))
    agent = cached(ScriptedModel([thought]), Cache())
    await agent.run("go")
    ended = await end(agent)
    assert [facts["text"] for facts in ended.of("thinking")] == ["Hmm."]
