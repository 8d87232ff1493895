"""What `add_*` and `compile` cannot use is refused, and the message says what to give."""

import inspect
import re
from typing import Any

import pytest
from pydantic import BaseModel

from tinyagents import Agent, ConfigError
from tinyagents.graph import END, START, Send, StateGraph
from tinyagents_graph.stategraph import boundaries, checks, checks_of_keys, checks_of_steps
from tinyagents_graph.stategraph.findings import CODES

AGENT: Any = Agent
CLERK: Any = Agent("test")


class State(BaseModel):
    n: int = 0


def count(state: State) -> dict[str, int]:
    return {"n": state.n + 1}


@pytest.fixture
def g() -> Any:
    return StateGraph(State).add_node(count).add_sequence(START, "count", END)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input": "n"}, r"input='n'\): give a function of the state"),
        ({"output": 5}, r"output=5\): give a key of the state, or a function"),
        ({"inputs": ["n"]}, r"inputs=\['n'\]\): give a dict"),
        ({"retry": 3}, r"retry=3\): give Retry\(attempts=3\)"),
        ({"timeout_s": 0}, r"timeout_s=0\): give seconds, a number above 0"),
        ({"timeout_s": "5"}, r"timeout_s='5'\): give seconds"),
        ({"cache": 60}, r"cache=60\): give True, or NodeCache\(ttl_s=60\)"),
        ({"approve": 1}, r"approve=1\): give True, the question, or a function"),
        ({"rejected": ["b"]}, r"rejected=\['b'\]\): give the name of a node"),
        ({"on_error": count}, r"on_error=<function count .*give the name of a node"),
    ],
)
def test_an_option_of_a_wrong_kind_is_refused(g: Any, options: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^test_wrong_arguments\.py:\d+: add_node\('b', {told}"):
        g.add_node("b", count, **options)
    g.add_node("b", count)  # what was refused has not been added


def unnamed(state: State) -> None:
    """A function that has lost its name."""


unnamed.__name__ = "<lambda>"


NO_NAMES: Any = [
    ("add_edge", ("count", ["a", "b"]), r"give the name of one node; for several, call it"),
    ("add_edge", (1, "count"), r"add_edge\(1, …\): give a node, a list, or join"),
    ("add_sequence", ("count",), r"give at least two nodes"),
    ("add_sequence", ("count", ["a"]), r"node=\['a'\]\): give the name of one node"),
    ("add_conditional_edges", ("count", count, "count"), r"give a list of nodes, or a dict"),
    ("add_conditional_edges", (["a"], count, ["count"]), r"give the name of one node"),
    ("add_node", (unnamed,), r"give a name, add_node\('name', …\)"),
    (
        "add_node",
        ("b", type(CLERK)),
        r"add_node\('b', Agent\): give an instance, not the class",
    ),
]


@pytest.mark.parametrize(("method", "arguments", "told"), NO_NAMES)
def test_what_names_no_node_is_refused(g: Any, method: str, arguments: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^test_wrong_arguments\.py:\d+: .*{told}"):
        getattr(g, method)(*arguments)


def test_keys_of_a_graph_are_not_mapped_for_an_agent(g: Any) -> None:
    with pytest.raises(ConfigError, match=r"an agent has input=, a function of the state"):
        g.add_node("b", CLERK, inputs={"n": "n"})


def test_a_node_is_sent_to_by_its_name() -> None:
    node: Any = count
    with pytest.raises(ConfigError, match=r"^Send\(<function count .*: give a node's name"):
        Send(node, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_concurrency": "3"}, r"max_concurrency='3'\): give a whole number, at least 1"),
        ({"max_concurrency": None}, r"max_concurrency=None\): give a whole number"),
        ({"max_steps": 2.5}, r"max_steps=2.5\): give a whole number, at least 1"),
        ({"ignore": "DOUBLE_RUN"}, r"ignore='DOUBLE_RUN'\): give a set of codes$"),
        ({"ignore": {"DUBLE_RUN"}}, r"give a set of codes \(did you mean 'DOUBLE_RUN'\?\)$"),
    ],
)
def test_an_option_of_compile_is_checked(g: Any, options: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^compile\(.*{told}"):
        g.compile(**options)


def test_a_graph_in_the_making_shows_what_it_is(g: Any) -> None:
    assert repr(g) == "StateGraph(State, name='graph', 1 nodes)"


def test_every_code_that_may_be_left_out_is_one_of_a_check() -> None:
    modules = (boundaries, checks, checks_of_keys, checks_of_steps)
    written = "".join(inspect.getsource(each) for each in modules)
    assert set(re.findall(r'"([A-Z][A-Z_]{5,})"', written)) == CODES
