"""Tasks of a step run side by side; what they write is applied in their order, not the clock's."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Meter,
    Node,
    Text,
    fail,
    nodes_in,
    of,
    run,
    says,
)
from tinyagents.graph import END, START, Command, Graph, GraphError, NodeContext, Send, StateGraph

pytestmark = pytest.mark.anyio


def fan(nodes: dict[str, Node], **options: Any) -> Graph[Log]:
    """A node `start` that all of these follow, and a node `end` that waits for them."""
    graph = StateGraph(Log).add_node("start", says("start")).add_node("end", says("end"))
    graph.add_edge(START, "start").add_edge("end", END)
    for name, node in nodes.items():
        graph.add_node(name, node).add_edge("start", name)
    return graph.add_edge(list(nodes), "end").compile(**options)


def spread(names: str, to: str = "work") -> Any:
    def route(state: Log) -> list[Send]:
        return [Send(to, name) for name in names]

    return route


class Backwards:
    """Nodes that all wait for each other, and finish in the opposite order of their edges."""

    def __init__(self, names: str) -> None:
        self.names = names
        self.ended: list[str] = []
        self._here: set[str] = set()
        self._all_here = anyio.Event()
        self._done = {name: anyio.Event() for name in names}

    def node(self, name: str) -> Node:
        after = self.names[self.names.index(name) + 1 :][:1]

        async def run(state: Log) -> dict[str, Any]:
            self._here.add(name)
            if len(self._here) == len(self.names):
                self._all_here.set()
            await (self._done[after] if after else self._all_here).wait()
            self.ended.append(name)
            self._done[name].set()
            return {"said": [name]}

        return run


@pytest.mark.parametrize("mode", MODES)
async def test_branches_run_at_once_and_are_merged_in_the_order_of_their_edges(mode: Any) -> None:
    """Behaviour 101: a task's path and step take the place of fork numbers."""
    back = Backwards("abcd")
    result = await run(fan({name: back.node(name) for name in "abcd"}, mode=mode))
    assert back.ended == ["d", "c", "b", "a"]
    assert result.output.said == ["start", "a", "b", "c", "d", "end"]
    assert result.steps == 3
    started = of(result.events, "node.started", "path", "step", "after")
    # Trio starts the tasks of a step in any order; what each is called is settled before.
    assert sorted(started[1:5]) == [(f"root/{each}[0]", 1, ["root/start[0]"]) for each in "abcd"]
    assert nodes_in(result, "node.completed") == ["start", "d", "c", "b", "a", "end"]


async def test_the_merge_follows_the_order_of_a_goto() -> None:
    """Behaviour 101: with a goto in place of edges."""

    async def start(state: Log) -> Command:
        return Command(goto=["c", "a", "b"])

    back = Backwards("cab")
    graph = StateGraph(Log).add_node("start", start, goto=["a", "b", "c"]).add_edge(START, "start")
    for name in "abc":
        graph.add_node(name, back.node(name)).add_edge(name, END)
    assert (await run(graph.compile())).output.said == ["c", "a", "b"]


@pytest.mark.parametrize("mode", MODES)
async def test_one_at_a_time_comes_to_the_same_state(mode: Any) -> None:
    """Behaviour 102: and only one task runs at once."""
    meters = {limit: Meter() for limit in (1, 64)}
    states: list[Any] = []
    for limit, meter in meters.items():
        nodes = {name: meter.node(name, turns=3) for name in "abcd"}
        states.append((await run(fan(nodes, max_concurrency=limit, mode=mode))).output)
    assert [meter.most for meter in meters.values()] == [1, 4]
    assert states[0] == states[1]


@pytest.mark.parametrize("mode", MODES)
async def test_a_long_branch_does_not_keep_short_ones_from_starting(mode: Any) -> None:
    """Behaviour 103: a rolling window of `max_concurrency`."""
    meter, others_done = Meter(), anyio.Event()

    async def long(state: Log) -> dict[str, Any]:
        meter.now += 1
        await others_done.wait()
        meter.now -= 1
        return {"said": ["long"]}

    async def last(state: Log) -> dict[str, Any]:
        made: dict[str, Any] = await meter.node("last")(state)
        others_done.set()
        return made

    nodes = {"long": long, **{name: meter.node(name) for name in "abcd"}, "last": last}
    result = await run(fan(nodes, max_concurrency=2, mode=mode))
    assert meter.most == 2
    assert meter.ended == ["a", "b", "c", "d", "last"]
    assert result.output.said == ["start", "long", "a", "b", "c", "d", "last", "end"]


@pytest.mark.parametrize("mode", MODES)
async def test_each_send_is_a_task_of_its_own_and_goes_where_it_says(mode: Any) -> None:
    """Behaviour 104: with its argument, in order, and its own goto."""

    async def work(given: str, ctx: NodeContext) -> Command:
        update = {"said": [f"{ctx.path} {given}"]}
        return Command(goto="odd" if given == "b" else "even", update=update)

    graph = (
        StateGraph(Log)
        .add_node("work", work, goto=["odd", "even"])
        .add_node("odd", says("odd"))
        .add_node("even", says("even"))
        .add_conditional_edges(START, spread("abc"), ["work"])
        .add_edge("odd", END)
        .add_edge("even", END)
        .compile(mode=mode)
    )
    result = await run(graph)
    assert result.output.said[:3] == ["root/work[0] a", "root/work[1] b", "root/work[2] c"]
    after = dict(of(result.events, "node.started", "path", "after"))
    if mode == "superstep":
        assert result.output.said[3:] == ["even", "odd"]
        assert after["root/even[0]"] == ["root/work[0]", "root/work[2]"]
    else:  # there is no step in which the two could meet
        assert sorted(result.output.said[3:]) == ["even", "even", "odd"]
    assert after["root/odd[0]"] == ["root/work[1]"]


async def test_those_who_go_to_a_node_by_name_in_one_step_meet_in_one_task() -> None:
    """Behaviour 105: duplicates collapse, and the node reads the state, not an argument."""
    given: list[Any] = []

    async def start(state: Log) -> Command:
        return Command(goto=["work", "work"], update={"said": ["start"]})

    async def work(state: Log) -> None:
        given.append(state)

    graph = (
        StateGraph(Log)
        .add_node("start", start, goto=["work"])
        .add_node(work)
        .add_edge(START, "start")
        .add_edge("work", END)
        .compile()
    )
    result = await run(graph)
    assert nodes_in(result) == ["start", "work"]
    assert [state.said for state in given] == [["start"]]


async def test_two_arrows_into_a_node_within_one_step_make_one_task() -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("b", says("b"))
    graph.add_node("c", says("c")).add_edge(START, "a").add_edge(START, "b")
    graph.add_edge("a", "c").add_edge("b", "c").add_edge("c", END)
    result = await run(graph.compile(ignore={"DOUBLE_RUN"}))
    assert result.output.said == ["a", "b", "c"]
    assert of(result.events, "node.started", "after")[-1] == ["root/a[0]", "root/b[0]"]


async def test_an_unequal_diamond_of_plain_edges_runs_its_end_twice() -> None:
    graph = StateGraph(Log)
    for name in ("a", "b", "b2", "end"):
        graph.add_node(name, says(name))
    graph.add_edge(START, "a").add_sequence("a", "end", END)
    graph.add_edge(START, "b").add_sequence("b", "b2", "end")
    result = await run(graph.compile(ignore={"DOUBLE_RUN"}))
    assert result.output.said == ["a", "b", "end", "b2", "end"]


def test_an_unequal_diamond_without_a_join_is_told_at_compile_time() -> None:
    graph = StateGraph(Log)
    for name in ("a", "b", "b2", "end"):
        graph.add_node(name, says(name))
    graph.add_edge(START, "a").add_sequence("a", "end", END)
    graph.add_edge(START, "b").add_sequence("b", "b2", "end")
    (finding,) = graph.compile().findings
    assert (finding.code, finding.severity) == ("DOUBLE_RUN", "warning")
    assert "join('a', 'b2')" in finding.hint


@pytest.mark.parametrize("mode", MODES)
async def test_a_join_makes_an_unequal_diamond_run_its_end_once(mode: Any) -> None:
    graph = StateGraph(Log)
    for name in ("a", "b", "b2", "end"):
        graph.add_node(name, says(name))
    graph.add_edge(START, "a").add_edge(START, "b").add_edge("b", "b2")
    graph.add_edge(["a", "b2"], "end").add_edge("end", END)
    result = await run(graph.compile(mode=mode))
    assert nodes_in(result).count("end") == 1
    assert sorted(result.output.said[:-1]) == ["a", "b", "b2"]
    assert result.output.said[-1] == "end"


async def test_what_siblings_write_is_not_seen_before_the_barrier() -> None:
    first_done = anyio.Event()
    seen: list[list[str]] = []

    async def first(state: Log) -> dict[str, Any]:
        first_done.set()
        return {"said": ["first"]}

    async def second(state: Log) -> dict[str, Any]:
        await first_done.wait()
        await anyio.lowlevel.checkpoint()
        seen.append(list(state.said))
        return {"said": ["second"]}

    async def end(state: Log) -> None:
        seen.append(list(state.said))

    await run(fan({"first": first, "second": second, "last": end}))
    assert seen == [["start"], ["start"]]


async def test_an_eager_node_starts_while_a_slow_one_elsewhere_goes_on() -> None:
    went_on = anyio.Event()

    async def slow(state: Log) -> dict[str, Any]:
        await went_on.wait()
        return {"said": ["slow"]}

    async def quick2(state: Log) -> dict[str, Any]:
        went_on.set()
        return {"said": [f"quick2 saw {', '.join(state.said)}"]}

    def build(mode: Any) -> Graph[Log]:
        graph = StateGraph(Log).add_node(slow).add_node("quick", says("quick")).add_node(quick2)
        graph.add_node("end", says("end")).add_edge(START, "slow").add_edge(START, "quick")
        graph.add_edge("quick", "quick2").add_edge(["slow", "quick2"], "end").add_edge("end", END)
        return graph.compile(mode=mode)

    with anyio.fail_after(5):
        result = await run(build("eager"))
    # What it wrote is there in the order of the graph, whoever was first.
    assert result.output.said == ["slow", "quick", "quick2 saw quick", "end"]
    assert "graph.step.started" not in [event.kind for event in result.events]
    went_on = anyio.Event()
    async with build("superstep").stream() as live:
        await anyio.wait_all_tasks_blocked()
        assert "quick2" not in of(live.events, "node.started", "node"), "the slow one holds it"
        live.cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_two_plain_writers_side_by_side_are_a_conflict_even_of_equal_values(
    mode: Any,
) -> None:
    async def write(state: Text) -> dict[str, Any]:
        return {"text": "same"}

    graph = StateGraph(Text).add_node("a", write).add_node("b", write)
    graph.add_edge(START, "a").add_edge(START, "b").add_node("end", says())
    graph.add_edge(["a", "b"], "end").add_edge("end", END)
    error, partial = await fail(
        graph.compile(mode=mode, ignore={"CONCURRENT_WRITES", "UNKNOWN_KEY"}), GraphError
    )
    assert error.has("CONCURRENT_WRITES")
    for told in ("nodes 'a' and 'b'", "'text'", "text: Annotated[str, Append()]", "Last()"):
        assert told in str(error)
    assert partial.output == Text()
    assert sorted(nodes_in(partial, "node.completed")) == ["a", "b"]
