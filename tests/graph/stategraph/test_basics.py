"""A graph runs its nodes in order, branches, loops, and says what is wrong with it."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Text,
    fail,
    nodes_in,
    nothing,
    of,
    run,
    says,
)
from tinyagents import ConfigError, LimitExceeded
from tinyagents.graph import (
    END,
    START,
    Add,
    Command,
    Graph,
    GraphError,
    NodeContext,
    Reduce,
    Send,
    StateGraph,
)

pytestmark = pytest.mark.anyio


class Counter(BaseModel):
    n: Annotated[int, Add()] = 0
    seen: Annotated[list[int], Add()] = []


async def count(state: Counter) -> dict[str, Any]:
    return {"n": 1, "seen": [state.n]}


def below(limit: int) -> Any:
    def route(state: Counter) -> str:
        return "again" if state.n < limit else "enough"

    return route


def loop(limit: int, **options: Any) -> Graph[Counter]:
    graph = StateGraph(Counter).add_node(count).add_edge(START, "count")
    graph.add_conditional_edges("count", below(limit), {"again": "count", "enough": END})
    return graph.compile(**options)


async def test_nodes_run_one_after_the_other_and_their_updates_add_up() -> None:
    """Behaviour 94."""
    graph = (
        StateGraph(Log)
        .add_node("seed", says("seed"))
        .add_node("grow", says("leaf", "leaf"))
        .add_node("finish", says("fruit"))
        .add_sequence(START, "seed", "grow", "finish", END)
        .compile()
    )
    result = await run(graph, {"said": ["earth"]})
    assert result.output == Log(said=["earth", "seed", "leaf", "leaf", "fruit"])
    assert (result.status, result.steps) == ("completed", 3)
    assert nodes_in(result) == ["seed", "grow", "finish"]


async def test_a_run_tells_its_steps_in_its_events() -> None:
    graph = StateGraph(Log).add_node("a", says("x")).add_sequence(START, "a", END).compile()
    result = await run(graph)
    assert [event.kind for event in result.events] == [
        "run.started",
        "graph.step.started",
        "node.started",
        "node.completed",
        "state.updated",
        "graph.step.completed",
        "run.completed",
    ]
    assert of(result.events, "node.started") == [
        {"node": "a", "path": "root/a[0]", "step": 0, "after": []}
    ]
    assert of(result.events, "node.completed") == [
        {"node": "a", "path": "root/a[0]", "step": 0, "update": {"said": ["x"]}}
    ]
    assert of(result.events, "state.updated") == [{"step": 0, "keys": ["said"]}]
    assert of(result.events, "run.completed", "output") == [{"said": ["x"]}]


@pytest.mark.parametrize("mode", MODES)
async def test_a_router_decides_on_the_state_after_its_node_each_time_around(mode: Any) -> None:
    """Behaviour 95: the branch is chosen from what is written, and may be the end."""
    result = await run(loop(4, mode=mode))
    assert result.output == Counter(n=4, seen=[0, 1, 2, 3])
    assert of(result.events, "route.selected", "to") == [["count"]] * 3 + [[END]]
    assert of(result.events, "node.started", "path") == [f"root/count[{n}]" for n in range(4)]


@pytest.mark.parametrize("label", ["elsewhere", None, ["a"], {"no": "key"}])
async def test_a_label_that_the_router_does_not_know_is_an_error(label: Any) -> None:
    """Behaviour 95: an unknown label."""

    def route(state: Text) -> Any:
        return [label] if isinstance(label, dict) else label

    graph = StateGraph(Text).add_node("a", nothing).add_node("b", nothing)
    graph.add_sequence(START, "a").add_edge("b", END)
    graph.add_conditional_edges("a", route, {"left": "b", "right": END})
    error, _ = await fail(graph.compile(), GraphError)
    assert error.has("NO_ROUTE")
    for told in ("test_basics.py:", "the router of 'a'", "'left', 'right'", "default=node"):
        assert told in str(error)


async def test_a_default_is_taken_for_any_other_label() -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("b", says("b"))
    graph.add_sequence(START, "a").add_edge("b", END)

    def route(state: Log) -> str | None:
        return None

    graph.add_conditional_edges("a", route, {"left": END}, default="b")
    assert (await run(graph.compile())).output.said == ["a", "b"]


async def test_a_routers_targets_are_read_off_its_return_hint() -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_node("b", says("b"))
    graph.add_sequence(START, "a").add_edge("b", END)

    async def route(state: Log) -> Literal["b", "__end__"]:
        return "b" if state.said == ["a"] else "__end__"

    graph.add_conditional_edges("a", route)
    assert (await run(graph.compile())).output.said == ["a", "b"]


async def test_an_error_of_a_router_names_the_router() -> None:
    graph = StateGraph(Log).add_node("a", says("a"))

    def route(state: Log) -> str:
        raise KeyError("lost")

    graph.add_edge(START, "a").add_conditional_edges("a", route, [END])
    error, partial = await fail(graph.compile(), KeyError)
    assert "in the router of 'a' (test_basics.py:" in "".join(error.__notes__)
    assert partial.output.said == ["a"]
    assert of(partial.events, "graph.step.completed", "status") == ["failed"]


async def test_a_command_goes_elsewhere_instead_of_along_the_edges() -> None:
    """Behaviour 96: it overrides edges, routers and joins."""

    async def a(state: Log) -> Command[Literal["c"]]:
        return Command(goto="c", update={"said": ["a"]})

    graph = StateGraph(Log).add_node(a).add_node("b", says("b")).add_node("c", says("c"))
    graph.add_sequence(START, "a", "b", END).add_edge("c", END)
    result = await run(graph.compile())
    assert result.output.said == ["a", "c"]
    assert of(result.events, "node.completed", "node") == ["a", "c"]
    assert of(result.events, "node.completed")[0]["goto"] == ["c"]


@pytest.mark.parametrize(
    ("goto", "code", "told"),
    [
        ("fnish", "UNKNOWN_TARGET", "did you mean 'finish'?"),
        ("zzz", "UNKNOWN_TARGET", "the nodes are a, finish"),
        (START, "START_AS_TARGET", "name the node that it should begin with again"),
        (Send("fnish", 1), "UNKNOWN_TARGET", "did you mean 'finish'?"),
        (Send(END, 1), "UNKNOWN_TARGET", "there is no such node"),
    ],
)
async def test_a_goto_to_what_is_no_node_fails_where_it_was_returned(
    goto: Any, code: str, told: str
) -> None:
    """Behaviour 96: an unknown target; nothing is left behind that could fail the next run."""
    targets: list[Any] = [goto, "finish"]

    async def a(state: Log) -> Command:
        return Command(goto=targets.pop(0), update={"said": ["a"]})

    graph = (
        StateGraph(Log)
        .add_node(a)
        .add_node("finish", says("finish"))
        .add_edge(START, "a")
        .add_edge("finish", END)
        .compile(ignore={"UNREACHABLE"})
    )
    error, partial = await fail(graph, GraphError)
    assert error.has(code)
    for each in ("test_basics.py:", "node 'a' went to", told):
        assert each in str(error)
    assert partial.output.said == []
    assert nodes_in(partial, "node.failed") == ["a"]
    assert (await run(graph)).output.said == ["a", "finish"]


async def test_only_what_was_declared_may_be_gone_to_once_something_was() -> None:
    async def a(state: Log) -> Command:
        return Command(goto="c")

    graph = StateGraph(Log).add_node("a", a, goto=["b"])
    graph.add_node("b", says("b")).add_node("c", says("c"))
    graph.add_edge(START, "a").add_edge("b", END).add_edge("c", END)
    error, _ = await fail(graph.compile(ignore={"UNREACHABLE"}), GraphError)
    assert error.has("UNDECLARED_GOTO")
    assert "node 'a' went to 'c', and declares only b" in str(error)
    assert "goto=[…, 'c']" in str(error)


@pytest.mark.parametrize("goto", [1, ["a", 2], ("a", None)])
def test_a_goto_that_is_no_name_is_refused_at_once(goto: Any) -> None:
    with pytest.raises(ConfigError, match=r"Command\(goto=.*give a node's name, or Send"):
        Command[Any](goto=goto)


def test_an_update_that_is_no_dict_is_refused_at_once() -> None:
    given: Any = ["x"]
    with pytest.raises(ConfigError, match=r"Command\(update=.*give a dict of state keys"):
        Command[Any](goto="a", update=given)


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_a_cycle_ends_at_exactly_the_limit(concurrency: int, limit: int) -> None:
    """Behaviour 97: sequential or parallel."""
    graph = loop(1_000, max_concurrency=concurrency, max_steps=limit)
    error, partial = await fail(graph, LimitExceeded)
    assert (error.limit, error.allowed, error.path) == ("max_steps", limit, "root")
    assert partial.output.n == limit
    assert nodes_in(partial) == ["count"] * limit
    assert f"max_steps={limit}" in str(error)
    assert of(partial.events, "limit.reached", "limit") == ["max_steps"]


async def test_the_limit_of_steps_says_where_it_is_raised() -> None:
    error, _ = await fail(loop(1_000, max_steps=3), LimitExceeded)
    assert "compile(max_steps=...)" in str(error)
    assert "on_limit=" in str(error)


async def test_the_limit_of_a_run_goes_before_that_of_its_graph() -> None:
    assert (await run(loop(5, max_steps=2), max_steps=5)).output.n == 5
    error, _ = await fail(loop(1_000), LimitExceeded)
    assert error.allowed == 100
    with pytest.raises(ConfigError, match="max_steps=0: give at least 1"):
        await loop(1).run(max_steps=0)


async def test_the_limit_of_an_eager_run_counts_the_tasks_on_the_longest_way() -> None:
    error, partial = await fail(loop(1_000, mode="eager", max_steps=3), LimitExceeded)
    assert (error.limit, error.allowed) == ("max_steps", 3)
    assert partial.output.n == 3


def test_what_cannot_run_is_told_at_compile_time() -> None:
    """Behaviour 98: missing nodes. Ours needs no reducer, and lets edges and gotos be mixed."""
    empty = StateGraph(Log).add_node("a", says("a"))
    with pytest.raises(GraphError, match="NO_START"):
        empty.compile()
    missing = StateGraph(Log).add_node("write", says("a")).add_edge(START, "wrte")
    with pytest.raises(GraphError, match="did you mean 'write'"):
        missing.compile()


def test_what_is_no_node_is_told_where_it_is_added() -> None:
    """Behaviour 98: the errors that need no compiling."""
    graph: StateGraph[Any] = StateGraph(Log).add_node("a", says("a"))
    with pytest.raises(ConfigError, match=r"test_basics.py:\d+: add_node\('a'\): there is such a"):
        graph.add_node("a", says("b"))
    with pytest.raises(ConfigError, match="give a function, an agent, a session or a compiled"):
        graph.add_node("b", 5)
    with pytest.raises(ConfigError, match=r"compile the graph first, g\.compile\(\)"):
        graph.add_node("b", StateGraph(Log))
    for name in ("", "a/b", "a[0]", "*", START, END):
        with pytest.raises(ConfigError, match="give a name; '/'"):
            graph.add_node(name, says("b"))
    names: Any = "b"
    with pytest.raises(ConfigError, match=r"goto='b': give a list of nodes, \['b'\]"):
        graph.add_node("b", says("b"), goto=names)
    with pytest.raises(ConfigError, match=r"writes='b': give a list of keys, \['b'\]"):
        graph.add_node("b", says("b"), writes=names)
    state: Any = dict
    with pytest.raises(ConfigError, match=r"the state is a pydantic model, class State\(BaseModel"):
        StateGraph(state)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fail": "never"}, "'drain', 'cancel' or 'collect'"),
        ({"mode": "lazy"}, "'superstep' or 'eager'"),
        ({"max_concurrency": 0}, "max_concurrency=0"),
        ({"max_steps": 0}, "max_steps=0"),
    ],
)
def test_options_of_a_graph_are_checked(options: dict[str, Any], told: str) -> None:
    graph = StateGraph(Log).add_node("a", says("a")).add_sequence(START, "a", END)
    with pytest.raises(ConfigError, match=told):
        graph.compile(**options)


async def test_one_node_may_be_begun_with_several_inputs() -> None:
    """Behaviour 99: by sends out of START, where there is a call `run_with_inputs`."""

    async def shout(word: str, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"{ctx.path}: {word.upper()}"]}

    def begin(state: Log) -> list[Send]:
        return [Send("shout", word) for word in ("hey", "you")]

    graph = StateGraph(Log).add_node(shout).add_edge("shout", END)
    graph.add_conditional_edges(START, begin, ["shout"])
    result = await run(graph.compile())
    assert result.output.said == ["root/shout[0]: HEY", "root/shout[1]: YOU"]


async def test_a_reducer_that_fails_fails_the_run() -> None:
    """Behaviour 100."""

    def smallest(value: int, operand: int) -> int:
        raise ArithmeticError("no order")

    class Least(BaseModel):
        low: Annotated[int, Reduce(smallest)] = 9

    async def measure(state: Least) -> dict[str, Any]:
        return {"low": 4}

    graph = StateGraph(Least).add_node(measure).add_sequence(START, "measure", END).compile()
    error, partial = await fail(graph, GraphError)
    assert error.has("REDUCER_FAILED")
    for told in ("Reduce(smallest)", "'low'", "'measure'", "4 (int)", "9 (int)", "no order"):
        assert told in str(error)
    assert isinstance(error.__cause__, ArithmeticError)
    assert partial.status == "failed"
    assert partial.output.low == 9
    assert [event.kind for event in partial.events][-1] == "run.failed"


async def test_a_graph_runs_many_times_at_once_and_keeps_nothing() -> None:
    graph = loop(3)
    first, second = await run(graph), await run(graph, {"n": 1})
    assert (first.output.seen, second.output.seen) == ([0, 1, 2], [1, 2])
    assert first.run_id != second.run_id


def test_a_script_runs_a_graph_without_an_event_loop() -> None:
    assert loop(3).run_sync({"n": 1}).output.n == 3


async def test_an_input_that_is_no_state_is_refused_before_the_run() -> None:
    for given, code, told in (
        ({"topc": "x"}, "UNKNOWN_KEY", "did you mean 'topic'?"),
        ({"n": "many"}, "INVALID_INPUT", "n: Input should be a valid integer"),
        ([1], "INVALID_INPUT", "give a dict with the keys n, text, topic"),
    ):
        graph = StateGraph(Text).add_node("a", nothing).add_sequence(START, "a", END).compile()
        wrong: Any = given
        with pytest.raises(GraphError, match=code) as caught:
            await graph.run(wrong)
        assert told in str(caught.value)


async def test_an_input_may_be_an_instance_of_the_state_or_of_another_model() -> None:
    class Order(BaseModel):
        topic: str = "coffee"

    graph = StateGraph(Text).add_node("a", nothing).add_sequence(START, "a", END).compile()
    assert (await run(graph, Text(n=2))).output == Text(n=2)
    assert (await run(graph, Order())).output == Text(topic="coffee")
