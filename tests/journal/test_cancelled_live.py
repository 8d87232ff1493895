"""A kept run that is cancelled at work, and resumed, comes to its end all the same."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.journal.forks import Did, all_of, says, sees
from tests.journal.prefixes import RUN_ID, Scene, Stage, cut_off
from tests.journal.scenes import SCENES
from tests.journal.stories import intents
from tinyagents import Agent, Cancel, EventSink, Result, RunCancelled, SubAgentTool, fork, tool
from tinyagents.testing import call, check_tree, replay
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


async def _cancelled_at(seq: int, scene: Scene, stage: Stage) -> None:
    """Play a scene until it is cancelled, at the event with this `seq`, or has ended before."""
    while True:
        sink = EventSink()
        agent = scene.make(stage)
        given: dict[str, Any] = {
            "run_id": RUN_ID,
            "journal": stage.journal,
            "sink": sink,
        }
        try:
            async with agent.stream(scene.task, limits=scene.limits, **given) as run:
                sink.subscribe(lambda event: event.seq == seq and run.cancel("enough"))
                result = await run.result()
        except Exception as error:
            if "result" not in vars(error):
                raise
            return
        if result.status != "paused":
            return
        for ask in await inbox(stage.journal):
            await scene.answer(ask)


@pytest.mark.parametrize("name", SCENES)
async def test_it_goes_on_from_wherever_it_was_cancelled(name: str) -> None:
    scene = SCENES[name]
    whole = await scene.play(Stage(MemoryJournal()))
    for seq in range(len(whole.events)):
        first = Stage(MemoryJournal())
        await _cancelled_at(seq, scene, first)
        before = await first.journal.read(RUN_ID)
        stage = Stage(first.journal)
        try:
            check_tree(before)
            resumed = await scene.play(stage)
            assert resumed.status == whole.status
            check_tree(resumed.events)
            assert await inbox(stage.journal) == []
            begun = {f"{path} {name}" for _, path, name in intents(before)}
            again = [deed.path for deed in stage.deeds if deed.what in scene.irreversible]
            assert not begun & set(again)
        except Exception as error:
            error.add_note(f"cancelled at {seq} of {len(whole.events)}: {whole.events[seq]}")
            raise


@pytest.mark.parametrize("name", SCENES)
async def test_what_a_crash_left_open_ends_with_a_run_that_is_cancelled_before_it_comes_there(
    name: str,
) -> None:
    scene = SCENES[name]
    first = Stage(MemoryJournal())
    whole = await scene.play(first)
    for n in range(1, len(whole.events)):
        stage = Stage(await cut_off(first.journal, n))
        await _cancelled_at(n + 1, scene, stage)
        before = await stage.journal.read(RUN_ID)
        try:
            check_tree(before)
            again = Stage(stage.journal)
            resumed = await scene.play(again)
            assert resumed.status == whole.status
            check_tree(resumed.events)
            begun = {f"{path} {name}" for _, path, name in intents(before)}
            deeds = [deed.path for deed in again.deeds if deed.what in scene.irreversible]
            assert not begun & set(deeds)
        except Exception as error:
            error.add_note(f"cut off after {n} of {len(whole.events)}: {whole.events[n - 1]}")
            raise


def guide() -> Agent[Any, Any]:
    """Asks a kid that looks, looks itself, and says what it heard."""
    kid = Agent(says([], "kid", call("look", x=1), all_of), name="kid", tools=[sees([])])
    boss = says([], "boss", call("kid", input="a"), call("look", x=2), all_of)
    return Agent(boss, name="boss", tools=[sees([])], subagents=[kid])


async def _told_to_cancel(seq: int, to: str = "root") -> MemoryJournal:
    """A journal with a run that got a `Cancel` at about the event with this `seq`."""
    journal = MemoryJournal()
    handle = guide().stream("go", run_id=RUN_ID, journal=journal, policy="block", buffer=1)
    async with handle as run:
        async for event in run:
            if event.seq == seq:
                await run.steer(Cancel("enough"), to=to)
    return journal


async def _whole() -> Result[Any]:
    async with guide().stream("go") as run:
        return await run.result()


async def test_a_run_that_was_told_to_cancel_goes_on_when_it_is_resumed() -> None:
    whole = await _whole()
    n_cancelled = 0
    for seq in range(len(whole.events)):
        journal = await _told_to_cancel(seq)
        record = await journal.find(RUN_ID)
        assert record is not None
        n_cancelled += record.status == "cancelled"
        result = await guide().resume(RUN_ID, journal=journal)
        assert (result.output, result.tree_usage) == (whole.output, whole.tree_usage), seq
        check_tree(await journal.read(RUN_ID))
    assert n_cancelled > len(whole.events) / 2


async def test_a_fork_of_a_run_that_was_told_to_cancel_is_not_cancelled() -> None:
    whole = await _whole()
    at = next(each.seq for each in whole.events if each.kind == "tool.completed")
    journal = await _told_to_cancel(at)
    events = await journal.read(RUN_ID)
    assert events[-1].kind == "run.cancelled"
    for seq in range(len(events)):
        other = await fork(journal, RUN_ID, at=seq)
        result = await guide().resume(other.run_id, journal=journal)
        assert result.output == whole.output, seq
        check_tree(await journal.read(other.run_id))


@pytest.mark.parametrize("how", ["steered", "called off"])
async def test_a_child_that_was_cancelled_stays_so_once_its_parent_knows(how: str) -> None:
    did: Did = []

    @tool
    async def hang(x: int) -> str:
        did.append(("hang", x))
        await anyio.sleep_forever()
        return ""

    def boss() -> Agent[Any, Any]:
        kid = Agent(says(did, "kid", call("hang", x=1), "no"), name="kid", tools=[hang])
        model = says([], "boss", call("kid", input="a"), call("look", x=2), all_of)
        return Agent(model, name="boss", tools=[sees([])], subagents=[kid])

    journal = MemoryJournal()
    async with boss().stream("go", run_id=RUN_ID, journal=journal) as run:
        async for event in run:
            if event.kind == "tool.started" and event.depth:
                kid = run.find(event.path)
                assert kid is not None
                if how == "steered":
                    await kid.steer(Cancel("enough"))
                else:
                    assert kid.cancel("enough")
        first = await run.result()
    told = first.messages[2].text
    assert "root/kid[0] was cancelled: enough" in told
    [end] = [each for each in first.events if each.kind == "tool.failed" and not each.depth]
    did.clear()
    for n in range(end.seq + 1, len(first.events) + 1):
        again = await boss().resume(RUN_ID, journal=await cut_off(journal, n))
        assert again.messages == first.messages
        assert (again.output, again.tree_usage) == (first.output, first.tree_usage)
        check_tree(again.events)
    assert did == []


async def test_a_run_that_was_told_to_cancel_is_replayed_to_its_end() -> None:
    whole = await _whole()
    at = next(each.seq for each in whole.events if each.kind == "tool.completed")
    journal = await _told_to_cancel(at)
    with pytest.raises(RunCancelled, match="enough"):
        await replay(guide(), journal)


@pytest.mark.parametrize("how", ["fails", "called off"])
async def test_a_child_in_the_background_stays_as_its_parent_was_told(how: str) -> None:
    did: Did = []

    @tool(on_error="fail")
    async def hang(x: int) -> str:
        did.append(("hang", x))
        if how == "called off":
            await anyio.sleep_forever()
        raise OSError("broken")

    def boss() -> Agent[Any, Any]:
        kid = Agent(
            says(did, "kid", call("look", x=1), call("hang", x=1), "no"),
            name="kid",
            tools=[sees(did), hang],
        )
        model = says(did, "boss", call("kid", input="a"), call("wait_for_children"), all_of)
        return Agent(model, name="boss", tools=[SubAgentTool(kid, background=True)])

    journal = MemoryJournal()
    async with boss().stream("go", run_id=RUN_ID, journal=journal) as run:
        async for event in run:
            is_there = event.kind == "tool.started" and event.data["tool"] == "hang"
            if is_there and how == "called off":
                kid = run.find(event.path)
                assert kid is not None
                assert kid.cancel("enough")
        first = await run.result()
    [told] = [each for each in first.events if each.kind == "steer.received"]
    again = first
    for n in range(told.seq + 1, len(first.events) + 1):
        did.clear()
        again = await boss().resume(RUN_ID, journal=await cut_off(journal, n))
        assert not [each for each in did if each[0] != "boss"]
        assert (again.output, again.tree_usage) == (first.output, first.tree_usage)
        check_tree(again.events)
    assert list(again.events) == list(first.events)


async def test_a_child_that_its_parent_did_not_wait_for_is_not_begun_again() -> None:
    did: Did = []

    @tool
    async def hang(x: int) -> str:
        did.append(("hang", x))
        await anyio.sleep_forever()
        return ""

    def boss() -> Agent[Any, Any]:
        kid = Agent(says([], "kid", call("hang", x=1)), name="kid", tools=[hang])
        model = says([], "boss", call("kid", input="a"), call("look", x=2), all_of)
        tools = [SubAgentTool(kid, background=True, at_end="cancel"), sees([])]
        return Agent(model, name="boss", tools=tools)

    journal = MemoryJournal()
    first = await boss().run("go", run_id=RUN_ID, journal=journal)
    [end] = [each for each in first.events if each.kind == "run.cancelled"]
    did.clear()
    for n in range(end.seq, len(first.events)):
        again = await boss().resume(RUN_ID, journal=await cut_off(journal, n + 1))
        assert again.output == first.output
        check_tree(again.events)
    again = await boss().resume(RUN_ID, journal=journal)
    assert (list(again.events), again.tree_usage) == (list(first.events), first.tree_usage)
    assert did == []
