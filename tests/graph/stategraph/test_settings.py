"""Settings of nodes and graphs: retry, timeout, cache, `max_concurrency`, `on_limit`."""

from typing import Any

import anyio
import pytest

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Meter,
    Text,
    fail,
    hang,
    nodes_in,
    nothing,
    of,
    raises,
    resume,
    run,
    says,
    single,
)
from tinyagents import ConfigError, ModelError, RunLimits
from tinyagents.graph import (
    END,
    START,
    Command,
    Graph,
    GraphError,
    NodeCache,
    NodeContext,
    Retry,
    Send,
    StateGraph,
    join,
)
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio

QUICK = Retry(attempts=3, backoff_s=0)


class Flaky:
    """A node that fails some times before it succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts: list[tuple[int, str]] = []

    async def __call__(self, state: Log, ctx: NodeContext) -> dict[str, Any]:
        self.attempts.append((ctx.attempt, ctx.idempotency_key))
        if self.errors:
            raise self.errors.pop(0)
        return {"said": [f"try {ctx.attempt}"]}


# --- retry ----------


@pytest.mark.parametrize("mode", MODES)
async def test_a_flaky_node_recovers(mode: Any) -> None:
    """Behaviour 110."""
    flaky = Flaky(ConnectionError("one"), OSError("two"))
    graph = StateGraph(Log).add_node("n", flaky, retry=QUICK).add_sequence(START, "n", END)
    result = await run(graph.compile(mode=mode))
    assert result.output.said == ["try 2"]
    assert of(result.events, "node.retried", "attempt", "delay_s", "error") == [
        (1, 0.0, {"type": "ConnectionError", "message": "one"}),
        (2, 0.0, {"type": "OSError", "message": "two"}),
    ]
    assert nodes_in(result) == ["n"]
    assert nodes_in(result, "node.failed") == []
    assert len({key for _, key in flaky.attempts}) == 1, "one effect, however often it is tried"


async def test_tries_are_used_up() -> None:
    flaky = Flaky(*[ConnectionError(str(n)) for n in range(9)])
    error, partial = await fail(single(flaky, retry=QUICK), ConnectionError)
    assert str(error) == "2"
    assert [attempt for attempt, _ in flaky.attempts] == [0, 1, 2]
    assert len(of(partial.events, "node.retried")) == 2
    assert nodes_in(partial, "node.failed") == ["n"]


async def test_only_some_errors_are_tried_again() -> None:
    picky = Retry(attempts=3, backoff_s=0, on=(ConnectionError,))
    flaky = Flaky(ConnectionError("again"), KeyError("never"))
    await fail(single(flaky, retry=picky), KeyError)
    assert len(flaky.attempts) == 2


async def test_a_mistake_in_the_graph_is_not_tried_again() -> None:
    tries: list[int] = []

    async def wrong(state: Log) -> dict[str, Any]:
        tries.append(1)
        return {"said": 5}

    await fail(single(wrong, retry=QUICK), GraphError)
    assert tries == [1]


async def test_an_error_that_says_so_itself_is_believed() -> None:
    hopeless = ModelError("no", retryable=False)
    flaky = Flaky(hopeless)
    await fail(single(flaky, retry=QUICK), ModelError)
    assert len(flaky.attempts) == 1


async def test_a_timeout_is_tried_again() -> None:
    slow = [True]

    async def n(state: Log) -> dict[str, Any]:
        if slow.pop(0) if slow else False:
            await anyio.sleep_forever()
        return {"said": ["done"]}

    result = await run(single(n, retry=QUICK, timeout_s=0.01))
    assert result.output.said == ["done"]
    assert of(result.events, "node.retried")[0]["error"]["type"] == "TimeoutError"


async def test_a_question_is_no_failure_to_be_tried_again() -> None:
    tries: list[int] = []

    async def n(state: Log, ctx: NodeContext) -> dict[str, Any]:
        tries.append(ctx.attempt)
        answer = await ctx.ask(str, "?", key="k")
        if len(tries) == 2:
            raise ConnectionError("after the answer")
        return {"said": [answer]}

    graph = single(n, retry=QUICK)
    result = await run(graph)
    assert of(result.events, "node.retried") == []
    done = await resume(graph, result, {"root/n[0]/k": "x"})
    assert done.output.said == ["x"]
    assert len(of(done.events, "ask.raised")) == 1, "an answer holds for further tries"


# --- timeout ----------


@pytest.mark.parametrize("mode", MODES)
async def test_a_node_that_takes_too_long_fails(mode: Any) -> None:
    """Behaviour 109: the time of one node."""
    graph = StateGraph(Log).add_node("n", hang, timeout_s=0.01).add_node("b", says("b"))
    graph.add_edge(START, "n").add_edge(START, "b").add_edge("n", END).add_edge("b", END)
    error, partial = await fail(graph.compile(mode=mode), TimeoutError)
    assert str(error) == "node 'n' took longer than timeout_s=0.01"
    assert "in node 'n' (root/n[0]), added in test_settings.py:" in "".join(error.__notes__)
    assert partial.output.said == ["b"]


async def test_a_run_that_takes_too_long_ends_at_once() -> None:
    """Behaviour 109: the time of a run. Ours does not wait for the end of the step."""
    graph = StateGraph(Log).add_node("a", says("a")).add_node("n", hang)
    graph.add_sequence(START, "a", "n", END)
    error, partial = await fail(graph.compile(), LimitExceeded, limits=RunLimits(max_seconds=0.25))
    assert error.limit == "max_seconds"
    assert partial.output.said == ["a"]
    assert partial.status == "failed"


async def test_a_bodys_own_timeout_error_stays_as_it_is() -> None:
    error, _ = await fail(single(raises(TimeoutError("mine")), timeout_s=5), TimeoutError)
    assert str(error) == "mine"


async def test_a_body_may_catch_its_own_cancel_scope() -> None:
    async def n(state: Log) -> dict[str, Any]:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        return {"said": ["on"]}

    assert (await run(single(n, timeout_s=5))).output.said == ["on"]


# --- cache ----------


class Counting:
    def __init__(self) -> None:
        self.inputs: list[Any] = []

    async def __call__(self, state: Text) -> dict[str, Any]:
        self.inputs.append(state.topic)
        return {"text": f"about {state.topic}"}


async def test_a_cached_node_runs_once_for_the_same_input() -> None:
    node = Counting()
    graph = single(node, Text, cache=True)
    first, second = await run(graph, {"topic": "tea"}), await run(graph, {"topic": "tea"})
    assert first.output == second.output
    assert node.inputs == ["tea"]
    assert "cached" not in of(first.events, "node.completed")[0]
    assert of(second.events, "node.completed")[0]["cached"] is True
    await run(graph, {"topic": "milk"})
    assert node.inputs == ["tea", "milk"]


async def test_a_cache_may_look_at_a_part_of_the_input_only() -> None:
    def key(state: Text) -> str:
        return state.topic

    node = Counting()
    graph = single(node, Text, cache=NodeCache(key=key))
    for n in range(3):
        await run(graph, {"topic": "tea", "n": n})
    assert len(node.inputs) == 1


async def test_a_cache_forgets() -> None:
    node = Counting()
    cache = NodeCache(max_entries=2)
    graph = single(node, Text, cache=cache)
    for topic in ("a", "b", "a", "c", "a", "b"):
        await run(graph, {"topic": topic})
    assert node.inputs == ["a", "b", "c", "b"], "the least recently used one goes first"
    cache.clear()
    await run(graph, {"topic": "b"})
    assert len(node.inputs) == 5


async def test_a_cached_command_goes_where_it_went() -> None:
    n_runs: list[int] = []

    async def pick(state: Log) -> Command:
        n_runs.append(1)
        return Command(goto="b", update={"said": ["pick"]})

    def key(state: Log) -> int:
        return 0

    graph = StateGraph(Log).add_node("pick", pick, goto=["b"], cache=NodeCache(key=key))
    graph.add_node("b", says("b")).add_edge(START, "pick").add_edge("b", END)
    compiled = graph.compile()
    assert [(await run(compiled)).output.said for _ in range(2)] == [["pick", "b"]] * 2
    assert n_runs == [1]


async def test_a_failure_is_not_cached() -> None:
    flaky = Flaky(ValueError("once"))
    graph = single(flaky, cache=True)
    await fail(graph, ValueError)
    assert (await run(graph)).output.said == ["try 0"]


async def test_an_input_without_a_key_is_told() -> None:
    def key(state: Text) -> list[int]:
        return []

    error, _ = await fail(single(Counting(), Text, cache=NodeCache(key=key)), GraphError)
    assert error.has("NO_CACHE_KEY")
    assert "give cache=NodeCache(key=function)" in str(error)


@pytest.mark.parametrize("options", [{"ttl_s": 0}, {"ttl_s": -1}, {"max_entries": 0}])
def test_a_cache_that_keeps_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"NodeCache\({next(iter(options))}="):
        NodeCache(**options)


# --- limits ----------


def endless(**options: Any) -> Graph[Log]:
    def route(state: Log) -> str:
        return "n" if len(state.said) < 1_000 else END

    async def give_up(state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"gave up at step {ctx.superstep}"]}

    graph = StateGraph(Log).add_node("n", says("n")).add_node(give_up).add_edge(START, "n")
    graph.add_conditional_edges("n", route, ["n", END]).add_edge("give_up", END)
    return graph.compile(on_limit="give_up", **options)


@pytest.mark.parametrize("mode", MODES)
async def test_a_node_may_run_last_instead_of_an_error(mode: Any) -> None:
    result = await run(endless(max_steps=3, mode=mode))
    assert result.status == "limited"
    assert result.output.said == ["n", "n", "n", "gave up at step 3"]
    assert isinstance(result.error, LimitExceeded)
    assert result.error.limit == "max_steps"
    assert of(result.events, "limit.reached", "limit") == ["max_steps"]
    assert of(result.events, "node.started", "after")[-1] == ["root/n[2]"]
    last = result.events[-1]
    assert (last.kind, last.data["status"], last.data["limit"]) == (
        "run.completed", "limited", "max_steps",
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
async def test_a_limit_three_graphs_down_is_the_error_of_the_run_on_top(mode: Any) -> None:
    def loop(state: Log) -> str:
        return "n" if len(state.said) < 1_000 else END

    graph = StateGraph(Log, name="deep").add_node("n", says("n")).add_edge(START, "n")
    graph.add_conditional_edges("n", loop, ["n", END])
    inner = graph.compile(max_steps=4, mode=mode)
    for name in ("middle", "outer"):
        above = StateGraph(Log, name=name).add_node("before", says(name)).add_node("in", inner)
        inner = above.add_sequence(START, "before", "in", END).compile(mode=mode)
    error, partial = await fail(inner, LimitExceeded)
    assert (error.limit, error.path) == ("max_steps", "root/in[0]/in[0]")
    assert "max_steps=4 of root/in[0]/in[0] reached" in str(error)
    assert partial.output.said == ["outer"]
    notes = "".join(error.__notes__)
    assert "in node 'in' (root/in[0]/in[0])" in notes
    assert "in node 'in' (root/in[0])" in notes


async def test_a_limited_graph_below_hands_on_what_its_last_node_wrote() -> None:
    graph = StateGraph(Log).add_node("sub", endless(max_steps=2)).add_node("end", says("end"))
    result = await run(graph.add_sequence(START, "sub", "end", END).compile())
    assert result.status == "completed"
    assert result.output.said == ["n", "n", "gave up at step 2", "end"]


async def test_no_more_tasks_run_at_once_than_are_allowed_in_all_its_steps() -> None:
    meter = Meter()

    async def work(n: int) -> dict[str, Any]:
        made: dict[str, Any] = await meter.node(str(n), turns=3)(Log())
        return made

    def spread(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(20)]

    graph = StateGraph(Log).add_node(work).add_node("end", nothing).add_edge("end", END)
    graph.add_conditional_edges(START, spread, ["work"]).add_edge(join("work"), "end")
    result = await run(graph.compile(max_concurrency=3))
    assert meter.most == 3
    assert result.output.said == [str(n) for n in range(20)]
