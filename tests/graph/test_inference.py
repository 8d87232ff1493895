"""What functions show of where they lead and what they use; what is not certain is not known."""

# The lambdas here are what users write: their parameters have no types.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial, wraps
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from tests.graph.checking import State, graph, work
from tinyagents_graph.stategraph import END, START, Ask, Command, Send, join
from tinyagents_graph.stategraph.inference import (
    asks_of,
    choice_of,
    completed,
    goto_of,
    labels_of,
    reads_of,
    takes,
    writes_of,
)

Where = Literal["a", "b"]


class Way(str, Enum):  # noqa: UP042  # as it is often written
    """Labels as an enumeration."""

    A = "a"
    B = "b"


def no_hint(state: State):  # type: ignore[no-untyped-def]
    return state.verdict


EMPTY: Mapping[str, Any] = {"state": None}


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


class Body:
    """A body that is an object."""

    async def __call__(self, state: State) -> Command[Literal["a"]]:
        return Command("a", {"verdict": state.topic})

    def method(self, state: State, ctx: Any) -> dict[str, Any]:
        return {"notes": [state.topic, state.plan]}


# --- hints ----------


def one(state: State) -> Where:
    raise NotImplementedError


def optional(state: State) -> Literal["a"] | Literal["b"] | None:
    raise NotImplementedError


def several(state: State) -> Sequence[Where]:
    raise NotImplementedError


def listed(state: State) -> list[Annotated[Where, "labels"]] | Send:
    raise NotImplementedError


async def commanded(state: State) -> Command[Where]:
    raise NotImplementedError


def enumerated(state: State) -> Way:
    raise NotImplementedError


def numbered(state: State) -> Literal[1, "a"]:
    raise NotImplementedError


def local(state: "Missing") -> "Where":  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
    raise NotImplementedError


def broken(state: State) -> "Missing":  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
    raise NotImplementedError


@pytest.mark.parametrize(
    ("route", "labels"),
    [
        (one, ["a", "b"]),
        (optional, ["a", "b"]),
        (listed, ["a", "b"]),
        (commanded, ["a", "b"]),
        (enumerated, ["a", "b"]),
        (numbered, ["a"]),
        (local, ["a", "b"]),
        (wrapped(one), ["a", "b"]),
        (Body(), ["a"]),
        (broken, []),
        (no_hint, []),
        (lambda state: "a", []),
        (len, []),
        (int, []),
        (3, []),
    ],
)
def test_the_labels_of_a_router(route: Any, labels: list[str]) -> None:
    assert labels_of(route) == labels


@pytest.mark.parametrize(
    ("route", "choice"),
    [
        (one, "one"),
        (optional, "one"),
        (listed, "many"),
        (lambda state: "a" if state.rounds else END, "one"),
        (lambda state: ["a", "b"], "many"),
        (lambda state: [Send("a", note) for note in state.notes], "many"),
        (lambda state: state.verdict, ""),
        (len, ""),
    ],
)  # fmt: skip
def test_how_many_ways_a_router_takes(route: Any, choice: str) -> None:
    assert choice_of(route) == choice


# --- texts ----------


def by_name(state: State) -> Any:
    if state.rounds > 3:
        return Command(goto=END)
    if state.rounds:
        return Command(goto=["a", Send("b", state.topic)], update={"plan": "x"})
    return Command(also="c" if state.topic else None)


def by_value(state: State) -> Any:
    return Command(goto=state.verdict)


def asking(state: State) -> Any:
    return (
        Ask("good?", then="judge", update={"plan": "x"})
        if state.topic
        else Ask("?", output="verdict")
    )


def sending(state: State) -> Any:
    return [Send("a", note) for note in state.notes]


def silent(state: State) -> None:
    state.notes.append("x")


def helped(state: State):  # type: ignore[no-untyped-def]
    return by_name(state)


def spread(state: State) -> dict[str, Any]:
    return {**work(state), "plan": "x"}


def local_update(state: State) -> dict[str, Any]:
    update = {"plan": state.topic}
    return update  # noqa: RET504


def named_update(state: State) -> dict[str, Any]:
    def inner() -> dict[str, Any]:
        return {"not": "returned"}

    return dict(plan=inner())  # noqa: C408


def rebound(state: Any) -> dict[str, Any]:
    state = state.inner
    return {"plan": state.topic}


def generating(state: State) -> Any:
    yield {"plan": state.topic}


@pytest.mark.parametrize(
    ("body", "goto"),
    [
        (commanded, ("a", "b")),
        (Body(), ("a",)),
        (Body().method, ()),
        (by_name, ("__end__", "a", "b", "c")),
        (by_value, None),
        (asking, ()),
        (sending, ("a",)),
        (silent, ()),
        (helped, None),
        (spread, ()),
        (generating, None),
        (wrapped(commanded), ("a", "b")),
        (wrapped(spread), None),
        (partial(spread), ()),
        (partial(spread, **EMPTY), None),
        (len, None),
        (print, None),
        (BaseModel, None),
        (None, None),
        ("text", None),
    ],
)
def test_where_a_body_may_go(body: Any, goto: tuple[str, ...] | None) -> None:
    assert goto_of(body) == goto


def test_what_a_body_asks_for() -> None:
    assert asks_of(asking) == ("judge",)
    assert asks_of(by_name) == ()


@pytest.mark.parametrize(
    ("body", "reads", "writes"),
    [
        (by_name, {"rounds", "topic"}, {"plan"}),
        (by_value, {"verdict"}, set()),
        (asking, {"topic"}, {"plan", "verdict"}),
        (sending, {"notes"}, set()),
        (silent, {"notes"}, set()),
        (helped, None, None),
        (spread, None, None),
        (local_update, {"topic"}, None),
        (named_update, set(), {"plan"}),
        (rebound, None, {"plan"}),
        (generating, {"topic"}, None),
        (Body(), {"topic"}, {"verdict"}),
        (Body().method, {"topic", "plan"}, {"notes"}),
        (partial(Body().method), {"topic", "plan"}, {"notes"}),
        (lambda state: {"plan": state.topic}, {"topic"}, {"plan"}),
        (lambda state: {"plan": getattr(state, "topic")}, None, {"plan"}),  # noqa: B009
        (lambda *states: {"plan": "x"}, None, {"plan"}),
        (wrapped(by_name), None, None),
        (len, None, None),
        (dict, None, None),
        (None, None, None),
    ],
)  # fmt: skip
def test_what_a_body_reads_and_writes(
    body: Any, reads: set[str] | None, writes: set[str] | None
) -> None:
    assert reads_of(body) == reads
    assert writes_of(body) == writes


def test_lambdas_of_one_line_are_told_apart() -> None:
    pair: list[Any] = [lambda state: {"a": state.b}, lambda state: {"c": state.d}]
    assert [reads_of(each) for each in pair] == [frozenset("b"), frozenset("d")]
    assert [writes_of(each) for each in pair] == [frozenset("a"), frozenset("c")]


def test_what_has_no_text_is_not_known() -> None:
    scope: dict[str, Any] = {}
    exec("def body(state):\n    return {'a': state.b}", scope)
    assert (reads_of(scope["body"]), writes_of(scope["body"])) == (None, None)


def test_a_text_that_changed_since_is_not_taken_for_the_function(tmp_path: Any) -> None:
    path = tmp_path / "flow.py"
    path.write_text("def body(other):\n    return {'a': other.b}\n", encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(compile("def body(state):\n    return {'c': state.d}\n", str(path), "exec"), scope)
    assert reads_of(scope["body"]) is None
    path.write_text("this is no Python", encoding="utf-8")
    exec(compile("def body(state):\n    return {'e': state.f}\n", str(path), "exec"), scope)
    assert reads_of(scope["body"]) is None


def test_an_object_is_not_asked_for_what_it_does_not_have() -> None:
    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    assert goto_of(Proxy()) is None
    assert reads_of(Proxy()) is None


def test_the_first_parameter_has_a_type() -> None:
    assert takes(work) is State
    assert takes(Body().method) is State
    assert takes(local) is Any
    assert takes(lambda state: state) is None
    assert takes(len) is None


# --- whole graphs ----------


def test_a_graph_is_completed_by_what_its_functions_show() -> None:
    made = graph("judge").add_node("ask", asking).add_node("jump", by_name, goto=["ask"])
    made.add_node("open", by_value).add_node("short", lambda state: state.topic, output="plan")
    nodes = completed(made.declare()).nodes
    assert nodes["ask"].asks == ("judge",)
    assert nodes["ask"].goto == ()
    assert nodes["ask"].writes == frozenset(("plan", "verdict"))
    assert nodes["jump"].goto == ("ask",)
    assert nodes["open"].goto is None
    assert nodes["short"].reads == frozenset(("topic",))
    assert ("ask", "judge", "ask") in [
        (each.source, each.target, each.kind) for each in completed(made.declare()).arrows
    ]


def test_a_declared_graph_is_a_network() -> None:
    import networkx as nx

    from tinyagents_graph.networks import network

    made = graph("a", "b", "c").add_edge(START, "a").add_edge(join("a", "b", wait_for="any"), "c")
    made.add_conditional_edges("a", one, {"a": "b", "b": "c"}).add_edge("c", "nowhere")
    found = network(made.declare())
    assert list(found) == [START, "a", "b", "c", END]
    assert found.nodes["a"]["kind"] == "function"
    arrows = [(a, b, facts["kind"], facts["label"]) for a, b, facts in found.edges(data=True)]
    assert arrows == [
        (START, "a", "edge", ""),
        ("a", "c", "join", ""),
        ("a", "c", "route", "b"),
        ("a", "b", "route", "a"),
        ("b", "c", "join", ""),
    ]
    assert found.edges["a", "c", 0]["wait_for"] == "any"
    assert json.loads(json.dumps(nx.node_link_data(found, edges="edges")))["multigraph"]
