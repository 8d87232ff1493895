"""Random graphs, forked after any event, come to the same and run no body again."""

from typing import Any

import pytest
from hypothesis import given

from tests.graph.durable.test_random_prefixes import CUTS, DELAYS, Answers, Counting, few, ran
from tests.graph.stategraph_properties.blocks import BLOCKS, Block, graph_of
from tests.graph.stategraph_properties.built import built, codes_of
from tests.graph.stategraph_properties.plans import PLANS, GraphPlan
from tinyagents import fork
from tinyagents.graph import Graph
from tinyagents.testing import check_tree
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio


async def forked(graph: Graph[Any], journal: MemoryJournal, cut: float) -> tuple[Any, list[str]]:
    """What a fork of the run comes to, with the answers that were given there."""
    events = await journal.read("r")
    other = await fork(journal, "r", at=round(cut * (len(events) - 1)))
    try:
        result = await graph.resume(other.run_id, journal=journal)
    except Exception as error:
        return vars(error)["result"].output, codes_of(error)
    if result.status != "paused":
        check_tree(await journal.read(other.run_id))
    assert result.status != "paused", [Answers()[ask.question] for ask in result.pending]
    return result.output, []


@few
@given(PLANS, DELAYS, CUTS)
async def test_a_random_graph_is_forked_after_any_event(
    plan: GraphPlan, delays: list[int], cuts: list[float]
) -> None:
    journal = MemoryJournal()
    output, wrong = await ran(built(plan, Counting(delays)), journal)
    for cut in cuts:
        bodies = Counting(delays)
        assert await forked(built(plan, bodies), journal, cut) == (output, wrong)
        assert bodies.n == 0 or wrong


@few
@given(BLOCKS("tells", "asks", "leaves", "gate"), DELAYS, CUTS)
async def test_a_random_graph_with_questions_is_forked_after_any_event(
    block: Block, delays: list[int], cuts: list[float]
) -> None:
    journal = MemoryJournal()
    output, _ = await ran(graph_of(block, Counting(delays)), journal)
    for cut in cuts:
        bodies = Counting(delays)
        assert await forked(graph_of(block, bodies), journal, cut) == (output, [])
        assert bodies.n == 0
