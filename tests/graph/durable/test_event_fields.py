"""docs/events.md lists every field that the events of kept graphs have."""

import pytest

from tests.graph.durable import test_changes, test_crashes, test_snapshots
from tests.graph.durable.prefixes import answer_all, cut_off, events_of
from tests.graph.unchecked import StateGraph
from tests.journal.test_event_data import documented
from tinyagents import Agent
from tinyagents.graph import START, Command, NodeContext, Retry, Send
from tinyagents.testing import ScriptedModel
from tinyagents_graph import Event
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

State = test_crashes.State


def everything() -> StateGraph[test_crashes.State]:
    """A graph whose events have in them what they can."""
    judge = Agent(ScriptedModel(["sends"]), name="judge")
    helper = Agent(ScriptedModel(["hm", "hm"]), name="helper")

    async def route(state: test_crashes.State) -> str:
        return (await judge.run("where?")).output

    async def sends(state: test_crashes.State, ctx: NodeContext) -> Command[str]:
        await ctx.step("one", lambda: {1, 2})
        await ctx.step("two", lambda: 2)
        return Command(goto=[Send("takes", 1)], also=["asks"])

    async def takes(number: int, ctx: NodeContext) -> dict[str, int]:
        await helper.run("?")
        if not ctx.attempt:
            raise OSError("no")
        return {"total": number}

    graph = StateGraph(State).add_node(sends).add_node("asks", test_crashes.asking())
    graph.add_node(takes, retry=Retry(attempts=2, backoff_s=0))
    return graph.add_conditional_edges(START, route, ["sends"])


async def told() -> list[Event]:
    journal = MemoryJournal()
    made = everything().compile()
    result = await made.run(run_id="r", journal=journal)
    await answer_all(made, result, journal, test_crashes.ANSWERS)
    events = await events_of(journal)
    began = next(each.seq for each in events if each.kind == "node.started")
    rest = await cut_off(journal, began + 1)
    await everything().compile().resume("r", journal=rest)
    waits = await test_changes.waiting()
    renamed = test_changes.flow("a2").compile()
    await renamed.resume("r", journal=waits, rename={"a": "a2"})
    long, _, _ = await test_snapshots.whole()
    events += [*await events_of(rest), *await events_of(waits), *await events_of(long)]
    return events


async def test_the_page_has_every_field_of_kept_graphs() -> None:
    known, unknown = documented(), set[str]()
    for event in await told():
        unknown |= {f"{event.kind} {name}" for name in set(event.data) - known[event.kind]}
    assert not unknown, "\n".join(sorted(unknown))
