"""What may be a node: functions of all kinds, in threads too; what they are given and return."""

import threading
from functools import partial
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Node,
    Text,
    fail,
    nodes_in,
    of,
    run,
    says,
)
from tinyagents import ConfigError, RunCancelled, RunLimits
from tinyagents.graph import (
    END,
    START,
    Command,
    Graph,
    GraphError,
    NodeContext,
    Send,
    StateGraph,
)
from tinyagents.testing import check_tree
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio


def single(body: Any, state: type[BaseModel] = Log, **options: Any) -> Graph[Any]:
    return StateGraph(state).add_node("n", body, **options).add_sequence(START, "n", END).compile()


def sending(body: Any, *payloads: Any, **options: Any) -> Graph[Log]:
    """A node that is sent payloads out of START."""

    def spread(state: Log) -> list[Send]:
        return [Send("n", each) for each in payloads]

    graph = StateGraph(Log).add_node("n", body, **options).add_edge("n", END)
    return graph.add_conditional_edges(START, spread, ["n"]).compile()


# --- kinds of bodies ----------


async def no_parameter() -> dict[str, Any]:
    return {"said": ["none"]}


async def one_parameter(state: Log) -> dict[str, Any]:
    return {"said": [str(len(state.said))]}


async def two_parameters(state: Log, ctx: NodeContext) -> dict[str, Any]:
    return {"said": [f"{len(state.said)} {ctx.node}"]}


async def only_by_name(state: Log, *, suffix: str = "!") -> dict[str, Any]:
    return {"said": [f"{len(state.said)}{suffix}"]}


async def spread_out(*both: Any) -> dict[str, Any]:
    state, ctx = both
    return {"said": [f"{len(state.said)} {ctx.node}"]}


def plain(state: Log) -> dict[str, Any]:
    return {"said": [str(len(state.said))]}


def plain_none() -> dict[str, Any]:
    return {"said": ["none"]}


def plain_that_returns_a_coroutine(state: Log) -> Any:
    return one_parameter(state)


class Callable1:
    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, state: Log) -> dict[str, Any]:
        return {"said": [self.word]}

    async def method(self, state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"{self.word} {ctx.node}"]}

    @staticmethod
    async def static(state: Log) -> dict[str, Any]:
        return {"said": ["static"]}

    @classmethod
    async def of_class(cls, state: Log) -> dict[str, Any]:
        return {"said": [cls.__name__]}


class AsyncCallable:
    async def __call__(self, state: Log) -> dict[str, Any]:
        return {"said": ["async call"]}


async def with_word(word: str, state: Log, ctx: NodeContext) -> dict[str, Any]:
    return {"said": [f"{word} {ctx.node}"]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (no_parameter, "none"),
        (one_parameter, "1"),
        (two_parameters, "1 n"),
        (only_by_name, "1!"),
        (spread_out, "1 n"),
        (plain, "1"),
        (plain_none, "none"),
        (plain_that_returns_a_coroutine, "1"),
        (Callable1("object"), "object"),
        (Callable1("bound").method, "bound n"),
        (Callable1.static, "static"),
        (Callable1.of_class, "Callable1"),
        (AsyncCallable(), "async call"),
        (partial(with_word, "partial"), "partial n"),
        (partial(only_by_name, suffix="?"), "1?"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
async def test_whatever_can_be_called_is_a_node(body: Any, said: str, mode: Any) -> None:
    graph = StateGraph(Log).add_node("n", body).add_sequence(START, "n", END).compile(mode=mode)
    assert (await run(graph, {"said": ["first"]})).output.said == ["first", said]


async def test_a_builtin_class_will_do() -> None:
    async def after(state: Text) -> dict[str, Any]:
        return {"text": state.text.upper()}

    graph = StateGraph(Text).add_node("n", dict).add_node(after)
    graph.add_sequence(START, "n", "after", END)
    result = await run(graph.compile(), {"text": "x"})
    assert result.output.text == "X"


def test_what_has_no_name_of_its_own_needs_one() -> None:
    graph: StateGraph[Any] = StateGraph(Log)
    for nameless in (partial(with_word, "x"), AsyncCallable()):
        with pytest.raises(ConfigError, match="give a name"):
            graph.add_node(nameless)


async def test_a_part_of_the_state_may_be_what_a_node_takes() -> None:
    async def shout(topic: str) -> dict[str, Any]:
        return {"text": topic.upper()}

    def topic_of(state: Text) -> str:
        return state.topic

    graph = StateGraph(Text).add_node(shout, input=topic_of).add_sequence(START, "shout", END)
    assert (await run(graph.compile())).output.text == "TEA"


async def test_what_a_function_returns_may_go_to_one_key() -> None:
    async def text(state: Text) -> str:
        return state.topic * 2

    def as_update(returned: str) -> dict[str, Any]:
        return {"text": returned, "n": len(returned)}

    assert (await run(single(text, Text, output="text"))).output.text == "teatea"
    assert (await run(single(text, Text, output=as_update))).output.n == 6


async def test_a_node_may_hint_a_base_of_the_state() -> None:
    class Base(BaseModel):
        topic: str = ""

    class More(Base):
        text: str = ""

    async def n(state: Base) -> dict[str, Any]:
        return {"text": f"{state.topic}!"}

    assert (await run(single(n, More), {"topic": "x"})).output.text == "x!"


async def test_a_hint_that_only_type_checkers_know_does_no_harm() -> None:
    async def n(state: "NoSuchThing") -> dict[str, Any]:  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        return {"said": ["x"]}

    assert (await run(single(n))).output.said == ["x"]


# --- threads ----------


async def test_a_plain_function_runs_in_a_thread() -> None:
    threads: list[int] = []

    def n(state: Log, ctx: NodeContext) -> dict[str, Any]:
        threads.append(threading.get_ident())
        ctx.emit("from a thread", path=ctx.path)
        return {"said": ["x"]}

    result = await run(single(n))
    assert threads != [threading.get_ident()]
    assert of(result.events, "custom", "name", "path") == [("from a thread", "root/n[0]")]


async def test_plain_functions_that_wait_for_each_other_run_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def wait(state: Log) -> dict[str, Any]:
        barrier.wait()
        return {"said": ["there"]}

    graph = StateGraph(Log)
    for name in "abc":
        graph.add_node(name, wait).add_edge(START, name).add_edge(name, END)
    assert (await run(graph.compile())).output.said == ["there"] * 3


async def test_a_plain_function_that_raises_fails_like_any_other() -> None:
    def n(state: Log) -> None:
        raise ValueError("plain")

    error, partial = await fail(single(n), ValueError)
    assert "in node 'n' (root/n[0]), added in test_nodes.py:" in "".join(error.__notes__)
    assert nodes_in(partial, "node.failed") == ["n"]


async def test_a_plain_function_that_raises_stop_iteration_fails_in_order() -> None:
    def n(state: Log) -> None:
        raise StopIteration("over")

    with pytest.raises((RuntimeError, StopIteration)) as caught:
        await single(n).run()
    check_tree(vars(caught.value)["result"].events)


async def test_a_cancelled_run_leaves_a_blocked_thread_behind() -> None:
    began, let_go, ended = threading.Event(), threading.Event(), threading.Event()

    def block(state: Log) -> None:
        began.set()
        let_go.wait(10)
        ended.set()

    async with single(block).stream() as live:
        while not began.is_set():
            await anyio.lowlevel.checkpoint()
        live.cancel("enough")
        with pytest.raises(RunCancelled, match="enough") as caught:
            await live.result()
    check_tree(caught.value.result.events)
    assert not ended.is_set()
    let_go.set()
    assert ended.wait(10)


async def test_a_blocked_thread_does_not_outlive_its_time() -> None:
    let_go = threading.Event()

    def block(state: Log) -> None:
        let_go.wait(10)

    try:
        error, _ = await fail(single(block, timeout_s=0.02), TimeoutError)
        assert "node 'n' took longer than timeout_s=0.02" in str(error)
    finally:
        let_go.set()


async def test_a_plain_function_runs_a_graph_as_a_child() -> None:
    inner = single(says("inner"))

    def outer(state: Log) -> dict[str, Any]:
        return {"said": inner.run_sync().output.said}

    result = await run(single(outer))
    assert result.output.said == ["inner"]
    assert of(result.events, "run.started", "path") == ["root", "root/n[0]/graph[0]"]


# --- what is sent ----------


class Job(BaseModel):
    name: str
    size: int = 1


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_sent_is_checked_against_the_first_parameter(mode: Any) -> None:
    seen: list[Any] = []

    async def model(job: Job) -> None:
        seen.append(job)

    async def number(n: int) -> None:
        seen.append(n)

    async def anything(x: Any) -> None:
        seen.append(x)

    def spread(state: Log) -> list[Send]:
        return [
            Send("model", {"name": "a", "size": "2"}),
            Send("model", Job(name="b")),
            Send("number", "7"),
            Send("anything", {"x": [1]}),
        ]

    graph = StateGraph(Log)
    for body in (model, number, anything):
        graph.add_node(body).add_edge(body.__name__, END)
    graph.add_conditional_edges(START, spread, ["model", "number", "anything"])
    await run(graph.compile(mode=mode, max_concurrency=1))
    assert seen == [Job(name="a", size=2), Job(name="b"), 7, {"x": [1]}]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"size": 1}, "name: Field required"),
        ("x", "Input should be a valid dictionary"),
        (None, ""),
    ],
)
async def test_what_is_sent_and_does_not_fit_is_told(payload: Any, told: str) -> None:
    async def n(job: Job) -> None: ...

    error, partial = await fail(sending(n, payload), GraphError)
    assert error.has("INVALID_PAYLOAD")
    for each in (f"node 'n' was sent {payload!r}", "type of its first parameter", told):
        assert each in str(error)
    assert "test_nodes.py:" in str(error)
    assert nodes_in(partial, "node.failed") == ["n"]


async def test_the_type_of_what_is_sent_may_be_declared() -> None:
    async def n(job: Any) -> dict[str, Any]:
        return {"said": [type(job).__name__]}

    assert (await run(sending(n, {"name": "a"}, input_type=Job))).output.said == ["Job"]


async def test_a_state_may_be_sent() -> None:
    async def n(state: Log) -> dict[str, Any]:
        return {"said": [", ".join(state.said)]}

    result = await run(sending(n, {"said": ["a", "b"]}, Log(said=["c"])))
    assert result.output.said == ["a, b", "c"]


async def test_a_node_may_return_sends() -> None:
    async def plan(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(2)]

    async def single_send(state: Log) -> Send:
        return Send("work", 7)

    async def work(n: int) -> dict[str, Any]:
        return {"said": [str(n)]}

    for body, said in ((plan, ["0", "1"]), (single_send, ["7"])):
        graph = StateGraph(Log).add_node("plan", body, goto=["work"]).add_node(work)
        graph.add_edge(START, "plan").add_edge("work", END)
        assert (await run(graph.compile())).output.said == said


# --- commands ----------


async def test_a_command_says_in_its_hint_where_it_may_go() -> None:
    async def pick(state: Log) -> Command[Literal["left", "right"]]:
        return Command(goto="right", update={"said": ["pick"]})

    graph = StateGraph(Log).add_node(pick).add_node("left", says("left"))
    graph.add_node("right", says("right")).add_edge(START, "pick")
    graph.add_edge("left", END).add_edge("right", END)
    assert (await run(graph.compile())).output.said == ["pick", "right"]


async def test_a_command_may_name_nodes_and_sends_together() -> None:
    async def pick(state: Log) -> Command:
        return Command(goto=["left", Send("job", 5), END])

    async def job(n: int) -> dict[str, Any]:
        return {"said": [f"job {n}"]}

    graph = StateGraph(Log).add_node("pick", pick, goto=["left", "job"]).add_node(job)
    graph.add_node("left", says("left")).add_edge(START, "pick")
    graph.add_edge("left", END).add_edge("job", END)
    result = await run(graph.compile())
    assert result.output.said == ["left", "job 5"]
    assert of(result.events, "node.completed")[0]["goto"] == ["left", "job", END]


async def test_a_command_without_goto_follows_the_edges() -> None:
    async def a(state: Log) -> Command:
        return Command(update={"said": ["a"]})

    graph = StateGraph(Log).add_node(a).add_node("b", says("b")).add_sequence(START, "a", "b", END)
    assert (await run(graph.compile())).output.said == ["a", "b"]


# --- nodes that return a graph ----------


@pytest.mark.parametrize("is_compiled", [False, True])
async def test_a_node_may_return_a_graph_that_runs_in_its_place(is_compiled: bool) -> None:
    async def plan(state: Log) -> Any:
        graph = StateGraph(Log, name="planned")
        for word in state.said:
            graph.add_node(word, says(f"did {word}"))
        graph.add_sequence(START, *state.said, END)
        return graph.compile() if is_compiled else graph

    result = await run(single(plan), {"said": ["a", "b"]})
    assert result.output.said == ["a", "b", "did a", "did b"]
    assert of(result.events, "run.started", "path", "name") == [
        ("root", "graph"),
        ("root/n[0]", "planned"),
    ]


async def test_a_returned_graph_that_is_wrong_is_told() -> None:
    async def plan(state: Log) -> Any:
        return StateGraph(Log, name="planned").add_node("a", says("a")).add_edge(START, "b")

    pytest.importorskip("tinyagents_graph.stategraph.checks")
    error, _ = await fail(single(plan), GraphError)
    assert error.graph == "planned"


async def test_graphs_that_return_themselves_end_at_the_depth_of_the_tree() -> None:
    async def again(state: Log) -> Any:
        return graph

    graph = single(again)
    error, partial = await fail(graph, LimitExceeded, limits=RunLimits(max_depth=3))
    assert error.limit == "max_depth"
    assert of(partial.events, "run.started", "path")[-1] == "root/n[0]/n[0]/n[0]"


def test_nodes_are_told_by_name() -> None:
    graph = StateGraph(Log).add_node("a", says("a"), description="says a")
    assert list(graph.nodes) == ["a"]
    assert graph.nodes["a"].description == "says a"
    body: Node = graph.nodes["a"].body
    assert callable(body)
