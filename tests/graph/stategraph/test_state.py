"""The state of a graph: what may be written, how writes become one, and that nothing leaks."""

import copy
import json
import operator
import pickle
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from tests.graph.stategraph.graphs import MODES, Log, Text, fail, nodes_in, nothing, of, run
from tinyagents import ConfigError, UserMessage
from tinyagents.graph import (
    END,
    START,
    Add,
    Append,
    Graph,
    GraphError,
    Last,
    Merge,
    Messages,
    Reduce,
    StateGraph,
)
from tinyagents.messages import Message, user_message

pytestmark = pytest.mark.anyio


def writing(state: type[Any], *updates: Any, **options: Any) -> Graph[Any]:
    """One node after another; each writes an update."""
    graph: StateGraph[Any] = StateGraph(state)
    names = [f"w{n}" for n in range(len(updates))]
    for name, update in zip(names, updates, strict=True):
        graph.add_node(name, _writer(update))
    return graph.add_sequence(START, *names, END).compile(**options)


def side_by_side(state: type[Any], *updates: Any, **options: Any) -> Graph[Any]:
    """Nodes that write in one step."""
    graph: StateGraph[Any] = StateGraph(state)
    for n, update in enumerate(updates):
        graph.add_node(f"w{n}", _writer(update)).add_edge(START, f"w{n}").add_edge(f"w{n}", END)
    return graph.compile(ignore={"CONCURRENT_WRITES"}, **options)


def _writer(update: Any) -> Any:
    async def write(state: Any) -> Any:
        return update

    return write


class Point(BaseModel):
    x: int = 0


class Everything(BaseModel):
    items: Annotated[list[int], Append()] = []
    total: Annotated[int, Add()] = 0
    notes: Annotated[dict[str, int], Merge()] = {}
    tags: Annotated[set[str], Merge()] = set()
    last: Annotated[str, Last()] = ""
    most: Annotated[int, Reduce(max)] = 0
    plain: int = 0
    point: Point = Point()


# --- updates ----------


async def test_what_is_written_is_converted_to_the_type_of_its_key() -> None:
    result = await run(writing(Everything, {"plain": "7", "point": {"x": "3"}, "items": ("1", 2)}))
    assert (result.output.plain, result.output.point, result.output.items) == (
        7,
        Point(x=3),
        [1, 2],
    )


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"plain": "many"}, ["'many' (str)", "'plain'", "int", "valid integer"]),
        ({"point": {"x": "?"}}, ["'point'", "Point", "x: Input should be a valid integer"]),
        ({"items": ["a", 2]}, ["'items'", "list[int]", "0: Input", "its reducer is Append()"]),
        ({"notes": {"a": "b"}}, ["'notes'", "dict[str, int]", "its reducer is Merge()"]),
        ("text", ["returned 'text' (str), which is no update", "return a dict of what changes"]),
        (5, ["returned 5 (int)"]),
        ([{"plain": 1}], ["(list), which is no update"]),
    ],
)
async def test_an_update_that_does_not_fit_fails_its_node(update: Any, told: list[str]) -> None:
    error, partial = await fail(writing(Everything, update), GraphError)
    assert error.has("INVALID_UPDATE")
    for each in ("node 'w0'", *told):
        assert each in str(error)
    assert partial.output == Everything()
    assert nodes_in(partial, "node.failed") == ["w0"]
    assert "added in test_state.py:" in "".join(error.__notes__)


async def test_a_key_that_the_state_does_not_have_is_an_error() -> None:
    error, partial = await fail(
        writing(Everything, {"totl": 1, "plain": 2}, ignore={"UNKNOWN_KEY"}), GraphError
    )
    assert error.has("UNKNOWN_KEY")
    for told in ("node 'w0' wrote 'totl'", "Everything has no such key", "did you mean 'total'?"):
        assert told in str(error)
    assert "its keys are items, last, most, notes, plain, point, tags, total" in str(error)
    assert partial.output == Everything()


@pytest.mark.parametrize("update", [None, {}])
async def test_a_node_may_change_nothing(update: Any) -> None:
    result = await run(writing(Everything, update))
    assert result.output == Everything()
    assert of(result.events, "node.completed", "update") == [{}]
    assert of(result.events, "state.updated") == []


async def test_an_instance_of_the_state_writes_the_fields_that_were_set() -> None:
    class Two(BaseModel):
        a: int = 0
        b: int = 0

    result = await run(writing(Two, Two(a=1), Two(b=2)))
    assert result.output == Two(a=1, b=2)


async def test_what_a_run_begins_with_is_changed_by_nobody() -> None:
    mine = ["mine"]
    result = await run(writing(Log, {"said": ["x"]}), {"said": mine})
    assert (mine, result.output.said) == (["mine"], ["mine", "x"])
    result.output.said.append("free")
    assert Log().said == []


# --- reducers ----------


async def test_each_reducer_makes_one_value_of_many() -> None:
    updates = (
        {"items": [1], "total": 2, "notes": {"a": 1}, "tags": {"x"}, "last": "p", "most": 3},
        {"items": 2, "total": 3, "notes": {"a": 2, "b": 3}, "tags": {"y"}, "last": "q", "most": 1},
    )
    expected = Everything(
        items=[1, 2], total=5, notes={"a": 2, "b": 3}, tags={"x", "y"}, last="q", most=3
    )
    for mode in MODES:
        assert (await run(side_by_side(Everything, *updates, mode=mode))).output == expected
        assert (await run(writing(Everything, *updates, mode=mode))).output == expected


async def test_a_reducer_of_another_library_will_do() -> None:
    class Plus(BaseModel):
        words: Annotated[list[str], operator.add] = []
        log: Annotated[list[str], Append] = []

    result = await run(side_by_side(Plus, {"words": ["a"], "log": "x"}, {"words": ["b"]}))
    assert result.output == Plus(words=["a", "b"], log=["x"])


async def test_an_update_may_have_another_type_than_its_key() -> None:
    def tally(value: dict[str, int], word: str) -> dict[str, int]:
        return {**value, word: value.get(word, 0) + 1}

    class Tally(BaseModel):
        counts: Annotated[dict[str, int], Reduce(tally, operand=str)] = {}

    result = await run(writing(Tally, {"counts": "a"}, {"counts": "b"}, {"counts": "a"}))
    assert result.output.counts == {"a": 2, "b": 1}
    error, _ = await fail(writing(Tally, {"counts": {"a": 1}}), GraphError)
    assert error.has("INVALID_UPDATE")
    assert "Reduce(tally)" in str(error)


async def test_a_key_that_may_be_none_begins_with_the_first_update() -> None:
    class Maybe(BaseModel):
        items: Annotated[list[int] | None, Append()] = None
        total: Annotated[int | None, Add()] = None
        notes: Annotated[dict[str, int] | None, Merge()] = None

    result = await run(writing(Maybe, {"items": 1, "total": 2, "notes": {"a": 1}}, {"items": [3]}))
    assert result.output == Maybe(items=[1, 3], total=2, notes={"a": 1})


async def test_texts_are_messages_in_a_transcript() -> None:
    class Chat(BaseModel):
        chat: Annotated[list[Message], Messages()] = []

    result = await run(writing(Chat, {"chat": "hi"}, {"chat": ["you", user_message("there")]}))
    assert [each.text for each in result.output.chat] == ["hi", "you", "there"]
    assert all(isinstance(each, UserMessage) for each in result.output.chat)


async def test_what_a_reducer_makes_must_keep_the_fields_own_rules() -> None:
    class Few(BaseModel):
        items: Annotated[list[int], Append(), Field(max_length=2)] = []

    assert (await run(writing(Few, {"items": [1, 2]}))).output.items == [1, 2]
    error, partial = await fail(writing(Few, {"items": [1, 2]}, {"items": 3}), GraphError)
    assert error.has("REDUCER_FAILED")
    for told in ("Append()", "'items'", "node 'w1'", "[3] (FrozenList)", "at most 2 items"):
        assert told in str(error)
    assert partial.output.items == [1, 2]


def test_a_key_with_two_reducers_is_refused() -> None:
    class Both(BaseModel):
        items: Annotated[list[int], Append(), Add()] = []

    with pytest.raises(ConfigError, match="the state's key 'items' has 2 reducers: keep one"):
        writing(Both, {"items": 1})


def test_a_reducer_that_is_no_function_is_refused() -> None:
    given: Any = 5
    with pytest.raises(ConfigError, match=r"Reduce\(5\): give a function"):
        Reduce(given)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", ["same", "other"])
async def test_two_plain_writers_in_one_step_are_a_conflict(value: str, mode: Any) -> None:
    """Behaviour 108: even of equal values; a list key that appends takes both, in their order."""

    class Both(BaseModel):
        text: str = ""
        topic: Annotated[list[str], Append()] = []

    updates = ({"text": "same", "topic": "a"}, {"text": value, "topic": "b"})
    error, partial = await fail(side_by_side(Both, *updates, mode=mode), GraphError)
    assert error.has("CONCURRENT_WRITES")
    for told in ("nodes 'w0' and 'w1' wrote 'text'", "text: Annotated[str, Append()]", "Last()"):
        assert told in str(error)
    assert partial.output == Both(), "nothing of the step is written"
    only = [{"topic": update["topic"]} for update in updates]
    assert (await run(side_by_side(Both, *only, mode=mode))).output.topic == ["a", "b"]


async def test_a_key_keeps_its_value_until_it_is_written_again() -> None:
    """Behaviour 108: there are no keys that are cleared after a step; a node clears them."""
    seen: list[str] = []

    async def look(state: Text) -> None:
        seen.append(state.text)

    graph = StateGraph(Text).add_node("a", _writer({"text": "x"})).add_node("b", look)
    graph.add_node("c", look).add_sequence(START, "a", "b", "c", END)
    await run(graph.compile())
    assert seen == ["x", "x"]


# --- what nodes read ----------


class Shelf(BaseModel):
    items: list[list[int]] = [[1], [2]]
    notes: dict[str, list[int]] = {"a": [1]}
    tags: set[str] = {"x"}
    pair: tuple[list[int], int] = ([1], 2)


@pytest.mark.parametrize(
    "change",
    [
        "state.items.append([3])",
        "state.items[0].append(3)",
        "state.items[0] = []",
        "del state.items[0]",
        "state.items += [[1]]",
        "state.items *= 2",
        "state.items.sort()",
        "state.items.clear()",
        "state.notes.pop('a')",
        "state.notes.update(b=[1])",
        "state.notes['b'] = []",
        "state.notes['a'].append(2)",
        "state.notes |= {'b': [1]}",
        "state.notes.setdefault('b', [])",
        "state.tags.add('y')",
        "state.tags.discard('x')",
        "state.tags -= {'x'}",
        "state.pair[0].append(2)",
    ],
)
async def test_what_was_read_cannot_be_changed_in_place(change: str) -> None:
    async def mutate(state: Shelf) -> None:
        exec(change, {"state": state})

    graph = StateGraph(Shelf).add_node(mutate).add_sequence(START, "mutate", END).compile()
    error, partial = await fail(graph, TypeError)
    assert "of the state cannot be changed in place: return what is new" in str(error)
    assert "in node 'mutate' (root/mutate[0])" in "".join(error.__notes__)
    assert partial.output == Shelf()


async def test_an_attribute_of_the_state_cannot_be_set() -> None:
    async def assign(state: Text) -> None:
        state.text = "new"

    graph = StateGraph(Text).add_node(assign).add_sequence(START, "assign", END).compile()
    error, partial = await fail(graph, AttributeError)
    assert "state.text = … changes nothing: return {'text': …}" in str(error)
    assert partial.output == Text()


async def test_what_was_read_works_like_what_it_was() -> None:
    seen: dict[str, Any] = {}

    async def look(state: Shelf) -> None:
        assert isinstance(state, Shelf)
        seen["json"] = json.loads(json.dumps([state.items, state.notes]))
        seen["plus"] = state.items + [[3]]
        seen["sorted"] = sorted(state.items)
        seen["copy"] = copy.deepcopy(state.items)
        seen["copy"][0].append(9)
        seen["pickled"] = pickle.loads(pickle.dumps(state.notes))
        seen["pickled"]["b"] = []
        seen["shallow"] = state.notes | {"c": [1]}
        seen["model"] = state.model_copy(update={"tags": {"z"}})
        seen["dump"] = state.model_dump(mode="json")
        seen["equal"] = state == Shelf()

    graph = StateGraph(Shelf).add_node(look).add_sequence(START, "look", END).compile()
    result = await run(graph)
    assert seen["json"] == [[[1], [2]], {"a": [1]}]
    assert seen["plus"] == [[1], [2], [3]]
    assert seen["copy"] == [[1, 9], [2]]
    assert seen["pickled"] == {"a": [1], "b": []}
    assert seen["model"].tags == {"z"}
    assert seen["dump"]["items"] == [[1], [2]]
    assert result.output == Shelf()
    assert type(result.output.items) is list, "the user of the result may change it"


@dataclass
class Loose:
    words: list[str]


class Holder(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    loose: Loose = Loose([])
    model: Point = Point()


@pytest.mark.parametrize("mode", MODES)
async def test_objects_that_can_be_changed_are_copied_for_each_task(mode: Any) -> None:
    seen: list[Any] = []

    async def mutate(state: Holder) -> None:
        state.loose.words.append("mine")
        state.model.x = 5

    async def look(state: Holder) -> None:
        seen.append((state.loose.words, state.model.x))

    graph = StateGraph(Holder).add_node(mutate).add_node(look).add_sequence(
        START, "mutate", "look", END
    )  # fmt: skip
    result = await run(graph.compile(mode=mode))
    assert seen == [([], 0)]
    assert result.output == Holder(loose=Loose([]))


async def test_what_a_node_returned_is_not_changed_by_it_afterwards() -> None:
    mine: list[str] = ["x"]

    async def write(state: Log) -> dict[str, Any]:
        return {"said": mine}

    async def late(state: Log) -> None:
        mine.append("late")

    graph = StateGraph(Log).add_node(write).add_node(late).add_node("end", nothing)
    graph.add_sequence(START, "write", "late", "end", END)
    assert (await run(graph.compile())).output.said == ["x"]
