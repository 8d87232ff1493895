"""Random graphs come to what their plan says, however they are run."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.graph.emitting import numbers, quick
from tests.graph.stategraph_properties.built import Delays, built, codes_of, visits_of
from tests.graph.stategraph_properties.expected import Expected, expect
from tests.graph.stategraph_properties.plans import PLANS, GraphPlan, State
from tinyagents.graph import Graph
from tinyagents.testing import check_tree
from tinyagents_graph import Event, EventSink

pytestmark = pytest.mark.anyio

DELAYS = st.lists(st.integers(0, 5), max_size=9)


async def ran(graph: Graph[State]) -> tuple[State, list[str], Sequence[Event]]:
    """The state at the end, what went wrong, and the events."""
    sink = EventSink()
    result: Any = None
    error: BaseException | None = None
    try:
        result = await graph.run(sink=sink, run_id="r")
    except Exception as raised:
        error, result = raised, getattr(raised, "result", None)
    events = list(sink.events)
    check_tree(events)
    assert numbers(events) == list(range(len(events)))
    return result.output, codes_of(error), events


def check(expected: Expected, state: State, wrong: list[str], events: Sequence[Event]) -> None:
    assert wrong == expected.wrong
    assert state == expected.state
    assert sorted(visits_of(events)) == sorted(expected.visits)


@quick
@given(PLANS, DELAYS)
async def test_a_random_graph_comes_to_what_its_plan_says(
    plan: GraphPlan, delays: list[int]
) -> None:
    expected = expect(plan, State())
    event(str(expected.wrong))
    for options in ({"max_concurrency": 1}, {"max_concurrency": 64}, {"max_concurrency": 2}):
        check(expected, *await ran(built(plan, Delays(delays), **options)))


def plain(events: Sequence[Event]) -> list[Any]:
    return [(each.seq, each.kind, each.path, dict(each.data)) for each in events]


@quick
@given(PLANS, DELAYS)
async def test_the_same_run_tells_the_same_events(plan: GraphPlan, delays: list[int]) -> None:
    one, again = [await ran(built(plan, Delays(delays), max_concurrency=1)) for _ in range(2)]
    assert plain(one[2]) == plain(again[2])
    # Side by side, the tasks of a step end in another order; nothing else is different.
    _, _, events = await ran(built(plan, Delays(delays)))
    told = [sorted(repr(each[1:]) for each in plain(each)) for each in (one[2], events)]
    assert told[0] == told[1]
