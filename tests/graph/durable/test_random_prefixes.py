"""Random graphs that are cut off at any event come to the same, and do nothing twice."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.durable.prefixes import answer_all, cut_off, events_of, resumed_everywhere
from tests.graph.stategraph_properties.blocks import (
    BLOCKS,
    Block,
    Fan,
    Fork,
    Leaf,
    Loop,
    Notes,
    Row,
    Sub,
    answer_to,
    graph_of,
)
from tests.graph.stategraph_properties.built import Delays, built, codes_of
from tests.graph.stategraph_properties.plans import PLANS, GraphPlan
from tinyagents.graph import Graph, GraphResult
from tinyagents.testing import check_tree
from tinyagents_graph.journal import Journal, MemoryJournal

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])
DELAYS = st.lists(st.integers(0, 5), max_size=9)
CUTS = st.lists(st.floats(0, 1), min_size=3, max_size=3)
few = settings(derandomize=True, max_examples=30)


class Answers(dict[str, Any]):
    def __missing__(self, question: str) -> Any:
        return answer_to(question)


def places(cuts: list[float], n: int) -> list[int]:
    return sorted({round(each * n) for each in cuts})


async def ran(graph: Graph[Any], journal: Journal) -> tuple[Any, list[str]]:
    """What it comes to if all is answered, and what went wrong."""
    try:
        result: GraphResult[Any] = await graph.run(run_id="r", journal=journal)
        result = await answer_all(graph, result, journal, Answers())
    except Exception as error:
        return vars(error)["result"].output, codes_of(error)
    return result.output, []


class Counting(Delays):
    """Counts bodies."""

    n = 0

    async def wait(self) -> None:
        self.n += 1
        await super().wait()


@few
@given(PLANS, DELAYS, CUTS)
async def test_a_random_graph_is_gone_on_with_after_any_event(
    plan: GraphPlan, delays: list[int], cuts: list[float]
) -> None:
    journal, bodies = MemoryJournal(), Counting(delays)
    output, wrong = await ran(built(plan, bodies), journal)
    whole = await events_of(journal)
    graphs = {each.path for each in whole if each.kind == "run.started"}
    for n in places(cuts, len(whole)):
        rest, again = await cut_off(journal, n), Counting(delays)
        assert await ran(built(plan, again), rest) == (output, wrong)
        ends = [each for each in whole[:n] if each.kind == "node.completed"]
        known = [each for each in ends if each.data["path"] not in graphs]
        assert again.n == bodies.n - len(known)
        if not wrong:
            check_tree(await events_of(rest))


@few
@given(BLOCKS("tells", "asks", "leaves", "gate"), DELAYS, CUTS)
async def test_questions_of_a_random_graph_are_gone_on_with_after_any_event(
    block: Block, delays: list[int], cuts: list[float]
) -> None:
    journal = MemoryJournal()
    output, _ = await ran(graph_of(block, Delays(delays)), journal)
    whole = await events_of(journal)
    for n in places(cuts, len(whole)):
        rest = await cut_off(journal, n)
        again, wrong = await ran(graph_of(block, Delays(delays)), rest)
        assert (again, wrong) == (output, [])
        check_tree(await events_of(rest))


def _sorted(notes: Notes) -> tuple[Any, ...]:
    return sorted(notes.log), sorted(notes.saw), notes.total, notes.visits


@few
@given(BLOCKS("tells", "asks", "leaves", "gate"), DELAYS, DELAYS, CUTS)
async def test_an_eager_graph_is_gone_on_with_after_any_event(
    block: Block, delays: list[int], others: list[int], cuts: list[float]
) -> None:
    journal = MemoryJournal()
    output, _ = await ran(graph_of(block, Delays(delays), mode="eager"), journal)
    whole = await events_of(journal)
    for n in places(cuts, len(whole)):
        rest = await cut_off(journal, n)
        again, wrong = await ran(graph_of(block, Delays(others), mode="eager"), rest)
        assert (_sorted(again), wrong) == (_sorted(output), [])
        events = await events_of(rest)
        check_tree(events)
        ends = Counter(each.data["path"] for each in events if each.kind == "node.completed")
        assert set(ends.values()) <= {1}


@MODES
@few
@given(block=BLOCKS("tells", "fails"), cuts=CUTS)
async def test_failures_that_are_collected_are_facts(
    mode: Any, block: Block, cuts: list[float]
) -> None:
    journal = MemoryJournal()
    output, wrong = await ran(graph_of(block, Delays(), fail="collect", mode=mode), journal)
    whole = await events_of(journal)
    for n in places(cuts, len(whole)):
        rest = await cut_off(journal, n)
        again = await ran(graph_of(block, Delays(), fail="collect", mode=mode), rest)
        assert again == (output, wrong)
        if not wrong:
            check_tree(await events_of(rest))


async def test_every_event_of_a_graph_with_everything() -> None:
    block: Block = Row((
        Fork((Leaf("asks"), Sub(Row((Leaf("gate"), Leaf("leaves")))), Fan(3))),
        Loop(Sub(Leaf()), 2),
    ))  # fmt: skip
    await resumed_everywhere(lambda: graph_of(block, Delays()), answers=Answers())
