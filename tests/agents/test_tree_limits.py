"""Limits that a whole tree shares: nobody overspends, whoever runs beside whom."""

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyagents import (
    Agent,
    AssistantMessage,
    BudgetExceeded,
    EventSink,
    LimitExceeded,
    Result,
    RunContext,
    RunLimits,
    SubAgent,
    Text,
    ToolMessage,
    Usage,
    tool,
)
from tinyagents.models.protocol import ModelReply
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


class Meter(FunctionModel):
    """A model that counts what it is asked, and writes as much as it may, up to `wants` tokens.

    It reads no more than budgets estimate, and a token costs a micro-dollar.
    """

    def __init__(self, script: Any = None, *, wants: int = 100) -> None:
        super().__init__(self._answer, name="meter")
        self._script = script
        self._wants = wants
        self.asked = 0
        self.spent = 0
        self.at_once = 0
        self.most_at_once = 0

    async def _answer(self, request: Any) -> Any:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.lowlevel.checkpoint()
        self.at_once -= 1
        most = request.settings.max_output_tokens
        writes = self._wants if most is None else min(self._wants, most)
        reads = sum(len(m.text) // 4 + 4 for m in request.messages if m.role != "assistant")
        self.spent += reads + writes
        usage = Usage(requests=1, input_tokens=reads, output_tokens=writes)
        said: Any = self._script(request) if self._script else "ok"
        parts = (Text(said),) if isinstance(said, str) else tuple(said)
        stop: Any = "stop" if isinstance(said, str) else "tool_calls"
        return ModelReply(AssistantMessage(parts), usage, stop, "meter")

    def cost(self, usage: Usage) -> float:
        return usage.total_tokens * 1e-6


def fan(n: int, names: tuple[str, ...] = ("child",)) -> Any:
    """A script: delegate `n` tasks to each in one turn, then say "done"."""

    def answer(request: Any) -> Any:
        if request.messages[-1].role == "tool":
            return "done"
        return [call(name, input=f"task {k}") for name in names for k in range(n)]

    return answer


def of_kind(events: Any, *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


def errors(result: Result[Any]) -> list[dict[str, Any]]:
    told = [m for m in result.messages if isinstance(m, ToolMessage) and m.failed]
    return [json.loads(message.text)["error"] for message in told]


# --- siblings -----------------------------------------------------------------------------------


async def test_siblings_cannot_overspend_requests() -> None:
    meter = Meter()
    sink = EventSink()
    boss = Agent(Meter(fan(10)), subagents=[Agent(meter, name="child")])
    with pytest.raises(LimitExceeded) as caught:
        await boss.run("t", sink=sink, limits=RunLimits(max_requests=6))
    assert (caught.value.limit, caught.value.path) == ("max_requests", "root")
    assert meter.asked == 5
    told = errors(caught.value.result)
    assert [error["category"] for error in told] == ["limit"] * 5
    assert caught.value.result.tree_usage.requests == 6
    assert len(of_kind(sink.events, "subagent.failed")) == 5
    check_tree(sink.events)


async def test_siblings_cannot_overspend_tool_calls() -> None:
    done: list[int] = []

    @tool
    async def work(n: int) -> str:
        """Work."""
        done.append(n)
        return "ok"

    def answer(request: Any) -> Any:
        if request.messages[-1].role == "tool":
            return "done"
        return [call("work", n=0), call("work", n=1)]

    child = Agent(FunctionModel(answer), name="child", tools=[work])
    sink = EventSink()
    boss = Agent(ScriptedModel([[call("child", input=f"{n}") for n in range(4)], "done"]),
                 subagents=[child])  # fmt: skip
    result = await boss.run("t", sink=sink, limits=RunLimits(max_tool_calls=9))
    assert len(done) <= 9 - 4
    assert 4 + len(done) >= 8  # one call that was admitted with a refused one may stay undone
    assert {error["category"] for error in errors(result)} == {"limit"}
    assert "limit.reached max_tool_calls" in [line.strip() for line in outline(sink.events)]
    check_tree(sink.events)


async def test_siblings_cannot_overspend_tokens() -> None:
    meter = Meter(wants=400)
    boss_model = Meter(fan(8), wants=10)
    sink = EventSink()
    boss = Agent(boss_model, subagents=[Agent(meter, name="child")])
    limits = RunLimits(max_tokens=1_000, on_limit="return")
    result = await boss.run("t", sink=sink, limits=limits)
    assert boss_model.spent + meter.spent <= 1_000
    assert result.tree_usage.total_tokens == boss_model.spent + meter.spent
    assert 2 <= meter.asked < 8
    refused = of_kind(sink.events, "budget.exceeded")
    assert {event.data["limit"] for event in refused} == {"max_tokens"}
    assert {event.data["path"] for event in refused} == {"root"}
    check_tree(sink.events)


async def test_siblings_cannot_overspend_money() -> None:
    meter = Meter(wants=400)
    boss_model = Meter(fan(8), wants=10)
    sink = EventSink()
    boss = Agent(boss_model, subagents=[Agent(meter, name="child")])
    result = await boss.run("t", sink=sink, limits=RunLimits(max_usd=0.001, on_limit="return"))
    assert result.cost == pytest.approx((boss_model.spent + meter.spent) * 1e-6)
    assert result.cost is not None
    assert result.cost <= 0.001
    assert meter.asked < 8
    assert {event.data["limit"] for event in of_kind(sink.events, "budget.exceeded")} == {"max_usd"}
    check_tree(sink.events)


async def test_siblings_wait_for_each_other_where_the_budget_covers_only_one() -> None:
    meter = Meter(wants=50)
    sink = EventSink()
    child = Agent(meter, name="child", limits=RunLimits(max_output_tokens=300))
    boss = Agent(Meter(fan(4), wants=10), subagents=[child])
    result = await boss.run("t", sink=sink, limits=RunLimits(max_tokens=500, max_output_tokens=300))
    assert result.output == "done"
    assert errors(result) == []
    assert meter.asked == 4
    assert meter.most_at_once == 1
    check_tree(sink.events)


async def test_no_more_siblings_live_at_once_than_allowed() -> None:
    meter = Meter()
    sink = EventSink()
    boss = Agent(Meter(fan(6)), subagents=[Agent(meter, name="child")])
    result = await boss.run("t", sink=sink, limits=RunLimits(max_live_runs=4))
    assert meter.asked == 3
    assert ["max_live_runs=4 of root reached" in error["message"] for error in errors(result)] == [
        True
    ] * 3
    check_tree(sink.events)


async def test_a_place_that_is_free_again_can_be_taken() -> None:
    meter = Meter()
    boss = Agent(Meter(fan(6)), subagents=[Agent(meter, name="child")], max_concurrency=3)
    result = await boss.run("t", limits=RunLimits(max_live_runs=4))
    assert errors(result) == []
    assert meter.asked == 6
    check_tree(result.events)


async def test_the_whole_tree_may_have_only_so_many_runs() -> None:
    leaf = Agent(Meter(), name="leaf")
    middle = Agent(Meter(fan(2, ("leaf",))), name="middle", subagents=[leaf])
    boss = Agent(Meter(fan(3, ("middle",))), subagents=[middle])
    sink = EventSink()
    await boss.run("t", sink=sink, limits=RunLimits(max_runs=7))
    assert len(of_kind(sink.events, "run.started")) == 7
    assert len(of_kind(sink.events, "limit.reached")) == 3
    check_tree(sink.events)


async def test_by_default_a_tree_has_a_thousand_runs() -> None:
    child = Agent(FunctionModel(lambda _: "ok"), name="child")

    @tool
    async def many() -> str:
        """Delegate without end."""
        try:
            while True:
                await child.run("q")
        except LimitExceeded as error:
            return f"{error.limit}={error.allowed}"

    boss = Agent(ScriptedModel([call("many"), "done"]), tools=[many])
    result = await boss.run("t", limits=RunLimits(max_requests=10_000))
    assert result.messages[2].text == "max_runs=1000"
    assert len(of_kind(result.events, "run.started")) == 1_000
    check_tree(result.events)


async def test_the_deadline_of_the_root_ends_all_siblings() -> None:
    async def hang(_: Any) -> str:
        await anyio.sleep_forever()
        return "never"

    sink = EventSink()
    boss = Agent(Meter(fan(5)), subagents=[Agent(FunctionModel(hang), name="child")])
    with pytest.raises(LimitExceeded) as caught:
        await boss.run("t", sink=sink, limits=RunLimits(max_seconds=0.03))
    assert (caught.value.limit, caught.value.path) == ("max_seconds", "root")
    assert len(of_kind(sink.events, "subagent.cancelled")) == 5
    assert len(of_kind(sink.events, "limit.reached")) == 1
    check_tree(sink.events)


# --- slices -------------------------------------------------------------------------------------


async def test_a_childs_budget_is_a_slice_and_the_unused_part_returns() -> None:
    meter = Meter(wants=20)
    child = Agent(meter, name="child", limits=RunLimits(max_tokens=300))
    sink = EventSink()
    boss = Agent(Meter(fan(1)), subagents=[child])
    await boss.run("t", sink=sink, limits=RunLimits(max_tokens=10_000))
    [reserved] = of_kind(sink.events, "budget.reserved")
    [released] = of_kind(sink.events, "budget.released")
    assert (reserved.path, released.path) == ("root/child[0]", "root/child[0]")
    assert reserved.data["limits"] == {"max_tokens": 300}
    assert released.data["unused"] == {"max_tokens": 300 - meter.spent}
    check_tree(sink.events)


async def test_what_a_child_has_set_aside_its_siblings_cannot_spend() -> None:
    began, gate = anyio.Event(), anyio.Event()
    left: list[float] = []

    async def wait(_: Any) -> str:
        began.set()
        await gate.wait()
        return "ok"

    @tool
    async def look(ctx: RunContext[Any]) -> str:
        """See what is left."""
        await began.wait()
        requests = ctx.run.accounts.requests
        assert requests is not None
        left.append(requests.left)
        gate.set()
        return "ok"

    reserved = Agent(FunctionModel(wait), name="child", limits=RunLimits(max_requests=6))
    boss = Agent(
        ScriptedModel([[call("child", input="q"), call("look")], "done"]),
        subagents=[reserved],
        tools=[look],
    )
    result = await boss.run("t", limits=RunLimits(max_requests=10))
    assert left == [10 - 1 - 6]
    assert errors(result) == []
    check_tree(result.events)


async def test_a_slice_is_never_more_than_what_is_left() -> None:
    child = Agent(Meter(), name="child", limits=RunLimits(max_requests=500))
    sink = EventSink()
    await Agent(Meter(fan(1)), subagents=[child]).run(
        "t", sink=sink, limits=RunLimits(max_requests=9)
    )
    [reserved] = of_kind(sink.events, "budget.reserved")
    assert reserved.data["limits"] == {"max_requests": 8}
    check_tree(sink.events)


async def test_a_slice_of_nothing_is_refused_before_the_child_begins() -> None:
    meter = Meter()
    child = Agent(meter, name="child", limits=RunLimits(max_tool_calls=5))
    sink = EventSink()
    boss = Agent(Meter(fan(1)), subagents=[child])
    result = await boss.run("t", sink=sink, limits=RunLimits(max_tool_calls=1))
    [error] = errors(result)
    assert error["category"] == "limit"
    assert meter.asked == 0
    assert of_kind(sink.events, "subagent.started") == []
    check_tree(sink.events)


@pytest.mark.parametrize("ending", ["failed", "cancelled", "refused"])
async def test_a_slice_comes_back_however_its_child_ends(ending: str) -> None:
    async def end(request: Any) -> Any:
        if ending == "failed":
            raise RuntimeError("boom")
        return call("give_up")

    @tool
    async def give_up(ctx: RunContext[Any]) -> str:
        """Cancel the own run."""
        ctx.run.cancel("hopeless")
        await anyio.lowlevel.checkpoint()
        return "never"

    left: list[float] = []

    @tool
    async def look(ctx: RunContext[Any]) -> str:
        """See what is left."""
        tokens = ctx.run.accounts.tokens
        assert tokens is not None
        left.append(tokens.left + tokens.used)
        return "ok"

    child = Agent(
        FunctionModel(end), name="child", tools=[give_up], limits=RunLimits(max_tokens=400)
    )
    script = [call("child", input="1"), call("child", input="2"), call("look"), "done"]
    boss = Agent(ScriptedModel(script), subagents=[child], tools=[look])
    runs = 1 if ending == "refused" else 10
    result = await boss.run("t", limits=RunLimits(max_tokens=5_000, max_runs=runs))
    assert left == [5_000]
    assert len(errors(result)) == 2
    check_tree(result.events)


async def test_limits_of_the_agent_the_delegation_and_the_tree_all_hold() -> None:
    def endless(_: Any) -> Any:
        return [call("child_tool")]

    @tool
    async def child_tool() -> str:
        """Do nothing."""
        return "ok"

    def child(own: int | None, delegated: int | None) -> SubAgent:
        agent = Agent(
            Meter(endless),
            name="child",
            tools=[child_tool],
            limits=RunLimits(max_requests=own),
        )
        return SubAgent(agent, limits=RunLimits(max_requests=delegated))

    for own, delegated, tree, wanted in (
        (3, 5, 99, 3),
        (5, 3, 99, 3),
        (None, 4, 99, 4),
        (9, 9, 5, 4),
    ):
        boss = Agent(Meter(fan(1)), subagents=[child(own, delegated)])
        sink = EventSink()
        limits = RunLimits(max_requests=tree, on_limit="return")
        await boss.run("t", sink=sink, limits=limits)
        [failed] = of_kind(sink.events, "subagent.failed")
        assert f"max_requests={wanted} of root/child[0]" in failed.data["error"]["message"]
        check_tree(sink.events)


async def test_a_limit_that_is_used_up_ends_every_level_with_a_typed_error() -> None:
    leaf = Agent(Meter(), name="leaf")
    middle = Agent(Meter(fan(1, ("leaf",))), name="middle", subagents=[leaf])
    boss = Agent(Meter(fan(1, ("middle",))), subagents=[middle])
    sink = EventSink()
    with pytest.raises(LimitExceeded) as caught:
        await boss.run("t", sink=sink, limits=RunLimits(max_requests=2))
    assert caught.value.path == "root"
    failed = of_kind(sink.events, "subagent.failed")
    assert [event.data["path"] for event in failed] == ["root/middle[0]/leaf[0]", "root/middle[0]"]
    assert {event.data["error"]["type"] for event in failed} == {"LimitExceeded"}
    assert of_kind(sink.events, "run.completed") == []
    check_tree(sink.events)


async def test_with_on_limit_return_the_root_gives_its_last_words() -> None:
    def answer(request: Any) -> Any:
        return [Text("so far: nothing"), call("child", input=f"task {len(request.messages)}")]

    boss = Agent(Meter(answer), subagents=[Agent(Meter(), name="child")])
    result = await boss.run("t", limits=RunLimits(max_requests=4, on_limit="return"))
    assert (result.status, result.output) == ("limited", "so far: nothing")
    assert isinstance(result.error, LimitExceeded)
    assert result.tree_usage.requests == 4
    assert of_kind(result.events, "run.completed")[-1].data["limit"] == "max_requests"
    check_tree(result.events)


async def test_a_budget_refusal_is_a_budget_error_for_a_direct_caller() -> None:
    caught: list[BudgetExceeded] = []

    @tool
    async def delegate() -> str:
        """Delegate something long."""
        try:
            await Agent(Meter(), name="child").run("word " * 500)
        except BudgetExceeded as error:
            caught.append(error)
        return "refused"

    boss = Agent(ScriptedModel([call("delegate"), "done"]), tools=[delegate])
    result = await boss.run("t", limits=RunLimits(max_tokens=400))
    [error] = caught
    assert (error.limit, error.allowed, error.path) == ("max_tokens", 400, "root")
    assert error.result.status == "failed"
    check_tree(result.events)


# --- whatever the tree --------------------------------------------------------------------------

shapes = st.recursive(
    st.just(()), lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=12
)
maybe = st.one_of(st.none(), st.integers(0, 12))


@given(
    shape=shapes,
    requests=maybe,
    calls=maybe,
    runs=maybe,
    live=maybe,
    tokens=st.one_of(st.none(), st.integers(0, 1_500)),
    wants=st.integers(1, 300),
    child=st.builds(
        RunLimits,
        max_requests=maybe,
        max_tool_calls=maybe,
        max_tokens=st.one_of(st.none(), st.integers(0, 600)),
        on_limit=st.sampled_from([None, "return"]),
    ),
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_tree_spends_more_than_it_may(
    backend: str, shape: Any, requests: Any, calls: Any, runs: Any, live: Any,
    tokens: Any, wants: int, child: RunLimits,
) -> None:  # fmt: skip
    meters: list[Meter] = []
    did: list[str] = []

    @tool
    async def work() -> str:
        """Work."""
        did.append("work")
        await anyio.lowlevel.checkpoint()
        return "ok"

    def agent(tree: Any, name: str) -> Agent[Any, Any]:
        below = [agent(each, f"{name}{n}") for n, each in enumerate(tree)]

        def answer(request: Any) -> Any:
            if request.messages[-1].role == "tool":
                return "done"
            return [*(call(each.name, input="go") for each in below), call("work")]

        meters.append(Meter(answer, wants=wants))
        limits = None if name == "a" else child
        return Agent(meters[-1], name=name, tools=[work], subagents=below, limits=limits)

    sink = EventSink()
    boss = agent(shape, "a")
    limits = RunLimits(
        max_requests=requests, max_tool_calls=calls, max_runs=runs, max_live_runs=live,
        max_tokens=tokens, on_limit="return",
    )  # fmt: skip

    async def main() -> None:
        try:
            result = await boss.run("go", sink=sink, limits=limits)
        except LimitExceeded:  # the root itself was one run too many
            assert runs == 0 or live == 0
            return
        usage = result.tree_usage
        assert usage.requests == sum(meter.asked for meter in meters)
        assert usage.total_tokens == sum(meter.spent for meter in meters)

    anyio.run(main, backend=backend)
    asked = sum(meter.asked for meter in meters)
    assert requests is None or asked <= requests
    assert tokens is None or sum(meter.spent for meter in meters) <= tokens
    started = of_kind(sink.events, "run.started")
    delegated = of_kind(sink.events, "subagent.started")
    assert calls is None or len(did) + len(delegated) <= calls
    assert runs is None or len(started) <= runs
    alive = 0
    for event in sink.events:
        alive += (event.kind == "run.started") - (event.kind in ENDS)
        assert live is None or alive <= live
    for event in of_kind(sink.events, "budget.released"):
        assert all(unused >= 0 for unused in event.data["unused"].values())
    check_tree(sink.events)


ENDS = ("run.completed", "run.failed", "run.cancelled")
