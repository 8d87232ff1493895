"""Sessions that are kept in a journal: gone on with in another process, turn by turn."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tinyagents import (
    Agent,
    Autonomy,
    ConfigError,
    Message,
    RunConflict,
    SubAgentSession,
    tool,
)
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio


def answer(request: Any) -> Any:
    said = [message.text for message in request.messages if message.role == "user"]
    if said[-1] == "fail":
        raise OSError("model on fire")
    if said[-1] == "pay" and request.messages[-1].role == "user":
        return call("pay", amount=3)
    return f"{len(said)}: {said[-1]}"


@tool
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def talker(**options: Any) -> Agent[Any, Any]:
    return Agent(FunctionModel(answer), name="talker", tools=[pay], **options)


CAREFUL = Autonomy(modes={"pay": "assisted"})


def session(journal: Any, **options: Any) -> SubAgentSession[Any]:
    """As another process would make it."""
    return SubAgentSession(talker(**options), journal=journal, session_id="ann")


def said(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages if message.role in ("user", "assistant")]


async def test_a_session_made_anew_goes_on_where_it_was() -> None:
    journal = MemoryJournal()
    assert (await session(journal).send("hello")).output == "1: hello"
    again = session(journal)
    assert (await again.send("and now")).output == "2: and now"
    assert again.turns == 2
    assert said(again.transcript) == ["hello", "1: hello", "and now", "2: and now"]
    assert [tree.run_id for tree in await journal.trees()] == ["ann-t1", "ann-t0"]
    for tree in await journal.trees():
        check_tree(await journal.read(tree.run_id))


async def test_a_turn_that_failed_is_over_and_changes_nothing() -> None:
    journal = MemoryJournal()
    first = session(journal)
    await first.send("hello")
    with pytest.raises(OSError, match="on fire"):
        await first.send("fail")
    again = session(journal)
    assert await again.resume() is None
    assert (await again.send("go on")).output == "2: go on"


async def test_a_turn_that_was_cut_off_goes_on_before_anything_else_is_said() -> None:
    journal = MemoryJournal()
    whole = session(journal)
    await whole.send("hello")
    await whole.send("pay")
    full, record = await journal.read("ann-t1"), await journal.find("ann-t1")
    assert record is not None
    for n in range(1, len(full)):
        cut = MemoryJournal()
        await session(cut).send("hello")
        killed = replace(record, status="running")
        await cut.add(killed, full[:n])
        other = session(cut)
        with pytest.raises(RunConflict, match="its turn ann-t1 was cut off"):
            await other.send("something else")
        assert await other.take_up() == "ann-t1"
        result = await other.resume()
        assert result is not None
        assert result.output == "2: pay"
        assert other.transcript == whole.transcript
        assert (await other.send("next")).output == "3: next"


async def test_saying_the_same_again_goes_on_with_the_turn_that_was_cut_off() -> None:
    journal = MemoryJournal()
    await session(journal).send("hello")
    full, record = await journal.read("ann-t0"), await journal.find("ann-t0")
    assert record is not None
    cut = MemoryJournal()
    await cut.add(record, full[:3])
    again = session(cut)
    assert (await again.send("hello")).output == "1: hello"
    assert again.turns == 1
    assert len(await cut.trees()) == 1


async def test_a_turn_waits_for_leave_and_goes_on_elsewhere() -> None:
    journal = MemoryJournal()
    first = session(journal, autonomy=CAREFUL)
    await first.send("hello")
    waiting = await first.send("pay")
    assert waiting.status == "paused"
    assert first.turns == 1
    with pytest.raises(RunConflict, match="resume"):
        await first.send("something else")
    await waiting.pending[0].approve()
    other = session(journal, autonomy=CAREFUL)
    result = await other.resume()
    assert result is not None
    assert result.output == "2: pay"
    assert other.turns == 2
    assert (await first.send("next")).output == "3: next"  # it learns what the other one did


async def test_a_turn_that_was_cancelled_is_over() -> None:
    journal, began = MemoryJournal(), anyio.Event()

    async def stuck(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    first = SubAgentSession(
        Agent(FunctionModel(stuck), name="talker"), journal=journal, session_id="ann"
    )
    async with first.stream("hello") as run:
        await began.wait()
        assert first.cancel("enough")
    assert run.status == "cancelled"
    again = session(journal)
    assert await again.take_up() is None
    assert (await again.send("hello")).output == "1: hello"


async def test_a_reset_is_kept() -> None:
    journal = MemoryJournal()
    first = session(journal)
    await first.send("hello")
    first.reset()
    assert await first.take_up() is None
    again = session(journal)
    assert (await again.send("anew")).output == "1: anew"
    assert [tree.run_id for tree in await journal.trees()] == ["ann-t1", "ann-t0"]


async def test_a_fork_and_a_loaded_session_are_kept_under_their_own_name() -> None:
    journal = MemoryJournal()
    first = session(journal)
    await first.send("hello")
    other = first.fork(session_id="bob")
    assert (await other.send("hi")).output == "2: hi"
    loaded = SubAgentSession.load(other.save(), talker(), journal=journal, session_id="cid")
    assert await loaded.take_up() is None
    again = SubAgentSession(talker(), journal=journal, session_id="cid")
    assert (await again.send("hey")).output == "3: hey"
    assert (await session(journal).send("ho")).output == "2: ho"


async def test_streamed_turns_are_kept_too() -> None:
    journal = MemoryJournal()
    first = session(journal)
    async with first.stream("hello") as run:
        kinds = [event.kind async for event in run]
    assert kinds[0] == "run.started"
    assert "model.delta" in kinds
    assert (await session(journal).send("next")).output == "2: next"


async def test_a_journal_needs_a_name_and_the_same_agent() -> None:
    journal = MemoryJournal()
    with pytest.raises(ConfigError, match="session_id"):
        SubAgentSession(talker(), journal=journal)
    await session(journal).send("hello")
    other = SubAgentSession(Agent("test", name="else"), journal=journal, session_id="ann")
    with pytest.raises(ConfigError, match="is with 'talker', not with 'else'"):
        await other.send("hi")
    with pytest.raises(ConfigError, match="has no journal"):
        await SubAgentSession(talker()).resume()
    with pytest.raises(ConfigError, match="no turn to go on with"):
        async with SubAgentSession(talker()).stream(None):
            pass
