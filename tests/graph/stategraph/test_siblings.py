"""What the failure of a task does to its siblings: `drain`, `cancel` or `collect`."""

from typing import Any

import anyio
import pytest

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Text,
    fail,
    hang,
    nodes_in,
    of,
    raises,
    run,
    says,
)
from tinyagents import RunCancelled, RunLimits
from tinyagents.graph import (
    END,
    START,
    Command,
    Failure,
    Graph,
    GraphError,
    NodeContext,
    Retry,
    Send,
    StateGraph,
    join,
)
from tinyagents.testing import check_tree
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio

BOOM = "boom: the kettle is empty"


class Siblings:
    """Three tasks of one step: one is done at once, one fails then, one is slow.

    The slow one goes on when the other has failed; under `cancel` it never would.
    """

    def __init__(self, *, hangs: bool = False, **options: Any) -> None:
        self.done, self.failed = anyio.Event(), anyio.Event()
        self.hangs = hangs
        self.error = ValueError(BOOM)
        self.seen: list[tuple[Failure, ...]] = []
        self.graph: Graph[Log] = (
            StateGraph(Log)
            .add_node("quick", self.quick)
            .add_node("failing", self.failing)
            .add_node("slow", self.slow)
            .add_node("end", self.end)
            .add_edge(START, "quick")
            .add_edge(START, "failing")
            .add_edge(START, "slow")
            .add_edge(["quick", "failing", "slow"], "end")
            .add_edge("end", END)
            .compile(**options)
        )

    async def quick(self, state: Log) -> dict[str, Any]:
        self.done.set()
        return {"said": ["quick"]}

    async def failing(self, state: Log) -> None:
        await self.done.wait()
        await anyio.wait_all_tasks_blocked()
        self.failed.set()
        raise self.error

    async def slow(self, state: Log) -> dict[str, Any]:
        if self.hangs:
            await anyio.sleep_forever()
        await self.failed.wait()
        await anyio.wait_all_tasks_blocked()
        return {"said": ["slow"]}

    async def end(self, state: Log, ctx: NodeContext) -> dict[str, Any]:
        self.seen.append(ctx.failures)
        return {"said": ["end"]}


@pytest.mark.parametrize("mode", MODES)
async def test_drain_lets_siblings_finish_and_then_raises_the_error_itself(mode: Any) -> None:
    siblings = Siblings(mode=mode)
    error, partial = await fail(siblings.graph, ValueError)
    assert error is siblings.error
    (note,) = error.__notes__
    assert note.startswith("in node 'failing' (root/failing[0]), added in test_siblings.py:")
    assert partial.output.said == ["quick", "slow"]
    assert nodes_in(partial, "node.completed") == ["quick", "slow"]
    assert of(partial.events, "node.failed", "node", "error") == [
        ("failing", {"type": "ValueError", "message": BOOM})
    ]
    assert siblings.seen == []
    assert partial.status == "failed"


@pytest.mark.parametrize("mode", MODES)
async def test_cancel_ends_siblings_and_keeps_what_was_finished(mode: Any) -> None:
    siblings = Siblings(fail="cancel", hangs=True, mode=mode)
    error, partial = await fail(siblings.graph, ValueError)
    assert error is siblings.error
    assert partial.output.said == ["quick"]
    assert nodes_in(partial, "node.completed") == ["quick"]
    failed = dict(of(partial.events, "node.failed", "node", "error"))
    assert failed["failing"]["type"] == "ValueError"
    assert failed["slow"]["type"] == "cancelled"


@pytest.mark.parametrize("mode", MODES)
async def test_collect_hands_the_failure_to_the_join(mode: Any) -> None:
    siblings = Siblings(fail="collect", mode=mode)
    result = await run(siblings.graph)
    assert result.output.said == ["quick", "slow", "end"]
    assert result.status == "completed"
    ((failure,),) = siblings.seen
    assert failure == Failure("failing", "root/failing[0]", siblings.error)
    assert result.failures == (failure,)
    assert nodes_in(result, "node.failed") == ["failing"]


async def test_all_errors_of_a_step_are_told() -> None:
    graph = StateGraph(Log).add_node("a", raises(ValueError("one")))
    graph.add_node("b", raises(KeyError("two"))).add_node("c", says("c"))
    for name in "abc":
        graph.add_edge(START, name).add_edge(name, END)
    group, partial = await fail(graph.compile(), ExceptionGroup)
    assert [repr(each) for each in group.exceptions] == ["ValueError('one')", "KeyError('two')"]
    assert [each.__notes__[0].split(" (")[0] for each in group.exceptions] == [
        "in node 'a'",
        "in node 'b'",
    ]
    assert "2 tasks of graph 'graph' failed" in str(group)
    assert partial.output.said == ["c"]
    assert partial.events[-1].data["error"]["type"] == "ExceptionGroup"


@pytest.mark.parametrize("policy", ["drain", "cancel", "collect"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_node_for_errors_takes_the_failure_whatever_the_policy(
    policy: Any, mode: Any
) -> None:
    seen: list[Failure] = []

    async def repair(state: Log, ctx: NodeContext) -> dict[str, Any]:
        seen.extend(ctx.failures)
        return {"said": ["repaired"]}

    graph = (
        StateGraph(Log)
        .add_node("a", raises(ValueError("no")), on_error="repair")
        .add_node("b", says("b"))
        .add_node(repair)
        .add_edge(START, "a")
        .add_edge(START, "b")
        .add_edge("a", END)
        .add_edge("b", END)
        .add_edge("repair", END)
        .compile(fail=policy, mode=mode)
    )
    result = await run(graph)
    assert sorted(result.output.said) == ["b", "repaired"]
    assert [(each.node, str(each.error)) for each in seen] == [("a", "no")]
    assert result.failures == tuple(seen)
    after = dict(of(result.events, "node.started", "node", "after"))
    assert after["repair"] == ["root/a[0]"]


async def test_a_failed_send_keeps_what_it_was_sent() -> None:
    async def work(n: int) -> dict[str, Any]:
        if n % 2:
            raise ValueError(f"odd {n}")
        return {"said": [str(n)]}

    def spread(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(4)]

    graph = StateGraph(Log).add_node(work).add_edge("work", END)
    graph.add_conditional_edges(START, spread, ["work"])
    result = await run(graph.compile(fail="collect"))
    assert result.output.said == ["0", "2"]
    assert [(each.path, each.payload) for each in result.failures] == [
        ("root/work[1]", 1),
        ("root/work[3]", 3),
    ]


@pytest.mark.parametrize(("least", "is_enough"), [(0, True), (2, True), (3, False)])
async def test_a_join_may_ask_for_a_number_of_successes(least: int, is_enough: bool) -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("b", raises(ValueError("no")))
    graph.add_node("c", says("c")).add_node("end", says("end"))
    for name in "abc":
        graph.add_edge(START, name)
    graph.add_edge(join("a", "b", "c", min_ok=least), "end").add_edge("end", END)
    compiled = graph.compile(fail="collect")
    if is_enough:
        assert (await run(compiled)).output.said == ["a", "c", "end"]
        return
    group, partial = await fail(compiled, ExceptionGroup)
    assert [str(each) for each in group.exceptions] == ["no"]
    for told in ("test_siblings.py:", "the join on a, b, c needs min_ok=3, and 2 succeeded"):
        assert told in str(group)
    assert partial.output.said == ["a", "c"]


async def test_too_few_tasks_without_any_failure_are_told_as_such() -> None:
    def spread(state: Log) -> list[Send]:
        return [Send("work", 1)]

    async def work(n: int) -> None: ...

    graph = StateGraph(Log).add_node(work).add_node("end", says("end")).add_edge("end", END)
    graph.add_conditional_edges(START, spread, ["work"])
    graph.add_edge(join("work", min_ok=2), "end")
    error, _ = await fail(graph.compile(fail="collect"), GraphError)
    assert error.has("TOO_FEW")
    assert "fewer tasks were started than that" in str(error)


@pytest.mark.parametrize("policy", ["drain", "cancel", "collect"])
async def test_no_policy_helps_against_the_limit_of_the_run_itself(policy: Any) -> None:
    graph = StateGraph(Log).add_node("a", hang, on_error="rescue").add_sequence(START, "a", END)
    graph.add_node("rescue", says("rescue")).add_edge("rescue", END)
    compiled = graph.compile(fail=policy)
    error, partial = await fail(compiled, LimitExceeded, limits=RunLimits(max_seconds=0.02))
    assert (error.limit, error.path) == ("max_seconds", "root")
    assert partial.output.said == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", ["drain", "cancel", "collect"])
async def test_a_cancelled_run_is_no_failure_of_its_node(policy: Any, mode: Any) -> None:
    graph = (
        StateGraph(Log)
        .add_node("a", hang, on_error="b", retry=Retry(attempts=3))
        .add_node("b", says("b"))
        .add_node("c", says("c"))
        .add_edge(START, "a")
        .add_edge(START, "c")
        .add_edge("a", END)
        .add_edge("b", END)
        .add_edge("c", END)
        .compile(fail=policy, mode=mode)
    )
    async with graph.stream() as live:
        await anyio.wait_all_tasks_blocked()
        assert live.cancel("enough")
        with pytest.raises(RunCancelled, match="root was cancelled: enough") as caught:
            await live.result()
    partial = caught.value.result
    check_tree(partial.events)
    assert partial.status == "cancelled"
    assert partial.output.said == ["c"]
    assert sorted(nodes_in(partial)) == ["a", "c"]
    ((node, why),) = of(partial.events, "node.failed", "node", "error")
    assert (node, why["type"]) == ("a", "cancelled")


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_conflict_besides_does_not_hide_why_the_step_ended(is_cancelled: bool) -> None:
    async def write(state: Text) -> dict[str, Any]:
        return {"text": "x"}

    graph = StateGraph(Text).add_node("a", write).add_node("b", write)
    graph.add_node("c", hang if is_cancelled else raises(ValueError("c")))
    for name in "abc":
        graph.add_edge(START, name).add_edge(name, END)
    compiled = graph.compile(fail="cancel", ignore={"CONCURRENT_WRITES"})
    if not is_cancelled:
        await fail(compiled, ValueError)
        return
    async with compiled.stream() as live:
        await anyio.wait_all_tasks_blocked()
        live.cancel("enough")
        with pytest.raises(RunCancelled) as caught:
            await live.result()
    check_tree(caught.value.result.events)


async def test_a_failure_goes_along_edges_to_plain_nodes_too() -> None:
    seen: list[str] = []

    async def b(state: Log, ctx: NodeContext) -> None:
        seen.extend(str(each.error) for each in ctx.failures)

    graph = StateGraph(Log).add_node("a", raises(ValueError("no"))).add_node(b)
    graph.add_sequence(START, "a", "b", END)
    await run(graph.compile(fail="collect"))
    assert seen == ["no"]


async def test_a_failure_in_the_node_for_errors_fails_the_run() -> None:
    graph = StateGraph(Log).add_node("a", raises(ValueError("first")), on_error="b")
    graph.add_node("b", raises(KeyError("second"))).add_edge(START, "a")
    graph.add_edge("a", END).add_edge("b", END)
    error, partial = await fail(graph.compile(), KeyError)
    assert error.__notes__[0].startswith("in node 'b' (root/b[0])")
    assert [str(each.error) for each in partial.failures] == ["first"]


async def test_a_node_for_errors_may_send_the_failed_one_round_again() -> None:
    tries: list[int] = []

    async def flaky(state: Log) -> dict[str, Any]:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return {"said": ["done"]}

    async def again(state: Log) -> Command:
        return Command(goto="flaky", update={"said": ["again"]})

    graph = StateGraph(Log).add_node(flaky, on_error="again")
    graph.add_node("again", again, goto=["flaky"]).add_edge(START, "flaky").add_edge("flaky", END)
    result = await run(graph.compile())
    assert result.output.said == ["again", "again", "done"]
    assert of(result.events, "node.failed", "path") == ["root/flaky[0]", "root/flaky[1]"]


async def test_a_conflict_fails_the_step_and_the_next_run_with_fixed_code_is_fine() -> None:
    writes: list[Any] = [{"text": "x"}, {"n": 1}]

    async def a(state: Text) -> dict[str, Any]:
        return {"text": "a"}

    async def b(state: Text) -> Any:
        return writes.pop(0)

    graph = StateGraph(Text).add_node(a).add_node(b).add_edge(START, "a").add_edge(START, "b")
    compiled = graph.add_edge("a", END).add_edge("b", END).compile()
    error, partial = await fail(compiled, GraphError, run_id="t1")
    assert error.has("CONCURRENT_WRITES")
    assert partial.output == Text()
    assert (await run(compiled, run_id="t1")).output == Text(text="a", n=1)
