"""Graphs that are not what they were: what has changed is told, and an ask is never lost."""

from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel

from tests.graph.durable.prefixes import cut_off, events_of
from tests.graph.unchecked import StateGraph
from tinyagents import ConfigError
from tinyagents.graph import START, Append, Ask, Command, Graph, GraphError, NodeContext, Send
from tinyagents.testing import check_tree
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio


class State(BaseModel):
    log: Annotated[list[str], Append()] = []


def says(name: str) -> Any:
    async def body(state: Any) -> Any:
        return {"log": name}

    return body


async def asks(state: Any, ctx: NodeContext) -> Any:
    return {"log": await ctx.ask(str, "Well?", key="well")}


def flow(first: str = "a", asker: str = "b", last: str = "c", *more: str, **options: Any) -> Any:
    """Three in a row; the one in the middle asks."""
    graph = StateGraph(State, **options).add_node(first, says("first")).add_node(asker, asks)
    graph.add_node(last, says("last")).add_sequence(START, first, asker, last, *more)
    return graph


async def waiting() -> MemoryJournal:
    journal = MemoryJournal()
    assert (await flow().compile().run(run_id="r", journal=journal)).status == "paused"
    return journal


async def finish(graph: Graph[Any], journal: MemoryJournal, **options: Any) -> list[str]:
    result = await graph.resume("r", journal=journal, **options)
    for ask in result.pending:
        await ask.answer("yes")
    if result.status == "paused":
        result = await graph.resume("r", journal=journal, **options)
    assert result.status == "completed"
    check_tree(await events_of(journal))
    log: list[str] = result.output.log
    return log


async def test_code_may_change_where_the_graph_does_not() -> None:
    graph = StateGraph(State).add_node("a", says("other")).add_node("b", asks)
    graph.add_node("c", says("new")).add_sequence(START, "a", "b", "c")
    assert await finish(graph.compile(), await waiting()) == ["first", "yes", "new"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("a2", "b", "c"), ["node 'a' is gone (rename={'a': 'a2'}?)", "node 'a2' is new"]),
        (("a", "b2", "c"), ["node 'b' is gone", "root/b[0]/well ('Well?') waits in 'b'"]),
        (("a", "b", "d"), ["the edge from 'b' to 'c' is gone", "the edge from 'b' to 'd' is new"]),
    ],
)
async def test_what_has_changed_is_told(names: Any, told: list[str]) -> None:
    journal = await waiting()
    with pytest.raises(GraphError, match="GRAPH_CHANGED") as raised:
        await flow(*names).compile().resume("r", journal=journal)
    for each in told:
        assert each in str(raised.value)
    assert [ask.id for ask in await journal.asks("r")] == ["root/b[0]/well"]
    assert await finish(flow().compile(), journal) == ["first", "yes", "last"]


async def test_other_changes_are_told_too() -> None:
    class Other(BaseModel):
        log: Annotated[list[int], Append()] = []
        more: int

    journal = await waiting()
    changed = flow(version=1)
    changed.state = Other
    changed.add_edge(["a", "b"], "c")
    with pytest.raises(GraphError) as raised:
        await changed.compile(mode="eager").resume("r", journal=journal)
    for each in (
        "joins have changed",
        "mode was superstep and is eager",
        "'log' was list[str] Append() and is list[int]",
        "'more' is new, and has no",
    ):
        assert each in str(raised.value)


async def test_a_graph_in_a_node_that_has_changed_is_told() -> None:
    def outer(*names: str) -> Graph[State]:
        inner = flow(*names).compile()
        return StateGraph(State).add_node("in", inner).add_edge(START, "in").compile()

    journal = MemoryJournal()
    await outer("a", "b", "c").run(run_id="r", journal=journal)
    with pytest.raises(GraphError, match="the graph in node 'in' has changed"):
        await outer("a", "b", "d").resume("r", journal=journal)


async def test_a_key_with_a_default_may_be_added() -> None:
    class Wider(State):
        n: int = 7

    graph = flow()
    graph.state = Wider
    journal = await waiting()
    result = await graph.compile().resume("r", {"root/b[0]/well": "yes"}, journal=journal)
    assert (result.output.n, result.output.log) == (7, ["first", "yes", "last"])


async def test_nodes_may_be_renamed() -> None:
    journal = await waiting()
    rename = {"a": "a2", "b": "b2"}
    graph = flow("a2", "b2").compile()
    result = await graph.resume("r", journal=journal, rename=rename)
    assert [ask.id for ask in result.pending] == ["root/b[0]/well"]
    assert await finish(graph, journal) == ["first", "yes", "last"]
    events = await events_of(journal)
    visits = [each.data["path"] for each in events if each.kind == "node.completed"]
    assert visits == ["root/a[0]", "root/b[0]", "root/c[0]"]


async def test_nodes_may_be_renamed_again_and_again() -> None:
    journal = await waiting()
    await flow("a2").compile().resume("r", journal=journal, rename={"a": "a2"})
    await flow("a3").compile().resume("r", journal=journal, rename={"a2": "a3"})
    assert await finish(flow("a3").compile(), journal) == ["first", "yes", "last"]


async def test_ways_lead_to_renamed_nodes() -> None:
    def make(end: str, middle: str) -> Graph[State]:
        async def goes(state: State) -> Any:
            return Command(goto=[Send(end, 1), end])

        async def ends(state: Any) -> Any:
            return {"log": f"{state if isinstance(state, int) else 'state'}"}

        graph = StateGraph(State).add_node("goes", goes).add_node(middle, says("middle"))
        graph.add_node(end, ends).add_conditional_edges(START, lambda _: middle, [middle])
        return graph.add_edge(middle, "goes").compile()

    journal = MemoryJournal()
    whole = await make("end", "middle").run(run_id="r", journal=journal)
    assert whole.output.log == ["middle", "1", "state"]
    for n in range(len(await events_of(journal))):
        rest = await cut_off(journal, n)
        graph = make("last", "mid")
        rename = {"end": "last", "middle": "mid"} if n > 1 else {}
        result = await graph.resume("r", journal=rest, rename=rename)
        assert result.output == whole.output


@pytest.mark.parametrize("rename", [{"a": "nothing"}, {"b": "c"}, {"nothing": "a2"}])
async def test_a_rename_that_cannot_be_is_refused(rename: Any) -> None:
    with pytest.raises(ConfigError, match="rename="):
        await flow("a2").compile().resume("r", journal=await waiting(), rename=rename)


async def test_one_may_go_on_with_the_graph_as_it_is() -> None:
    journal = await waiting()
    graph = flow("a", "b2", "c").compile()
    result = await graph.resume("r", journal=journal, on_change="continue")
    assert [ask.id for ask in result.pending] == ["root/b2[0]/well"]
    expired = [dict(e.data) for e in result.events if e.kind == "ask.expired"]
    assert expired == [{"ask_id": "root/b[0]/well", "reason": "its node is gone from the graph"}]
    result = await graph.resume("r", {"root/b2[0]/well": "yes"}, journal=journal)
    assert result.output.log == ["first", "yes", "last"]
    with pytest.raises(ConfigError, match="on_change='maybe'"):
        await graph.resume("r", journal=journal, on_change=cast("Any", "maybe"))


# --- versions ----------


class Second(BaseModel):
    notes: Annotated[list[str], Append()] = []


class Third(BaseModel):
    notes: Annotated[list[int], Append()] = []


def renamed(part: dict[str, Any]) -> dict[str, Any]:
    return {"notes" if name == "log" else name: value for name, value in part.items()}


def counted(part: dict[str, Any]) -> dict[str, Any]:
    return {name: [len(each) for each in value] for name, value in part.items()}


def measured(part: dict[str, Any]) -> dict[str, Any]:
    return {"notes": [len(part["notes"])]} if part["notes"] else part


def at_version(version: int) -> Graph[Any]:
    """The same flow, with the state of that version."""

    async def writes(state: Any) -> Any:
        return [{"log": "first"}, {"notes": "first"}, {"notes": 5}][version - 1]

    async def hears(state: Any, ctx: NodeContext) -> Any:
        said = await ctx.ask(str, "Well?", key="well")
        return [{"log": said}, {"notes": said}, {"notes": len(said)}][version - 1]

    states: list[Any] = [State, Second, Third]
    graph = StateGraph[Any](states[version - 1], version=version)
    if version > 1:
        graph.migrate(1, 2)(renamed)
    if version > 2:
        graph.migrate(2, 3)(counted)
    graph.add_node("a", writes).add_node("b", hears).add_node("c", writes)
    return graph.add_sequence(START, "a", "b", "c").compile()


async def test_older_data_is_migrated() -> None:
    journal = MemoryJournal()
    await at_version(1).run({"log": ["zero"]}, run_id="r", journal=journal)
    result = await at_version(3).resume("r", {"root/b[0]/well": "yes"}, journal=journal)
    assert result.output == Third(notes=[4, 5, 3, 5])
    again = await at_version(3).resume("r", journal=journal)
    assert again.output == result.output


async def test_each_part_is_migrated_from_the_version_that_wrote_it() -> None:
    journal = MemoryJournal()
    await at_version(1).run({"log": ["zero"]}, run_id="r", journal=journal)
    await at_version(2).resume("r", {"root/b[0]/well": "yes"}, journal=journal)
    whole = len(await events_of(journal))
    for n in range(whole - 12, whole):
        rest = await cut_off(journal, n)
        result = await at_version(3).resume("r", journal=rest)
        for ask in result.pending:
            result = await at_version(3).resume("r", {ask.id: "yes"}, journal=rest)
        assert result.output == Third(notes=[4, 5, 3, 5])


async def test_an_answer_that_goes_to_a_key_is_migrated() -> None:
    def make(version: int) -> Graph[Any]:
        key = ["log", "notes", "notes"][version - 1]

        async def leaves(state: Any) -> Any:
            return Ask("Well?", output=key)

        states: list[Any] = [State, Second, Third]
        graph = StateGraph[Any](states[version - 1], version=version)
        graph.migrate(1, 2)(renamed)
        graph.migrate(2, 3)(measured)
        return graph.add_node("a", leaves).add_edge(START, "a").compile()

    journal = MemoryJournal()
    await make(1).run(run_id="r", journal=journal)
    result = await make(3).resume("r", {"root/a[0]/ask": "yes"}, journal=journal)
    assert result.output == Third(notes=[3])


async def test_a_version_that_nothing_leads_to_is_refused() -> None:
    journal = MemoryJournal()
    await at_version(1).run(run_id="r", journal=journal)
    graph = StateGraph(State, version=4).add_node("a", says("a")).add_edge(START, "a")
    with pytest.raises(GraphError, match="version 1 .*nothing leads to version 4"):
        await graph.compile().resume("r", journal=journal)
    graph.migrate(1, 2)(renamed)
    with pytest.raises(ConfigError, match="one migration from each version"):
        graph.migrate(1, 3)(renamed)
    odd: list[Any] = [0, True, "2"]
    for version in odd:
        with pytest.raises(ConfigError, match="is no version"):
            StateGraph(State, version=version)
