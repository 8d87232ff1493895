"""Calls that need a human's leave: proposed, approved, changed, rejected, expired, in doubt."""

from collections.abc import Sequence
from time import time
from typing import Annotated, Literal

import anyio.lowlevel
import pytest
from pydantic import AfterValidator

from tinyagents import (
    Agent,
    AssistantMessage,
    Autonomy,
    ConfigError,
    Message,
    ModelRetry,
    Tool,
    ToolCall,
    tool,
)
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph.journal.inbox import InboxAsk, inbox
from tinyagents_graph.journal.protocol import Journal

pytestmark = pytest.mark.anyio

ASSISTED = Autonomy(modes={"pay": "assisted"})


@pytest.fixture
def paid() -> list[int]:
    return []


@pytest.fixture
def pay(paid: list[int]) -> Tool:
    @tool(reversible=False)
    async def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return f"paid {amount}"

    return pay


def payer(pay: Tool, *script: object, autonomy: Autonomy = ASSISTED, **more: object) -> Agent:
    return Agent(ScriptedModel(script), name="payer", tools=[pay]).with_(autonomy=autonomy, **more)


def told(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages if message.role == "tool"]


async def test_an_assisted_call_waits_for_a_yes(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    result = await agent.run("pay the bill", run_id="p-1", journal=journal)
    assert (result.status, paid) == ("paused", [])
    [ask] = result.pending
    assert (ask.tool, ask.arguments, ask.path) == ("pay", {"amount": 5}, "root")
    assert await ask.approve(by="ann", reason="it is due")
    result = await agent.resume("p-1", journal=journal)
    assert (result.status, result.output, paid) == ("completed", "done", [5])
    [answered] = [event for event in result.events if event.kind == "ask.answered"]
    assert (answered.data["by"], answered.data["reason"]) == ("ann", "it is due")
    check_tree(result.events)


async def test_a_no_is_told_to_the_model(journal: Journal, pay: Tool, paid: list[int]) -> None:
    agent = payer(pay, call("pay", amount=5), "I see")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    assert await result.pending[0].reject("too much", by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert (result.output, paid) == ("I see", [])
    assert "not allowed by ann: too much" in told(result.messages)[0]


async def test_a_human_changes_the_arguments(journal: Journal, pay: Tool, paid: list[int]) -> None:
    agent = payer(pay, call("pay", amount=500), "done")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    assert await result.pending[0].approve(arguments={"amount": "5"}, by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert paid == [5]
    assert told(result.messages) == ['paid 5\n[ann changed the arguments to {"amount":"5"}]']


async def test_arguments_that_do_not_fit_are_asked_for_again(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    agent = payer(pay, call("pay", amount=500), "done")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    first = result.pending[0]
    assert await first.approve(arguments={"amount": "much"}, by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert (result.status, paid) == ("paused", [])
    [ask] = await inbox(journal)
    assert "the arguments that ann gave are not valid: amount: " in ask.question
    assert (ask.tool, ask.arguments) == ("pay", {"amount": 500})
    assert await first.approve(arguments={"amount": "much"}, by="ann")  # changes nothing
    assert (await agent.resume("p-1", journal=journal)).status == "paused"
    assert await ask.approve(arguments={"amount": "more"}, by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert result.status == "paused"
    assert await result.pending[0].approve(arguments={"amount": 5}, by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert (result.output, paid) == ("done", [5])
    assert told(result.messages) == ['paid 5\n[ann changed the arguments to {"amount":5}]']
    check_tree(result.events)


async def test_what_a_tool_refuses_by_itself_is_asked_for_again_as_well(journal: Journal) -> None:
    def even(x: int) -> int:
        if x % 2:
            raise ModelRetry("give an even number")
        return x

    @tool
    async def pay(amount: Annotated[int, AfterValidator(even)]) -> str:
        """Pay."""
        return f"paid {amount}"

    agent = payer(pay, call("pay", amount=4), "done")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    assert await result.pending[0].approve(arguments={"amount": 3})
    result = await agent.resume("p-1", journal=journal)
    assert "not valid: give an even number" in result.pending[0].question
    assert await result.pending[0].approve()
    assert told((await agent.resume("p-1", journal=journal)).messages) == ["paid 4"]


async def test_answering_twice_is_harmless(journal: Journal, pay: Tool, paid: list[int]) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    ask = result.pending[0]
    assert await ask.approve(by="ann")
    assert await ask.approve(by="bob")
    assert not await ask.reject("no")
    assert await inbox(journal) == []
    await agent.resume("p-1", journal=journal)
    assert await ask.approve(by="ann")
    result = await agent.resume("p-1", journal=journal)
    assert (result.status, paid) == ("completed", [5])


async def test_without_an_answer_nothing_happens(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    first = await agent.run("pay", run_id="p-1", journal=journal)
    second = await agent.resume("p-1", journal=journal)
    again = await agent.run("pay", run_id="p-1", journal=journal)
    assert first.status == second.status == again.status == "paused"
    assert list(first.events) == list(second.events) == list(again.events)
    assert first.messages == second.messages
    assert paid == []


async def test_calls_beside_it_are_made(journal: Journal, pay: Tool, paid: list[int]) -> None:
    looked: list[int] = []

    @tool
    async def look(x: int) -> str:
        """Look."""
        looked.append(x)
        return f"saw {x}"

    turn = [call("look", x=1), call("pay", amount=5), call("look", x=2)]
    agent = payer(pay, turn, "done", tools=[pay, look])
    result = await agent.run("go", run_id="p-1", journal=journal)
    assert (result.status, sorted(looked), paid) == ("paused", [1, 2], [])
    await result.pending[0].approve()
    result = await agent.resume("p-1", journal=journal)
    assert (sorted(looked), paid) == ([1, 2], [5])
    assert told(result.messages) == ["saw 1", "paid 5", "saw 2"]


async def test_one_inbox_for_the_whole_tree_and_all_trees(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    def answer(request: ModelRequest) -> str | ToolCall:
        return "ok" if told(request.messages) else call("pay", amount=1)

    clerk = Agent(FunctionModel(answer), name="clerk", description="Pays.", tools=[pay])
    turn = [call("clerk", input="a"), call("clerk", input="b")]
    boss = Agent(ScriptedModel([turn, "done"]), name="boss", subagents=[clerk], autonomy=ASSISTED)
    result = await boss.run("pay both", run_id="b-1", journal=journal)
    await payer(pay, call("pay", amount=9)).run("pay", run_id="b-2", journal=journal)
    asks = await inbox(journal)
    assert sorted((ask.root_run_id, ask.path) for ask in asks) == [
        ("b-1", "root/clerk[0]"), ("b-1", "root/clerk[1]"), ("b-2", "root"),
    ]  # fmt: skip
    assert [ask.id for ask in result.pending] == [ask.id for ask in asks[:2]]
    await asks[1].approve()
    result = await boss.resume("b-1", journal=journal)
    assert (result.status, len(result.pending), len(paid)) == ("paused", 1, 1)
    await asks[0].reject()
    result = await boss.resume("b-1", journal=journal)
    assert (result.status, len(paid)) == ("completed", 1)
    check_tree(result.events)


async def test_the_stricter_autonomy_wins(journal: Journal, pay: Tool, paid: list[int]) -> None:
    clerk = Agent(
        ScriptedModel([call("pay", amount=1), "ok"]),
        name="clerk",
        description="Pays.",
        tools=[pay],
        autonomy=Autonomy(default="autonomous"),
    )
    shadow = Autonomy(default="autonomous", modes={"pay": "shadow"})
    boss = Agent(ScriptedModel([call("clerk", input="a"), "done"]), subagents=[clerk])
    result = await boss.with_(autonomy=shadow).run("pay", journal=journal)
    assert (result.status, paid) == ("completed", [])


async def test_a_shadow_call_is_only_proposed(pay: Tool, paid: list[int]) -> None:
    agent = payer(pay, call("pay", amount=5), "done", autonomy=Autonomy(default="shadow"))
    result = await agent.run("pay")
    assert (result.output, paid) == ("done", [])
    [failed] = [event for event in result.events if event.kind == "tool.failed"]
    assert failed.data["category"] == "shadow"
    assert '"proposal": {"amount": 5}' in told(result.messages)[0]


@pytest.mark.parametrize(("default", "expected"), [("reject", []), ("approve", [5])])
async def test_an_ask_that_nobody_answers_takes_its_default(
    journal: Journal,
    pay: Tool,
    paid: list[int],
    default: Literal["approve", "reject"],
    expected: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    autonomy = Autonomy(modes={"pay": "assisted"}, expires_s=60, on_expiry=default)
    agent = payer(pay, call("pay", amount=5), "done", autonomy=autonomy)
    result = await agent.run("pay", run_id="p-1", journal=journal)
    assert result.pending[0].expires_at == pytest.approx(time() + 60, abs=30)
    assert (await agent.resume("p-1", journal=journal)).status == "paused"
    monkeypatch.setattr("tinyagents_graph.journal.asking.time", lambda: time() + 61)
    result = await agent.resume("p-1", journal=journal)
    assert (result.status, paid) == ("completed", expected)
    assert [event.kind for event in result.events if event.kind == "ask.expired"]
    check_tree(result.events)


async def test_an_answer_holds_for_its_very_call(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    """Servers that count call ids anew in each reply must not turn an old yes into a new one."""
    turns = [
        AssistantMessage((ToolCall("call_0", "pay", {"amount": amount}),)) for amount in (5, 999)
    ]
    agent = payer(pay, *turns, "x")
    result = await agent.run("pay", run_id="p-1", journal=journal)
    await result.pending[0].approve()
    result = await agent.resume("p-1", journal=journal)
    assert (result.status, paid) == ("paused", [5])
    [ask] = result.pending
    assert ask.arguments == {"amount": 999}


async def test_it_waits_in_memory_without_a_journal(pay: Tool, paid: list[int]) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    result = await agent.run("pay")
    assert result.status == "paused"
    await result.pending[0].approve()
    result = await agent.resume(result.run_id)
    assert (result.output, paid) == ("done", [5])
    with pytest.raises(ConfigError, match="has no such run"):
        await agent.resume(result.run_id)


async def test_an_answer_that_comes_while_others_work_needs_no_resume(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    @tool
    async def nod() -> str:
        """Approve of what is asked beside this call."""
        found: list[InboxAsk] = []
        while not found:
            await anyio.lowlevel.checkpoint()
            found = await inbox(journal)
        await found[0].approve()
        return "nodded"

    agent = payer(pay, [call("pay", amount=5), call("nod")], "done", tools=[pay, nod])
    result = await agent.run("pay", run_id="p-1", journal=journal)
    assert (result.status, paid) == ("completed", [5])
    check_tree(result.events)


async def test_a_stream_ends_when_the_run_waits(
    journal: Journal, pay: Tool, paid: list[int]
) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    async with agent.stream("pay", run_id="p-1", journal=journal) as run:
        kinds = [event.kind async for event in run]
        result = await run.result()
        [ask] = run.pending()
    assert kinds[-2:] == ["ask.raised", "run.paused"]
    assert result.status == "paused"
    await ask.approve()
    assert (await agent.resume("p-1", journal=journal)).output == "done"
    assert paid == [5]


async def test_kinds_of_answers_are_kept_apart(journal: Journal, pay: Tool) -> None:
    agent = payer(pay, call("pay", amount=5), "done")
    [ask] = (await agent.run("pay", run_id="p-1", journal=journal)).pending
    with pytest.raises(ConfigError, match=r"ask\.approve\(\) or ask\.reject"):
        await ask.answer("yes")
    with pytest.raises(ConfigError, match="is no JSON"):
        await ask.approve(arguments={"amount": object()})
    assert await ask.answer(True)


def test_a_mode_for_a_tool_that_nobody_has_is_a_mistake(pay: Tool) -> None:
    with pytest.raises(
        ConfigError, match=r"names a tool 'pai', and there is none; did you mean 'pay'"
    ):
        payer(pay, autonomy=Autonomy(modes={"pai": "assisted"}))
    clerk = Agent("test", name="clerk", description="Pays.", tools=[pay])
    Agent("test", subagents=[clerk], autonomy=ASSISTED)
