"""What is wrong with the keys that a graph's nodes read and write is found before it runs."""

# The lambdas here are what users write: their parameters have no types.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from typing import Any

import pytest
from pydantic import BaseModel

from tests.graph.checking import State, check, codes, decide, graph, line_before, only, shows, work
from tinyagents_graph.stategraph import END, START, Send, StateGraph, join

# --- keys that do not exist ----------


def around(made: StateGraph[Any], node: str = "a") -> StateGraph[Any]:
    """The graph with its one node between the start and the end."""
    return made.add_sequence(START, node, END)


@pytest.mark.parametrize(
    "arguments",
    [
        {"reads": ["topci"]},
        {"writes": ["topci"]},
        {"output": "topci"},
        {"inputs": {"x": "topci"}},
        {"outputs": {"topci": "x"}},
    ],
)
def test_what_add_node_names_are_keys(arguments: dict[str, Any]) -> None:
    made = StateGraph(State).add_node("a", work, **arguments)
    site = line_before()
    found = only(around(made))
    text = f"{next(iter(arguments))}= of node 'a' names 'topci'"
    shows(found, "UNKNOWN_KEY", site, text, "did you mean 'topic'?", "its keys are notes, plan")


def test_what_a_node_reads_are_keys() -> None:
    def read(state: State) -> dict[str, Any]:
        if state.is_long:
            return {"verdict": state.model_dump_json()}
        return {"verdict": state.topc}  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    made = StateGraph(State).add_node("a", read)
    site = line_before()
    shows(only(around(made)), "UNKNOWN_KEY", site, "node 'a' reads state.topc (in line", "'topic'?")


def test_what_a_node_writes_are_keys() -> None:
    made = StateGraph(State).add_node("a", lambda state: {"topci": state.topic})
    site = line_before()
    shows(only(around(made)), "UNKNOWN_KEY", site, "node 'a' writes 'topci'", "mean 'topic'?")
    made = StateGraph(State).add_node("a", lambda state: state, output=lambda made: {"topci": made})
    assert codes(around(made)) == ["UNKNOWN_KEY"]


def test_what_routers_inputs_and_gates_read_are_keys() -> None:
    made = graph("a").add_edge(START, "a")
    route: Any = lambda state: state.verdit  # noqa: E731
    made.add_conditional_edges("a", route, {"open": "a", "shut": END})
    found = only(made)
    assert (found.code, found.severity) == ("UNKNOWN_KEY", "error")
    assert "the router of 'a' reads state.verdit" in found.message
    for argument in ("input", "approve"):
        given: Any = {argument: lambda state: state.verdit}
        found = only(around(StateGraph(State).add_node("a", work, **given)))
        assert f"{argument}= of node 'a' reads state.verdit" in found.message


def test_what_is_not_the_state_may_have_other_attributes() -> None:
    class Item(BaseModel):
        size: int

    def weigh(item: Item) -> dict[str, Any]:
        return {"rounds": item.size}

    def look(thing: Any) -> dict[str, Any]:
        return {"rounds": thing.size if isinstance(thing, Item) else 0}

    def spread(state: State) -> list[Send]:
        return [Send("weigh", Item(size=3)), Send("look", Item(size=2))]

    made = StateGraph(State).add_node("weigh", weigh).add_node("look", look)
    made.add_conditional_edges(START, spread, ["weigh", "look"])
    made.add_edge(join("weigh", "look"), END)
    assert codes(made) == []


def test_a_state_that_takes_any_attribute_may_have_it() -> None:
    class Loose(BaseModel, extra="allow"):
        topic: str = ""

    assert codes(around(StateGraph(Loose).add_node("a", lambda state: {"topic": state.any}))) == []


# --- keys that nobody writes, answers without a place ----------


def test_what_is_read_is_written_somewhere() -> None:
    def read(state: State) -> dict[str, Any]:
        return {"notes": state.plan or "none"}

    made = StateGraph(State).add_node("a", read)
    site = line_before()
    shows(only(around(made)), "UNWRITTEN_KEY", site, "reads 'plan'", severity="warning")
    other = StateGraph(State).add_node("b", lambda state: {"plan": state.topic})
    assert codes(other.add_node("a", read).add_sequence(START, "b", "a", END)) == []


class Stub:
    """What a graph sees of an agent."""

    node_kind = "agent"

    def __init__(self, output_type: Any) -> None:
        self.output_type = output_type


class Known(BaseModel):
    topic: str


class Strange(BaseModel):
    topic: str
    verdit: str


@pytest.mark.parametrize(
    ("answer", "severity", "text"),
    [
        (str, "error", "is str"),
        (Strange, "error", "has 'verdit', which State has not (did you mean 'verdict'?)"),
        (None, "warning", "has no known type"),
    ],
)
def test_an_answer_has_a_place(answer: Any, severity: str, text: str) -> None:
    made = StateGraph(State).add_node("writer", Stub(answer))
    site = line_before()
    found = only(around(made, "writer"))
    shows(found, "NO_OUTPUT", site, text, "output='key'", severity=severity)


@pytest.mark.parametrize(
    ("name", "answer", "output"),
    [
        ("writer", str, "plan"),
        ("plan", str, None),
        ("writer", Known, None),
        ("writer", dict[str, str], None),
        ("writer", str, lambda answer: {"plan": answer}),
    ],
)
def test_an_answer_that_has_a_place(name: str, answer: Any, output: Any) -> None:
    made = StateGraph(State).add_node(name, Stub(answer), output=output)
    assert codes(around(made, name)) == []


def test_two_agents_do_not_answer_to_one_key_in_one_step() -> None:
    made = StateGraph(State).add_node("a", Stub(str), output="plan")
    made.add_node("b", Stub(str), output="plan")
    found = only(made.add_sequence(START, "a", END).add_sequence(START, "b", END))
    assert (found.code, found.severity, found.nodes) == ("CONCURRENT_WRITES", "error", ("a", "b"))


# --- graphs that are nodes ----------


class Inner(BaseModel):
    topic: str
    pages: int = 0
    texts: list[str] = []


def inner(state: type[BaseModel] = Inner) -> Any:
    made = StateGraph(state, name="inner").add_node("a", lambda state: {"topic": "x"})
    return around(made).compile()


def test_the_keys_of_an_inner_graph_exist() -> None:
    mapping: Any = {"inputs": {"topci": "topic"}, "outputs": {"notes": "text"}}
    made = StateGraph(State).add_node("sub", inner(), **mapping)
    site = line_before()
    found = check(around(made, "sub"))
    assert [each.code for each in found] == ["BAD_MAPPING"] * 3
    shows(found[0], "BAD_MAPPING", site, "inputs= of node 'sub' names 'topci'", "mean 'topic'?")
    shows(found[1], "BAD_MAPPING", site, "outputs= of node 'sub' names 'text'", "mean 'texts'?")
    shows(found[2], "BAD_MAPPING", site, "needs 'topic'", "inputs={'topic': 'our key'}")


def test_an_inner_graph_gets_the_keys_it_needs() -> None:
    class Other(BaseModel):
        subject: str = ""
        pages: str = ""

    made = StateGraph(Other).add_node("sub", inner())
    found = check(around(made, "sub"))
    assert [(each.code, each.severity) for each in found] == [
        ("BAD_MAPPING", "error"),
        ("TYPE_MISMATCH", "warning"),
        ("BAD_MAPPING", "warning"),
    ]
    assert "needs 'topic', which has no default" in found[0].message
    assert (
        "'pages' is not handed on to node 'sub': it is str here and int there" in found[1].message
    )
    assert "no key of the same name and type" in found[2].message


@pytest.mark.parametrize(
    ("mapping", "is_wrong"),
    [
        ({"inputs": {"topic": "notes"}}, True),
        ({"inputs": {"topic": "rounds"}}, True),
        ({"inputs": {"topic": "plan"}}, False),  # `str | None` may be a `str`
        ({"inputs": {"topic": "topic", "pages": "verdict"}}, False),  # "3" is read as a number
        ({"outputs": {"notes": "texts"}}, False),
        ({"outputs": {"notes": "topic"}}, False),  # one item is appended
        ({"outputs": {"notes": "pages"}}, True),
        ({"outputs": {"verdict": "texts"}}, True),
    ],
)
def test_mapped_keys_have_types_that_fit(mapping: Any, is_wrong: bool) -> None:
    made = around(StateGraph(State).add_node("sub", inner(), **mapping), "sub")
    assert codes(made) == ["TYPE_MISMATCH"] * is_wrong


def test_an_inner_graph_of_the_same_keys_needs_no_mapping() -> None:
    assert codes(around(StateGraph(State).add_node("sub", inner(State)), "sub")) == []


def test_everything_is_told_at_once() -> None:
    made = StateGraph(State).add_node("plan", lambda state: {"pln": state.topic})
    made.add_node("write", work).add_node("lost", work).add_edge("write", END)
    made.add_edge(START, "plan").add_edge("plan", "wirte")
    made.add_conditional_edges("write", decide, {"again": "plann", "done": END})
    assert codes(made, on_limit="nowhere") == [
        "UNKNOWN_TARGET",
        "UNKNOWN_TARGET",
        "ON_LIMIT",
        "UNREACHABLE",
        "UNKNOWN_KEY",
    ]
