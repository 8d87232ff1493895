"""Edges of different arms do not meet in eager mode: told where both arms may run."""

from typing import Any, Literal

import pytest

from tests.graph.checking import State, codes, decide, graph, work
from tinyagents.graph import END, START, Command, StateGraph


def several(state: State) -> list[Literal["a", "b"]]:
    return ["a", "b"]


def either(state: State) -> Literal["a", "b"]:
    return "a"


def either_by_itself(state: State) -> Command[Literal["a", "b"]]:
    return Command(goto="a")


def choose(state: State) -> Literal["a", "b", "end"]:
    return "end"


def meeting(*names: str) -> StateGraph[Any]:
    """Nodes, the first two of which lead to the last one."""
    made = graph(*names, "j").add_edge("a", "j").add_edge("b", "j")
    return made.add_edge("j", END)


@pytest.mark.parametrize("source", [START, "s"])
def test_arms_that_a_router_takes_together(source: str) -> None:
    made = meeting("a", "b", "s").add_conditional_edges(source, several)
    made.add_edge(START, "s").add_edge("s", END)
    assert codes(made, mode="eager") == ["DOUBLE_RUN"]
    assert codes(made) == []


def test_arms_of_which_a_router_takes_one() -> None:
    made = meeting("a", "b").add_conditional_edges(START, either)
    assert codes(made, mode="eager") == []


def test_arms_of_which_a_node_takes_one() -> None:
    made = meeting("a", "b").add_node("s", either_by_itself).add_edge(START, "s")
    assert codes(made, mode="eager") == []


def test_arms_that_part_again_behind_one_of_a_router() -> None:
    made = meeting("a", "b", "c", "s").add_edge("c", "j").add_edge("s", "a").add_edge("s", "b")
    made.add_conditional_edges(START, decide, {"again": "s", "done": "c"})
    assert codes(made, mode="eager") == ["DOUBLE_RUN"]


def test_an_edge_beside_a_router() -> None:
    made = meeting("a", "b", "c", "s").add_edge(START, "a").add_edge(START, "s").add_edge("c", END)
    made.add_conditional_edges("s", decide, {"again": "b", "done": "c"})
    assert codes(made, mode="eager") == ["DOUBLE_RUN"]


def test_a_loop_leads_back_for_another_round() -> None:
    made = graph("s", "a", "b").add_edge(START, "s").add_edge("a", "s").add_edge("b", "s")
    made.add_conditional_edges("s", choose, {"a": "a", "b": "b", "end": END})
    assert codes(made, mode="eager") == []


def test_a_failure_and_a_success_exclude_each_other() -> None:
    made = graph("b", "j").add_node("a", work, on_error="b").add_edge(START, "a")
    made.add_edge("a", "j").add_edge("b", "j").add_edge("j", END)
    assert codes(made, mode="eager") == []
