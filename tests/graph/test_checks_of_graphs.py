"""What is wrong with the ways of a graph is found before it runs, with the line to change."""

# The lambdas here are what users write: their parameters have no types.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable
from typing import Any, Literal

import pytest

from tests.graph.checking import (
    State,
    check,
    codes,
    decide,
    graph,
    line_before,
    only,
    shows,
    work,
)
from tinyagents_graph.stategraph import END, START, Ask, Command, Send, StateGraph, join

# --- names ----------


def test_a_graph_begins_somewhere() -> None:
    made = StateGraph(State)
    made.add_node("a", work)
    site = line_before()
    made.add_edge("a", END)
    shows(only(made), "NO_START", site, "g.add_edge(START, 'a')")
    assert codes(StateGraph(State)) == ["NO_START"]


def test_a_target_exists() -> None:
    made = graph("plan", "write").add_edge(START, "plan").add_edge("write", END)
    made.add_edge("plan", "wirte")
    site = line_before()
    shows(only(made), "UNKNOWN_TARGET", site, "'plan' -> 'wirte'", "did you mean 'write'?")


def test_a_target_that_is_like_no_other_may_mean_any() -> None:
    made = graph("plan", "write").add_sequence(START, "plan", "xyz").add_edge("write", END)
    found = check(made)
    assert [(each.code, each.severity) for each in found] == [
        ("UNKNOWN_TARGET", "error"),
        ("UNREACHABLE", "warning"),
    ]
    assert found[0].hint == "the nodes are plan, write"


@pytest.mark.parametrize(
    ("add", "text"),
    [
        (lambda g: g.add_conditional_edges("a", decide, {"done": "bb"}), "the router of 'a'"),
        (lambda g: g.add_conditional_edges("a", decide, {}, default="bb"), "the router of 'a'"),
        (lambda g: g.add_edge(join("a"), "bb"), "the join of 'a'"),
        (lambda g: g.add_node("c", work, goto=["bb"]).add_edge("a", "c"), "node 'c' may go to"),
        (lambda g: g.add_node("c", asks).add_edge("a", "c"), "Ask(then='bb') of node 'c'"),
        (lambda g: g.add_node("c", goes).add_edge("a", "c"), "node 'c' may go to"),
        (
            lambda g: g.add_node("c", work, rejected="bb").add_sequence("a", "c", END),
            "rejected='bb' of node 'c'",
        ),
        (
            lambda g: g.add_node("c", work, on_error="bb").add_sequence("a", "c", END),
            "on_error='bb' of node 'c'",
        ),
    ],
)  # fmt: skip
def test_every_kind_of_target_exists(add: Callable[[StateGraph[State]], object], text: str) -> None:
    made = graph("a", "b").add_sequence(START, "a", "b", END)
    add(made)
    found = only(made)
    assert found.code == "UNKNOWN_TARGET"
    assert text in found.message
    assert "did you mean 'b'?" in found.message


def asks(state: State) -> Ask:
    return Ask(f"good, {state.topic}?", then="bb")


def goes(state: State) -> Command[Literal["bb"]]:
    return Command(goto="bb")


def test_a_source_exists() -> None:
    made = graph("plan").add_edge(START, "plan").add_edge("plan", END)
    made.add_edge("plam", END)
    site = line_before()
    found = check(made)
    shows(found[0], "UNKNOWN_SOURCE", site, "'plam' -> END", "did you mean 'plan'?")


def test_nothing_leads_to_start_or_from_end() -> None:
    made = graph("a").add_edge(START, "a").add_edge("a", END)
    made.add_edge("a", START)
    first = line_before()
    made.add_edge(END, "a")
    second = line_before()
    found = {each.code: each for each in check(made)}
    shows(found["START_AS_TARGET"], "START_AS_TARGET", first, "name the node")
    shows(found["END_AS_SOURCE"], "END_AS_SOURCE", second, "begin at a node")


def test_nor_does_a_join_of_start_itself() -> None:
    assert "START_AS_TARGET" in codes(graph().add_edge(join(START), START))
    assert "START_AS_TARGET" in codes(graph("a").add_edge(START, "a").add_edge([START, "a"], START))


def test_an_edge_is_added_once() -> None:
    made = graph("a", "b", "c").add_edge(START, "a").add_edge(START, "b").add_edge("c", END)
    made.add_edge(["a", "b"], "c")
    first = line_before()
    made.add_edge(["b", "a"], "c")
    site = line_before()
    shows(only(made), "DUPLICATE_EDGE", site, f"was added before, in {first}")
    assert codes(graph("a").add_sequence(START, "a", END).add_edge("a", END)) == ["DUPLICATE_EDGE"]


def test_a_router_returns_what_leads_somewhere() -> None:
    def route(state: State) -> Literal["again", "done"]:
        return "again" if state.rounds < 3 else "done"

    made = graph("a").add_edge(START, "a")
    made.add_conditional_edges("a", route, {"agin": "a", "done": END})
    site = line_before()
    shows(only(made), "UNKNOWN_LABEL", site, "may return 'again'", "did you mean 'agin'?")
    shared = graph("a").add_edge(START, "a").add_conditional_edges("a", route, {"done": END})
    assert [(each.code, each.severity) for each in check(shared)] == [("UNKNOWN_LABEL", "warning")]


def test_the_node_for_the_limit_exists() -> None:
    made = graph("a", "sum_up").add_sequence(START, "a", END).add_edge("sum_up", END)
    assert codes(made, on_limit="sum_up") == []
    found = check(made, on_limit="summ_up")[0]
    shows(found, "ON_LIMIT", "", "did you mean 'sum_up'?")


# --- ways ----------


def test_every_node_can_be_come_to() -> None:
    made = graph("a").add_sequence(START, "a", END)
    made.add_node("b", work)
    site = line_before()
    made.add_edge("b", END)
    shows(only(made), "UNREACHABLE", site, "g.add_edge(…, 'b')")


def test_a_node_that_may_go_anywhere_makes_that_uncertain() -> None:
    def supervise(state: State) -> Command:
        return Command(goto=state.verdict)

    made = graph("b").add_node("supervise", supervise).add_edge(START, "supervise")
    made.add_edge("b", "supervise")
    found = only(made)
    assert (found.code, found.severity) == ("UNREACHABLE", "warning")
    assert "goto=[…]" in found.hint
    said = graph("b").add_node("supervise", supervise, goto=["b"]).add_edge(START, "supervise")
    assert codes(said.add_edge("b", "supervise")) == []


def test_every_node_leads_somewhere() -> None:
    made = graph("a").add_edge(START, "a").add_edge("a", "b")
    made.add_node("b", work)
    site = line_before()
    shows(only(made), "DEAD_END", site, "g.add_edge('b', END)")


def test_what_a_node_returns_of_another_function_may_lead_somewhere() -> None:
    def helped(state: State):  # type: ignore[no-untyped-def]
        return work(state)

    made = StateGraph(State).add_node("a", helped).add_edge(START, "a")
    found = only(made)
    assert (found.code, found.severity) == ("DEAD_END", "warning")
    assert "goto=[…]" in found.hint


def test_a_loop_has_a_way_out() -> None:
    made = graph("a", "b").add_edge(START, "a").add_edge("a", "b")
    made.add_conditional_edges("b", decide, {"again": "a", "done": "b"})
    found = only(made)
    shows(found, "CYCLE_NO_EXIT", check(made)[0].site, "the loop of 'a' and 'b'", "{…: END}")
    assert found.nodes == ("a", "b")
    assert codes(made, on_limit="b") == []  # it ends there on purpose


def test_a_loop_ends_otherwise_than_by_failing() -> None:
    made = graph("b").add_node("a", work, on_error="b").add_sequence(START, "a", "a")
    found = only(made.add_edge("b", END))
    assert (found.code, found.severity) == ("NO_PATH_TO_END", "warning")
    assert "ends only when something fails" in found.message


def test_a_loop_of_plain_edges_never_ends() -> None:
    made = graph("a", "b").add_edge(START, "a").add_edge("b", END).add_edge("a", "b")
    made.add_edge("b", "a")
    site = line_before()
    shows(only(made), "UNCONDITIONAL_CYCLE", site, "'b' -> 'a' conditional")


# --- joins and steps ----------


def one(state: State) -> Literal["b", "c"]:
    return "b" if state.rounds else "c"


def both(state: State) -> list[Literal["b", "c"]]:
    return ["b", "c"]


def test_a_join_does_not_wait_for_two_ways_of_one_choice() -> None:
    made = graph("a", "b", "c", "d").add_edge(START, "a").add_edge("d", END)
    made.add_conditional_edges("a", one)
    made.add_edge(["b", "c"], "d")
    site = line_before()
    shows(only(made), "JOIN_DEADLOCK", site, "the router of 'a' leads to one of them", "'any'")


def test_a_join_may_wait_for_several_choices() -> None:
    made = graph("a", "b", "c", "d").add_edge(START, "a").add_edge("d", END)
    made.add_conditional_edges("a", both).add_edge(["b", "c"], "d")
    assert codes(made) == []


@pytest.mark.parametrize("wait_for", ["any", "reached", 1])
def test_a_join_that_waits_for_less_is_satisfied(wait_for: Any) -> None:
    made = graph("a", "b", "c", "d").add_edge(START, "a").add_edge("d", END)
    made.add_conditional_edges("a", one).add_edge(join("b", "c", wait_for=wait_for), "d")
    assert codes(made) == []


def test_a_loop_that_comes_to_both_arms_satisfies_a_join() -> None:
    made = graph("a", "b", "c", "d").add_edge(START, "a").add_edge("d", END)
    made.add_conditional_edges("a", one).add_edge(["b", "c"], "d").add_edge("b", "a")
    assert codes(made) == []


def test_a_join_waits_for_what_runs() -> None:
    made = graph("a", "b", "c").add_edge(START, "a").add_edge("c", END)
    made.add_edge(["a", "b"], "c")
    site = line_before()
    found = check(made)
    assert [each.code for each in found] == ["UNREACHABLE", "JOIN_DEADLOCK"]
    shows(found[1], "JOIN_DEADLOCK", site, "waits for 'b', which nothing leads to")


def test_of_many_nodes_a_message_names_the_first() -> None:
    names = [f"n{number}" for number in range(9)]
    made = graph("a", *names).add_sequence(START, "a", END).add_edge(names, "a")
    found = check(made)[-1]
    assert found.code == "JOIN_DEADLOCK"
    assert "'n0', 'n1', 'n2', 'n3', 'n4' and 4 others" in found.message


def test_a_join_does_not_wait_for_what_comes_after_it() -> None:
    made = graph("a", "b", "c").add_edge(START, "a").add_edge("b", END)
    made.add_edge(["a", "b"], "c")
    site = line_before()
    made.add_edge("c", "b")
    found = {each.code: each for each in check(made)}
    shows(found["JOIN_DEADLOCK"], "JOIN_DEADLOCK", site, "which runs only after 'c' itself")


def test_a_join_needs_no_start() -> None:
    made = graph("a", "b").add_edge(START, "a").add_edge("b", END)
    made.add_edge([START, "a"], "b")
    site = line_before()
    shows(only(made), "JOIN_DEADLOCK", site, "leave it out")


def test_arms_of_unequal_length_meet_in_a_join() -> None:
    made = graph("a", "b", "c", "d").add_sequence(START, "a", "b", "d", END).add_edge("a", "c")
    made.add_edge("c", "b")
    site = line_before()
    shows(only(made), "DOUBLE_RUN", site, "node 'b'", "join('a', 'c'), 'b'", severity="warning")


def test_arms_that_start_eagerly_meet_in_a_join_whatever_their_length() -> None:
    made = graph("a", "b", "c").add_sequence(START, "a", "c", END).add_sequence(START, "b", "c")
    assert codes(made) == []
    assert codes(made, mode="eager") == ["DOUBLE_RUN"]


def test_two_nodes_of_one_step_do_not_write_a_plain_key() -> None:
    made = graph("a", "d").add_edge(START, "a").add_edge("a", "b").add_edge("a", "c")
    made.add_node("b", lambda state: {"verdict": state.topic})
    made.add_node("c", lambda state: {"verdict": state.topic})
    site = line_before()
    made.add_edge(["b", "c"], "d").add_edge("d", END)
    shows(only(made), "CONCURRENT_WRITES", site, "nodes 'b' and 'c' write 'verdict'", "Append()")
    assert [each.severity for each in check(made, mode="eager")] == ["warning"]


def test_what_only_may_be_written_at_once_is_a_warning() -> None:
    def maybe(state: State) -> dict[str, str] | None:
        return {"verdict": "good"} if state.topic else None

    made = StateGraph(State).add_node("a", maybe).add_node("b", maybe)
    made.add_sequence(START, "a", END).add_sequence(START, "b", END)
    found = only(made)
    assert (found.code, found.severity) == ("CONCURRENT_WRITES", "warning")


def test_what_is_sent_to_many_times_writes_a_key_with_a_reducer() -> None:
    def spread(state: State) -> list[Send]:
        return [Send("worker", note) for note in state.notes]

    made = graph("a", "z").add_edge(START, "a").add_edge(join("worker"), "z").add_edge("z", END)
    made.add_conditional_edges("a", spread, ["worker"])
    made.add_node("worker", lambda item: {"verdict": item})
    site = line_before()
    shows(only(made), "CONCURRENT_WRITES", site, "node 'worker'", severity="warning")
