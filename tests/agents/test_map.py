"""`Agent.map`: many tasks for one agent at once, as children of one run."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tinyagents import (
    Agent,
    ConfigError,
    EventSink,
    LimitExceeded,
    ModelError,
    Result,
    RunCancelled,
    RunContext,
    RunLimits,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def of_kind(events: Any, *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


def task_of(request: Any) -> str:
    return str(request.messages[0].text)


class Doors:
    """A model that answers each task once its door is open, and tells who has knocked."""

    def __init__(self, *tasks: str) -> None:
        self.doors = {task: anyio.Event() for task in tasks}
        self.knocked: list[str] = []
        self.most_at_once = 0
        self._inside = 0

    async def answer(self, request: Any) -> str:
        task = task_of(request)
        self.knocked.append(task)
        self._inside += 1
        self.most_at_once = max(self.most_at_once, self._inside)
        try:
            if task in self.doors:
                await self.doors[task].wait()
            else:
                await anyio.lowlevel.checkpoint()
        finally:
            self._inside -= 1
        return f"did {task}"

    def agent(self, **options: Any) -> Agent[Any, Any]:
        return Agent(FunctionModel(self.answer), name="worker", **options)


async def test_results_come_in_the_order_of_the_tasks_whoever_is_done_first() -> None:
    doors = Doors("a", "b", "c")
    order: list[str] = []
    results: list[Result[Any]] = []

    async def open_backwards() -> None:
        for task in ("c", "b", "a"):
            await anyio.wait_all_tasks_blocked()
            order.append(task)
            doors.doors[task].set()

    async with anyio.create_task_group() as group:
        group.start_soon(open_backwards)
        results += await doors.agent().map(["a", "b", "c"])
    assert order == ["c", "b", "a"]
    assert [result.output for result in results] == ["did a", "did b", "did c"]
    assert [result.path for result in results] == [f"root/worker[{n}]" for n in range(3)]


async def test_they_are_children_of_one_run() -> None:
    sink = EventSink()
    results = await Doors().agent().map(["a"], sink=sink, run_id="m")
    assert results[0].run_id == "m/worker[0]"
    assert outline(sink.events) == [
        "run.started map",
        "subagent.started worker",
        "  run.started worker",
        "  model.started",
        "  model.completed",
        "  run.completed",
        "subagent.completed worker",
        "run.completed",
    ]
    ended = sink.events[-1].data
    assert ended["output"] == ["completed"]
    assert ended["tree_usage"]["requests"] == 1
    check_tree(sink.events)


async def test_each_result_has_the_events_of_its_own_run() -> None:
    results = await Doors().agent().map(["a", "b"])
    for n, result in enumerate(results):
        assert {event.path for event in result.events} == {f"root/worker[{n}]"}


@pytest.mark.parametrize("most", [1, 2, 5, 100])
async def test_no_more_run_at_once_than_allowed(most: int) -> None:
    doors = Doors()
    tasks = [str(n) for n in range(12)]
    results = await doors.agent().map(tasks, max_concurrency=most)
    assert doors.most_at_once == min(most, 12)
    assert [result.output for result in results] == [f"did {task}" for task in tasks]
    check_tree(results[0].sink.events)


async def test_no_tasks_make_no_results() -> None:
    sink = EventSink()
    assert await Doors().agent().map([], sink=sink) == []
    check_tree(sink.events)


@pytest.mark.parametrize("most", [0, -1])
async def test_room_for_nobody_is_refused(most: int) -> None:
    with pytest.raises(ConfigError, match=f"max_concurrency={most}"):
        await Doors().agent().map(["a"], max_concurrency=most)


async def test_a_text_is_no_list_of_tasks() -> None:
    with pytest.raises(ConfigError, match="list of tasks"):
        await Doors().agent().map("abc")


# --- failures -----------------------------------------------------------------------------------


async def test_one_failure_harms_no_other() -> None:
    async def answer(request: Any) -> Any:
        task = task_of(request)
        await anyio.lowlevel.checkpoint()
        errors = {"bad": ModelError("down"), "worse": RuntimeError("boom"), "mute": ""}
        return errors.get(task, f"did {task}")

    sink = EventSink()
    agent = Agent(FunctionModel(answer), name="worker")
    results = await agent.map(["a", "bad", "b", "worse", "mute", "c"], sink=sink)
    assert [result.status for result in results] == [
        "completed", "failed", "completed", "failed", "failed", "completed",
    ]  # fmt: skip
    assert [type(result.error).__name__ for result in results] == [
        "NoneType", "ModelError", "NoneType", "RuntimeError", "InvalidOutput", "NoneType",
    ]  # fmt: skip
    assert [result.output for result in results][::2] == ["did a", "did b", None]
    assert results[1].messages[0].text == "bad"
    check_tree(sink.events)


async def test_a_task_nobody_can_do_is_a_failed_result() -> None:
    wrong: Any = object()
    results = await Doors().agent().map(["a", wrong, "b"])
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    assert isinstance(results[1].error, TypeError)
    assert results[1].path == "root/worker[1]"
    check_tree(results[0].sink.events)


async def test_a_child_that_hangs_is_cut_off_alone() -> None:
    doors = Doors("slow")
    agent = doors.agent(limits=RunLimits(max_seconds=0.02))
    results = await agent.map(["a", "slow", "b"])
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    assert isinstance(results[1].error, LimitExceeded)
    check_tree(results[0].sink.events)


async def test_a_child_with_on_limit_return_is_a_limited_result() -> None:
    doors = Doors("slow")
    agent = doors.agent(limits=RunLimits(max_seconds=0.02, on_limit="return"))
    results = await agent.map(["a", "slow"])
    assert [result.status for result in results] == ["completed", "limited"]
    check_tree(results[0].sink.events)


async def test_cancelling_one_child_leaves_the_others_alone() -> None:
    @tool
    async def give_up(ctx: RunContext[Any]) -> str:
        """Cancel the own run."""
        ctx.run.cancel("hopeless")
        await anyio.lowlevel.checkpoint()
        return "never"

    def answer(request: Any) -> Any:
        return call("give_up") if task_of(request) == "hard" else f"did {task_of(request)}"

    sink = EventSink()
    agent = Agent(FunctionModel(answer), name="worker", tools=[give_up])
    results = await agent.map(["a", "hard", "b"], sink=sink)
    assert [result.status for result in results] == ["completed", "cancelled", "completed"]
    error = results[1].error
    assert isinstance(error, RunCancelled)
    assert error.reason == "hopeless"
    check_tree(sink.events)


# --- limits of all together ---------------------------------------------------------------------


async def test_the_limits_hold_for_all_together() -> None:
    sink = EventSink()
    results = (
        await Doors()
        .agent()
        .map([str(n) for n in range(6)], limits=RunLimits(max_requests=4), sink=sink)
    )
    assert [result.status for result in results].count("completed") == 4
    refused = [result for result in results if result.status == "failed"]
    assert {type(result.error) for result in refused} == {LimitExceeded}
    assert sum(result.usage.requests for result in results) == 4
    check_tree(sink.events)


async def test_no_more_children_than_the_tree_may_have() -> None:
    results = await Doors().agent().map(["a", "b", "c"], limits=RunLimits(max_runs=3))
    assert [result.status for result in results].count("completed") == 2
    assert [str(result.error) for result in results if result.error][0].startswith("max_runs=3")
    check_tree(results[0].sink.events)


async def test_time_running_out_keeps_what_is_done() -> None:
    doors = Doors("slow")
    sink = EventSink()
    with pytest.raises(LimitExceeded) as caught:
        await doors.agent().map(
            ["a", "slow", "b"], limits=RunLimits(max_seconds=0.05), sink=sink, max_concurrency=3
        )
    assert (caught.value.limit, caught.value.path) == ("max_seconds", "root")
    kept = caught.value.result
    assert (kept.status, kept.path) == ("failed", "root")
    assert [each.status for each in kept.output] == ["completed", "cancelled", "completed"]
    assert [each.output for each in kept.output] == ["did a", None, "did b"]
    assert kept.tree_usage.requests == 2
    check_tree(sink.events)


async def test_with_on_limit_return_what_is_done_is_returned() -> None:
    doors = Doors("slow")
    sink = EventSink()
    results = await doors.agent().map(
        ["a", "slow", "waiting"],
        limits=RunLimits(max_seconds=0.05, on_limit="return"),
        sink=sink,
        max_concurrency=1,
    )
    assert [result.status for result in results] == ["completed", "cancelled", "cancelled"]
    assert doors.knocked == ["a", "slow"]
    assert results[1].messages[0].text == "slow"
    assert results[2].messages == ()
    check_tree(sink.events)


async def test_cancelling_all_keeps_what_is_done() -> None:
    doors = Doors("slow")
    sink = EventSink()

    @tool
    async def fan_out() -> str:
        """Fan out."""
        try:
            await doors.agent().map(["a", "slow"])
        except BaseException as error:
            kept: Any = error
            done.extend(each.status for each in kept.result.output)
            raise
        return "never"

    done: list[str] = []
    boss = Agent(ScriptedModel([call("fan_out")]), tools=[fan_out])
    async with boss.stream("t", sink=sink) as run:
        async for event in run:
            if event.kind == "run.completed":
                break
        while len(doors.knocked) < 2:
            await anyio.lowlevel.checkpoint()
        run.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
    assert done == ["completed", "cancelled"]
    check_tree(sink.events)


# --- in a tree ----------------------------------------------------------------------------------


async def test_a_map_in_a_tool_inherits_limits_and_depth() -> None:
    @tool
    async def fan_out() -> str:
        """Fan out."""
        results = await Doors().agent().map(["a", "b", "c"], max_concurrency=1)
        return " ".join(result.status for result in results)

    boss = Agent(
        ScriptedModel([call("fan_out"), "done"]), tools=[fan_out], limits=RunLimits(max_requests=3)
    )
    with pytest.raises(LimitExceeded) as caught:
        await boss.run("t")
    assert caught.value.result.messages[2].text == "completed completed failed"
    check_tree(caught.value.result.events)

    boss = Agent(ScriptedModel([call("fan_out"), "done"]), tools=[fan_out])
    result = await boss.run("t", limits=RunLimits(max_depth=1))
    assert result.messages[2].text == "failed failed failed"
    assert max(event.depth for event in result.events) == 1
    check_tree(result.events)


async def test_two_maps_in_one_tool_have_addresses_of_their_own() -> None:
    @tool
    async def fan_out() -> str:
        """Fan out twice."""
        agent = Doors().agent()
        results = await agent.map(["a"]) + await agent.map(["b"])
        return " ".join(result.path for result in results)

    result = await Agent(ScriptedModel([call("fan_out"), "done"]), tools=[fan_out]).run("t")
    assert result.messages[2].text == (
        "root/fan_out[0]/map[0]/worker[0] root/fan_out[0]/map[1]/worker[0]"
    )
    check_tree(result.events)
