"""Threads: each run begins with the state that the last one came to; histories; forks."""

from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from tests.graph.durable.prefixes import cut_off, events_of
from tests.graph.unchecked import StateGraph
from tinyagents import ConfigError, RunConflict
from tinyagents.graph import START, Add, Append, Graph, GraphError, NodeContext
from tinyagents.testing import check_tree
from tinyagents_graph.journal import MemoryJournal, SqliteJournal

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


class Chat(BaseModel):
    said: Annotated[list[str], Append()] = []
    turns: Annotated[int, Add()] = 0


def chat(answer: Any = None, **options: Any) -> Graph[Chat]:
    async def answers(state: Chat, ctx: NodeContext) -> Any:
        return {"said": f"re: {state.said[-1]}"}

    async def counts(state: Chat) -> Any:
        return {"turns": 1}

    graph = StateGraph(Chat).add_node("answers", answer or answers).add_node(counts)
    return graph.add_sequence(START, "answers", "counts").compile(**options)


@MODES
async def test_the_next_run_begins_where_the_last_one_ended(tmp_path: Path, mode: Any) -> None:
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        await chat(mode=mode).run({"said": ["hi"]}, thread="ann", journal=journal)
        await chat(mode=mode).run({"said": ["you"]}, thread="bob", journal=journal)
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        result = await chat(mode=mode).run({"said": "and?"}, thread="ann", journal=journal)
        assert result.output == Chat(said=["hi", "re: hi", "and?", "re: and?"], turns=2)
        assert result.run_id == "ann-2"
        result = await chat(mode=mode).run({"said": "and?"}, thread="ann", journal=journal)
        assert (result.output.turns, result.run_id) == (3, "ann-3")
        records = await chat(mode=mode).history(thread="ann", journal=journal)
        assert [each.state.turns for each in records if each.nodes == ("root/counts[0]",)] == [
            1, 2, 3,
        ]  # fmt: skip


async def test_many_runs_of_a_thread() -> None:
    journal = MemoryJournal()
    for number in range(1, 21):
        given = {"said": ["0"] if number == 1 else "more"}
        result = await chat().run(given, thread="t", journal=journal)
        assert (result.run_id, result.output.turns) == (f"t-{number}", number)


async def test_of_two_runs_at_once_one_is_told_so() -> None:
    gate, journal = anyio.Event(), MemoryJournal()

    async def waits(state: Chat) -> Any:
        await gate.wait()
        return {"said": "done"}

    async with anyio.create_task_group() as group:
        first = {"said": ["a"]}
        group.start_soon(lambda: chat(waits).run(first, thread="t", journal=journal))
        await anyio.wait_all_tasks_blocked()
        for given in ({"said": ["a"]}, {"said": ["b"]}):
            with pytest.raises(RunConflict, match="under way"):
                await chat(waits).run(given, thread="t", journal=journal)
        gate.set()
    state = await chat().get_state(thread="t", journal=journal)
    assert state is not None
    assert state.state.said == ["a", "done"]


async def test_both_of_two_who_begin_at_the_same_moment_do_not_win() -> None:
    journal = MemoryJournal()
    await chat().run({"said": ["a"]}, thread="t", journal=journal)
    told: list[Any] = []

    async def send(text: str) -> None:
        try:
            told.append((await chat().run({"said": text}, thread="t", journal=journal)).output)
        except RunConflict as error:
            told.append(error)

    async with anyio.create_task_group() as group:
        for text in "bc":
            group.start_soon(send, text)
    won = [each for each in told if isinstance(each, Chat)]
    state = await chat().get_state(thread="t", journal=journal)
    assert state is not None
    assert won[-1] == state.state
    assert state.state.turns == 1 + len(won)


async def test_the_input_of_a_run_that_failed_is_not_applied_twice() -> None:
    broken, journal = [True], MemoryJournal()

    async def fails(state: Chat) -> Any:
        if broken:
            raise OSError("disk full")
        return {"said": "ok"}

    await chat().run({"said": ["hi"]}, thread="t", journal=journal)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            await chat(fails).run({"said": "again"}, thread="t", journal=journal)
    broken.clear()
    result = await chat(fails).run({"said": "again"}, thread="t", journal=journal)
    assert (result.run_id, result.output.said) == ("t-2", ["hi", "re: hi", "again", "ok"])


async def test_another_input_leaves_a_run_that_failed_behind() -> None:
    journal = MemoryJournal()

    async def fails(state: Chat) -> Any:
        raise OSError("disk full")

    await chat().run({"said": ["hi"]}, thread="t", journal=journal)
    with pytest.raises(OSError, match="disk full"):
        await chat(fails).run({"said": "no"}, thread="t", journal=journal)
    result = await chat().run({"said": "yes"}, thread="t", journal=journal)
    assert (result.run_id, result.output.said[-3:]) == ("t-3", ["no", "yes", "re: yes"])


async def test_a_run_that_was_cut_off_is_gone_on_with() -> None:
    journal = MemoryJournal()
    await chat().run({"said": ["hi"]}, thread="t", journal=journal)
    n_events = len(await events_of(journal, "t-1"))
    for n in range(1, n_events):
        rest = await cut_off(journal, n, "t-1")
        result = await chat().run({"said": ["hi"]}, thread="t", journal=rest)
        assert (result.run_id, result.output.said) == ("t-1", ["hi", "re: hi"])
        check_tree(await events_of(rest, "t-1"))


async def test_a_thread_that_waits_is_answered_first() -> None:
    async def asks(state: Chat, ctx: NodeContext) -> Any:
        return {"said": await ctx.ask(str, "Well?", key="well")}

    journal = MemoryJournal()
    result = await chat(asks).run({"said": ["hi"]}, thread="t", journal=journal)
    assert (await chat(asks).run({"said": ["hi"]}, thread="t", journal=journal)).status == "paused"
    with pytest.raises(RunConflict, match="waits for answers"):
        await chat(asks).run({"said": "more"}, thread="t", journal=journal)
    with pytest.raises(RunConflict, match="waits for answers"):
        await chat(asks).update_state("t", {"said": "more"}, journal=journal)
    await chat(asks).resume("t-1", {result.pending[0].id: "yes"}, journal=journal)
    result = await chat(asks).run({"said": "more"}, thread="t", journal=journal)
    assert result.output.said == ["hi", "yes", "more"]


async def test_a_stream_goes_on_with_a_thread() -> None:
    journal = MemoryJournal()
    await chat().run({"said": ["hi"]}, thread="t", journal=journal)
    async with chat().stream({"said": "and?"}, thread="t", journal=journal) as run:
        updates = [update async for update in run.updates()]
    assert updates == [{"answers": {"said": ["re: and?"]}}, {"counts": {"turns": 1}}]


# --- looking back ----------


@MODES
async def test_history_is_every_state_in_order(mode: Any) -> None:
    journal = MemoryJournal()
    await chat(mode=mode).run({"said": ["hi"]}, run_id="r", journal=journal)
    before = await events_of(journal)
    records = await chat(mode=mode).history("r", journal=journal)
    assert [(each.state.said, each.state.turns) for each in records] == [
        (["hi"], 0), (["hi", "re: hi"], 0), (["hi", "re: hi"], 1),
    ]  # fmt: skip
    assert [each.nodes for each in records] == [(), ("root/answers[0]",), ("root/counts[0]",)]
    assert [each.seq for each in records] == sorted(each.seq for each in records)
    assert await events_of(journal) == before


async def test_history_of_a_run_that_was_cut_off_ends_there() -> None:
    journal = MemoryJournal()
    await chat().run({"said": ["hi"]}, run_id="r", journal=journal)
    whole = await chat().history("r", journal=journal)
    for n in range(len(await events_of(journal))):
        records = await chat().history("r", journal=await cut_off(journal, n))
        assert records == [each for each in whole if each.seq < n]


async def test_who_looks_for_nothing_is_told_so() -> None:
    journal, graph = MemoryJournal(), chat()
    assert await graph.get_state(thread="t", journal=journal) is None
    with pytest.raises(ConfigError, match="no such run"):
        await graph.history("r", journal=journal)
    with pytest.raises(ConfigError, match="give one of the two"):
        await graph.history(journal=journal)
    with pytest.raises(ConfigError, match="has no run"):
        await graph.update_state("t", {"turns": 1}, journal=journal)
    with pytest.raises(ConfigError, match="without '/'"):
        await graph.run(thread="a/b", journal=journal)
    with pytest.raises(ConfigError, match="ids of their own"):
        await graph.run(thread="t", run_id="r", journal=journal)


async def test_the_state_of_a_thread_is_changed_by_hand() -> None:
    journal = MemoryJournal()
    await chat().run({"said": ["hi"]}, thread="t", journal=journal)
    result = await chat().update_state("t", {"said": "by hand", "turns": 5}, journal=journal)
    assert result.output == Chat(said=["hi", "re: hi", "by hand"], turns=6)
    assert [each.kind for each in result.events] == [
        "run.started", "checkpoint.saved", "run.completed",
    ]  # fmt: skip
    with pytest.raises(GraphError, match="UNKNOWN_KEY"):
        await chat().update_state("t", {"nothing": 1}, journal=journal)
    result = await chat().run({"said": "on"}, thread="t", journal=journal)
    assert (result.run_id, result.output.turns) == ("t-3", 7)
    assert (await chat().resume("t-2", journal=journal)).output.turns == 6
