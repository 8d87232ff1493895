"""Graphs that the tests of exports and drawings share."""

from typing import Annotated, Any

from hypothesis import strategies as st
from pydantic import BaseModel

from tinyagents_graph.stategraph import END, START, Append, Graph, Last, StateGraph
from tinyagents_graph.stategraph.routing import WaitFor
from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchKey, SketchNode

_WAITS: tuple[WaitFor, ...] = ("all", "any", "reached", 1)
_SETTINGS: st.SearchStrategy[str] = st.sampled_from(["approve", "body"])
_LETTERS = st.characters(codec="utf-8")


class State(BaseModel):
    topic: Annotated[str, Last()] = ""
    drafts: Annotated[list[str], Append()] = []


def work(state: State) -> dict[str, Any]:
    return {"topic": state.topic}


def flow(name: str = "flow", /, **nodes: str) -> StateGraph[State]:
    """A graph of nodes that all do the same, with their descriptions."""
    graph = StateGraph(State, name=name)
    for node, description in nodes.items():
        graph.add_node(node, work, description=description)
    return graph


def chain(*names: str, name: str = "flow") -> Graph[State]:
    graph = flow(name, **dict.fromkeys(names, ""))
    return graph.add_sequence(START, *names, END).compile()


def report() -> Graph[State]:
    """Every kind of arrow, a gate, a join and a nested graph."""
    graph = flow("report", plan="Makes a plan.", a="", b="", fix="")
    graph.add_node("team", chain("writer", "critic", name="team"))
    graph.add_node("check", work, approve="May it go out?", rejected="plan", on_error="fix")
    graph.add_node("late", work, goto=["check"])
    graph.add_edge(START, "plan").add_edge("plan", "a").add_edge("plan", "b")
    graph.add_edge(["a", "b"], "team").add_edge("team", "check").add_edge("fix", END)
    graph.add_conditional_edges("check", lambda state: state.topic, {"again": "plan", "done": END})
    return graph.compile(on_limit="late")


def names() -> st.SearchStrategy[str]:
    """Names as they may be, the odd ones included."""
    odd = ["end", "graph", '"];x[', "<b>&amp;", "a --> b", "`x`", "%%{init}%%", "日本", "\x1b[31m"]
    taken = (START, END)
    text = st.text(_LETTERS, min_size=1, max_size=12)
    return (st.sampled_from(odd) | text).filter(lambda name: name not in taken)


@st.composite
def sketches(draw: st.DrawFn, levels: int = 2) -> Sketch:
    """Any graph: circles, loops, joins, several arrows between two nodes, nested ones."""
    text = st.text(_LETTERS, max_size=20)
    known = draw(st.lists(names(), max_size=6, unique=True))
    inner = st.none() if not levels else st.none() | sketches(levels - 1)
    nodes = {
        name: SketchNode(
            name,
            draw(st.sampled_from(("function", "agent", "session", "graph", "missing"))),
            draw(text),
            draw(st.dictionaries(_SETTINGS, text)),
            draw(inner),
        )
        for name in known
    }
    source, target = st.sampled_from((START, *known)), st.sampled_from((*known, END))
    arrow = st.builds(
        SketchArrow, source, target, st.sampled_from(("edge", "route", "goto", "error")), text
    )
    arrows = draw(st.lists(arrow, max_size=8))
    for number in range(draw(st.integers(0, 2))):
        to, wait_for = draw(target), draw(st.sampled_from(_WAITS))
        arrows += [
            SketchArrow(arm, to, "join", "", number, wait_for, None)
            for arm in draw(st.lists(source, min_size=1, max_size=3, unique=True))
        ]
    keys = draw(st.lists(st.builds(SketchKey, text, text, st.none() | text), max_size=2))
    return Sketch(draw(text), nodes, tuple(arrows), tuple(keys), "eager", draw(text))


def wide(count: int) -> Sketch:
    """A fan-out to many nodes and a join of them all."""
    many = [f"n{number}" for number in range(count)]
    arrows = [SketchArrow(START, "all", "edge")]
    for name in many:
        arrows += [SketchArrow("all", name, "edge"), SketchArrow(name, END, "join", "", 0, "all")]
    return Sketch("wide", {n: SketchNode(n, "function") for n in ("all", *many)}, tuple(arrows))


def long(count: int) -> Sketch:
    """A chain each node of which may end it, or begin it again."""
    many = [f"n{number}" for number in range(count)]
    line = [START, *many, END]
    arrows = [SketchArrow(one, other, "edge") for one, other in zip(line, line[1:], strict=False)]
    for name in many:
        arrows.append(SketchArrow(name, END, "route", "done"))
        arrows.append(SketchArrow(name, many[0], "route", "again"))
    return Sketch("long", {n: SketchNode(n, "function") for n in many}, tuple(arrows))
