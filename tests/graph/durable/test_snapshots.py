"""Long runs: how far they are is written down now and then; nothing before is looked at."""

import json
from collections import Counter
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.graph.durable.prefixes import cut_off, events_of
from tests.graph.unchecked import StateGraph
from tinyagents import Agent
from tinyagents.graph import END, START, Append, Graph, NodeContext, Send, join
from tinyagents.testing import FunctionModel, check_tree
from tinyagents_graph import Event
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

ROUNDS = 90


class State(BaseModel):
    n: int = 0
    seen: set[int] = set()
    log: Annotated[list[str], Append()] = []


done: Counter[str] = Counter()


def rounds(name: str = "count", **options: Any) -> Graph[State]:
    """A loop with a fan-out, a join that waits over several steps, and an agent."""
    helper = Agent(FunctionModel(lambda _: "hm"), name="helper")

    async def count(state: State) -> Any:
        done["count"] += 1
        return {"n": state.n + 1, "seen": {*state.seen, state.n % 7}}

    async def part(number: int) -> Any:
        done["part"] += 1
        return {"log": str(number)} if number % 10 == 0 else None

    async def asks(state: State) -> Any:
        if state.n % 20 == 0:
            await helper.run("?")

    async def ends(state: State) -> None:
        done["ends"] += 1

    graph = StateGraph(State).add_node(name, count).add_node(part).add_node("ends", ends)
    graph.add_node("helper", asks).add_edge(START, name).add_edge(name, "helper")
    graph.add_conditional_edges(
        name, lambda state: [Send("part", state.n), Send("part", -state.n)], ["part"]
    )
    graph.add_edge(join("part", "helper"), "ends")
    graph.add_conditional_edges(
        "ends", lambda state: name if state.n < ROUNDS else END, [name, END]
    )
    return graph.compile(max_steps=1_000, **options)


async def whole() -> tuple[MemoryJournal, list[Event], Any]:
    done.clear()
    journal = MemoryJournal()
    result = await rounds().run(run_id="r", journal=journal)
    return journal, await events_of(journal), result


def snapshots(events: list[Event]) -> list[Event]:
    return [each for each in events if each.data.get("name") == "snapshot"]


async def test_a_long_run_goes_on_from_its_last_snapshot() -> None:
    journal, events, result = await whole()
    check_tree(events)
    saved = snapshots(events)
    assert [each.data["step"] for each in saved] == [100, 200]
    usage = result.tree_usage
    assert usage.requests == ROUNDS // 20
    bodies = Counter(done)
    for n in [*range(saved[1].seq - 4, saved[1].seq + 9), saved[0].seq + 1, len(events) - 1]:
        rest = await cut_off(journal, n)
        done.clear()
        again = await rounds().resume("r", journal=rest)
        assert (again.output, again.steps, again.tree_usage) == (result.output, result.steps, usage)
        known = Counter(e.data["node"] for e in events[:n] if e.kind == "node.completed")
        assert done == Counter({each: bodies[each] - known[each] for each in bodies}) + Counter()
        told = await events_of(rest)
        check_tree(told)
        assert len(told) == len(events) + sum(
            each.kind in ("checkpoint.restored", "node.retried") for each in told
        )


async def test_a_long_run_that_has_ended_is_looked_at_again() -> None:
    journal, events, result = await whole()
    done.clear()
    again = await rounds().resume("r", journal=journal)
    assert (again.output, again.steps, again.tree_usage) == (
        result.output, result.steps, result.tree_usage,
    )  # fmt: skip
    assert (len(again.events), done) == (len(events), {})


async def test_history_begins_at_the_beginning() -> None:
    journal, _, result = await whole()
    records = await rounds().history("r", journal=journal)
    assert [each.step for each in records] == list(range(-1, result.steps))
    assert records[-1].state == result.output


async def test_a_graph_that_has_changed_is_gone_through_from_its_beginning() -> None:
    journal, events, result = await whole()
    rest = await cut_off(journal, len(events) - 9)
    done.clear()
    again = await rounds("counter").resume("r", journal=rest, rename={"count": "counter"})
    assert (again.output, again.steps) == (result.output, result.steps)
    assert done["count"] == 0
    assert len(snapshots(await events_of(rest))) == 2


async def test_all_snapshots_take_no_more_space_than_the_rest() -> None:
    class Growing(BaseModel):
        n: int = 0
        log: Annotated[list[str], Append()] = []

    async def grow(state: Growing) -> Any:
        return {"n": state.n + 1, "log": "x" * 200}

    graph = StateGraph(Growing).add_node(grow).add_edge(START, "grow")
    graph.add_conditional_edges("grow", lambda s: "grow" if s.n < 2_000 else END, ["grow", END])
    journal = MemoryJournal()
    await graph.compile(max_steps=2_001).run(run_id="r", journal=journal)
    events = await events_of(journal)
    sizes = [len(json.dumps(dict(each.data))) for each in snapshots(events)]
    total = sum(len(json.dumps(dict(each.data))) for each in events)
    assert len(sizes) > 3
    assert sum(sizes) < total - sum(sizes)


async def test_what_waits_is_not_written_down() -> None:
    async def count(state: State) -> Any:
        return {"n": state.n + 1}

    async def asks(state: State, ctx: NodeContext) -> Any:
        return {"log": await ctx.ask(str, "Well?", key="well")} if state.n == 120 else None

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node(count).add_node(asks)
        graph.add_sequence(START, "count", "asks")
        ways = ["count", END]
        graph.add_conditional_edges("asks", lambda s: "count" if s.n < 150 else END, ways)
        return graph.compile(max_steps=400)

    journal = MemoryJournal()
    result = await make().run(run_id="r", journal=journal)
    assert (result.status, result.output.n) == ("paused", 120)
    again = await make().run(run_id="r", journal=journal)
    assert (again.status, again.output.n) == ("paused", 120)
    result = await make().resume("r", {result.pending[0].id: "yes"}, journal=journal)
    assert (result.output.n, result.output.log) == (150, ["yes"])
    events = await events_of(journal)
    check_tree(events)
    assert [each.data["step"] for each in snapshots(events)] == [100, 200]
