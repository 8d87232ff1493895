"""Values of the state that are no JSON come back as they were, or are refused where they are."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from tests.graph.durable.kinds import Colour, Inner, Place, Point, Shade, Twice
from tests.graph.durable.prefixes import cut_off, events_of
from tests.graph.emitting import quick
from tests.graph.unchecked import StateGraph
from tinyagents.graph import START, Append, Graph, GraphError, Merge, NodeContext, Send
from tinyagents_graph import Event
from tinyagents_graph.journal import MemoryJournal, SqliteJournal
from tinyagents_graph.stategraph.keepable import is_plain

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HERE = Inner(when=date(2026, 1, 2), tags={"a", "b"})


def storing(kind: Any, value: Any) -> Graph[Any]:
    """A graph whose second node sees what the first one wrote."""
    given: Any = (kind | None, None)
    state: Any = create_model("Kinds", value=given, same=(bool, False))

    async def writes(state: Any) -> Any:
        return {"value": value}

    async def looks(state: Any) -> Any:
        given = state.value
        is_nan = isinstance(given, float) and math.isnan(given) and math.isnan(value)
        return {"same": is_nan or (given == value and isinstance(given, type(value)))}

    graph = StateGraph(state).add_node(writes).add_node(looks)
    return graph.add_sequence(START, "writes", "looks").compile()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (bytes, b"\xff\x00"),
        (list[bytes], [b"\xff"]),
        (datetime, NOW),
        (timedelta, timedelta(days=1, seconds=2.5)),
        (set[int], {1, 2}),
        (frozenset[str], frozenset("ab")),
        (tuple[int, str], (1, "a")),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=7)),
        (Path, Path("a/b")),
        (Colour, Colour.RED),
        (Shade, Shade.DARK),
        (Inner, HERE),
        (Place, Place(inner=HERE, points=[Point(1.0, 2.5)])),
        (dict[int, Inner], {1: HERE}),
        (list[Inner | Point], [HERE, Point(0.0, 0.0)]),
        (float, float("nan")),
        (float, float("-inf")),
        (complex, 1 + 2j),
        (dict[str, Any], {"a": [1, 2.5, None, {"b": "ü\ud800"}]}),
        (Any, "\ud800"),
        (Any, [1.0, 10**30, True]),
    ],
)
async def test_what_a_node_wrote_comes_back(tmp_path: Path, kind: Any, value: Any) -> None:
    journal = MemoryJournal()
    whole = await storing(kind, value).run(run_id="r", journal=journal)
    assert whole.output.same
    events = await events_of(journal)
    ended = next(each.seq for each in events if each.kind == "graph.step.completed")
    rest = await cut_off(journal, ended)
    record = await rest.find("r")
    assert record is not None
    async with SqliteJournal(tmp_path / "runs.db") as file:
        await file.add(record, [Event.from_json(each.to_json()) for each in events[:ended]])
        result = await storing(kind, value).resume("r", journal=file)
    assert result.output.same
    began = [each.data["node"] for each in result.events if each.kind == "node.started"]
    assert began == ["writes", "looks"]


class Opaque:
    pass


class Named(Inner):
    more: str = ""


@pytest.mark.parametrize(
    ("kind", "value", "what"),
    [
        (Any, Opaque(), "Opaque"),
        (Any, (1, 2), "tuple"),
        (Any, Shade.DARK, "Shade"),
        (Inner, Named(when=date(2026, 1, 2), more="x"), "Named"),
        (dict[str, Any], {"a": NOW}, "dict"),
    ],
)
async def test_what_would_not_come_back_is_refused_at_its_node(
    kind: Any, value: Any, what: str
) -> None:
    journal = MemoryJournal()
    with pytest.raises(GraphError, match="UNKEEPABLE") as raised:
        await storing(kind, value).run(run_id="r", journal=journal)
    for part in ("'writes'", "'value'", what):
        assert part in str(raised.value)
    failed = [each.data["node"] for each in await events_of(journal) if each.kind == "node.failed"]
    assert failed == ["writes"]
    assert (await storing(kind, value).run()).status == "completed"


async def test_an_input_that_would_not_come_back_is_refused() -> None:
    graph = storing(Any, 1)
    with pytest.raises(GraphError, match="the state has .*Opaque.*'value'"):
        await graph.run({"value": Opaque()}, journal=MemoryJournal())


async def test_a_payload_that_would_not_come_back_is_refused_where_it_is_sent() -> None:
    class State(BaseModel):
        pass

    async def takes(thing: Any) -> None:
        pass

    graph = StateGraph(State).add_node("takes", takes)
    graph.add_conditional_edges(START, lambda _: Send("takes", Opaque()), ["takes"])
    with pytest.raises(GraphError, match="'takes' is sent .*Opaque.*nobody says how"):
        await graph.compile().run(journal=MemoryJournal())


async def test_a_validator_that_changes_values_is_not_asked_twice() -> None:
    class State(BaseModel):
        n: Twice = 1
        log: Annotated[list[Twice], Append()] = []
        named: Annotated[dict[str, Twice], Merge()] = {}

    def make() -> Graph[State]:
        async def writes(state: State) -> Any:
            return {"n": 3, "log": [1, 2], "named": {"a": 4}}

        async def ends(state: State) -> None:
            pass

        graph = StateGraph(State).add_node(writes).add_node("end", ends)
        return graph.add_sequence(START, "writes", "end").compile()

    journal = MemoryJournal()
    whole = await make().run({"n": 5}, run_id="r", journal=journal)
    n_events = len(await events_of(journal))
    for n in range(n_events):
        result = await make().resume("r", journal=await cut_off(journal, n))
        assert result.output == whole.output


async def test_results_of_steps_come_back_by_hint_and_by_type() -> None:
    class State(BaseModel):
        log: Annotated[list[str], Append()] = []

    def hinted() -> list[Inner]:
        return [HERE]

    async def body(state: State, ctx: NodeContext) -> Any:
        told = [
            await ctx.step("hint", hinted),
            await ctx.step("type", lambda: HERE),
            await ctx.step("plain", lambda: {"a": [1]}),
            await ctx.step("day", lambda: HERE.when),
        ]
        assert told == [[HERE], HERE, {"a": [1]}, HERE.when]
        return {"log": "ok"}

    def make() -> Graph[State]:
        return StateGraph(State).add_node(body).add_edge(START, "body").compile()

    journal = MemoryJournal()
    await make().run(run_id="r", journal=journal)
    for n in range(len(await events_of(journal))):
        result = await make().resume("r", journal=await cut_off(journal, n))
        assert result.output.log == ["ok"]

    async def odd(state: State, ctx: NodeContext) -> None:
        await ctx.step("odd", Opaque)

    graph = StateGraph(State).add_node(odd).add_edge(START, "odd").compile()
    with pytest.raises(GraphError, match="'odd' that returned .*Opaque.*no journal can keep"):
        await graph.run(journal=MemoryJournal())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@quick
@given(JSON)
async def test_any_json_comes_back(value: Any) -> None:
    class State(BaseModel):
        value: Any = None

    async def writes(state: State) -> Any:
        return {"value": value}

    def make() -> Graph[State]:
        return StateGraph(State).add_node(writes).add_edge(START, "writes").compile()

    journal = MemoryJournal()
    if not is_plain(value):
        with pytest.raises(GraphError, match="UNKEEPABLE"):
            await make().run(run_id="r", journal=journal)
        return
    whole = await make().run(run_id="r", journal=journal)
    result = await make().resume("r", journal=journal)
    assert repr(result.output) == repr(whole.output)
