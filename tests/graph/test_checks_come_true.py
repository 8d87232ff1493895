"""What the checks call an error comes true in every run: they are held against random runs."""

from collections.abc import Iterator
from random import Random
from typing import Any, Literal, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.graph.checking import State, work
from tinyagents_graph.stategraph import END, START, Finding, StateGraph
from tinyagents_graph.stategraph.checks import find
from tinyagents_graph.stategraph.declared import Declared

NAMES = ["a", "b", "c", "d", "e", "f"]
N_STEPS = 25


def judge(state: State) -> dict[str, Any]:
    return {"verdict": state.topic}


def router(*targets: str) -> Any:
    """A router that says that it takes one of its ways."""

    def route(state: State) -> Any:
        raise NotImplementedError

    route.__annotations__["return"] = Literal[targets]
    return route


class Ran(NamedTuple):
    """Which nodes ran in each step, which joins were satisfied, and whether it ended by itself."""

    steps: list[set[str]]
    joins: set[int]
    has_ended: bool


def run(declared: Declared, choose: Random) -> Ran:
    """One run of a graph whose routers choose at random."""
    steps: list[set[str]] = []
    arrived: list[set[str]] = [set() for _ in declared.joins]
    fired: set[int] = set()
    now = {START}
    while now and len(steps) <= N_STEPS:
        then = {each.target for each in declared.edges if each.source in now}
        for route in declared.routes:
            if route.source in now:
                then.add(choose.choice(list(route.targets.values())))
        for number, (join, target, _) in enumerate(declared.joins):
            arrived[number] |= now & set(join.sources)
            if arrived[number] == set(join.sources):
                arrived[number] = set()
                fired.add(number)
                then.add(target)
        now = then - {END}
        steps.append(now)
    return Ran(steps, fired, not now)


@st.composite
def graphs(draw: st.DrawFn) -> Declared:
    made = StateGraph(State)
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    for name in names:
        made.add_node(name, draw(st.sampled_from([work, judge])))
    has_loops = draw(st.booleans())
    for number, source in enumerate([START, *names]):
        targets = st.sampled_from([*(names if has_loops else names[number:]), END])
        ways = draw(st.lists(targets, unique=True, max_size=3))
        if len(ways) > 1 and draw(st.booleans()):
            made.add_conditional_edges(source, router(*ways))
            continue
        for target in ways:
            made.add_edge(source, target)
    several = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)
    ends = st.sampled_from([*names, END])
    for sources, target in draw(st.lists(st.tuples(several, ends), max_size=2)):
        made.add_edge(sources, target)
    return made.declare()


def denials(declared: Declared, finding: Finding, ran: Ran) -> Iterator[str]:
    """What in a run speaks against a finding."""
    visits = [name for step in ran.steps for name in step]
    about = set(finding.nodes)
    if finding.code == "UNREACHABLE" and about & set(visits):
        yield "it ran"
    if finding.code == "JOIN_DEADLOCK":
        for number in ran.joins:
            join, target, _ = declared.joins[number]
            if join.sources == finding.nodes and f"join into {target!r}" in finding.message:
                yield "the join was satisfied"
    if finding.code == "CONCURRENT_WRITES":
        together = [len(about & step) for step in ran.steps]
        if any(0 < n < len(about) for n in together):
            yield "only one of them ran in a step"
    is_loop = finding.code in ("CYCLE_NO_EXIT", "UNCONDITIONAL_CYCLE")
    if is_loop and ran.has_ended and about & set(visits):
        yield "it ended"
    if finding.code == "DOUBLE_RUN" and ran.has_ended and visits.count(finding.nodes[0]) == 1:
        yield "it ran once"


@given(graphs(), st.integers(0, 2**32))
def test_what_is_called_an_error_comes_true(declared: Declared, seed: int) -> None:
    choose = Random(seed)
    found = find(declared)
    if any(each.code == "NO_START" for each in found):
        return
    certain = [each for each in found if each.severity == "error" or each.code == "DOUBLE_RUN"]
    for _ in range(5):
        ran = run(declared, choose)
        for each in certain:
            assert list(denials(declared, each, ran)) == [], f"{each} in {ran}"
