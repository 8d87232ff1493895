"""What a node may return of the state that it was given, and what it may do with it."""

import pickle
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from tests.graph.stategraph.graphs import MODES
from tinyagents.graph import END, START, Append, Graph, GraphError, Send, StateGraph, join

pytestmark = pytest.mark.anyio


class Notes(BaseModel):
    """A key that grows, and a plain one."""

    said: Annotated[list[str], Append()] = []
    n: int = 0


def single(body: Callable[[Any], Any]) -> Graph[Notes]:
    """A graph of one node."""
    g = StateGraph(Notes, name="notes").add_node("node", body)
    return g.add_sequence(START, "node", END).compile()


def as_it_was(state: Notes) -> Notes:
    return state


def with_a_number(state: Notes) -> Notes:
    return state.model_copy(update={"n": 5})


def with_more_said(state: Notes) -> Notes:
    return state.model_copy(update={"said": ["b"]})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (as_it_was, Notes(said=["a"])),
        (with_a_number, Notes(said=["a"], n=5)),
        (with_more_said, Notes(said=["a", "b"])),
    ],
)
async def test_returning_the_state_doubles_nothing(body: Any, expected: Notes) -> None:
    assert (await single(body).run({"said": ["a"]})).output == expected


async def test_a_key_of_the_state_cannot_be_deleted() -> None:
    def body(state: Notes) -> None:
        del state.n

    with pytest.raises(AttributeError, match=r"del state\.n changes nothing"):
        await single(body).run()


async def test_the_state_goes_to_another_process_as_a_plain_instance() -> None:
    copies: list[Any] = []

    def body(state: Notes) -> None:
        copies.append(pickle.loads(pickle.dumps(state)))

    await single(body).run({"said": ["a"]})
    assert copies == [Notes(said=["a"])]
    assert type(copies[0]) is Notes
    copies[0].said.append("b")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", [[], ["a", "b"]])
async def test_a_node_that_returns_an_empty_list_fans_out_to_nobody(
    mode: Any, words: list[str]
) -> None:
    def hand_out(state: Notes) -> list[Send]:
        return [Send("work", word) for word in words]

    def work(word: str) -> dict[str, str]:
        return {"said": word}

    def tell(state: Notes) -> dict[str, int]:
        return {"n": len(state.said)}

    g = StateGraph(Notes).add_node(hand_out).add_node(work).add_node(tell)
    g.add_edge(START, "hand_out").add_edge(join("work"), "tell").add_edge("tell", END)
    result = await g.compile(mode=mode).run()
    assert result.output == Notes(said=words, n=len(words))
    assert "root/tell[0]" in [each.data.get("path") for each in result.events]


async def test_an_empty_list_is_the_value_of_the_key_that_a_node_writes() -> None:
    def nothing(state: Notes) -> list[str]:
        return []

    g = StateGraph(Notes).add_node("node", nothing, output="said")
    graph = g.add_sequence(START, "node", END).compile()
    assert (await graph.run({"said": ["a"]})).output.said == ["a"]


async def test_an_update_that_is_refused_names_the_line_of_its_node() -> None:
    def body(state: Notes) -> dict[str, Any]:
        return {"n": len(state.said) and "many"}

    graph = single(body)
    with pytest.raises(GraphError) as caught:
        await graph.run({"said": ["a"]})
    (finding,) = caught.value.findings
    assert finding.code == "INVALID_UPDATE"
    assert finding.site == graph.declared.nodes["node"].site


class Aliased(BaseModel):
    """A key that is called otherwise elsewhere."""

    text: str = Field("", alias="Text")


async def test_a_run_begins_with_keys_by_the_names_of_their_fields() -> None:
    def shout(state: Aliased) -> dict[str, str]:
        return {"text": f"{state.text}!"}

    graph = StateGraph(Aliased).add_node(shout).add_sequence(START, "shout", END).compile()
    assert (await graph.run({"text": "tea"})).output.text == "tea!"
