"""Graphs of many shapes that are right are left alone; large and random ones are no trouble."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.checking import State, check, codes, decide, graph, work
from tinyagents_graph.stategraph import END, START, Ask, Command, Send, StateGraph, join
from tinyagents_graph.stategraph.checks import find


def chosen(state: State) -> Literal["a", "b"]:
    return "a" if state.rounds else "b"


def spread(state: State) -> list[Send]:
    return [Send("worker", note) for note in state.notes]


def note(item: str) -> dict[str, Any]:
    return {"notes": [item]}


def jump(state: State) -> Command[Literal["write", "__end__"]]:
    return Command(goto="write" if state.rounds < 3 else END, update={"rounds": 1})


def untold(state: State) -> Command:
    return Command(goto=state.verdict)


def leave(state: State) -> Any:
    if state.is_long:
        return Command(goto=END)
    return {"notes": ["more"]}


def ask(state: State) -> Ask:
    return Ask("good enough?", type=bool, then="answer")


def answer(is_good: bool) -> dict[str, Any]:
    return {"verdict": "good" if is_good else "bad"}


def loop() -> StateGraph[State]:
    made = graph("write", "check").add_sequence(START, "write", "check")
    return made.add_conditional_edges("check", decide, {"again": "write", "done": END})


def loop_of_one() -> StateGraph[State]:
    made = graph("write").add_edge(START, "write")
    return made.add_conditional_edges("write", decide, {"again": "write"}, default=END)


def diamond() -> StateGraph[State]:
    made = graph("a", "b", "c", "d").add_sequence(START, "a", "b").add_edge("a", "c")
    return made.add_edge(["b", "c"], "d").add_edge("d", END)


def plain_diamond() -> StateGraph[State]:
    made = graph("a", "b", "c", "d").add_sequence(START, "a", "b", "d", END)
    return made.add_sequence("a", "c", "d")


def unequal_diamond() -> StateGraph[State]:
    made = graph("a", "b", "c", "d", "e").add_sequence(START, "a", "b", "c").add_edge("a", "d")
    return made.add_edge(join("c", "d"), "e").add_edge("e", END)


def choice() -> StateGraph[State]:
    made = graph("first", "a", "b", "longer", "last").add_edge(START, "first")
    made.add_conditional_edges("first", chosen)
    return made.add_sequence("a", "longer", "last", END).add_edge("b", "last")


def choice_from_the_start() -> StateGraph[State]:
    made = graph("a", "b").add_conditional_edges(START, chosen)
    return made.add_edge("a", END).add_edge("b", END)


def several_starts() -> StateGraph[State]:
    made = graph("a", "b", "c").add_edge(START, "a").add_edge(START, "b")
    return made.add_edge(["a", "b"], "c").add_edge("c", END)


def fan_out() -> StateGraph[State]:
    made = graph("plan", "sum").add_node("worker", note).add_edge(START, "plan")
    made.add_conditional_edges("plan", spread, ["worker"])
    return made.add_edge(join("worker"), "sum").add_edge("sum", END)


def fan_out_in_a_loop() -> StateGraph[State]:
    made = graph("plan").add_node("worker", note).add_edge(START, "plan")
    made.add_conditional_edges("plan", spread, ["worker"])
    return made.add_edge(join("worker"), "plan")  # it ends when there is nobody to send to


def fan_out_of_a_body() -> StateGraph[State]:
    made = graph("sum").add_node("plan", spread).add_node("worker", note).add_edge(START, "plan")
    return made.add_edge(join("worker"), "sum").add_edge("sum", END)


def goto() -> StateGraph[State]:
    return graph("write").add_node("check", jump).add_sequence(START, "write", "check")


def goto_without_a_hint() -> StateGraph[State]:
    return graph("write").add_node("check", untold).add_sequence(START, "write", "check")


def goto_of_edges_that_go_round() -> StateGraph[State]:
    made = graph("write").add_node("check", leave)
    return made.add_sequence(START, "write", "check", "write")


def question() -> StateGraph[State]:
    made = StateGraph(State).add_node("ask", ask).add_node("answer", answer)
    return made.add_edge(START, "ask").add_edge("answer", END)


def gate() -> StateGraph[State]:
    made = graph("no", "b").add_node("a", work, approve=True, rejected="no", on_error="b")
    return made.add_sequence(START, "a", END).add_edge("no", "a").add_edge("b", END)


LEGAL: list[Callable[[], StateGraph[State]]] = [
    loop, loop_of_one, diamond, plain_diamond, unequal_diamond, choice, choice_from_the_start,
    several_starts, fan_out, fan_out_in_a_loop, fan_out_of_a_body, goto, goto_without_a_hint,
    goto_of_edges_that_go_round, question, gate,
]  # fmt: skip


@pytest.mark.parametrize("made", LEGAL, ids=lambda made: made.__name__)
def test_a_graph_that_is_right_is_left_alone(made: Callable[[], StateGraph[State]]) -> None:
    assert check(made()) == []


def test_a_node_for_the_limit_needs_nothing_that_leads_to_it() -> None:
    made = loop().add_node("sum_up", work).add_edge("sum_up", END)
    assert codes(made) == ["UNREACHABLE"]
    assert codes(made, on_limit="sum_up") == []


def test_what_is_not_written_in_python_is_not_judged() -> None:
    class Callable_:
        async def __call__(self, state: State) -> dict[str, Any]:
            return {"notes": [state.topic]}

    scope: dict[str, Any] = {}
    exec("def made_up(state):\n    return {'nowhere': state.nothing}", scope)
    for body in (len, dict, Callable_(), Callable_, scope["made_up"]):
        assert codes(StateGraph(State).add_node("a", body).add_sequence(START, "a", END)) == []


# --- size ----------


def chain(n: int) -> StateGraph[State]:
    names = [f"n{number}" for number in range(n)]
    return graph(*names).add_sequence(START, *names, END)


def fan(n: int) -> StateGraph[State]:
    names = [f"n{number}" for number in range(n)]
    made = graph("first", *names).add_edge(START, "first").add_edge(names, END)
    for name in names:
        made.add_edge("first", name)
    return made


def dense(n: int) -> StateGraph[State]:
    names = [f"n{number}" for number in range(n)]
    made = graph(*names).add_edge(START, "n0")
    for name in names:
        made.add_conditional_edges(name, decide, [*names, END])
    return made


@pytest.mark.parametrize(
    "made", [chain(1_000), fan(1_000), dense(40)], ids=["chain", "fan", "dense"]
)
def test_a_large_graph_takes_no_time(made: StateGraph[State]) -> None:
    declared = made.declare()
    find(declared)  # what is imported and parsed once
    began = perf_counter()
    assert find(declared) == []
    assert perf_counter() - began < 1.0


# --- random graphs ----------

NAMES = ["a", "b", "c", "d", "aa"]
BODIES = [work, note, jump, untold, leave, ask, answer, spread, len]
ENDS = st.sampled_from([*NAMES, "bb", START, END])
WAITS: st.SearchStrategy[Any] = st.sampled_from(["all", "any", "reached", 1])
KEYS = st.sampled_from(["topic", "notes", "verdict", "plan", "nothing"])


@st.composite
def random_graphs(draw: st.DrawFn) -> Mapping[str, Any]:
    made = StateGraph(State)
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        made.add_node(
            name,
            draw(st.sampled_from(BODIES)),
            goto=draw(st.none() | st.lists(ENDS, max_size=2)),
            writes=draw(st.none() | st.lists(KEYS, max_size=2)),
            output=draw(st.none() | KEYS),
            on_error=draw(st.none() | ENDS),
        )
    for start, end in draw(st.lists(st.tuples(ENDS, ENDS), max_size=8)):
        made.add_edge(start, end)
    for starts, end, wait_for in draw(st.lists(st.tuples(st.lists(ENDS, min_size=1), ENDS, WAITS))):
        made.add_edge(join(*starts, wait_for=wait_for), end)
    routers = st.tuples(ENDS, st.sampled_from([chosen, decide, spread]), st.lists(ENDS))
    for source, route, targets in draw(st.lists(routers, max_size=3)):
        made.add_conditional_edges(source, route, targets)
    mode = draw(st.sampled_from(["superstep", "eager"]))
    return {"made": made, "mode": mode, "on_limit": draw(st.none() | ENDS)}


@given(random_graphs())
def test_random_graphs_are_checked_alike_each_time(drawn: Mapping[str, Any]) -> None:
    options = {key: value for key, value in drawn.items() if key != "made"}
    found = check(drawn["made"], **options)
    assert found == check(drawn["made"], **options)
    for each in found:
        assert each.code.isupper()
        assert each.message
        assert each.hint
        assert each.site or each.code in ("ON_LIMIT", "NO_START")
        assert "\n" not in str(each)
