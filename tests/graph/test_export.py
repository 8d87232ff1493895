"""A graph as data: JSON both ways, and the hash."""

import json
import operator
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import networkx as nx
import pytest
from hypothesis import given
from pydantic import BaseModel

from tests.graph.flows import State, chain, flow, report, sketches, work
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph import END, START, Append, Last, Reduce, StateGraph, join
from tinyagents_graph.stategraph.export import (
    from_data,
    from_json,
    graph_hash,
    sketch,
    to_data,
    to_json,
)
from tinyagents_graph.stategraph.sketch import Sketch


class Shape(BaseModel):
    name: str
    parts: list["Shape"] = []


class Kinds(BaseModel):
    plain: str | None = None
    kind: Literal["a", "b"] = "a"
    lines: Annotated[list[Shape], Append()] = []
    total: Annotated[int, operator.add] = 0
    most: Annotated[int, Reduce(max)] = 0
    table: dict[str, Any] = {}


@given(sketches())
def test_what_is_written_is_read_back(graph: Sketch) -> None:
    text = to_json(graph)
    again = from_json(text)
    assert again == graph
    assert again.to_json() == text
    assert from_data(to_data(graph)) == graph
    assert graph_hash(again) == graph_hash(graph)


def test_a_declared_graph_is_read_back() -> None:
    graph = report().declared
    again = from_json(to_json(graph))
    assert again == sketch(graph)
    assert again.to_json() == to_json(graph)
    assert graph_hash(again) == graph_hash(graph)


def test_the_data_says_what_the_graph_is_made_of() -> None:
    data = to_data(report().declared)
    nodes = {node["id"]: node for node in data["nodes"]}
    assert list(nodes)[:2] == [START, "plan"]
    assert nodes["plan"] == {
        "id": "plan",
        "kind": "function",
        "description": "Makes a plan.",
        "settings": {"body": "work", "reads": ["topic"], "writes": ["topic"]},
    }
    assert nodes["team"]["kind"] == "graph"
    assert [node["id"] for node in nodes["team"]["subgraph"]["nodes"]] == [
        START,
        "writer",
        "critic",
        END,
    ]
    assert nodes["check"]["settings"]["approve"] == "May it go out?"
    edges = data["edges"]
    arm = {"source": "a", "target": "team", "kind": "join", "join": 0, "wait_for": "all"}
    assert arm in edges
    assert {"source": "check", "target": END, "kind": "route", "label": "done"} in edges
    assert {"source": START, "target": "late", "kind": "limit"} in edges
    assert {edge["kind"] for edge in edges} == {
        "edge", "join", "route", "goto", "rejected", "error", "limit"
    }  # fmt: skip


def ready(state: Kinds) -> bool:
    return state.kind == "a"


def test_types_reducers_and_settings_are_told_by_their_names() -> None:
    graph = StateGraph(Kinds)
    graph.add_node(
        "one",
        work,
        retry=Retry(3, on=(OSError,)),
        timeout_s=float("inf"),
        approve=ready,
        cache=True,
    )
    data = to_data(graph.add_sequence(START, "one", END).declare())
    keys = {key["name"]: (key["type"], key["reducer"]) for key in data["graph"]["state"]}
    assert keys == {
        "plain": ("str | None", None),
        "kind": ("Literal['a', 'b']", None),
        "lines": ("list[Shape]", "Append()"),
        "total": ("int", "Reduce(add)"),
        "most": ("int", "Reduce(max)"),
        "table": ("dict[str, Any]", None),
    }
    settings = data["nodes"][1]["settings"]
    assert settings["retry"]["on"] == ["OSError"]
    assert (settings["approve"], settings["cache"]) == ("ready()", True)
    assert "timeout_s" not in settings  # no JSON number


def test_networkx_reads_it() -> None:
    data = to_data(report().declared)
    graph: Any = nx.node_link_graph(data, edges="edges")  # pyright: ignore[reportUnknownMemberType]
    assert graph.is_multigraph()
    assert graph.is_directed()
    assert graph.number_of_edges() == len(data["edges"])
    assert nx.has_path(graph, START, END)


def _broken(**changes: Any) -> str:
    return json.dumps({**to_data(chain("plan", "write").declared), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is no graph as to_json writes it"),
        ("[" * 100_000, "this is no graph as to_json writes it"),
        ("[]", "this is no graph as to_json writes it"),
        (_broken(nodes=[{"id": "x", "kind": "cat"}]), "nodes.0.kind"),
        (_broken(nodes=[{"id": "x", "kind": "agent"}] * 2), "node 'x': every node needs an id"),
        (
            _broken(edges=[{"source": "plan", "target": "wrte", "kind": "edge"}]),
            "edge 0 leads from 'plan' to 'wrte', and there is no node 'wrte' "
            "(did you mean 'write'?)",
        ),
        (
            _broken(
                edges=[
                    {"source": "plan", "target": "write", "kind": "join", "join": 0},
                    {"source": "write", "target": END, "kind": "join", "join": 0},
                ]
            ),
            "edge 1 is an arm of join 0, and says something else of it than the arm before",
        ),
    ],
)
def test_what_is_no_graph_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(text)
    assert message in str(caught.value)


def test_a_node_that_nobody_added_is_missing() -> None:
    graph = flow(a="")
    graph.add_edge(START, "a").add_edge("a", "b")
    assert sketch(graph.declare()).nodes["b"].kind == "missing"


# --- the hash ----------


def _hash(**options: Any) -> str:
    graph = StateGraph(options.get("state", State), name=options.get("name", "g"))
    for name in options.get("order", ("a", "b")):
        graph.add_node(name, options.get("body", work), **options.get("node", {}))
    graph.add_edge(START, "a")
    graph.add_edge(options.get("join", ["a"]), "b")
    return graph_hash(graph.declare(mode=options.get("mode", "superstep")))


class Renamed(BaseModel):
    topic: Annotated[str, Last()] = "another default"
    drafts: Annotated[list[str], Append()] = []


class Retyped(BaseModel):
    topic: Annotated[int, Last()] = 0
    drafts: Annotated[list[str], Append()] = []


class Unreduced(BaseModel):
    topic: Annotated[str, Last()] = ""
    drafts: list[str] = []


@pytest.mark.parametrize(
    "options",
    [
        {"name": "other"},
        {"body": print},
        {"node": {"description": "Words.", "timeout_s": 3.0}},
        {"order": ("b", "a")},
        {"state": Renamed},
    ],
)
def test_the_hash_stays_when_the_graph_does(options: dict[str, Any]) -> None:
    assert _hash(**options) == _hash()


@pytest.mark.parametrize(
    "options",
    [
        {"order": ("a", "b", "c")},
        {"join": ["a", START]},
        {"join": join("a", wait_for="any")},
        {"join": join("a", min_ok=1)},
        {"node": {"goto": ["b"]}},
        {"body": chain("x")},
        {"state": Retyped},
        {"state": Unreduced},
        {"mode": "eager"},
    ],
)
def test_the_hash_changes_when_the_graph_does(options: dict[str, Any]) -> None:
    assert _hash(**options) != _hash()


def test_the_hash_sees_what_is_nested() -> None:
    assert _hash(body=chain("x")) != _hash(body=chain("y"))


def test_the_hash_is_the_same_in_another_process() -> None:
    code = "from tests.graph.flows import *; from tinyagents_graph.stategraph.export import *; "
    told = subprocess.run(
        [sys.executable, "-c", f"{code}print(graph_hash(report().declared))"],
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == graph_hash(report().declared)
