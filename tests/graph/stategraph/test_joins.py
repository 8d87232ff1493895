"""Where arms meet: what a join waits for, how often its target runs, and when it never can."""

from collections.abc import Sequence
from typing import Any, Literal

import anyio
import pytest

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    fail,
    hang,
    nodes_in,
    nothing,
    of,
    raises,
    run,
    says,
)
from tinyagents import ConfigError
from tinyagents.graph import (
    END,
    START,
    Command,
    GraphError,
    Join,
    NodeContext,
    Send,
    StateGraph,
    join,
)

pytestmark = pytest.mark.anyio


def nodes(*names: str) -> StateGraph[Log]:
    """A graph of nodes that say their names; nothing leads anywhere yet."""
    graph = StateGraph(Log)
    for name in names:
        graph.add_node(name, says(name))
    return graph


def spread(*payloads: Any, to: str = "work") -> Any:
    def route(state: Log) -> list[Send]:
        return [Send(to, payload) for payload in payloads]

    return route


def staggered(spec: Join | Sequence[str]) -> StateGraph[Log]:
    """Three arms of one, two and three nodes, that meet."""
    graph = nodes("a", "b", "b2", "c", "c2", "c3", "end")
    for name in "abc":
        graph.add_edge(START, name)
    graph.add_edge("b", "b2").add_sequence("c", "c2", "c3")
    return graph.add_edge(spec, "end").add_edge("end", END)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", [["a", "b2", "c3"], join("a", "b2", "c3", wait_for=3)])
async def test_a_join_runs_once_after_the_last_of_its_arms(spec: Any, mode: Any) -> None:
    """Behaviour 106: predecessors of unequal length."""
    result = await run(staggered(spec).compile(mode=mode))
    assert nodes_in(result).count("end") == 1
    assert result.output.said[-1] == "end"
    assert sorted(result.output.said) == ["a", "b", "b2", "c", "c2", "c3", "end"]
    (after,) = [after for node, after in of(result.events, "node.started", "node", "after")
                if node == "end"]  # fmt: skip
    assert sorted(after) == ["root/a[0]", "root/b2[0]", "root/c3[0]"]


async def test_any_goes_on_with_the_first_and_only_once() -> None:
    result = await run(staggered(join("a", "b2", "c3", wait_for="any")).compile())
    assert result.output.said.index("end") == 5  # a, b, c; then b2, c2; and end in the same step
    assert nodes_in(result).count("end") == 1
    assert "c3" in result.output.said


async def test_a_number_goes_on_with_so_many() -> None:
    result = await run(staggered(join("a", "b2", "c3", wait_for=2)).compile())
    started = dict(of(result.events, "node.started", "node", "step"))
    assert started["end"] == started["b2"] + 1
    assert nodes_in(result).count("end") == 1


async def test_the_first_of_several_tasks_is_not_the_whole_source() -> None:
    """A source has arrived when none of its tasks is still to come."""
    seen: list[int] = []

    async def end(state: Log) -> None:
        seen.append(len(state.said))

    graph = nodes("begin").add_node("end", end)

    async def work(n: int, ctx: NodeContext) -> Command:
        """Each sends the next one, some steps long."""
        goto = [Send("work", n - 1)] if n else None
        return Command(update={"said": [f"work {n}"]}, also=goto)

    graph.add_node("work", work, goto=["work"])
    graph.add_conditional_edges(START, spread(2, 0), ["work"])
    graph.add_edge(START, "begin").add_edge(["begin", "work"], "end").add_edge("end", END)
    result = await run(graph.compile())
    assert nodes_in(result).count("work") == 4
    assert seen == [5]


@pytest.mark.parametrize("mode", MODES)
async def test_an_arm_that_is_not_taken_is_not_waited_for(mode: Any) -> None:
    """Behaviour 107: `wait_for="reached"` is what there is called relief."""
    graph = nodes("pick", "left", "right", "right2", "end")

    def route(state: Log) -> Literal["left"]:
        return "left"

    graph.add_edge(START, "pick").add_conditional_edges("pick", route, ["left", "right"])
    graph.add_edge("right", "right2")
    graph.add_edge(join("left", "right2", wait_for="reached"), "end").add_edge("end", END)
    result = await run(graph.compile(mode=mode))
    assert result.output.said == ["pick", "left", "end"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_long_arm_that_was_taken_is_waited_for(mode: Any) -> None:
    """Behaviour 107: a branch of several hops does not let the join go early."""
    graph = nodes("pick", "left", "right", "right2", "right3", "never", "end")

    def route(state: Log) -> list[str]:
        return ["left", "right"]

    graph.add_edge(START, "pick")
    graph.add_conditional_edges("pick", route, ["left", "right", "never"])
    graph.add_sequence("right", "right2", "right3")
    graph.add_edge(join("left", "right3", "never", wait_for="reached"), "end")
    result = await run(graph.add_edge("end", END).compile(mode=mode))
    assert sorted(result.output.said[:-1]) == ["left", "pick", "right", "right2", "right3"]
    assert result.output.said[-1] == "end"
    assert nodes_in(result).count("end") == 1


async def test_a_join_that_waits_for_what_never_comes_is_told() -> None:
    graph = nodes("pick", "left", "right", "end")

    def route(state: Log) -> Literal["left"]:
        return "left"

    graph.add_edge(START, "pick").add_conditional_edges("pick", route, ["left", "right"])
    graph.add_edge(["left", "right"], "end").add_edge("end", END)
    error, partial = await fail(graph.compile(ignore={"JOIN_DEADLOCK"}), GraphError)
    assert error.has("JOIN_STARVED")
    for told in ("test_joins.py:", "into 'end'", "waits for right", "wait_for='reached'"):
        assert told in str(error)
    assert partial.output.said == ["pick", "left"]
    (finding,) = error.findings
    assert finding.nodes == ("left", "right")


async def test_a_join_that_nobody_came_to_is_no_mistake() -> None:
    graph = nodes("pick", "a", "b", "end")

    def route(state: Log) -> str:
        return "out"

    async def both(state: Log) -> None: ...

    graph.add_node("both", both).add_edge(START, "pick")
    graph.add_conditional_edges("pick", route, {"in": "both", "out": END})
    graph.add_edge("both", "a").add_edge("both", "b")
    graph.add_edge(["a", "b"], "end").add_edge("end", END)
    assert (await run(graph.compile())).output.said == ["pick"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_join_in_a_loop_starts_anew_each_round(mode: Any) -> None:
    graph = nodes("go", "a", "b", "b2", "meet")

    def route(state: Log) -> str:
        return "go" if state.said.count("meet") < 3 else END

    graph.add_edge(START, "go").add_edge("go", "a").add_sequence("go", "b", "b2")
    graph.add_edge(["a", "b2"], "meet").add_conditional_edges("meet", route, ["go", END])
    result = await run(graph.compile(mode=mode))
    assert [result.output.said.count(each) for each in ("go", "a", "b2", "meet")] == [3, 3, 3, 3]
    assert of(result.events, "node.started", "path")[-1] == "root/meet[2]"


@pytest.mark.parametrize("mode", MODES)
async def test_any_in_a_loop_goes_on_once_a_round(mode: Any) -> None:
    graph = nodes("go", "a", "b", "meet")

    def route(state: Log) -> str:
        return "go" if state.said.count("meet") < 3 else END

    graph.add_edge(START, "go").add_edge("go", "a").add_edge("go", "b")
    graph.add_edge(join("a", "b", wait_for="any"), "meet")
    graph.add_conditional_edges("meet", route, ["go", END])
    result = await run(graph.compile(mode=mode))
    assert nodes_in(result).count("meet") == 3


@pytest.mark.parametrize("mode", MODES)
async def test_any_in_a_loop_goes_on_although_an_arm_was_late(mode: Any) -> None:
    """What was late in one round, and went elsewhere, takes nothing from the next."""

    async def b2(state: Log) -> Command[Literal["__end__"]]:
        return Command(goto="__end__")

    def route(state: Log) -> str:
        return "go" if state.said.count("meet") < 3 else END

    graph = nodes("go", "a", "b", "meet", "rest", "rest2").add_node(b2)
    graph.add_edge(START, "go").add_edge("go", "a").add_sequence("go", "b", "b2")
    graph.add_edge(join("a", "b2", wait_for="any"), "meet").add_sequence("meet", "rest", "rest2")
    graph.add_conditional_edges("rest2", route, ["go", END])
    result = await run(graph.compile(mode=mode))
    assert nodes_in(result).count("meet") == 3


@pytest.mark.parametrize("mode", MODES)
async def test_who_comes_after_any_was_satisfied_is_not_counted(mode: Any) -> None:
    """Neither a second source, nor a second visit of the first one, starts the target again."""
    graph = nodes("a", "b", "b2", "c", "meet").add_edge(START, "a").add_sequence(START, "b", "b2")
    graph.add_edge("b2", "a").add_edge("b", "c")
    graph.add_edge(join("a", "c", wait_for="any"), "meet").add_edge("meet", END)
    result = await run(graph.compile(mode=mode, ignore={"DOUBLE_RUN"}))
    assert [result.output.said.count(each) for each in ("a", "c", "meet")] == [2, 1, 1]


@pytest.mark.parametrize("mode", MODES)
async def test_the_tasks_of_a_late_source_are_all_late(mode: Any) -> None:
    graph = nodes("quick", "work", "meet").add_edge(START, "quick")
    graph.add_conditional_edges(START, spread({}, {}, {}), ["work"])
    graph.add_edge(join("quick", "work", wait_for="any"), "meet").add_edge("meet", END)
    result = await run(graph.compile(mode=mode, max_concurrency=1))
    assert [nodes_in(result).count(each) for each in ("work", "meet")] == [3, 1]


@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_fan_out_goes_on_behind_its_join(mode: Any) -> None:
    graph = nodes("work", "end").add_edge("end", END)
    graph.add_conditional_edges(START, spread(), ["work"]).add_edge(["work"], "end")
    result = await run(graph.compile(mode=mode))
    assert result.output.said == ["end"]
    assert of(result.events, "route.selected") == [{"node": START, "path": None, "to": []}]


@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_goto_goes_on_behind_what_was_declared(mode: Any) -> None:
    async def plan(state: Log) -> Command:
        return Command(goto=[], update={"said": ["plan"]})

    graph = nodes("work", "polish", "end").add_node("plan", plan, goto=["work"])
    graph.add_edge(START, "plan").add_edge("work", "polish")
    graph.add_edge(["polish"], "end").add_edge("end", END)
    result = await run(graph.compile(mode=mode))
    # Nobody works: what stands behind `work` on its plain edges goes on.
    assert result.output.said == ["plan", "polish", "end"]


async def test_an_empty_fan_out_beside_a_full_one_keeps_the_join_waiting() -> None:
    graph = nodes("left", "right", "slow", "end").add_node("begin", nothing)
    graph.add_edge(START, "begin").add_edge("begin", "slow")
    graph.add_conditional_edges("begin", spread(to="left"), ["left"])
    graph.add_conditional_edges("slow", spread(1, 2, to="right"), ["right"])
    graph.add_edge(["left", "right"], "end").add_edge("end", END)
    result = await run(graph.compile())
    assert result.output.said == ["slow", "right", "right", "end"]


async def test_two_joins_with_the_same_sources_run_both_targets() -> None:
    graph = nodes("a", "b", "x", "y").add_edge(START, "a").add_edge(START, "b")
    graph.add_edge(["a", "b"], "x").add_edge(["a", "b"], "y").add_edge("x", END).add_edge("y", END)
    assert (await run(graph.compile())).output.said == ["a", "b", "x", "y"]


async def test_two_joins_into_one_node_in_one_step_meet_in_one_task() -> None:
    graph = nodes("a", "b", "c", "d", "end")
    for name in "abcd":
        graph.add_edge(START, name)
    graph.add_edge(["a", "b"], "end").add_edge(["c", "d"], "end").add_edge("end", END)
    result = await run(graph.compile())
    assert nodes_in(result).count("end") == 1
    assert len(of(result.events, "node.started", "after")[-1]) == 4


async def test_a_join_may_lead_to_the_end() -> None:
    graph = nodes("a", "b").add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], END)
    assert (await run(graph.compile())).output.said == ["a", "b"]


async def test_a_goto_goes_past_the_join() -> None:
    async def b(state: Log) -> Command[Literal["__end__"]]:
        return Command(goto="__end__", update={"said": ["b"]})

    graph = nodes("a", "end").add_node(b).add_edge(START, "a").add_edge(START, "b")
    graph.add_edge(join("a", "b", wait_for="reached"), "end").add_edge("end", END)
    result = await run(graph.compile())
    assert result.output.said == ["a", "b", "end"]
    graph = nodes("a", "end").add_node(b).add_edge(START, "a").add_edge(START, "b")
    graph.add_edge(["a", "b"], "end").add_edge("end", END)
    error, _ = await fail(graph.compile(), GraphError)
    assert "waits for b" in str(error)


async def test_also_leaves_the_edges_as_they_are() -> None:
    async def a(state: Log) -> Command:
        return Command(also="note", update={"said": ["a"]})

    graph = nodes("b", "note").add_node("a", a, goto=["note"])
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", END).add_edge("note", END)
    assert (await run(graph.compile())).output.said == ["a", "b", "note"]


async def test_a_reached_join_does_not_wait_for_what_lies_behind_itself() -> None:
    graph = nodes("a", "b", "meet", "more")

    def route(state: Log) -> str:
        return "a" if state.said.count("meet") < 2 else END

    graph.add_edge(START, "a").add_edge("a", "b")
    graph.add_edge(join("a", "b", wait_for="reached"), "meet")
    graph.add_edge("meet", "more").add_conditional_edges("more", route, ["a", END])
    result = await run(graph.compile())
    assert result.output.said == ["a", "b", "meet", "more"] * 2


async def test_failures_of_several_arms_come_to_the_join_together() -> None:
    seen: list[str] = []

    async def end(state: Log, ctx: NodeContext) -> None:
        seen.extend(each.node for each in ctx.failures)

    graph = nodes("a", "c").add_node("b", raises(ValueError("b")))
    graph.add_node("d", raises(ValueError("d"))).add_node(end)
    graph.add_edge(START, "a").add_edge(START, "b").add_edge(START, "c").add_edge("c", "d")
    graph.add_edge(["a", "b", "d"], "end").add_edge("end", END)
    result = await run(graph.compile(fail="collect"))
    assert seen == ["b", "d"]
    assert [each.node for each in result.failures] == ["b", "d"]


async def test_a_join_starves_on_a_source_that_goes_elsewhere_under_collect() -> None:
    graph = nodes("a", "c", "end").add_node("b", raises(ValueError("b")), on_error="c")
    graph.add_edge(START, "a").add_edge(START, "b").add_edge("c", END)
    graph.add_edge(["a", "b"], "end").add_edge("end", END)
    error, _ = await fail(graph.compile(), GraphError)
    assert error.has("JOIN_STARVED")


@pytest.mark.parametrize("mode", MODES)
async def test_the_winner_of_any_does_not_wait_for_a_slow_one_in_eager_mode(mode: Any) -> None:
    graph = nodes("quick", "end").add_node("slow", hang)
    graph.add_edge(START, "quick").add_edge(START, "slow")
    graph.add_edge(join("quick", "slow", wait_for="any"), "end").add_edge("end", END)
    async with graph.compile(mode=mode).stream() as live:
        await anyio.wait_all_tasks_blocked()
        is_there = "end" in of(live.events, "node.started", "node")
        assert is_there == (mode == "eager")
        live.cancel()


@pytest.mark.parametrize(
    ("sources", "options", "told"),
    [
        ((), {}, "give the names of the nodes"),
        (("a", 5), {}, "give the names of the nodes"),
        (("a", "b"), {"wait_for": 3}, "there are 2 nodes to wait for"),
        (("a",), {"wait_for": 0}, "for a number of tasks of one node use min_ok="),
        (("a",), {"wait_for": "some"}, "'all', 'any', 'reached'"),
        (("a",), {"min_ok": -1}, "give a number from 0 on"),
    ],
)
def test_a_join_that_means_nothing_is_refused(
    sources: tuple[Any, ...], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        join(*sources, **options)


def test_a_source_named_twice_counts_once() -> None:
    assert join("a", "b", "a").sources == ("a", "b")
