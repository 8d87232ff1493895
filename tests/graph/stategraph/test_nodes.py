"""What may be a node: functions of all kinds, in threads too; what they are given and return."""

import threading
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import MODES, Log, Text, fail, nodes_in, of, run, says, single
from tinyagents import ConfigError, RunCancelled
from tinyagents.graph import (
    END,
    START,
    NodeContext,
    StateGraph,
)
from tinyagents.testing import check_tree

pytestmark = pytest.mark.anyio


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
    assert "in node 'n' (root/n[0]), added in graphs.py:" in "".join(error.__notes__)
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
