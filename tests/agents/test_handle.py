"""The live handle: a run that is watched, cancelled and waited for while it lives."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tinyagents import (
    Agent,
    BudgetExceeded,
    ConfigError,
    EventSink,
    Finish,
    ModelError,
    RunCancelled,
    RunConflict,
    RunContext,
    RunHandle,
    RunLimits,
    tool,
)
from tinyagents.models.protocol import ModelDelta, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def asking(*calls: Any, name: str = "boss", **options: Any) -> Agent[Any, Any]:
    return Agent(ScriptedModel([list(calls), "done"]), name=name, **options)


def gated(gate: anyio.Event, *script: Any, name: str = "child", **options: Any) -> Agent[Any, Any]:
    return Agent(ScriptedModel(script, gate=gate), name=name, **options)


def stuck(began: anyio.Event, name: str = "slow") -> Agent[Any, Any]:
    async def answer(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return Agent(FunctionModel(answer), name=name)


async def watch(stream: RunHandle[Any], look: Callable[[Event], None] = lambda event: None) -> None:
    """Read a run to its end, and let `look` see each event."""
    async with stream as run:
        async for event in run:
            look(event)


def kinds(events: Sequence[Event], path: str = "root") -> list[str]:
    return [event.kind for event in events if event.path == path]


# --- watching -----------------------------------------------------------------------------------


async def test_events_of_a_grandchild_are_there_while_it_still_runs() -> None:
    gate = anyio.Event()
    middle = asking(
        call("leaf", input="q"), name="middle", subagents=[gated(gate, "leaf", name="leaf")]
    )
    boss = asking(call("middle", input="q"), subagents=[middle])
    async with boss.stream("t") as run:
        async for event in run:
            if event.kind == "model.started" and event.depth == 2:
                break
        live = outline(run.events)
        assert live[-2:] == ["    run.started leaf", "    model.started"]
        check_tree(run.events, complete=False)
        gate.set()
        rest = [each async for each in run]
        assert rest[-1].kind == "run.completed"
        result = await run.result()
    assert result.output == "done"
    check_tree(result.events)


async def test_a_childs_deltas_arrive_one_by_one() -> None:
    steps = [anyio.Event() for _ in range(3)]

    class Slow(FunctionModel):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
            for n, step in enumerate(steps):
                await step.wait()
                yield ModelDelta("text", f"piece {n} ")
            yield await self.request(request)

    child = Agent(Slow(lambda _: "piece 0 piece 1 piece 2 "), name="child")
    seen: list[str] = []
    async with asking(call("child", input="q"), subagents=[child]).stream("t") as run:
        async for event in run:
            if event.depth == 1 and event.kind == "model.delta":
                seen.append(event.data["text"])
            if event.depth == 1 and event.kind in ("model.started", "model.delta"):
                assert sum(step.is_set() for step in steps) == len(seen)
                if len(seen) < len(steps):
                    steps[len(seen)].set()
    assert seen == ["piece 0 ", "piece 1 ", "piece 2 "]


async def test_the_iteration_ends_with_the_run_and_shows_each_event_once() -> None:
    boss = asking(call("child", input="q"), subagents=[Agent("test", name="child")])
    async with boss.stream("t") as run:
        seen = [event async for event in run]
        assert [event async for event in run] == []
    assert [event.seq for event in seen] == list(range(len(seen)))
    check_tree(seen)
    assert list(run.events) == seen


async def test_who_begins_to_read_late_misses_nothing() -> None:
    async with asking().with_(model="test").stream("t") as run:
        result = await run.result()
        seen = [event async for event in run]
    assert seen == list(result.events)
    assert kinds(seen)[0] == "run.started"


async def test_a_handle_shows_its_own_run_in_a_shared_sink() -> None:
    sink = EventSink()
    await Agent("test", name="before").run("t", sink=sink)
    agent = Agent("test")
    async with (
        agent.stream("1", sink=sink, run_id="one") as one,
        agent.stream("2", sink=sink, run_id="two") as two,
    ):
        seen = [[event.run_id async for event in each] for each in (one, two)]
    assert [set(each) for each in seen] == [{"one"}, {"two"}]
    assert one.run_id == "one"
    check_tree(sink.events)


async def test_the_result_can_be_had_without_reading_and_more_than_once() -> None:
    async with Agent("test").stream("hi") as run:
        first = await run.result()
        second = await run.result()
    assert first is second
    assert first.output == "test: hi"
    assert await run.result() is first


async def test_what_has_been_spent_can_be_seen_while_it_runs() -> None:
    began = anyio.Event()
    boss = asking(
        call("quick", input="q"),
        call("slow", input="q"),
        subagents=[Agent("test", name="quick"), stuck(began)],
    )
    async with boss.stream("t") as run:
        async for event in run:
            if event.kind == "subagent.completed":
                break
        await began.wait()
        assert (run.usage.requests, run.tree_usage.requests) == (1, 2)
        assert run.usage.tool_calls == 2


async def test_using_a_run_before_it_is_opened_says_how_it_is_done() -> None:
    run = Agent("test").stream("t")
    with pytest.raises(ConfigError, match="async with"):
        await anext(aiter(run))
    with pytest.raises(ConfigError, match="async with"):
        await run.result()
    with pytest.raises(ConfigError, match="async with"):
        assert run.run_id


async def test_a_handle_is_for_one_run() -> None:
    run = Agent("test").stream("t")
    async with run:
        await run.result()
    with pytest.raises(ConfigError, match="one run"):
        async with run:
            pass


async def test_a_handle_that_is_never_opened_takes_nothing_from_its_tree() -> None:
    child = Agent("test", name="child", limits=RunLimits(max_tokens=600))

    @tool
    async def forgetful() -> str:
        """Make handles and forget them."""
        for _ in range(5):
            child.stream("forgotten")
        return (await child.run("remembered")).path

    boss = asking(call("forgetful"), tools=[forgetful])
    result = await boss.run("t", limits=RunLimits(max_tokens=5_000, max_live_runs=2, max_runs=2))
    assert result.messages[2].text == "root/forgetful[0]/child[0]"
    check_tree(result.events)


@pytest.mark.parametrize("run_id", ["root", "root/a[0]", "a/b"])
async def test_a_run_id_that_looks_like_a_path_is_refused(run_id: str) -> None:
    with pytest.raises(ConfigError, match="looks like a path"):
        await Agent("test").run("t", run_id=run_id)


async def test_a_reader_may_be_slow_with_every_policy() -> None:
    for policy in ("block", "drop_deltas", "coalesce"):
        agent = Agent("test", name="wordy")
        async with agent.stream("word " * 50, policy=policy, buffer=3) as run:
            seen: list[Event] = []
            async for event in run:
                seen.append(event)
                await anyio.lowlevel.checkpoint()
        assert kinds(seen)[0] == "run.started"
        assert kinds(seen)[-1] == "run.completed"
        if policy != "drop_deltas":
            text = "".join(event.data["text"] for event in seen if event.kind == "model.delta")
            assert text == "test: " + "word " * 50


# --- cancelling and leaving ---------------------------------------------------------------------


async def test_a_cancelled_run_says_why_and_keeps_what_there_was() -> None:
    began = anyio.Event()
    async with asking(call("slow", input="q"), subagents=[stuck(began)]).stream("t") as run:
        await began.wait()
        assert run.cancel("the human left")
        with pytest.raises(RunCancelled) as caught:
            await run.result()
        assert not run.cancel()
    error = caught.value
    assert (error.path, error.reason) == ("root", "the human left")
    assert str(error) == "root was cancelled: the human left"
    assert error.result.status == "cancelled"
    assert [message.role for message in error.result.messages] == ["user", "assistant", "tool"]
    assert kinds(run.events)[-1] == "run.cancelled"
    assert run.events[-1].data["reason"] == "the human left"
    check_tree(run.events)


async def test_a_run_can_be_cancelled_before_it_has_begun() -> None:
    model = ScriptedModel(["never"])
    async with Agent(model).stream("t") as run:
        assert run.cancel("changed my mind")
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result()
    assert model.requests == []
    check_tree(run.events)


async def test_a_run_that_has_ended_cannot_be_cancelled() -> None:
    async with Agent("test").stream("t") as run:
        result = await run.result()
        assert not run.cancel()
    assert result.status == "completed"


async def test_leaving_at_once_closes_the_run_in_order() -> None:
    sink = EventSink()
    async with Agent("test").stream("t", sink=sink):
        pass
    check_tree(sink.events)


async def test_leaving_early_cancels_the_whole_tree() -> None:
    began = anyio.Event()
    sink = EventSink()
    boss = asking(call("slow", input="q"), subagents=[stuck(began)])
    async with boss.stream("t", sink=sink) as run:
        async for event in run:
            if event.depth == 1:
                break
        await began.wait()
    ended = [event for event in sink.events if event.kind == "run.cancelled"]
    assert [event.path for event in ended] == ["root/slow[0]", "root"]
    assert "abandoned" in ended[1].data["reason"]
    check_tree(sink.events)
    with pytest.raises(RunCancelled, match="abandoned"):
        await run.result()


async def test_an_error_in_the_body_comes_out_as_it_is_and_ends_the_run() -> None:
    sink = EventSink()

    def divide(event: Event) -> None:
        if event.kind == "model.started":
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await watch(stuck(anyio.Event()).stream("t", sink=sink), divide)
    assert kinds(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


async def test_an_error_in_the_body_hides_no_error_of_its_own() -> None:
    def complain(event: Event) -> None:
        if event.kind == "run.failed":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await watch(Agent(ScriptedModel([ModelError("down")])).stream("t"), complain)


async def test_a_failed_run_is_raised_at_the_end_if_nobody_asked_for_its_result() -> None:
    with pytest.raises(ModelError, match="down") as caught:
        await watch(Agent(ScriptedModel([ModelError("down")])).stream("t"))
    assert caught.value.result.status == "failed"
    check_tree(caught.value.result.events)


async def test_a_failed_run_is_raised_once_if_its_result_was_asked_for() -> None:
    async with Agent(ScriptedModel([ModelError("down")])).stream("t") as run:
        with pytest.raises(ModelError, match="down"):
            await run.result()
    check_tree(run.events)


async def test_a_limit_is_raised_from_the_result() -> None:
    limits = RunLimits(max_tokens=1)
    async with Agent("test").stream("long " * 50, limits=limits) as run:
        with pytest.raises(BudgetExceeded):
            await run.result()
    check_tree(run.events)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("n_calls", [1, 2])
def test_an_exit_of_the_process_comes_out_of_a_stream(backend: str, n_calls: int) -> None:
    @tool
    async def leave() -> str:
        """Leave."""
        raise SystemExit(3)

    sink = EventSink()

    async def main() -> None:
        calls = [call("leave")] * n_calls
        await watch(asking(*calls, tools=[leave]).stream("t", sink=sink))

    with pytest.raises((SystemExit, BaseExceptionGroup)) as caught:
        anyio.run(main, backend=backend)
    assert "SystemExit(3)" in repr(caught.value)
    check_tree(sink.events)


async def test_a_scope_of_the_users_own_ends_the_stream_and_the_run() -> None:
    sink = EventSink()
    with anyio.move_on_after(0.01) as scope:
        async with stuck(anyio.Event()).stream("t", sink=sink) as run:
            async for _ in run:
                pass
    assert scope.cancelled_caught
    assert kinds(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


async def test_a_handle_can_be_cancelled_by_another_task() -> None:
    began = anyio.Event()
    sink = EventSink()
    caught: list[RunCancelled] = []
    async with anyio.create_task_group() as group, stuck(began).stream("t", sink=sink) as run:

        async def stop() -> None:
            await began.wait()
            run.cancel("from beside")

        group.start_soon(stop)
        try:
            await run.result()
        except RunCancelled as error:
            caught.append(error)
    assert [error.reason for error in caught] == ["from beside"]
    check_tree(sink.events)


async def test_a_run_and_the_scope_around_it_cancelled_at_once_end_as_that_scope() -> None:
    sink = EventSink()
    with anyio.CancelScope() as scope:

        @tool
        async def stop(ctx: RunContext[Any]) -> str:
            """Cancel twice."""
            ctx.run.cancel("mine")
            scope.cancel()
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
            return "never"

        await asking(call("stop"), call("stop"), tools=[stop]).run("t", sink=sink)
    assert scope.cancelled_caught
    assert kinds(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


async def test_a_stream_in_a_tool_has_deltas_of_its_own_subtree_only() -> None:
    child = asking(call("leaf", input="q"), name="child", subagents=[Agent("test", name="leaf")])

    @tool
    async def watch() -> str:
        """Watch a child."""
        async with child.stream("q") as run:
            return "".join(
                [e.data["text"] async for e in run if e.kind == "model.delta" and e.depth == 2]
            )

    boss = asking(call("watch"), call("other", input="q"), tools=[watch],
                  subagents=[Agent("test", name="other")])  # fmt: skip
    result = await boss.run("t")
    assert result.messages[2].text == "test: q"
    deltas = {event.path for event in result.events if event.kind == "model.delta"}
    assert deltas == {"root/watch[0]/child[0]", "root/watch[0]/child[0]/leaf[0]"}
    check_tree(result.events)


async def test_asking_for_the_result_releases_a_run_that_waits_for_its_reader() -> None:
    calls = [call("child", input=f"q{n}") for n in range(20)]
    boss = asking(*calls, subagents=[Agent("test", name="child")])
    async with boss.stream("t", policy="block", buffer=2) as run:
        assert (await anext(aiter(run))).kind == "run.started"
        result = await run.result()
    assert result.status == "completed"
    check_tree(result.events)


async def test_two_runs_of_one_id_cannot_be_alive_in_one_sink() -> None:
    gate = anyio.Event()
    sink = EventSink()
    agent = gated(gate, "one", "two")
    async with agent.stream("t", sink=sink, run_id="same") as run:
        assert (await anext(aiter(run))).kind == "run.started"
        with pytest.raises(RunConflict, match="'same': it is under way"):
            async with agent.stream("t", sink=sink, run_id="same"):
                pass
        gate.set()
        await run.result()
    check_tree(sink.events)


# --- many at once -------------------------------------------------------------------------------


async def test_one_definition_runs_in_many_tasks_at_once() -> None:
    agent = Agent(
        FunctionModel(
            lambda r: (
                call("child", input=r.messages[0].text)
                if r.messages[-1].role == "user"
                else f"done: {r.messages[-1].text}"
            )
        ),
        subagents=[Agent("test", name="child")],
    )
    sink = EventSink()
    outputs: dict[int, str] = {}

    async def run(n: int) -> None:
        outputs[n] = (await agent.run(f"task {n}", sink=sink, run_id=f"r{n}")).output

    async with anyio.create_task_group() as group:
        for n in range(50):
            group.start_soon(run, n)
    assert outputs == {n: f"done: test: task {n}" for n in range(50)}
    assert {event.root_run_id for event in sink.events} == {f"r{n}" for n in range(50)}
    check_tree(sink.events)


async def test_two_trees_in_one_sink_do_not_disturb_each_other() -> None:
    gates = [anyio.Event(), anyio.Event()]
    sink = EventSink()
    bosses = [
        asking(call("child", input="q"), name=f"boss{n}", subagents=[gated(gate, "ok")])
        for n, gate in enumerate(gates)
    ]
    async with (
        bosses[0].stream("t", sink=sink, run_id="a") as one,
        bosses[1].stream("t", sink=sink, run_id="b") as two,
    ):
        for run in (one, two):
            async for event in run:
                if event.kind == "model.started" and event.depth == 1:
                    break
        one.cancel("only this one")
        with pytest.raises(RunCancelled, match="only this one"):
            await one.result()
        gates[1].set()
        result = await two.result()
    assert result.output == "done"
    assert {event.root_run_id for event in result.events} == {"b"}
    assert [event.seq for event in result.events] == list(range(len(result.events)))
    check_tree(sink.events)


def test_a_task_group_of_the_user_gets_the_results() -> None:
    async def main() -> list[str]:
        agent = Agent("test")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run(f"{n}")) for n in range(5)]
        return [task.result().output for task in tasks]

    assert asyncio.run(main()) == [f"test: {n}" for n in range(5)]


def test_a_failure_in_a_users_task_group_ends_the_runs_beside_it() -> None:
    sink = EventSink()

    async def main() -> None:
        began = anyio.Event()

        async def fail() -> None:
            await began.wait()
            await Agent(ScriptedModel([ModelError("down")])).run("t", sink=sink)

        async with asyncio.TaskGroup() as group:
            group.create_task(stuck(began).run("t", sink=sink))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [type(error) for error in caught.value.exceptions] == [ModelError]
    assert sorted(event.kind for event in sink.events if event.kind.startswith("run.")) == [
        "run.cancelled", "run.failed", "run.started", "run.started",
    ]  # fmt: skip
    check_tree(sink.events)


def test_wait_for_around_a_run_ends_the_whole_tree() -> None:
    sink = EventSink()

    async def main() -> None:
        boss = asking(call("slow", input="q"), subagents=[stuck(anyio.Event())])
        await asyncio.wait_for(boss.run("t", sink=sink), 0.02)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert [event.path for event in sink.events if event.kind == "run.cancelled"] == [
        "root/slow[0]",
        "root",
    ]
    check_tree(sink.events)


def test_cancelling_the_task_of_a_run_is_a_cancellation_and_nothing_else() -> None:
    sink = EventSink()

    async def main() -> None:
        began = anyio.Event()
        boss = asking(call("slow", input="q"), subagents=[stuck(began)])
        task = asyncio.create_task(boss.run("t", sink=sink))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert task.cancelled()
        kept: Any = caught.value
        assert kept.result.status == "cancelled"

    asyncio.run(main())
    check_tree(sink.events)


def test_a_run_and_its_task_cancelled_at_once_end_as_a_cancelled_task() -> None:
    sink = EventSink()

    async def main() -> None:
        began = anyio.Event()
        inside: list[Any] = []

        @tool
        async def hang(ctx: RunContext[Any]) -> str:
            """Hang."""
            inside.append(ctx.run)
            began.set()
            await anyio.sleep_forever()
            return "never"

        task = asyncio.create_task(asking(call("hang"), tools=[hang]).run("t", sink=sink))
        await began.wait()
        inside[0].cancel("mine")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert kinds(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


def test_gather_and_shield_of_asyncio_work() -> None:
    async def main() -> list[str]:
        agent = Agent("test")
        done = await asyncio.gather(*(agent.run(f"{n}") for n in range(3)))
        shielded = await asyncio.shield(agent.run("shielded"))
        return [*(result.output for result in done), shielded.output]

    assert asyncio.run(main()) == ["test: 0", "test: 1", "test: 2", "test: shielded"]


def test_a_run_whose_loop_is_stopped_still_closes() -> None:
    sink = EventSink()

    async def main() -> None:
        began = anyio.Event()
        boss = asking(call("slow", input="q"), subagents=[stuck(began)])
        left = asyncio.create_task(boss.run("t", sink=sink))
        await began.wait()
        assert not left.done()

    asyncio.run(main())
    assert kinds(sink.events)[-1] == "run.cancelled"
    check_tree(sink.events)


def test_a_cancellation_of_something_else_does_not_look_like_the_hosts() -> None:
    @tool
    async def wait_for_a_cancelled_task() -> str:
        """Wait."""
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task
        return "never"

    boss = Agent(
        ScriptedModel([call("wait_for_a_cancelled_task")]), tools=[wait_for_a_cancelled_task]
    )
    sink = EventSink()
    with pytest.raises(RunCancelled, match="something it waited for was cancelled"):
        asyncio.run(boss.run("t", sink=sink))
    check_tree(sink.events)


async def test_a_listener_that_raises_a_signal_steers_no_run() -> None:
    def steer(event: Event) -> None:
        raise Finish("mine") if event.kind == "tool.started" else asyncio.CancelledError

    sink = EventSink()
    sink.subscribe(steer)
    result = await asking(call("child", input="q"), subagents=[Agent("test", name="child")]).run(
        "t", sink=sink
    )
    assert result.output == "done"
    check_tree(sink.events)
