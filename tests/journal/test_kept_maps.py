"""Many tasks at once, kept in a journal: gone on with, given again, refused."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tinyagents import Agent, Autonomy, ModelError, Retry, RunConflict, RunLimits, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph.journal.inbox import inbox
from tinyagents_graph.journal.protocol import Journal

pytestmark = pytest.mark.anyio


@tool
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def payer(asked: list[str], **more: Any) -> Agent[Any, Any]:
    def answer(request: ModelRequest) -> Any:
        asked.append(request.messages[-1].text)
        if request.messages[-1].text == "pay":
            return call("pay", amount=3)
        return f"done: {request.messages[-1].text}"

    return Agent(FunctionModel(answer), name="payer", tools=[pay], **more)


async def test_the_same_tasks_once_more_are_given_again(journal: Journal) -> None:
    asked = list[str]()
    first = await payer(asked).map(["a", "pay"], run_id="m", journal=journal)
    again = await payer(asked).map(["a", "pay"], run_id="m", journal=journal)
    assert [each.output for each in again] == ["done: a", "done: paid 3"]
    assert [each.output for each in first] == [each.output for each in again]
    assert sorted(asked) == ["a", "paid 3", "pay"]
    with pytest.raises(RunConflict, match="began with other tasks"):
        await payer(asked).map(["a", "b"], run_id="m", journal=journal)
    check_tree(await journal.read("m"))


async def test_one_that_waits_is_gone_on_with_and_the_others_are_done(journal: Journal) -> None:
    asked, careful = list[str](), Autonomy(modes={"pay": "assisted"})
    agent = payer(asked, autonomy=careful)
    first = await agent.map(["a", "pay"], run_id="m", journal=journal)
    assert [(each.status, len(each.pending)) for each in first] == [("completed", 0), ("paused", 1)]
    (ask,) = await inbox(journal)
    assert ask.path == "root/payer[1]"
    await ask.approve(by="ann")
    again = await agent.map(["a", "pay"], run_id="m", journal=journal)
    assert [each.output for each in again] == ["done: a", "done: paid 3"]
    assert sorted(asked) == ["a", "paid 3", "pay"]
    check_tree(await journal.read("m"))


async def test_without_a_journal_it_waits_in_memory() -> None:
    agent = payer([], autonomy=Autonomy(modes={"pay": "assisted"}))
    _, waits = await agent.map(["a", "pay"], run_id="m-1")
    await waits.pending[0].approve()
    _, done = await agent.map(["a", "pay"], run_id="m-1")
    assert done.output == "done: paid 3"


async def test_one_that_was_interrupted_goes_on_and_the_others_are_done(journal: Journal) -> None:
    asked = list[str]()

    async def answer(request: ModelRequest) -> str:
        asked.append(request.messages[-1].text)
        if asked == ["a", "b"]:
            scope.cancel()
            await anyio.sleep_forever()
        return f"done: {asked[-1]}"

    agent = Agent(FunctionModel(answer), name="payer")
    with anyio.CancelScope() as scope:
        await agent.map(["a", "b"], run_id="m", journal=journal, max_concurrency=1)
    again = await agent.map(["a", "b"], run_id="m", journal=journal, max_concurrency=1)
    assert [each.output for each in again] == ["done: a", "done: b"]
    assert asked == ["a", "b", "b"]
    check_tree(await journal.read("m"))


async def test_a_task_that_failed_is_not_tried_again_once_all_have_ended(journal: Journal) -> None:
    asked, is_up = list[str](), False

    def answer(request: ModelRequest) -> Any:
        asked.append(request.messages[-1].text)
        if request.messages[-1].text == "b" and not is_up:
            return ModelError("down")
        return f"done: {asked[-1]}"

    agent = Agent(FunctionModel(answer), name="payer", retry=Retry(attempts=1))
    first = await agent.map(["a", "b"], run_id="m", journal=journal)
    before, is_up = await journal.read("m"), True
    again = await agent.map(["a", "b"], run_id="m", journal=journal)
    assert sorted(asked) == ["a", "b"]
    for results in (first, again):
        assert [each.status for each in results] == ["completed", "failed"]
        assert "down" in str(results[1].error)
    assert [each.tree_usage for each in again] == [each.tree_usage for each in first]
    assert await journal.read("m") == before


async def test_a_task_that_was_cancelled_or_never_began_stays_so(journal: Journal) -> None:
    """Here by a limit of them all."""
    asked = list[str]()
    limits = RunLimits(max_requests=2, on_limit="return")
    tasks = ["a", "b", "c", "d"]
    given: dict[str, Any] = {"run_id": "m", "journal": journal, "max_concurrency": 1}
    first = await payer(asked).map(tasks, limits=limits, **given)
    assert asked == ["a", "b"]
    again = await payer(asked).map(tasks, **given)
    assert asked == ["a", "b"]
    assert [each.status for each in again] == [each.status for each in first]
