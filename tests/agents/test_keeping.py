"""What is kept of runs that have ended: enough to ask for, and not their transcripts."""

import copy
import gc
from typing import Any

import anyio
import pytest

from tests.agents.test_steering import Held, finish
from tinyagents import (
    Agent,
    AssistantMessage,
    LimitExceeded,
    ModelError,
    RunLimits,
    Text,
    report,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call
from tinyagents_graph.live import LiveRun

pytestmark = pytest.mark.anyio


def chatty(end: Any, name: str = "c", **options: Any) -> Agent[Any, Any]:
    """It thinks aloud, says its last words with a report, and ends."""

    def reply(request: Any) -> Any:
        n = sum(each.role == "assistant" for each in request.messages)
        if n == 2:
            if isinstance(end, str):
                return end
            raise end("broke")  # made here, for an error holds on to its run
        words = ["thinking aloud", "last words"][n]
        return AssistantMessage((Text(words), call("report", text="r")))

    return Agent(FunctionModel(reply), name=name, tools=[report], **options)


def alive(words: str) -> int:
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, AssistantMessage)]
    return sum(words in each.text for each in found)


async def outcome(child: LiveRun) -> tuple[Any, Exception | None]:
    """What is kept of a run: its result, and its error if it has one."""
    try:
        return await child.result(), None
    except Exception as error:
        return vars(error)["result"], error


@pytest.mark.parametrize(
    ("end", "options", "status"),
    [
        ("done", {}, "completed"),
        (ModelError, {}, "failed"),
        (ValueError, {}, "failed"),
        ("never", {"limits": RunLimits(max_turns=2)}, "failed"),
        ("never", {"limits": RunLimits(max_turns=2, on_limit="return")}, "limited"),
    ],
)
async def test_of_a_background_child_only_its_end_is_kept(
    end: Any, options: dict[str, Any], status: str
) -> None:
    boss = Held(call("c", input="x"), call("wait_for_children"), "end", "end")
    agent = Agent(boss.model, subagents=[chatty(end, **options)], background=True)
    async with agent.stream("go") as run:
        for _ in range(2):
            await boss.asked()
            boss.go_on()
        await boss.asked()
        child = run.find("root/c[0]")
        assert child is not None
        assert child.status == status
        assert alive("thinking aloud") == 0
        result, error = await outcome(child)
        if status == "failed":
            assert type(error) is (LimitExceeded if end == "never" else end)
            assert ("max_turns=2 of root/c[0]" if end == "never" else "broke") in str(error)
        assert result.status == status
        assert result.text == ("done" if status == "completed" else "last words")
        assert len(result.messages) == 1
        assert result.usage.requests >= 2
        assert "thinking aloud" in str([event.data for event in result.events])
        boss.go_on()
        await finish(run)


async def test_whoever_handles_an_error_has_the_whole_transcript() -> None:
    seen: list[Any] = []

    @tool
    async def ask_it() -> str:
        try:
            await chatty(ModelError).run("x")
        except ModelError as error:
            seen.extend(error.result.messages)
        return "handled"

    async with Agent(ScriptedModel([call("ask_it"), "end"]), tools=[ask_it]).stream("go") as run:
        await finish(run)
    assert [each.text for each in seen if each.role == "assistant"] == [
        "thinking aloud", "last words",
    ]  # fmt: skip


async def test_many_failed_children_are_not_kept_with_their_transcripts() -> None:
    gate, seen = anyio.Event(), anyio.Event()

    @tool
    async def hold() -> str:
        seen.set()
        await gate.wait()
        return ""

    calls = [call("c", input=str(n)) for n in range(20)]
    boss = ScriptedModel([calls, call("hold"), "end"])
    agent = Agent(boss, subagents=[chatty(ModelError)], tools=[hold])
    async with agent.stream("go") as run:
        await seen.wait()
        assert alive("thinking aloud") == 0
        gate.set()
        await finish(run)


def test_an_error_is_copied_with_its_facts() -> None:
    error = LimitExceeded("max_turns", allowed=2, used=2, path="root")
    again = copy.copy(error)
    assert (type(again), str(again), vars(again)) == (LimitExceeded, str(error), vars(error))
