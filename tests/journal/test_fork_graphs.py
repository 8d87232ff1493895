"""Graphs that are forked: a visit is made again only if it sees something else."""

from collections.abc import Awaitable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from tests.journal.forks import Did, all_of, says, sees, seq_of
from tinyagents import Agent, ConfigError, diff, fork
from tinyagents.graph import END, START, Append, Ask, Graph, NodeContext, Send, StateGraph
from tinyagents.testing import NotAsRecorded, call, check_tree, replay
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


class Notes(BaseModel):
    topic: str = ""
    notes: Annotated[list[str], Append()] = []


class Paper(Notes):
    text: str = ""
    is_fine: bool = False


def scribe(did: Did) -> Agent[Any, Any]:
    model = says(did, "scribe", call("look", x=1), all_of)
    return Agent(model, name="scribe", tools=[sees(did)])


def inner(did: Did) -> Graph[Any]:
    def polish(state: Notes) -> dict[str, Any]:
        did.append(("polish", len(state.notes)))
        return {"notes": ["polished"]}

    graph = StateGraph(Notes, name="inner")
    graph.add_node("polish", polish)
    graph.add_edge(START, "polish")
    graph.add_edge("polish", END)
    return graph.compile()


def paper(did: Did) -> Graph[Any]:
    """Two functions and a child of a function side by side, a fan-out, a graph, a question."""

    def first(state: Paper) -> dict[str, Any]:
        did.append(("first", state.topic))
        return {"notes": [f"on {state.topic}"]}

    async def second(state: Paper, ctx: NodeContext) -> dict[str, Any]:
        did.append(("second", state.topic))
        result = await scribe(did).run(state.topic)
        return {"notes": [result.output]}

    def fan(state: Paper) -> list[Send]:
        did.append(("fan", len(state.notes)))
        return [Send("work", note) for note in state.notes]

    def work(note: str) -> dict[str, Any]:
        did.append(("work", note))
        return {"notes": [note.upper()]}

    def end(state: Paper) -> Ask:
        did.append(("end", len(state.notes)))
        text = "; ".join(state.notes)
        return Ask("Is it fine?", type=bool, output="is_fine", update={"text": text})

    graph = StateGraph(Paper, name="paper")
    for name, body in {"first": first, "second": second, "work": work, "end": end}.items():
        graph.add_node(name, body)
    graph.add_node("fan", fan, goto=["work"])
    graph.add_node("inner", inner(did))
    graph.add_edge(START, "first")
    graph.add_edge(START, "second")
    graph.add_edge(["first", "second"], "fan")
    graph.add_edge("work", "inner")
    graph.add_edge("inner", "end")
    graph.add_edge("end", END)
    return graph.compile()


async def recorded(journal: MemoryJournal) -> Any:
    result = await paper([]).run({"topic": "forks"}, run_id="r-1", journal=journal)
    answers = {ask.id: True for ask in result.pending}
    result = await paper([]).resume("r-1", answers, journal=journal)
    assert (result.status, result.output.is_fine) == ("completed", True)
    return result, await journal.read("r-1")


async def gone_on(journal: MemoryJournal, run_id: str) -> tuple[Did, Any]:
    did: Did = []
    result = await paper(did).resume(run_id, journal=journal)
    check_tree(await journal.read(run_id))
    return did, result


async def test_a_fork_at_any_event_does_nothing_again() -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal)
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        did, again = await gone_on(journal, other.run_id)
        assert did == [], at
        assert (again.status, again.output) == ("completed", result.output)
        assert (again.steps, again.tree_usage) == (result.steps, result.tree_usage)
        assert (await diff(journal, "r-1", other.run_id)).changed == ()


async def test_a_visit_beside_what_was_edited_is_not_made_again() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    ends = {each.data["path"]: each.seq for each in events if each.kind == "node.completed"}
    other = await fork(journal, "r-1", at=ends["root/first[0]"], edit={"notes": ["EDIT"]})
    did, result = await gone_on(journal, other.run_id)
    assert [name for name, _ in did] == ["fan", "work", "work", "polish", "end"]
    assert ("work", "EDIT") in did
    assert result.output.text == "EDIT; saw 1; EDIT; SAW 1; polished"
    work = ends["root/work[1]"]
    other = await fork(journal, "r-1", at=work, edit={"notes": ["EDIT"]})
    did, result = await gone_on(journal, other.run_id)
    assert [name for name, _ in did] == ["polish", "end"]
    polish = seq_of(events, "node.completed", "root/inner[0]")
    other = await fork(journal, "r-1", at=polish, edit={"notes": ["EDIT"]})
    did, result = await gone_on(journal, other.run_id)
    assert did == [("end", 5)]
    assert result.output.notes[-1] == "EDIT"


async def test_an_edit_below_a_visit_makes_that_again_and_what_sees_it() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/second[0]/scribe[0]")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did, result = await gone_on(journal, other.run_id)
    assert [name for name, _ in did][:2] == ["second", "scribe"]
    assert ("first", "forks") not in did
    assert ("scribe", 0) not in did
    assert "EDIT" in result.output.text


async def test_an_answer_of_the_human_to_a_node_can_be_another() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "ask.answered", "root")
    other = await fork(journal, "r-1", at=at, edit=False)
    did, result = await gone_on(journal, other.run_id)
    assert (did, result.output.is_fine) == ([], False)


async def test_an_update_is_edited_as_a_mapping() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "node.completed", "root")
    with pytest.raises(ConfigError, match="an update is a mapping"):
        await fork(journal, "r-1", at=at, edit="EDIT")
    with pytest.raises(ConfigError, match=r"run.started.*the input of a graph"):
        await fork(journal, "r-1", at=0, edit={"topic": "other"})


@MODES
async def test_agents_that_are_nodes_keep_what_they_did(mode: Any) -> None:
    journal = MemoryJournal()

    def team(did: Did) -> Graph[Any]:
        async def ending(state: Notes) -> dict[str, Any]:
            did.append(("ending", len(state.notes)))
            return {"notes": ["the end"]}

        graph = StateGraph(Notes, name="team")
        graph.add_node("scribe", scribe(did), input=lambda state: state.topic, output=_noted)
        graph.add_node("other", scribe(did), input=lambda state: state.topic, output=_noted)
        graph.add_node("ending", ending)
        graph.add_edge(START, "scribe")
        graph.add_edge(START, "other")
        graph.add_edge(["scribe", "other"], "ending")
        graph.add_edge("ending", END)
        return graph.compile(mode=mode)

    result = await team([]).run({"topic": "x"}, run_id="r-1", journal=journal)
    events = await journal.read("r-1")
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        did: Did = []
        again = await team(did).resume(other.run_id, journal=journal)
        check_tree(await journal.read(other.run_id))
        assert again.output == result.output
        assert [name for name, _ in did if name != "ending"] == []
        assert mode == "eager" or did == []
    at = seq_of(events, "tool.completed", "root/scribe[0]")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did = []
    again = await team(did).resume(other.run_id, journal=journal)
    assert did == [("scribe", 1), ("ending", 2)]
    assert again.output.notes == ["EDIT", "saw 1", "the end"]


def _noted(text: str) -> dict[str, Any]:
    return {"notes": [text]}


async def test_a_recorded_graph_is_replayed() -> None:
    journal = MemoryJournal()
    result, _ = await recorded(journal)
    did: Did = []
    again = await replay(paper(did), journal)
    assert (did, again.output) == ([], result.output)
    again = await replay(paper(did), journal, tools="live")
    assert again.output == result.output
    assert [name for name, _ in did if name == "scribe"] == []
    assert ("second", "forks") in did


async def test_a_graph_that_asks_its_agents_something_else_is_noticed() -> None:
    journal = MemoryJournal()

    def team(suffix: str) -> Graph[Any]:
        def task(state: Notes) -> str:
            return state.topic + suffix

        graph = StateGraph(Notes, name="team")
        graph.add_node("scribe", scribe([]), input=task, output=_noted)
        graph.add_edge(START, "scribe")
        graph.add_edge("scribe", END)
        return graph.compile()

    await team("").run({"topic": "x"}, run_id="r-1", journal=journal)
    assert (await replay(team(""), journal)).status == "completed"
    going: Awaitable[Any] = replay(team("!"), journal)
    with pytest.raises(NotAsRecorded, match="of the user, is 'x!', and was 'x'"):
        await going
