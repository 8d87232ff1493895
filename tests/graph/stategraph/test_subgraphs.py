"""A graph as a node of another: what goes in, what comes out, and where it stands in the tree."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Text,
    fail,
    nodes_in,
    of,
    raises,
    run,
    says,
)
from tinyagents import RunLimits
from tinyagents.graph import (
    END,
    START,
    Add,
    Append,
    Graph,
    GraphError,
    Merge,
    NodeContext,
    Reduce,
    Retry,
    Send,
    StateGraph,
    join,
)
from tinyagents_graph import LimitExceeded

pytestmark = pytest.mark.anyio


def log(*words: str, name: str = "inner", **options: Any) -> Graph[Log]:
    """A graph that says words, one after the other."""
    graph = StateGraph(Log, name=name)
    for word in words:
        graph.add_node(word, says(word))
    return graph.add_sequence(START, *words, END).compile(**options)


def around(inner: Graph[Any], state: type[BaseModel] = Log, **options: Any) -> Graph[Any]:
    """A graph with another one as its node `sub`."""
    graph: StateGraph[Any] = StateGraph(state, name="outer")
    return graph.add_node("sub", inner, **options).add_sequence(START, "sub", END).compile()


@pytest.mark.parametrize("inner_mode", MODES)
@pytest.mark.parametrize("mode", MODES)
async def test_what_a_graph_was_given_is_not_added_again(mode: Any, inner_mode: Any) -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("sub", log("x", "y", mode=inner_mode))
    graph.add_node("z", says("z")).add_sequence(START, "a", "sub", "z", END)
    result = await run(graph.compile(mode=mode), {"said": ["0"]})
    assert result.output.said == ["0", "a", "x", "y", "z"]
    updates = dict(of(result.events, "node.completed", "path", "update"))
    assert updates["root/sub[0]"] == {"said": ["x", "y"]}


async def test_what_all_reducers_make_comes_out_once() -> None:
    def longest(value: str, operand: str) -> str:
        return max(value, operand, key=len)

    class State(BaseModel):
        items: Annotated[list[int], Append()] = [0]
        total: Annotated[int, Add()] = 10
        notes: Annotated[dict[str, int], Merge()] = {"a": 1}
        word: Annotated[str, Reduce(longest)] = "abc"
        plain: str = "old"

    async def write(state: State) -> dict[str, Any]:
        return {
            "items": len(state.items), "total": 1, "notes": {f"n{state.total}": 2},
            "word": "x" * len(state.items) * 2, "plain": f"new {state.total}",
        }  # fmt: skip

    inner = StateGraph(State).add_node("a", write).add_node("b", write)
    graph = around(inner.add_sequence(START, "a", "b", END).compile(), State)
    assert (await run(graph)).output == State(
        items=[0, 1, 2], total=12, notes={"a": 1, "n10": 2, "n11": 2}, word="xxxx", plain="new 11"
    )


async def test_a_graph_that_writes_nothing_changes_nothing() -> None:
    async def look(state: Text) -> None: ...

    inner = StateGraph(Text).add_node(look).add_sequence(START, "look", END).compile()
    result = await run(around(inner, Text), {"text": "mine"})
    assert result.output.text == "mine"
    assert of(result.events, "state.updated") == []


async def test_two_graphs_in_one_step_write_the_same_reduced_key() -> None:
    graph = StateGraph(Log)
    for name in "ab":
        graph.add_node(name, log(f"{name}1", f"{name}2")).add_edge(START, name).add_edge(name, END)
    result = await run(graph.compile(), {"said": ["0"]})
    assert result.output.said == ["0", "a1", "a2", "b1", "b2"]


async def test_keys_are_handed_on_by_name_if_their_types_agree() -> None:
    class Inner(BaseModel):
        topic: str = ""
        n: str = "mine"
        own: int = 0

    async def write(state: Inner) -> dict[str, Any]:
        return {"topic": f"{state.topic} and {state.n}", "n": "changed", "own": 5}

    inner = StateGraph(Inner).add_node(write).add_sequence(START, "write", END).compile()
    result = await run(around(inner, Text), {"n": 3})
    assert result.output == Text(topic="tea and mine", n=3), "`n` is an int here and a str there"


async def test_keys_are_handed_on_as_they_are_mapped() -> None:
    class Inner(BaseModel):
        question: str = ""
        answer: str = ""
        topic: str = "not handed on"

    async def write(state: Inner) -> dict[str, Any]:
        return {"answer": f"{state.question}: {state.topic}", "topic": "kept inside"}

    inner = StateGraph(Inner).add_node(write).add_sequence(START, "write", END).compile()
    graph = around(inner, Text, inputs={"question": "topic"}, outputs={"text": "answer"})
    assert (await run(graph)).output == Text(text="tea: not handed on")


async def test_mapped_keys_may_be_combined_differently_above() -> None:
    class Inner(BaseModel):
        word: str = ""

    async def write(state: Inner) -> dict[str, Any]:
        return {"word": state.word + "!"}

    inner = StateGraph(Inner).add_node("a", write).add_node("b", write)
    compiled = inner.add_sequence(START, "a", "b", END).compile()
    graph = around(compiled, Log, inputs={}, outputs={"said": "word"})
    assert (await run(graph, {"said": ["0"]})).output.said == ["0", "!!"]


async def test_functions_make_the_input_and_the_output_of_a_graph() -> None:
    def begin(state: Text) -> dict[str, Any]:
        return {"said": [state.topic]}

    def end(state: Log) -> dict[str, Any]:
        return {"text": " ".join(state.said)}

    graph = around(log("x"), Text, input=begin, output=end)
    assert (await run(graph)).output.text == "tea x"


async def test_what_comes_out_must_fit_above() -> None:
    class Inner(BaseModel):
        n: str = ""

    async def write(state: Inner) -> dict[str, Any]:
        return {"n": "many"}

    inner = StateGraph(Inner).add_node(write).add_sequence(START, "write", END).compile()
    graph: StateGraph[Any] = StateGraph(Text)
    graph.add_node("sub", inner, inputs={}, outputs={"n": "n"}).add_sequence(START, "sub", END)
    with pytest.raises(GraphError) as caught:
        await graph.compile().run()
    # It may be seen before the run, where the types are told.
    assert caught.value.has("TYPE_MISMATCH") or caught.value.has("INVALID_UPDATE")
    for told in ("'sub'", "'n'", "int", "str"):
        assert told in str(caught.value)


async def test_nested_graphs_are_runs_of_their_own_in_one_tree() -> None:
    """Behaviour 135: distinct ids, one root; siblings do not mix."""
    inner = log("x")
    middle = StateGraph(Log, name="middle").add_node("a", inner).add_node("b", inner)
    middle.add_edge(START, "a").add_edge(START, "b").add_edge("a", END).add_edge("b", END)
    result = await run(around(middle.compile()), run_id="t1")
    started = [event for event in result.events if event.kind == "run.started"]
    by_path = {event.path: event for event in started}
    assert sorted(by_path) == [
        "root",
        "root/sub[0]",
        "root/sub[0]/a[0]",
        "root/sub[0]/b[0]",
    ]
    assert [by_path[path].run_id for path in sorted(by_path)] == [
        "t1",
        "t1/sub[0]",
        "t1/sub[0]/a[0]",
        "t1/sub[0]/b[0]",
    ]
    assert {event.root_run_id for event in result.events} == {"t1"}
    assert by_path["root/sub[0]/a[0]"].parent_run_id == "t1/sub[0]"
    assert of(started, "run.started", "graph", "name")[:2] == [
        ("outer", "outer"),
        ("middle", "middle"),
    ]
    assert result.output.said == ["x", "x"]


async def test_a_parent_knows_the_id_that_its_child_really_has() -> None:
    """Behaviour 140."""
    result = await run(around(log("x")))
    told = of(result.events, "subagent.started", "run_id") + of(
        result.events, "subagent.completed", "run_id"
    )
    (child,) = [event for event in result.events if event.path == "root/sub[0]"
                and event.kind == "run.started"]  # fmt: skip
    assert told == [child.run_id] * 2


async def test_a_tree_that_would_be_too_deep_runs_no_node_below() -> None:
    """Behaviour 136: depth. For the number of visits there is `max_steps`, behaviour 97."""
    nested: Graph[Any] = log("x")
    for _ in range(3):
        nested = around(nested)
    error, partial = await fail(nested, LimitExceeded, limits=RunLimits(max_depth=2))
    assert (error.limit, error.allowed) == ("max_depth", 2)
    assert "would run at depth 3" in str(error)
    assert nodes_in(partial) == ["sub", "sub", "sub"]
    assert of(partial.events, "run.started", "path")[-1] == "root/sub[0]/sub[0]"


async def test_limits_hold_for_all_graphs_of_a_tree() -> None:
    graph = StateGraph(Log)
    for name in "abc":
        graph.add_node(name, log(name)).add_edge(START, name).add_edge(name, END)
    error, partial = await fail(
        graph.compile(max_concurrency=1), LimitExceeded, limits=RunLimits(max_runs=3)
    )
    assert error.limit == "max_runs"
    assert partial.output.said == ["a", "b"]


async def test_a_failure_below_names_every_node_on_its_way() -> None:
    inner = StateGraph(Log).add_node("bad", raises(ValueError("no")))
    compiled = inner.add_sequence(START, "bad", END).compile()
    error, partial = await fail(around(around(compiled)), ValueError)
    assert [note.split(", added")[0] for note in error.__notes__] == [
        "in node 'bad' (root/sub[0]/sub[0]/bad[0])",
        "in node 'sub' (root/sub[0]/sub[0])",
        "in node 'sub' (root/sub[0])",
    ]
    assert partial.path == "root"
    assert [event.kind for event in partial.events].count("run.failed") == 3


async def test_a_failing_graph_is_tried_again_at_an_address_of_its_own() -> None:
    tries: list[int] = []

    async def flaky(state: Log) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("once")
        return {"said": ["done"]}

    inner = StateGraph(Log, name="inner").add_node(flaky).add_sequence(START, "flaky", END)
    graph = around(inner.compile(), retry=Retry(attempts=2, backoff_s=0))
    result = await run(graph)
    assert result.output.said == ["done"]
    assert of(result.events, "run.started", "path") == [
        "root",
        "root/sub[0]",
        "root/sub[0]/inner[0]",
    ]


async def test_a_graph_below_may_be_sent_its_input() -> None:
    class Work(BaseModel):
        n: int = 0
        said: Annotated[list[str], Append()] = []

    async def work(state: Work) -> dict[str, Any]:
        return {"said": [f"did {state.n}"]}

    def spread(state: Log) -> list[Send]:
        return [Send("sub", {"n": n}) for n in range(3)]

    inner = StateGraph(Work).add_node(work).add_sequence(START, "work", END).compile()
    graph = StateGraph(Log).add_node("sub", inner).add_node("end", says("end"))
    graph.add_conditional_edges(START, spread, ["sub"]).add_edge(join("sub"), "end")
    result = await run(graph.add_edge("end", END).compile(), {"said": ["0"]})
    assert result.output.said == ["0", "did 0", "did 1", "did 2", "end"]
    assert sorted(of(result.events, "run.started", "path"))[1:] == [
        f"root/sub[{n}]" for n in range(3)
    ]


async def test_what_is_sent_to_a_graph_and_is_no_state_is_told() -> None:
    def spread(state: Log) -> list[Send]:
        return [Send("sub", {"sad": ["x"]})]

    graph = StateGraph(Log).add_node("sub", log("x")).add_edge("sub", END)
    graph.add_conditional_edges(START, spread, ["sub"])
    error, _ = await fail(graph.compile(), GraphError)
    assert error.has("UNKNOWN_KEY")
    assert "did you mean 'said'?" in str(error)


async def test_a_graph_run_in_a_function_is_a_child_and_hands_back_its_whole_result() -> None:
    inner = log("x", "y")

    async def call(state: Log, ctx: NodeContext) -> dict[str, Any]:
        results = [await inner.run({"said": ["0"]}) for _ in range(2)]
        assert results[1].path == f"{ctx.path}/inner[1]"
        assert [event.kind for event in results[1].events][0] == "run.started"
        return {"said": results[1].output.said}

    graph = StateGraph(Log).add_node(call).add_sequence(START, "call", END).compile()
    result = await run(graph)
    assert result.output.said == ["0", "x", "y"]
    assert of(result.events, "run.started", "path") == [
        "root",
        "root/call[0]/inner[0]",
        "root/call[0]/inner[1]",
    ]
