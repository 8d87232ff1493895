"""Runs that go on: in another trace, which is linked, with nothing told twice."""

import pytest

from tests.telemetry.collecting import Traces, facts, id_of, trace_of, traced
from tinyagents import (
    Agent,
    Autonomy,
    MemoryJournal,
    ModelError,
    SubAgentTool,
    fork,
    inbox,
    telemetry,
    tool,
)
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


@tool
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@tool
async def look() -> str:
    """Look."""
    return "seen"


def boss(*script: object) -> Agent:
    clerk = Agent(
        ScriptedModel(["", call("look"), call("pay", amount=3), "Paid."][1:]),
        name="clerk",
        tools=[pay, look],
        autonomy=Autonomy(modes={"pay": "assisted"}),
    )
    return Agent(ScriptedModel(script), name="boss", subagents=[SubAgentTool(clerk)])


async def test_a_run_kept_in_a_journal_has_the_same_spans(traces: Traces) -> None:
    agent = Agent(ScriptedModel([call("look"), "Done."]), name="a", tools=[look])
    await agent.run("Go", run_id="r-1", journal=MemoryJournal())
    assert [" < ".join(traces.chain(each)) for each in traces.spans] == [
        "invoke_agent a",
        "chat scripted < invoke_agent a",
        "execute_tool look < invoke_agent a",
        "chat scripted < invoke_agent a",
    ]


async def test_a_run_that_ended_is_not_told_again(traces: Traces) -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel(["Done."]), name="a")
    await agent.run("Go", run_id="r-1", journal=journal)
    n = len(traces.spans)
    result = await agent.run("Go", run_id="r-1", journal=journal)
    assert result.output == "Done."
    assert len(traces.spans) == n


async def test_after_an_answer_only_what_is_new_is_told(traces: Traces) -> None:
    journal = MemoryJournal()
    agent = boss(call("clerk", input="Pay 3."), "Done.")
    result = await agent.run("Go", run_id="r-1", journal=journal)
    assert result.status == "paused"
    first = {each.name: each for each in traces.spans}
    assert facts(first["invoke_agent clerk"])["tinyagents.unfinished"] == "parked"
    assert facts(first["execute_tool clerk"])["tinyagents.unfinished"] == "paused"
    traces.clear()
    for ask in await inbox(journal):
        await ask.approve(by="ann")
    result = await agent.resume("r-1", journal=journal)
    assert result.output == "Done."
    assert [" < ".join(traces.chain(each)) for each in traces.spans] == [
        "invoke_agent boss",
        "execute_tool clerk < invoke_agent boss",
        "invoke_agent clerk < execute_tool clerk < invoke_agent boss",
        "execute_tool pay < invoke_agent clerk < execute_tool clerk < invoke_agent boss",
        "chat scripted < invoke_agent clerk < execute_tool clerk < invoke_agent boss",
        "chat scripted < invoke_agent boss",
    ]
    for name in ("invoke_agent boss", "invoke_agent clerk"):
        (link,) = traces.one(name).links
        assert id_of(link) == id_of(first[name])
        assert trace_of(link) == trace_of(first[name])


async def test_a_run_that_failed_goes_on_in_a_linked_trace(traces: Traces) -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel([call("look"), ModelError("down"), "Up."]), tools=[look])
    with pytest.raises(ModelError):
        await agent.run("Go", run_id="r-1", journal=journal)
    first = traces.one("invoke_agent agent")
    traces.clear()
    await agent.resume("r-1", journal=journal)
    assert traces.names == ["invoke_agent agent", "chat scripted"]
    (link,) = traces.one("invoke_agent agent").links
    assert id_of(link) == id_of(first)


async def test_a_fork_is_linked_to_the_run_that_it_comes_from(traces: Traces) -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel([call("look"), "One.", "Two."]), tools=[look])
    await agent.run("Go", run_id="r-1", journal=journal)
    first = traces.one("invoke_agent agent")
    events = await journal.read("r-1")
    at = next(each.seq for each in events if each.kind == "tool.completed")
    other = await fork(journal, "r-1", at=at, edit="unseen", new_id="r-2")
    traces.clear()
    result = await agent.resume(other.run_id, journal=journal)
    assert result.output == "Two."
    span = traces.one("invoke_agent agent")
    assert facts(span)["tinyagents.run.id"] == "r-2"
    assert [id_of(each) for each in span.links] == [id_of(first)]


async def test_what_is_exported_later_has_the_ids_that_it_would_have_had(traces: Traces) -> None:
    journal = MemoryJournal()
    agent = boss(call("clerk", input="Pay 3."), "Done.")
    await agent.run("Go", run_id="r-1", journal=journal)
    for ask in await inbox(journal):
        await ask.approve()
    await agent.resume("r-1", journal=journal)
    live = traces.spans
    traces.clear()
    telemetry.export(await journal.read("r-1"))
    told = traces.spans
    assert sorted(id_of(each) for each in told) == sorted(id_of(each) for each in live)
    by_id = {id_of(each): each for each in live}
    for span in told:
        same = by_id[id_of(span)]
        assert (span.name, span.start_time, span.end_time) == (
            same.name, same.start_time, same.end_time,
        )  # fmt: skip
        assert (span.parent and span.parent.span_id) == (same.parent and same.parent.span_id)


async def test_a_killed_run_is_exported_as_far_as_it_came() -> None:
    journal = MemoryJournal()
    with traced():
        agent = Agent(ScriptedModel([call("look"), "Done."]), name="a", tools=[look])
        await agent.run("Go", run_id="r-1", journal=journal)
    events = await journal.read("r-1")
    cut = [each for each in events if each.kind == "tool.started"][0].seq + 1
    with traced() as traces:
        telemetry.export(events[:cut])
        assert traces.names == ["invoke_agent a", "chat scripted", "execute_tool look"]
        for name in ("invoke_agent a", "execute_tool look"):
            unfinished = facts(traces.one(name))["tinyagents.unfinished"]
            assert unfinished == "nothing more is known of it"
