"""A tree that nobody has under way is called off: its log is closed, and it can still go on."""

from typing import Any

import anyio
import pytest

from tests.journal.prefixes import RUN_ID, Stage, cut_off
from tests.journal.scenes import SCENES
from tests.journal.stories import intents
from tinyagents import Agent, Autonomy, ConfigError, RunCancelled, RunConflict, Usage, tool
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph.journal import Journal, MemoryJournal
from tinyagents_graph.journal.calling_off import call_off
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", SCENES)
async def test_it_is_in_order_from_wherever_the_tree_was_cut_off_and_goes_on(name: str) -> None:
    scene = SCENES[name]
    first = Stage(MemoryJournal())
    whole = await scene.play(first)
    for n in range(1, len(whole.events)):
        journal = await cut_off(first.journal, n)
        assert await call_off(journal, RUN_ID, "enough")
        events = await journal.read(RUN_ID)
        assert list(events[:n]) == list(whole.events[:n])
        check_tree(events)
        record = await journal.find(RUN_ID)
        assert record is not None
        assert (record.status, record.owner) == ("cancelled", "")
        assert Usage.from_dict(record.usage).requests <= whole.usage.requests
        assert await inbox(journal) == []
        assert not await call_off(journal, RUN_ID)
        stage = Stage(journal)
        resumed = await scene.play(stage)
        assert resumed.status == whole.status
        check_tree(resumed.events)
        begun = {f"{path} {name}" for _, path, name in intents(whole.events[:n])}
        again = [deed.path for deed in stage.deeds if deed.what in scene.irreversible]
        assert not begun & set(again)


async def test_a_tree_that_waits_is_called_off_and_asks_anew(journal: Journal) -> None:
    paid = list[int]()

    @tool
    async def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    def payer() -> Agent[Any, Any]:
        script = ScriptedModel([call("pay", amount=3), "end"])
        return Agent(script, tools=[pay], autonomy=Autonomy(modes={"pay": "assisted"}))

    def payer_later() -> Agent[Any, Any]:
        model = ScriptedModel(["end"])
        return Agent(model, tools=[pay], autonomy=Autonomy(modes={"pay": "assisted"}))

    waiting = await payer().run("go", run_id="r-1", journal=journal)
    old = waiting.pending[0]
    assert await call_off(journal, "r-1", "not today")
    assert await inbox(journal) == []
    again = await payer_later().resume("r-1", journal=journal)
    assert again.status == "paused"
    (ask,) = again.pending
    assert ask.id != old.id
    await old.approve()  # it was given up
    assert (await payer_later().resume("r-1", journal=journal)).status == "paused"
    assert paid == []
    await ask.approve()
    assert (await payer_later().resume("r-1", journal=journal)).output == "end"
    assert paid == [3]
    check_tree(await journal.read("r-1"))


async def test_an_irreversible_call_that_is_cancelled_is_not_made_again(journal: Journal) -> None:
    made, began = list[str](), anyio.Event()

    @tool(reversible=False)
    async def fire() -> str:
        """Fire."""
        made.append("fired")
        began.set()
        await anyio.sleep_forever()
        return "never"

    def answer(request: Any) -> Any:
        results = [message.text for message in request.messages if message.role == "tool"]
        return results[-1] if results else call("fire")

    agent = Agent(FunctionModel(answer), tools=[fire])
    async with agent.stream("go", run_id="r-1", journal=journal) as run:
        await began.wait()
        run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()
    result = await agent.resume("r-1", journal=journal)
    assert "not known whether fire was done" in result.output
    assert made == ["fired"]
    check_tree(await journal.read("r-1"))


async def test_what_a_run_asks_is_over_when_it_is_cancelled(journal: Journal) -> None:
    began = anyio.Event()

    @tool
    async def pay() -> str:
        """Pay."""
        return "paid"

    @tool
    async def wait() -> None:
        """Wait for good."""
        began.set()
        await anyio.sleep_forever()

    script = ScriptedModel([[call("pay"), call("wait")]])
    agent = Agent(script, tools=[pay, wait], autonomy=Autonomy(modes={"pay": "assisted"}))
    async with agent.stream("go", run_id="r-1", journal=journal) as run:
        await began.wait()
        run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()
    check_tree(await journal.read("r-1"))
    assert await inbox(journal) == []


async def test_what_somebody_has_under_way_is_not_called_off(journal: Journal) -> None:
    began = anyio.Event()

    async def stuck(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    async with Agent(FunctionModel(stuck)).stream("go", run_id="r-1", journal=journal) as run:
        await began.wait()
        with pytest.raises(RunConflict, match="r-1"):
            await call_off(journal, "r-1")
        run.cancel("enough")


async def test_a_run_that_nobody_knows_is_named(journal: Journal) -> None:
    await Agent("test").run("go", run_id="r-1", journal=journal)
    assert not await call_off(journal, "r-1")
    with pytest.raises(ConfigError, match="did you mean 'r-1'"):
        await call_off(journal, "r-2")


async def test_what_was_set_aside_for_a_child_is_released() -> None:
    scene = SCENES["budgets"]
    first = Stage(MemoryJournal())
    whole = await scene.play(first)
    reserved = next(event for event in whole.events if event.kind == "budget.reserved")
    journal = await cut_off(first.journal, reserved.seq + 1)
    assert await call_off(journal, RUN_ID, "enough")
    released = [each for each in await journal.read(RUN_ID) if each.kind == "budget.released"]
    assert [(each.path, set(each.data["unused"])) for each in released] == [
        (reserved.path, set(reserved.data["limits"]))
    ]
